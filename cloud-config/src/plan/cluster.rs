//! Cluster services and updates: the sections of `coreos` that are not units.

use super::builder::{Builder, PRIVATE, PUBLIC, environment_line, systemd_folder};
use super::effect::{Action, JobKind, Origin, Persistence};
use super::etcd::Settings;
use super::path::HostPath;
use crate::model::coreos::CoreOs;
use crate::model::environment::{Environment, Setting, Table};
use crate::model::value::RebootStrategy;
use crate::model::{Config, Located};

const UPDATE: &str = "/etc/coreos/update.conf";
const UPDATE_BASE: &str = "/usr/share/coreos/update.conf";
const WINDOW: &str = "/etc/slipway/updater.toml.d/50-cloud-config.toml";
const UPDATER: &str = "updater.service";

/// Files that no unit needs to be told of.
pub(super) fn files(builder: &mut Builder<'_>, config: &Config) {
    let Some(coreos) = &config.coreos else { return };
    oem(builder, coreos);
    update(builder, coreos);
    window(builder, coreos);
    if let Some(flannel) = &coreos.flannel {
        let lines: Vec<String> = flannel.variables().map(|(variable, setting)| format!("{}={}", variable.name, setting.reveal())).collect();
        builder.file(&flannel.place, "/run/flannel/options.env", mode(flannel), lines.join("\n"));
    }
}

/// Environments of services.
pub(super) fn drop_ins(builder: &mut Builder<'_>, config: &Config) {
    let Some(coreos) = &config.coreos else { return };
    let mut etcd = Settings::default();
    let mut origin: Option<Origin> = None;
    if let Some(section) = &coreos.etcd {
        etcd.add(&section.value);
        origin = Some((&section.place).into());
    }
    if let Some(section) = &coreos.etcd2 {
        if origin.is_some() {
            builder.note(&section.place, "`etcd` and `etcd2` are the same program here; where both say something, `etcd2` counts");
        }
        etcd.add(&section.value);
        origin = Some((&section.place).into());
    }
    for (place, remark) in std::mem::take(&mut etcd.remarks) {
        builder.note(&place, remark);
    }
    let mut persistence = Persistence::Runtime;
    if super::members::wanted(config) {
        // Who this member is and where it listens is for the agent to say.
        etcd.variables.retain(|name, _| !super::members::is_agents(name));
        // A member is one again at a boot that finds no document, and has to wait for its leader as long as the others do.
        persistence = Persistence::Persistent;
    }
    if let Some(origin) = origin.filter(|_| !etcd.variables.is_empty()) {
        let lines: String = etcd.variables.iter().map(|(key, value)| environment_line(key, value)).collect();
        let folder = systemd_folder("system", persistence);
        builder.file(origin, &format!("{folder}/etcd.service.d/20-cloudinit.conf"), PUBLIC, format!("[Service]\n{lines}"));
    }
    if let Some(fleet) = &coreos.fleet {
        let lines: String = fleet.variables().map(|(variable, setting)| environment_line(variable.name, setting.reveal())).collect();
        builder.file(&fleet.place, "/run/systemd/system/fleet.service.d/20-cloudinit.conf", mode(fleet), format!("[Service]\n{lines}"));
    }
}

/// Public, unless there is a secret in it.
fn mode<T: Table>(section: &Environment<T>) -> u32 {
    let secret = section.variables().any(|(_, setting)| matches!(setting.value, Setting::Secret(_)));
    if secret { PRIVATE } else { PUBLIC }
}

fn oem(builder: &mut Builder<'_>, coreos: &CoreOs) {
    let Some((oem, id)) = coreos.oem.as_ref().and_then(|oem| Some((oem, oem.id.as_ref()?))) else { return };
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = format!("ID={}\n", id.value);
    for (key, value, plain) in [
        ("VERSION_ID", &oem.version_id, true),
        ("NAME", &oem.name, false),
        ("HOME_URL", &oem.home_url, false),
        ("BUG_REPORT_URL", &oem.bug_report_url, false),
    ] {
        if let Some(value) = value {
            let value = if plain { value.value.clone() } else { quoted(&value.value) };
            text.push_str(&format!("{key}={value}\n"));
        }
    }
    builder.file(&oem.place, "/etc/oem-release", PUBLIC, text);
}

