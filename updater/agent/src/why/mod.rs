//! Why this version runs, and when that can change: the rules in the order in which they decide, each with its value.
//!
//! Pure, and built from the same functions that decide.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Shown, Strategy};
use crate::machine::judge::judge_offer;
use crate::machine::window::Opening;
use crate::machine::{Machine, Now, State};

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rule {
    /// Which rule.
    pub rule: String,
    /// Whether it lets the machine go on to a newer version.
    pub verdict: Verdict,
    /// Its value, as a sentence.
    pub value: String,
    /// The earliest time this can change by itself.
    pub changes: Option<Timestamp>,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It lets the machine go on.
    Passes,
    /// It holds the machine back.
    Holds,
    /// It only tells.
    Tells,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// One sentence.
    pub summary: String,
    /// The rules in the order in which they decide.
    pub rules: Vec<Rule>,
    /// The earliest time anything can change by itself.
    pub changes: Option<Timestamp>,
}

/// Explains the machine as it is at `now`.
#[must_use]
pub fn explain(machine: &Machine, now: Now) -> Explanation {
    let mut rules = vec![running(machine), configuration(machine), enabled(machine), server(machine)];
    rules.extend(pinned(machine));
    rules.push(check(machine));
    rules.push(metadata(machine, now));
    rules.push(offer(machine, now));
    rules.extend(quarantine(machine));
    rules.push(floor(machine));
    rules.extend(health(machine));
    rules.extend(reboot(machine, now));
    let held: Vec<&Rule> = rules.iter().filter(|rule| rule.verdict == Verdict::Holds).collect();
    let summary = match held.first() {
        Some(rule) => format!("version {} runs; held back by `{}`: {}", machine.booted().version, rule.rule, rule.value),
        None => format!("version {} runs; nothing holds it back", machine.booted().version),
    };
    let changes = match held.first() {
        // What holds first must change first.
        Some(rule) => rule.changes,
        None => rules.iter().filter_map(|rule| rule.changes).min(),
    };
    Explanation { summary, rules, changes }
}

fn rule(name: &str, verdict: Verdict, value: impl Into<String>, changes: Option<Timestamp>) -> Rule {
    Rule { rule: name.to_owned(), verdict, value: value.into(), changes }
}

fn running(machine: &Machine) -> Rule {
    let status = machine.status();
    let value = match status.committed_slot {
        Some(slot) if slot == status.slot => {
            format!("version {} from slot {}, the default of the boot loader", status.version, status.slot)
        }
        Some(slot) => format!("version {} from slot {}; every normal boot starts slot {slot}", status.version, status.slot),
        None => format!("version {} from slot {}", status.version, status.slot),
    };
    rule("running", Verdict::Tells, value, None)
}

fn configuration(machine: &Machine) -> Rule {
    match machine.status().configuration_error {
        Some(error) => rule("configuration", Verdict::Tells, format!("wrong, so the last good one is in force: {error}"), None),
        None => rule("configuration", Verdict::Passes, "good", None),
    }
}

fn enabled(machine: &Machine) -> Rule {
    if machine.settings().enabled {
        return rule("enabled", Verdict::Passes, "updates happen by themselves", None);
    }
    rule("enabled", Verdict::Holds, "`enabled = false`: nothing happens without `updater apply`", None)
}

fn server(machine: &Machine) -> Rule {
    let settings = machine.settings();
    if settings.access.server.is_empty() {
        return rule("server", Verdict::Holds, "no `server` is configured", None);
    }
    rule("server", Verdict::Passes, format!("{}, group {}", settings.access.server, settings.group), None)
}

fn pinned(machine: &Machine) -> Option<Rule> {
    let pin = machine.settings().pin.as_ref()?;
    let verdict = if *pin == machine.booted().version { Verdict::Holds } else { Verdict::Passes };
    Some(rule("pin", verdict, format!("only version {pin} is installed"), None))
}

fn check(machine: &Machine) -> Rule {
    let status = machine.status();
    let mut value = match (&status.last_checked, &status.last_error) {
        (_, Some(error)) => error.clone(),
        (Some(at), None) => format!("the server answered at {at}"),
        (None, None) => "not yet checked".to_owned(),
    };
    value = format!("{value}; checks are {} apart", Shown(machine.interval()));
    rule("check", Verdict::Tells, value, status.next_check)
}

