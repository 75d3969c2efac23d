//! Everything else: accounts, kernel, disks, network, Docker.

use super::{Lints, accounts};
use crate::check::Rule;
use crate::model::value::RebootStrategy;
use crate::model::{Config, Located};

pub(super) fn lint(config: &Config, lints: &mut Lints<'_>) {
    keys(config, lints);
    update(config, lints);
    kernel(config, lints);
    disks(config, lints);
    for file in &config.networkd {
        for drop_in in file.drop_ins.iter().filter(|drop_in| drop_in.content.is_none()) {
            lints.absent(Rule::IgnoredKey, &drop_in.name.place, "a drop-in without `content` does nothing", "add `content`, or remove it");
        }
    }
    if let Some(ntp) = &config.ntp {
        for server in ntp.servers.iter().chain(&ntp.pools) {
            word(server, "a name or an address of a time server", lints);
        }
    }
    if let Some(proxy) = &config.proxy {
        for address in proxy.http.iter().chain(&proxy.https) {
            proxy_address(address, lints);
        }
    }
    if let Some(docker) = &config.docker {
        for (host, registry) in &docker.registries {
            let complete = registry.username.is_some() && registry.password.is_some();
            let partly = registry.username.is_some() || registry.password.is_some();
            let hint = "`username` and `password`, or `auth` instead of both";
            match (&registry.auth, partly, complete) {
                (None, _, false) => {
                    lints.absent(Rule::MissingKey, &registry.place, format!("the credentials of `{host}` are not complete"), hint);
                }
                (Some(auth), true, _) => lints.add(Rule::ConflictingKeys, &auth.place, "`auth` is user name and password in one", hint),
                _ => {}
            }
        }
    }
}

fn keys(config: &Config, lints: &mut Lints<'_>) {
    let of_users = config.users.iter().flat_map(|user| &user.ssh_authorized_keys);
    for key in config.ssh_authorized_keys.iter().chain(of_users) {
        lints.placeholder(key.as_str(), &key.place);
        if !key.looks_like_a_key() {
            let hint = "one line of a `.pub` file: type, data, comment";
            lints.add(Rule::UnusualKey, &key.place, "this does not look like an SSH public key", hint);
        }
    }
    for user in &config.users {
        accounts::lint(user, lints);
        if let Some(gecos) = &user.gecos
            && (gecos.contains(':') || gecos.chars().any(char::is_control))
        {
            lints.add(Rule::InvalidValue, &gecos.place, "a full name has no colons and no control characters", "");
        }
    }
}

fn update(config: &Config, lints: &mut Lints<'_>) {
    let Some(coreos) = &config.coreos else { return };
    if let Some(update) = &coreos.update {
        for text in update.group.iter().chain(&update.server) {
            lints.one_line(text);
            lints.placeholder(text, &text.place);
        }
        if let Some(strategy) = update.reboot_strategy.as_ref().filter(|strategy| strategy.value == RebootStrategy::BestEffort) {
            lints.add(
                Rule::DeprecatedKey,
                &strategy.place,
                "`best-effort` leaves to chance how a host reboots",
                "use `etcd-lock` or `reboot`",
            );
        }
    }
    if let Some(oem) = &coreos.oem {
        for text in [&oem.id, &oem.name, &oem.version_id, &oem.home_url, &oem.bug_report_url].into_iter().flatten() {
            lints.one_line(text);
        }
        if oem.id.is_none() {
            lints.absent(Rule::IgnoredKey, &oem.place, "`oem` without `id` does nothing", "add `id`");
        }
    }
}

fn kernel(config: &Config, lints: &mut Lints<'_>) {
    for (name, value) in &config.sysctl {
        let good =
            name.split(['.', '/']).all(|part| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control() || c == '='));
        if !good {
            lints.add(
                Rule::InvalidValue,
                &value.place,
                format!("`{}` is not a kernel parameter", name.escape_debug()),
                "such as `net.ipv4.ip_forward`",
            );
        }
        lints.one_line(value);
    }
    for module in &config.kernel_modules {
        if module.name.is_empty() || !module.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            lints.add(Rule::InvalidValue, &module.name.place, "this is not the name of a kernel module", "such as `br_netfilter`");
        }
        if let Some(options) = &module.options {
            lints.one_line(options);
        }
    }
}

fn disks(config: &Config, lints: &mut Lints<'_>) {
    for (device, setup) in &config.disk_setup {
        if !device.starts_with("/dev/") || device.contains("/../") {
            lints.add(
                Rule::InvalidPath,
                &setup.place,
                format!("`{device}` is not a device"),
                "a path below `/dev`, best below `/dev/disk`",
            );
        }
        let percent: u32 = setup.layout.iter().map(|share| u32::from(share.percent)).sum();
        if percent > 100 {
            lints.add(Rule::InvalidValue, &setup.place, format!("the partitions add up to {percent} percent"), "100 at most");
        }
    }
    for system in &config.fs_setup {
        if !system.device.is_below("/dev") {
            lints.add(Rule::InvalidPath, &system.device.place, format!("`{}` is not a device", system.device.value), "a path below `/dev`");
        }
        word(&system.filesystem, "a kind of file system such as `ext4`", lints);
        if let Some(partition) = &system.partition {
            let good = matches!(partition.as_str(), "none" | "auto" | "any") || partition.parse::<u8>().is_ok_and(|number| number > 0);
            if !good {
                lints.add(
                    Rule::InvalidValue,
                    &partition.place,
                    format!("`{}` is not a partition", partition.value),
                    "a number from 1, `none`, `auto` or `any`",
                );
            }
        }
    }
    for mount in &config.mounts {
        word(&mount.device, "a device, a label or a remote", lints);
    }
}

/// A text without blanks: it becomes one word of a line.
fn word(text: &Located<String>, wanted: &str, lints: &mut Lints<'_>) {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        lints.add(Rule::InvalidValue, &text.place, format!("`{}` is not {wanted}", text.escape_debug()), "");
    }
    lints.placeholder(text, &text.place);
}

fn proxy_address(address: &Located<String>, lints: &mut Lints<'_>) {
    let known = ["http", "https", "socks5", "socks5h"];
    let good = url::Url::parse(address).is_ok_and(|url| known.contains(&url.scheme()) && url.host().is_some());
    if !good {
        lints.add(Rule::InvalidValue, &address.place, "this is not the address of a proxy", "such as `http://proxy.internal:3128`");
    }
    lints.placeholder(address, &address.place);
}
