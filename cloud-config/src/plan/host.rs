//! The whole host: its name, time, certificates, kernel settings and network files.

use super::builder::{Builder, PUBLIC, systemd_folder};
use super::effect::{Action, JobKind, Origin, Persistence};
use crate::model::{Config, Located};

/// Longest name the kernel takes without a domain, in bytes.
const NAME_LIMIT: usize = 63;
const TIMESYNCD: &str = "systemd-timesyncd.service";

pub(super) fn name(builder: &mut Builder<'_>, config: &Config) {
    if let Some(hostname) = &config.hostname {
        if builder.metadata.hostname.as_ref().is_some_and(|other| short(other) != short(hostname.as_str())) {
            builder.note(&hostname.place, "the platform has another name for this machine; this one is used");
        }
        builder.every_boot(&hostname.place, Action::Hostname { name: short(hostname.as_str()) });
    } else {
        metadata_name(builder);
    }
    let Some(manage) = &config.manage_etc_hosts else { return };
    let own = config.hostname.as_ref().map(|name| name.as_str().to_owned()).or_else(|| builder.metadata.hostname.clone());
    let names = own.map(|name| if short(&name) == name { name } else { format!("{name} {}", short(&name)) });
    let own = names.map(|names| format!("127.0.1.1 {names}\n")).unwrap_or_default();
    let text =
        format!("127.0.0.1 localhost\n{own}::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n");
    builder.file(&manage.place, "/etc/hosts", PUBLIC, text);
}

pub(super) fn metadata_name(builder: &mut Builder<'_>) {
    let Some(hostname) = &builder.metadata.hostname else { return };
    let name = short(hostname);
    let good =
        !name.is_empty() && !name.starts_with('-') && !name.ends_with('-') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if good {
        builder.every_boot(Origin::metadata(), Action::Hostname { name });
    } else {
        builder.note(Origin::metadata(), format!("{hostname:?} is no name for a machine; it is not used"));
    }
}

fn short(name: &str) -> String {
    name.split('.').next().unwrap_or_default().chars().filter(char::is_ascii).take(NAME_LIMIT).collect()
}

pub(super) fn timezone(builder: &mut Builder<'_>, config: &Config) {
    if let Some(zone) = &config.timezone {
        builder.every_boot(&zone.place, Action::Timezone { zone: zone.as_str().to_owned() });
    }
}

pub(super) fn ca_certs(builder: &mut Builder<'_>, config: &Config) {
    let Some(section) = &config.ca_certs else { return };
    if section.remove_defaults.as_ref().is_some_and(|remove| remove.value) {
        let text = "# Written by cloud-config: none of the image's certificate authorities is trusted.\n";
        builder.file(&section.place, "/etc/ca-certificates.conf", PUBLIC, text);
    }
    for (index, certificate) in section.trusted.iter().enumerate() {
        let mut pem = certificate.as_pem().trim().to_owned();
        pem.push('\n');
        builder.file(&certificate.place, &format!("/usr/local/share/ca-certificates/cloud-config-{}.crt", index + 1), PUBLIC, pem);
    }
    builder.every_boot(&section.place, Action::CaBundle);
}

pub(super) fn ntp(builder: &mut Builder<'_>, config: &Config) {
    const DROP_IN: &str = "/etc/systemd/timesyncd.conf.d/90-cloud-config.conf";
    let Some(ntp) = &config.ntp else { return };
    if ntp.enabled.as_ref().is_some_and(|enabled| !enabled.value) {
        builder.every_boot(&ntp.place, Action::Mask { unit: TIMESYNCD.to_owned(), persistence: Persistence::Persistent });
        builder.job(&ntp.place, TIMESYNCD, JobKind::Stop);
        return;
    }
    let servers: Vec<&str> = ntp.servers.iter().chain(&ntp.pools).map(|server| server.value.as_str()).collect();
    if !servers.is_empty() {
        builder.file(&ntp.place, DROP_IN, PUBLIC, format!("[Time]\nNTP={}\n", servers.join(" ")));
        builder.job_after_change(&ntp.place, TIMESYNCD, JobKind::TryRestart, &[DROP_IN]);
    }
}

