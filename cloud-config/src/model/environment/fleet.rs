//! Keys of fleet, flannel and locksmith.

use super::{Fate, Kind, Table, Variable};
use Kind::{Bool, Float, Int, Secret, Text, WindowLength, WindowStart};

const fn key(key: &'static str, name: &'static str, kind: Kind, about: &'static str) -> Variable {
    Variable { key, name, kind, about, fate: Fate::Kept }
}

/// Keys of `coreos.fleet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetKeys;

/// Keys of `coreos.flannel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlannelKeys;

/// Keys of `coreos.locksmith`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocksmithKeys;

impl Table for FleetKeys {
    const NAME: &'static str = "fleet";
    const KEYS: &'static [Variable] = &[
        key("agent_ttl", "FLEET_AGENT_TTL", Text, "Time after which a silent host counts as gone, such as `30s`."),
        key("authorized_keys_file", "FLEET_AUTHORIZED_KEYS_FILE", Text, "File with SSH keys."),
        key("disable_engine", "FLEET_DISABLE_ENGINE", Bool, "This host never leads."),
        key("engine_reconcile_interval", "FLEET_ENGINE_RECONCILE_INTERVAL", Float, "Seconds between two looks at what should run."),
        key("etcd_cafile", "FLEET_ETCD_CAFILE", Text, "CA of etcd."),
        key("etcd_certfile", "FLEET_ETCD_CERTFILE", Text, "Certificate shown to etcd."),
        key("etcd_keyfile", "FLEET_ETCD_KEYFILE", Text, "Key of that certificate."),
        key("etcd_key_prefix", "FLEET_ETCD_KEY_PREFIX", Text, "Where in etcd the state is kept."),
        key("etcd_request_timeout", "FLEET_ETCD_REQUEST_TIMEOUT", Float, "Seconds a request to etcd may take."),
        key("etcd_servers", "FLEET_ETCD_SERVERS", Text, "Addresses of etcd, comma separated."),
        key("etcd_username", "FLEET_ETCD_USERNAME", Text, "User at etcd."),
        key("etcd_password", "FLEET_ETCD_PASSWORD", Secret, "Password at etcd."),
        key("metadata", "FLEET_METADATA", Text, "What units can ask for: `key=value`, comma separated."),
        key("public_ip", "FLEET_PUBLIC_IP", Text, "Address shown to other hosts."),
        key("token_limit", "FLEET_TOKEN_LIMIT", Int, "Entries per page of the interface."),
        key("verbosity", "FLEET_VERBOSITY", Int, "Log level, 0 to 2."),
        key("verify_units", "FLEET_VERIFY_UNITS", Bool, "Checks signatures of units."),
    ];
}

impl Table for FlannelKeys {
    const NAME: &'static str = "flannel";
    const KEYS: &'static [Variable] = &[
        key("etcd_endpoints", "FLANNELD_ETCD_ENDPOINTS", Text, "Addresses of etcd, comma separated."),
        key("etcd_cafile", "FLANNELD_ETCD_CAFILE", Text, "CA of etcd."),
        key("etcd_certfile", "FLANNELD_ETCD_CERTFILE", Text, "Certificate shown to etcd."),
        key("etcd_keyfile", "FLANNELD_ETCD_KEYFILE", Text, "Key of that certificate."),
        key("etcd_prefix", "FLANNELD_ETCD_PREFIX", Text, "Where in etcd the network is described."),
        key("etcd_username", "FLANNELD_ETCD_USERNAME", Text, "User at etcd."),
        key("etcd_password", "FLANNELD_ETCD_PASSWORD", Secret, "Password at etcd."),
        key("ip_masq", "FLANNELD_IP_MASQ", Text, "Hides containers behind the address of the host."),
        key("subnet_file", "FLANNELD_SUBNET_FILE", Text, "Where the chosen subnet is written."),
        key("interface", "FLANNELD_IFACE", Text, "Interface or address for traffic between hosts."),
        key("public_ip", "FLANNELD_PUBLIC_IP", Text, "Address other hosts reach this one by."),
    ];
}

impl Table for LocksmithKeys {
    const NAME: &'static str = "locksmith";
    const KEYS: &'static [Variable] = &[
        key("endpoint", "LOCKSMITHD_ENDPOINT", Text, "Addresses of etcd, comma separated."),
        key("etcd_cafile", "LOCKSMITHD_ETCD_CAFILE", Text, "CA of etcd."),
        key("etcd_certfile", "LOCKSMITHD_ETCD_CERTFILE", Text, "Certificate shown to etcd."),
        key("etcd_keyfile", "LOCKSMITHD_ETCD_KEYFILE", Text, "Key of that certificate."),
        key("etcd_username", "LOCKSMITHD_ETCD_USERNAME", Text, "User at etcd."),
        key("etcd_password", "LOCKSMITHD_ETCD_PASSWORD", Secret, "Password at etcd."),
        key("group", "LOCKSMITHD_GROUP", Text, "Hosts that share one lock."),
        key("window_start", "REBOOT_WINDOW_START", WindowStart, "When reboots may begin: `04:00`, or `Thu 04:00` for once a week."),
        key("window_length", "REBOOT_WINDOW_LENGTH", WindowLength, "How long they may begin, such as `1h30m`."),
    ];
}

/// Longest accepted text of a window, in bytes; the grammar alone has no end.
const MAX_WINDOW_BYTES: usize = 64;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// An optional weekday in three letters, then hour and minute.
pub(super) fn is_window_start(text: &str) -> bool {
    if text.len() > MAX_WINDOW_BYTES {
        return false;
    }
    let time = match text.split_once(' ') {
        Some((day, time)) if WEEKDAYS.contains(&day.to_ascii_lowercase().as_str()) => time,
        Some(_) => return false,
        None => text,
    };
    let number = |digits: &str, limit: u32| {
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u32>().is_ok_and(|value| value < limit)
    };
    time.split_once(':').is_some_and(|(hour, minute)| number(hour, 24) && number(minute, 60))
}

/// Groups of a number and a unit that a duration can have; the original also took units that do not exist.
pub(super) fn is_window_length(text: &str) -> bool {
    const UNITS: [&str; 7] = ["ns", "us", "\u{b5}s", "ms", "s", "m", "h"];
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest.is_empty() || text.len() > MAX_WINDOW_BYTES {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |at| digits + at);
        let number = &rest[..digits];
        if number.parse::<f64>().is_err() || !UNITS.contains(&&rest[digits..unit]) {
            return false;
        }
        rest = &rest[unit..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_start_at_a_time_of_the_day_or_week() {
        for good in ["04:00", "4:0", "Thu 04:00", "thu 23:59", "SUN 0:00"] {
            assert!(is_window_start(good), "{good}");
        }
        for bad in ["", "4", "24:00", "4:60", "Thursday 04:00", "Thu  04:00", "Thu", ":", "4:00 ", "04:00:00", "-1:00", "+4:00"] {
            assert!(!is_window_start(bad), "{bad:?}");
        }
    }

    #[test]
    fn windows_last_for_a_duration() {
        for good in ["1h", "1h30m", "90m", "0.5h", "1.5h10s", "+2h"] {
            assert!(is_window_length(good), "{good}");
        }
        for bad in ["", "1", "h", "1d", "1h30", "1 h", ".", "1..5h", "+", "h1"] {
            assert!(!is_window_length(bad), "{bad:?}");
        }
    }
}
