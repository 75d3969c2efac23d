//! One TOML file: the keys there are.

use std::path::PathBuf;
use std::time::Duration;

use diagnostics::toml::{Found, Reader};
use jiff::SignedDuration;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use payload::Version;
use toml::de::DeTable;

use super::Loaded;
use super::diagnostic::Diagnostic;
use super::model::{Strategy, WAIT_FOR_USERS_MAX};
use super::value::{duration, url};
use crate::machine::window::{LENGTH_MAX, WINDOWS_MAX, Window};

/// Shortest check interval: a machine in a test may be hasty, one in the field does not set it.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Longest check interval; rarer checks would miss the expiry of the metadata.
const INTERVAL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Shortest time between two looks at the metadata: it is some hundred bytes for a machine, and a fleet is many.
const METADATA_MIN: Duration = Duration::from_secs(60);
/// Longest health deadline: a trial is an outage.
const HEALTH_MAX: Duration = Duration::from_secs(3600);
/// Lowest bandwidth limit in bytes per second; less would take days for a release.
const BANDWIDTH_MIN: u64 = 1024;

const TOP: [&str; 13] = [
    "app-id",
    "bandwidth-limit",
    "ca-file",
    "check",
    "enabled",
    "group",
    "health",
    "metadata-url",
    "mirrors",
    "pin",
    "proxy",
    "reboot",
    "server",
];

/// Applies the file to what the files before it said.
pub(super) fn apply(name: &str, text: &str, into: &mut Loaded) -> Vec<Diagnostic> {
    let mut file = File { reader: Reader::new(name, text), name, into };
    let table = file.reader.parse();
    file.reader.check_keys(&table, "at the top", &TOP);
    file.top(&table);
    if let Some(check) = file.reader.table(&table, "check") {
        file.check(check);
    }
    if let Some(reboot) = file.reader.table(&table, "reboot") {
        file.reboot(reboot);
    }
    if let Some(health) = file.reader.table(&table, "health") {
        file.health(health);
    }
    file.reader.diagnostics
}

struct File<'t, 'l> {
    reader: Reader<'t>,
    name: &'t str,
    into: &'l mut Loaded,
}