pub(super) fn kernel(builder: &mut Builder<'_>, config: &Config) {
    const SYSCTL: &str = "/etc/sysctl.d/90-cloud-config.conf";
    const MODULES: &str = "/etc/modules-load.d/90-cloud-config.conf";
    const OPTIONS: &str = "/etc/modprobe.d/90-cloud-config.conf";
    if let Some(first) = config.kernel_modules.first() {
        let barred = |module: &crate::model::host::KernelModule| module.blacklist.as_ref().is_some_and(|barred| barred.value);
        let loaded: String =
            config.kernel_modules.iter().filter(|module| !barred(module)).map(|module| format!("{}\n", module.name.value)).collect();
        let options: String = config.kernel_modules.iter().map(|module| module_options(module, barred(module))).collect();
        if !options.is_empty() {
            builder.file(&first.place, OPTIONS, PUBLIC, options);
        }
        if !loaded.is_empty() {
            builder.file(&first.place, MODULES, PUBLIC, loaded);
            builder.job_after_change(&first.place, "systemd-modules-load.service", JobKind::Restart, &[MODULES, OPTIONS]);
        }
    }
    if let Some(first) = first_place(config.sysctl.values()) {
        let lines: String = config.sysctl.iter().map(|(name, value)| format!("{name} = {}\n", value.value)).collect();
        builder.file(first, SYSCTL, PUBLIC, lines);
        builder.job_after_change(first, "systemd-sysctl.service", JobKind::Restart, &[SYSCTL]);
    }
}

fn module_options(module: &crate::model::host::KernelModule, barred: bool) -> String {
    let name = &module.name.value;
    match &module.options {
        // `blacklist` alone would still let another module pull it in.
        _ if barred => format!("blacklist {name}\ninstall {name} /bin/false\n"),
        Some(options) => format!("options {name} {}\n", options.value),
        None => String::new(),
    }
}

/// The place that comes first in the document.
pub(super) fn first_place<'a, T: 'a>(values: impl Iterator<Item = &'a Located<T>>) -> Option<&'a crate::model::Place> {
    values.map(|value| &value.place).min()
}

pub(super) fn platform_network(builder: &mut Builder<'_>, files: &[(String, String)]) {
    let folder = systemd_folder("network", Persistence::Runtime);
    let paths: Vec<String> = files.iter().map(|(name, _)| format!("{folder}/{name}")).collect();
    for (path, (name, text)) in paths.iter().zip(files) {
        if name.contains('/') {
            builder.note(Origin::metadata(), format!("{name:?} is no name for a network file"));
        } else {
            builder.file(Origin::metadata(), path, PUBLIC, text.clone());
        }
    }
    if !files.is_empty() {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        builder.job_after_change(Origin::metadata(), "systemd-networkd.service", JobKind::Restart, &paths);
    }
}

pub(super) fn networkd(builder: &mut Builder<'_>, config: &Config) {
    let mut files: Vec<String> = Vec::new();
    for file in &config.networkd {
        let runtime = file.runtime.as_ref().is_some_and(|runtime| runtime.value);
        let folder = systemd_folder("network", if runtime { Persistence::Runtime } else { Persistence::Persistent });
        let path = format!("{folder}/{}", file.name.as_str());
        if let Some(content) = &file.content {
            builder.file(&content.place, &path, PUBLIC, content.value.clone());
            files.push(path.clone());
        }
        for drop_in in &file.drop_ins {
            let Some(content) = &drop_in.content else { continue };
            let path = format!("{path}.d/{}", drop_in.name.as_str());
            builder.file(&content.place, &path, PUBLIC, content.value.clone());
            files.push(path);
        }
    }
    if let Some(first) = config.networkd.first() {
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        if !files.is_empty() {
            builder.job_after_change(&first.place, "systemd-networkd.service", JobKind::Restart, &files);
        }
    }
}
