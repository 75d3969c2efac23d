//! What a test program offers, and one run of it.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::civil::Date;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::images::Images;
use crate::report::{self, Case};
use crate::scenario::{Check, Scenario, Suite, When};
use crate::snooze::SnoozeList;
use crate::vm::Spec;

/// Machines at a time: two emulated ones already keep a small host busy.
pub const MAX_VMS: u32 = 2;

/// Directory below the logs for files that the shared machine needs.
const SHARED_FILES: &str = "shared-files";

/// Everything that a test program offers.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Checks on the shared machine, in this order.
    pub checks: &'static [Check],
    /// Scenarios with machines of their own.
    pub scenarios: &'static [Scenario],
    /// The machine that the checks share; files it needs may be put into the directory.
    pub shared: fn(&Images, &Utf8Path) -> anyhow::Result<Spec>,
    /// Called after a run, for what the scenarios share and nobody owns.
    pub finish: fn(),
    /// The list of known failures, see [`crate::snooze`].
    pub snoozes: &'static str,
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is tested.
    pub images: Images,
    /// Where logs and reports go.
    pub logs: Utf8PathBuf,
    /// Busy machines at a time.
    pub vms: u32,
    /// Whether the logs of what passed are kept too, with its machines.
    pub keep: bool,
    /// Whether the list of known failures is heeded.
    pub snooze: bool,
}

/// A line about one test, for `list`.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it proves.
    pub promise: &'static str,
    /// Image, as a word; checks share one machine.
    pub machine: &'static str,
    /// About how long it takes when emulated, in seconds; nothing for checks.
    pub seconds: Option<u32>,
    /// In which runs it takes part.
    pub when: When,
}

impl Plan {
    /// Every test, checks first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let checks = self.checks.iter().map(|check| Entry {
            name: check.name,
            promise: check.promise,
            machine: "shared",
            seconds: None,
            when: When::Always,
        });
        let scenarios = self.scenarios.iter().map(|scenario| Entry {
            name: scenario.name,
            promise: scenario.promise,
            machine: scenario.variant.name(),
            seconds: Some(scenario.seconds),
            when: scenario.when,
        });
        checks.chain(scenarios).collect()
    }

    /// The names of all tests.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.entries().iter().map(|entry| entry.name).collect()
    }

    /// The known failures.
    pub fn snoozes(&self, today: Date) -> anyhow::Result<SnoozeList> {
        SnoozeList::parse(self.snoozes, &self.names(), today)
    }

    /// The names of the tests that run today without being named.
    #[must_use]
    pub fn usual(&self) -> Vec<&'static str> {
        self.entries().iter().filter(|entry| entry.when.today()).map(|entry| entry.name).collect()
    }

    /// The tests whose names contain one of `words`; without words the usual ones. A word that fits nothing is an error.
    pub fn select(&self, words: &[String]) -> anyhow::Result<Vec<&'static str>> {
        let names = self.names();
        for word in words {
            if !names.iter().any(|name| name.contains(word.as_str())) {
                let near = diagnostics::nearest(word, names.iter().copied()).map(|name| format!("; did you mean {name}?"));
                bail!("no test has {word:?} in its name{}", near.unwrap_or_else(|| "; `qemu-tests list` shows them".to_owned()));
            }
        }
        if words.is_empty() {
            return Ok(self.usual());
        }
        Ok(names.iter().copied().filter(|name| words.iter().any(|word| fits(name, word, &names))).collect())
    }

    /// Runs the tests called `names` and writes the reports. `arguments` are the runner's own; filters in it are not looked at.
    pub fn run(&self, names: &[&str], options: &Options, mut arguments: Arguments) -> anyhow::Result<Conclusion> {
        let today = jiff::Zoned::now().date();
        let snoozes = if options.snooze { self.snoozes(today)? } else { SnoozeList::default() };
        let checks: Vec<&'static Check> = self.checks.iter().filter(|check| names.contains(&check.name)).collect();
        let mut scenarios: Vec<&'static Scenario> = self.scenarios.iter().filter(|scenario| names.contains(&scenario.name)).collect();
        scenarios.sort_by_key(|scenario| std::cmp::Reverse(scenario.seconds));
        let order: Vec<&'static str> = checks.iter().map(|check| check.name).collect();
        let excuses = names.iter().filter_map(|name| Some(((*name).to_owned(), snoozes.excuse(name, today)?))).collect();
        let files = options.logs.join(SHARED_FILES);
        std::fs::create_dir_all(&files).with_context(|| format!("making {files}"))?;
        let shared = (self.shared)(&options.images, &files)?;
        let suite = Arc::new(Suite::new(options.clone(), &order, shared, excuses)?);

        let mut trials = Vec::new();
        for check in checks {
            let suite = Arc::clone(&suite);
            trials.push(Trial::test(check.name, move || suite.run_check(check).map_err(Failed::from)));
        }
        for scenario in scenarios {
            let suite = Arc::clone(&suite);
            trials.push(Trial::test(scenario.name, move || suite.run(scenario).map_err(Failed::from)));
        }
        // Every trial gets a thread and waits in it: whose turn it is, is decided by machines, not by threads.
        arguments.test_threads = Some(trials.len().max(1));
        (arguments.filter, arguments.skip, arguments.exact) = (None, Vec::new(), false);
        let conclusion = libtest_mimic::run(&arguments, trials);
        (self.finish)();
        crate::scratch::finish();
        let cases = suite.cases();
        let page = report::write(&options.logs, &cases, jiff::Timestamp::now()).context("writing the reports")?;
        Ok(Conclusion { failed: conclusion.has_failed(), cases, page, host: suite.host().choice.to_string(), notes: suite.notes() })
    }
}