impl<'t> File<'t, '_> {
    fn take<T>(&mut self, key: &'static str, found: Option<Found<T>>) -> Option<T> {
        let found = found?;
        self.into.came_from(key, self.name, found.line);
        Some(found.value)
    }

    /// The list of strings `key`.
    fn texts<T>(&mut self, table: &DeTable<'t>, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Found<Vec<T>>> {
        let found = self.reader.strings(table, key, parse)?;
        Some(Found { value: found.value.into_iter().map(|item| item.value).collect(), line: found.line })
    }

    fn top(&mut self, table: &DeTable<'t>) {
        let optional_url = |text: &str| if text.is_empty() { Ok(String::new()) } else { url(text) };
        let found = self.reader.string(table, "server", optional_url);
        if let Some(server) = self.take("server", found) {
            self.into.settings.access.server = server;
        }
        let found = self.reader.string(table, "metadata-url", optional_url);
        if let Some(metadata) = self.take("metadata-url", found) {
            self.into.settings.access.metadata_url = metadata;
        }
        let found = self.texts(table, "mirrors", url);
        if let Some(mirrors) = self.take("mirrors", found) {
            self.into.settings.access.mirrors = mirrors;
        }
        let found = self.reader.string(table, "proxy", proxy);
        if let Some(proxy) = self.take("proxy", found) {
            self.into.settings.access.proxy = proxy;
        }
        let found = self.reader.string(table, "ca-file", absolute);
        if let Some(file) = self.take("ca-file", found) {
            self.into.settings.access.ca_file = file;
        }
        let found = self.reader.limit(table, "bandwidth-limit", BANDWIDTH_MIN);
        if let Some(limit) = self.take("bandwidth-limit", found) {
            self.into.settings.access.bandwidth_limit = limit;
        }
        let found = self.reader.string(table, "group", group);
        if let Some(group) = self.take("group", found) {
            self.into.settings.group = group;
        }
        let found = self.reader.boolean(table, "enabled");
        if let Some(enabled) = self.take("enabled", found) {
            self.into.settings.enabled = enabled;
        }
        let found = self.reader.string(table, "pin", pin);
        if let Some(pin) = self.take("pin", found) {
            self.into.settings.pin = pin;
        }
        let found = self.reader.string(table, "app-id", app_id);
        if let Some(id) = self.take("app-id", found) {
            self.into.settings.app_id = id;
        }
    }

    fn check(&mut self, table: &DeTable<'t>) {
        self.reader.check_keys(table, "in [check]", &["interval", "jitter", "first", "metadata"]);
        let found = self.reader.string(table, "interval", duration(INTERVAL_MIN..=INTERVAL_MAX));
        if let Some(interval) = self.take("check.interval", found) {
            self.into.settings.check.interval = interval;
            self.into.settings.check.interval_is_set = true;
        }
        let found = self.reader.string(table, "jitter", duration(Duration::ZERO..=INTERVAL_MAX));
        if let Some(jitter) = self.take("check.jitter", found) {
            self.into.settings.check.jitter = jitter;
        }
        let found = self.reader.string(table, "first", duration(Duration::ZERO..=INTERVAL_MAX));
        if let Some(first) = self.take("check.first", found) {
            self.into.settings.check.first = first;
        }
        let found = self.reader.string(table, "metadata", duration(METADATA_MIN..=INTERVAL_MAX));
        if let Some(metadata) = self.take("check.metadata", found) {
            self.into.settings.check.metadata = metadata;
        }
    }

    fn reboot(&mut self, table: &DeTable<'t>) {
        self.reader.check_keys(table, "in [reboot]", &["strategy", "timezone", "wait-for-users", "window"]);
        let found = self.reader.string(table, "strategy", strategy);
        if let Some(strategy) = self.take("reboot.strategy", found) {
            self.into.settings.reboot.strategy = strategy;
        }
        let found = self.reader.string(table, "timezone", zone);
        if let Some(zone) = self.take("reboot.timezone", found) {
            self.into.settings.reboot.windows.zone = zone;
        }
        let found = self.reader.string(table, "wait-for-users", duration(Duration::ZERO..=WAIT_FOR_USERS_MAX));
        if let Some(wait) = self.take("reboot.wait-for-users", found) {
            self.into.settings.reboot.wait_for_users = wait;
        }
        let Some(tables) = self.reader.tables(table, "window") else { return };
        let mut windows = Vec::new();
        for (span, window) in tables {
            let line = self.reader.line(&span);
            self.into.came_from("reboot.window", self.name, line);
            windows.extend(self.window(&span, window));
        }
        if windows.len() > WINDOWS_MAX {
            self.into.too_many_windows = true;
            windows.truncate(WINDOWS_MAX);
        }
        self.into.settings.reboot.windows.list = windows;
    }

    /// One entry per day.
    fn window(&mut self, span: &std::ops::Range<usize>, table: &DeTable<'t>) -> Vec<Window> {
        self.reader.check_keys(table, "in [[reboot.window]]", &["days", "start", "length"]);
        let days = self.texts(table, "days", weekday).map(|found| found.value);
        let start = self.reader.string(table, "start", time).map(|found| found.value);
        let longest = Duration::try_from(LENGTH_MAX).unwrap_or_default();
        let length = self.reader.string(table, "length", duration(Duration::from_secs(60)..=longest)).map(|found| found.value);
        for (key, example) in [("start", "start = \"02:00\""), ("length", "length = \"2h\"")] {
            if diagnostics::toml::get(table, key).is_none() {
                self.reader.problem(span, format!("the window has no `{key}`"), format!("add e.g. {example}"));
            }
        }
        let (Some(start), Some(length)) = (start, length) else { return Vec::new() };
        let length = SignedDuration::try_from(length).unwrap_or(LENGTH_MAX);
        match days {
            None => vec![Window { day: None, start, length }],
            Some(days) => days.into_iter().map(|day| Window { day: Some(day), start, length }).collect(),
        }
    }

    fn health(&mut self, table: &DeTable<'t>) {
        self.reader.check_keys(table, "in [health]", &["deadline", "ignore", "services"]);
        let found = self.reader.string(table, "deadline", duration(Duration::from_secs(1)..=HEALTH_MAX));
        if let Some(deadline) = self.take("health.deadline", found) {
            self.into.settings.health.deadline = deadline;
        }
        let found = self.texts(table, "services", unit);
        if let Some(services) = self.take("health.services", found) {
            self.into.settings.health.services = services;
        }
        let found = self.texts(table, "ignore", unit);
        if let Some(ignore) = self.take("health.ignore", found) {
            self.into.settings.health.ignore = ignore;
        }
    }
}

