//! Known failures that do not count, each with a reason and an end: after that day they count again by themselves.
//!
//! ```toml
//! [[snooze]]
//! test = "swarm_runs"
//! until = "2026-12-24"
//! reason = "the emulated clock runs backwards; a newer QEMU is on its way"
//! ```

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use jiff::civil::Date;
use serde::Deserialize;

/// Nothing is put off for longer than this, in days: what stays broken for a quarter is broken.
pub const MAX_DAYS: i32 = 92;
/// A reason shorter than this, in characters, explains nothing.
const MIN_REASON: usize = 20;

/// One known failure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snooze {
    /// The scenario's exact name.
    pub test: String,
    /// The last day on which it is excused.
    pub until: Date,
    /// Why it fails, and what is being done about it.
    pub reason: String,
}

/// All known failures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnoozeList {
    #[serde(default)]
    snooze: Vec<Snooze>,
}

impl SnoozeList {
    /// Reads a list and holds it against the scenarios there are. Errors name the entry and say what to do.
    pub fn parse(text: &str, names: &[&str], today: Date) -> anyhow::Result<Self> {
        let list: Self = toml::from_str(text).context("reading the list of known failures")?;
        let mut seen = BTreeSet::new();
        for Snooze { test, until, reason } in &list.snooze {
            if !names.contains(&test.as_str()) {
                bail!("snooze of {test:?}: there is no such scenario; `qemu-tests list` shows the names");
            }
            if !seen.insert(test) {
                bail!("snooze of {test:?} is there twice; keep one");
            }
            if reason.trim().chars().count() < MIN_REASON {
                bail!("snooze of {test:?}: the reason {reason:?} explains nothing; say why it fails and who mends it");
            }
            let latest = today.checked_add(jiff::Span::new().days(MAX_DAYS)).context("adding days to today")?;
            if *until > latest {
                bail!("snooze of {test:?} until {until}: nothing is put off for more than {MAX_DAYS} days; {latest} is the latest");
            }
        }
        Ok(list)
    }

    /// Why a failure of `test` does not count today; nothing when it does.
    #[must_use]
    pub fn excuse(&self, test: &str, today: Date) -> Option<String> {
        let snooze = self.snooze.iter().find(|snooze| snooze.test == test)?;
        (today <= snooze.until).then(|| format!("{} (until {})", snooze.reason, snooze.until))
    }

    /// The entries whose day has passed; they do nothing any more and should go.
    pub fn expired(&self, today: Date) -> impl Iterator<Item = &Snooze> {
        self.snooze.iter().filter(move |snooze| today > snooze.until)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const NAMES: &[&str] = &["boots", "stays"];

    fn entry(test: &str, until: &str, reason: &str) -> String {
        format!("[[snooze]]\ntest = \"{test}\"\nuntil = \"{until}\"\nreason = \"{reason}\"\n")
    }

    #[test]
    fn a_failure_is_excused_until_its_day_and_not_after() {
        let text = entry("boots", "2026-12-01", "the emulated clock runs backwards");
        let list = SnoozeList::parse(&text, NAMES, date(2026, 11, 20)).unwrap();
        assert_eq!(list.excuse("boots", date(2026, 12, 1)).unwrap(), "the emulated clock runs backwards (until 2026-12-01)");
        assert_eq!(list.excuse("boots", date(2026, 12, 2)), None);
        assert_eq!(list.excuse("stays", date(2026, 11, 20)), None);
        assert_eq!(list.expired(date(2026, 12, 1)).count(), 0);
        assert_eq!(list.expired(date(2026, 12, 2)).count(), 1);
        assert_eq!(SnoozeList::parse("", NAMES, date(2026, 11, 20)).unwrap(), SnoozeList::default());
    }

    #[test]
    fn a_bad_list_is_refused_with_the_entry_and_what_to_do() {
        let good = "the emulated clock runs backwards";
        let twice = entry("boots", "2026-12-01", good) + &entry("boots", "2026-12-02", good);
        let cases = [
            (entry("boot", "2026-12-01", good), "no such scenario"),
            (entry("boots", "2026-12-01", "flaky"), "explains nothing"),
            (entry("boots", "2027-12-01", good), "more than 92 days"),
            (twice, "there twice"),
            (entry("boots", "soon", good), "known failures"),
            ("[[snooze]]\ntest = \"boots\"\n".into(), "known failures"),
            (entry("boots", "2026-12-01", good) + "who = \"me\"\n", "known failures"),
        ];
        for (text, part) in cases {
            let error = format!("{:#}", SnoozeList::parse(&text, NAMES, date(2026, 11, 20)).unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