fn metadata(machine: &Machine, now: Now) -> Rule {
    let persisted = machine.persisted();
    match (&persisted.metadata_error, persisted.metadata_checked, persisted.metadata_expires) {
        (Some(error), ..) => rule("metadata", Verdict::Holds, error.clone(), None),
        (None, _, Some(expires)) if expires <= now.wall => {
            rule("metadata", Verdict::Holds, format!("what was verified last expired at {expires}; new releases may be withheld"), None)
        }
        (None, Some(at), Some(expires)) => rule("metadata", Verdict::Passes, format!("verified at {at}, good until {expires}"), None),
        _ => rule("metadata", Verdict::Tells, "not yet looked at", None),
    }
}

/// What a trial does not look at.
fn health(machine: &Machine) -> Option<Rule> {
    let ignored = &machine.settings().health.ignore;
    let text = || format!("a trial passes although these units failed: {}", ignored.join(", "));
    (!ignored.is_empty()).then(|| rule("health", Verdict::Tells, text(), None))
}

fn offer(machine: &Machine, now: Now) -> Rule {
    let status = machine.status();
    let Some(version) = status.available else {
        let value = status
            .server_info
            .map_or_else(|| "the server has nothing newer".to_owned(), |info| format!("the server has nothing now: {info}"));
        return rule("offer", Verdict::Holds, value, status.next_check);
    };
    let pin = machine.settings().pin.as_ref();
    match judge_offer(machine.persisted(), &machine.booted().version, pin, &version, false, None, now.wall) {
        Ok(()) => match status.outcome.filter(|ended| ended.result == "refused" && ended.version.as_ref() == Some(&version)) {
            Some(ended) => rule("offer", Verdict::Holds, ended.text, status.next_check),
            None => rule("offer", Verdict::Passes, format!("version {version} is offered and acceptable"), status.next_check),
        },
        Err(reason) => {
            let again = match &reason {
                crate::machine::judge::Reason::TooManyFailures { again, .. } => Some(*again),
                _ => None,
            };
            rule("offer", Verdict::Holds, reason.text(&version), again)
        }
    }
}

fn quarantine(machine: &Machine) -> Vec<Rule> {
    let entries = machine.persisted().quarantine.iter();
    entries
        .map(|entry| {
            rule("quarantine", Verdict::Tells, format!("version {} failed here at {}: {}", entry.version, entry.at, entry.cause), None)
        })
        .collect()
}

fn floor(machine: &Machine) -> Rule {
    let value = match &machine.persisted().floor {
        Some(floor) => format!("nothing below version {floor} is installed"),
        None => "nothing was committed yet".to_owned(),
    };
    rule("floor", Verdict::Tells, value, None)
}

fn reboot(machine: &Machine, now: Now) -> Option<Rule> {
    let status = machine.status();
    let plan = &machine.settings().reboot;
    if let State::WaitingForReboot { trial, .. } = machine.state() {
        let waiting = status.waiting?;
        let version = trial.version.as_ref().map(ToString::to_string).unwrap_or_default();
        return Some(rule("reboot", Verdict::Holds, format!("version {version} is staged and waits for {}", waiting.text), waiting.until));
    }
    let (value, changes) = match plan.strategy {
        Strategy::Immediate => ("at once when a release is staged".to_owned(), None),
        Strategy::EtcdLock | Strategy::FleetLock | Strategy::BestEffort if plan.windows.list.is_empty() => {
            ("when it is this machine's turn".to_owned(), None)
        }
        Strategy::Off => ("never by itself".to_owned(), None),
        Strategy::Window | Strategy::EtcdLock | Strategy::FleetLock | Strategy::BestEffort => match plan.windows.at(now.wall) {
            Opening::Open { until } => (format!("in windows; one is open until {until}"), None),
            Opening::Closed { opens } => (format!("in windows; the next one opens at {opens}"), Some(opens)),
            Opening::Never => ("in windows, of which there are none".to_owned(), None),
        },
    };
    Some(rule("reboot", Verdict::Tells, value, changes))
}