fn update(builder: &mut Builder<'_>, coreos: &CoreOs) {
    let Some(update) = &coreos.update else { return };
    let mut values: Vec<(String, String)> = Vec::new();
    values.extend(update.reboot_strategy.as_ref().map(|strategy| ("REBOOT_STRATEGY".to_owned(), strategy.value.as_str().to_owned())));
    values.extend(update.group.as_ref().map(|group| ("GROUP".to_owned(), group.value.clone())));
    values.extend(update.server.as_ref().map(|server| ("SERVER".to_owned(), server.value.clone())));
    let (Ok(path), Ok(base)) = (HostPath::new(UPDATE), HostPath::new(UPDATE_BASE)) else { return };
    if values.is_empty() {
        return;
    }
    builder.every_boot(&update.place, Action::Assignments { path, base: Some(base), values });
    builder.job_after_change(&update.place, UPDATER, JobKind::TryRestart, &[UPDATE]);
}

/// The weekly window of locksmith, as the updater's.
fn window(builder: &mut Builder<'_>, coreos: &CoreOs) {
    let Some(locksmith) = &coreos.locksmith else { return };
    for (variable, setting) in locksmith.variables() {
        if !matches!(variable.key, "window_start" | "window_length") {
            builder.note(&setting.place, format!("`locksmith.{}` is not used: the updater needs no address of etcd", variable.key));
        }
    }
    let (start, length) = match (locksmith.get("window_start"), locksmith.get("window_length")) {
        (Some(start), Some(length)) => (start, length),
        (None, None) => return,
        (Some(one), None) | (None, Some(one)) => {
            builder.note(&one.place, "a window needs both `window_start` and `window_length`; there is none now");
            return;
        }
    };
    let Some(seconds) = seconds(length.reveal()) else {
        builder.note(&length.place, "a window lasts from one minute to seven days; there is none now");
        return;
    };
    let (days, time) = day_and_time(start.reveal());
    let days = days.map(|day| format!("days = [\"{day}\"]\n")).unwrap_or_default();
    let strategy = match coreos.update.as_ref().and_then(|update| update.reboot_strategy.as_ref()) {
        Some(Located {
            value: RebootStrategy::Off | RebootStrategy::EtcdLock | RebootStrategy::FleetLock | RebootStrategy::BestEffort,
            ..
        }) => "",
        _ => "strategy = \"window\"\n",
    };
    let text = format!("[reboot]\n{strategy}\n[[reboot.window]]\n{days}start = \"{time}\"\nlength = \"{seconds}s\"\n");
    builder.file(&start.place, WINDOW, PUBLIC, text);
    builder.job_after_change(&start.place, UPDATER, JobKind::TryRestart, &[WINDOW]);
}

/// `Thu 4:00` as `Thu` and `04:00`.
fn day_and_time(text: &str) -> (Option<String>, String) {
    let (day, time) = match text.split_once(' ') {
        Some((day, time)) => (Some(day), time),
        None => (None, text),
    };
    let day = day
        .map(|day| day.chars().enumerate().map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect());
    let (hour, minute) = time.split_once(':').unwrap_or((time, "0"));
    (day, format!("{:0>2}:{:0>2}", hour.trim_start_matches('0'), minute.trim_start_matches('0')))
}

/// A duration such as `1h30m` in whole seconds, if it is one the updater takes.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0.0;
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |at| digits + at);
        let factor = match &rest[digits..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "\u{b5}s" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += rest[..digits].parse::<f64>().ok()? * factor;
        rest = &rest[unit..];
    }
    let limits = 60.0..=7.0 * 24.0 * 3600.0;
    // Bounded just before, and a fraction of a second is of no use to anybody.
    limits.contains(&total).then_some(total as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_put_into_the_updaters_words() {
        for (text, day, time) in
            [("Thu 4:00", Some("Thu"), "04:00"), ("sUN 23:59", Some("Sun"), "23:59"), ("04:05", None, "04:05"), ("0:0", None, "00:00")]
        {
            assert_eq!(day_and_time(text), (day.map(str::to_owned), time.to_owned()), "{text}");
        }
        for (text, expected) in [("1h", Some(3600)), ("1h30m", Some(5400)), ("0.5h", Some(1800)), ("90m", Some(5400)), ("+2h", Some(7200))]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
        for text in ["30s", "1000h", "-1h", "1d", "h", ""] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