pub(super) fn strategy(text: &str) -> Result<Strategy, String> {
    match Strategy::ALL.into_iter().find(|strategy| strategy.name() == text) {
        Some(strategy) => Ok(strategy),
        None => {
            let known = Strategy::ALL.map(Strategy::name);
            let meant = super::diagnostic::nearest(text, known).map(|word| format!("did you mean \"{word}\"? ")).unwrap_or_default();
            Err(format!("{meant}known are: {}", known.join(", ")))
        }
    }
}

pub(super) fn weekday(text: &str) -> Result<Weekday, String> {
    let days = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let lower = text.to_ascii_lowercase();
    let found = days.iter().find(|(name, _)| lower == *name || lower == name[..3]);
    found.map(|(_, day)| *day).ok_or_else(|| "expected a day such as \"Sat\" or \"Saturday\"".to_owned())
}

pub(super) fn time(text: &str) -> Result<Time, String> {
    let expected = || "expected a time of day such as \"02:30\"".to_owned();
    let (hour, minute) = text.split_once(':').ok_or_else(expected)?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i8>().ok()).flatten();
    let (Some(hour), Some(minute), true) = (number(hour), number(minute), minute.len() == 2) else { return Err(expected()) };
    Time::new(hour, minute, 0, 0).map_err(|_| expected())
}

fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| "expected a time zone such as \"Europe/Berlin\" that this system knows".to_owned())
}

fn group(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if good { Ok(text.to_owned()) } else { Err("expected up to 64 letters, digits, `-`, `_`, `.`".to_owned()) }
}

pub(super) fn group_name(text: &str) -> Result<String, String> {
    group(text)
}

fn pin(text: &str) -> Result<Option<Version>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| format!("expected a version such as \"1.2.3\": {error}"))
}

fn proxy(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let known = ["http://", "https://", "socks5://", "socks5h://"];
    let good = known.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
    if good && !text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(Some(text.to_owned()));
    }
    Err("expected a URL such as \"http://proxy.example.org:3128\", or \"\" for none".to_owned())
}

fn absolute(text: &str) -> Result<Option<PathBuf>, String> {
    match text {
        "" => Ok(None),
        _ if text.starts_with('/') => Ok(Some(PathBuf::from(text))),
        _ => Err("expected an absolute path, or \"\" for none".to_owned()),
    }
}

fn app_id(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match uuid::Uuid::parse_str(text) {
        Ok(id) => Ok(Some(id.braced().to_string())),
        Err(_) => Err("expected a UUID such as \"{e96281a6-d1af-4bde-9a0a-97b76e56dc57}\"".to_owned()),
    }
}

fn unit(text: &str) -> Result<String, String> {
    let good = text.ends_with(".service") || text.ends_with(".socket") || text.ends_with(".target") || text.ends_with(".mount");
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || ":-_.@\\".contains(c));
    if good && plain && text.len() <= 255 {
        Ok(text.to_owned())
    } else {
        Err("expected the name of a unit such as \"docker.service\"".to_owned())
    }
}