/// A whole name means that test alone, even when others contain it.
fn fits(name: &str, word: &str, names: &[&str]) -> bool {
    if names.contains(&word) { name == word } else { name.contains(word) }
}

/// How a run ended.
#[derive(Debug)]
pub struct Conclusion {
    /// Whether a promise is broken that is not excused.
    pub failed: bool,
    /// What did not go as it should but was made good.
    pub notes: Vec<String>,
    /// Every result.
    pub cases: Vec<Case>,
    /// The page with all of it.
    pub page: Utf8PathBuf,
    /// What the machines ran on.
    pub host: String,
}

impl Conclusion {
    /// What to look at and how to go on, for the one who sees a failure.
    #[must_use]
    pub fn advice(&self) -> String {
        let mut text = format!("report: {}", self.page);
        self.notes.iter().for_each(|note| text.push_str(&format!("\nnote: {note}")));
        for case in self.cases.iter().filter(|case| case.outcome.story().is_some()) {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n{} {}: logs in {}; look around in it: qemu-tests shell {}",
                case.name,
                case.outcome.word(),
                case.logs,
                case.name
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: Scenario = Scenario::new("boots", "It boots.", |_| Ok(()));

    const PLAN: Plan = Plan {
        checks: &[Check { name: "swarm_runs", promise: "Swarm runs.", run: |_| Ok(()) }],
        scenarios: &[
            SCENARIO,
            Scenario { name: "boots_from_nvme", ..SCENARIO },
            Scenario { name: "boots_what_is_named", ..SCENARIO }.when(When::Named),
        ],
        shared: |images, _| Ok(Spec::new(images.release("1.0.0")?)),
        finish: || (),
        snoozes: "",
    };

    #[test]
    fn tests_are_chosen_by_parts_of_their_names_and_a_whole_name_is_that_one() {
        let select = |words: &[&str]| PLAN.select(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(select(&[]).unwrap(), ["swarm_runs", "boots", "boots_from_nvme"]);
        assert_eq!(select(&["boot"]).unwrap(), ["boots", "boots_from_nvme", "boots_what_is_named"]);
        assert_eq!(select(&["named"]).unwrap(), ["boots_what_is_named"]);
        assert_eq!(select(&["boots"]).unwrap(), ["boots"]);
        assert_eq!(select(&["nvme", "swarm"]).unwrap(), ["swarm_runs", "boots_from_nvme"]);
        assert!(select(&["boots", "sworm_runs"]).unwrap_err().to_string().contains("did you mean swarm_runs?"));
        assert!(select(&["%"]).unwrap_err().to_string().contains("qemu-tests list"));
    }
}
