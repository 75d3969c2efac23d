//! The results of many runs: how long a scenario usually takes, and how often it fails.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::time::Duration;

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::Case;

/// As many results of one scenario are looked at, the newest ones: an old flake that was mended should fade.
const MAX_RESULTS: usize = 50;
/// The file is cut to its newer half when it is longer than this, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// When the run ended.
    at: jiff::Timestamp,
    /// The scenario.
    name: String,
    /// `passed`, `failed` or `snoozed`.
    outcome: String,
    /// How long it took.
    seconds: f64,
}

/// How dependable a scenario has been.
#[derive(Debug, Clone, PartialEq)]
pub struct Flakiness {
    /// Runs that were looked at.
    pub runs: usize,
    /// Of them not passed.
    pub failed: usize,
    /// Changes between passing and not passing from one run to the next: a scenario that broke and was mended has two, a
    /// flaky one many.
    pub changes: usize,
    /// The middle one of the times it took when it passed.
    pub median: Duration,
}

impl Flakiness {
    /// Whether it comes and goes without anyone having mended anything.
    #[must_use]
    pub fn flaky(&self) -> bool {
        self.changes > 2
    }
}

/// The file `history.jsonl` in a directory of logs.
#[derive(Debug, Clone)]
pub struct History {
    path: Utf8PathBuf,
}

impl History {
    /// The history of the runs whose logs are in `logs`.
    #[must_use]
    pub fn at(logs: &Utf8Path) -> Self {
        Self { path: logs.join("history.jsonl") }
    }

    /// Appends one run.
    pub fn add(&self, cases: &[Case], when: jiff::Timestamp) -> anyhow::Result<()> {
        self.shorten()?;
        let mut lines = String::new();
        for case in cases {
            let seconds = case.took.as_secs_f64();
            let entry = Entry { at: when, name: case.name.clone(), outcome: case.outcome.word().to_owned(), seconds };
            lines.push_str(&serde_json::to_string(&entry).context("writing a result as JSON")?);
            lines.push('\n');
        }
        let mut file =
            std::fs::File::options().create(true).append(true).open(&self.path).with_context(|| format!("opening {}", self.path))?;
        file.write_all(lines.as_bytes()).with_context(|| format!("writing {}", self.path))
    }

    /// How each scenario has done.
    pub fn flakiness(&self) -> anyhow::Result<BTreeMap<String, Flakiness>> {
        let mut results: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in self.entries()? {
            results.entry(entry.name.clone()).or_default().push(entry);
        }
        Ok(results.into_iter().map(|(name, entries)| (name, judge(&entries))).collect())
    }

    /// The names of what did not pass the last time it ran, oldest first.
    pub fn broken(&self) -> anyhow::Result<Vec<String>> {
        let mut last = BTreeMap::new();
        for entry in self.entries()? {
            last.insert(entry.name, entry.outcome);
        }
        Ok(last.into_iter().filter(|(_, outcome)| outcome != "passed").map(|(name, _)| name).collect())
    }

    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let file = match std::fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("reading {}", self.path)),
        };
        let mut entries = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line.with_context(|| format!("reading {}", self.path))?;
            // Half a line is what a killed run leaves; statistics can do without it.
            entries.extend(serde_json::from_str::<Entry>(&line));
        }
        Ok(entries)
    }

    fn shorten(&self) -> anyhow::Result<()> {
        if std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len()) <= MAX_BYTES {
            return Ok(());
        }
        let text = std::fs::read_to_string(&self.path).with_context(|| format!("reading {}", self.path))?;
        let lines: Vec<&str> = text.lines().collect();
        let newer = lines[lines.len() / 2..].join("\n") + "\n";
        std::fs::write(&self.path, newer).with_context(|| format!("shortening {}", self.path))
    }
}

fn judge(entries: &[Entry]) -> Flakiness {
    let newest = &entries[entries.len().saturating_sub(MAX_RESULTS)..];
    let passed: Vec<bool> = newest.iter().map(|entry| entry.outcome == "passed").collect();
    let mut seconds: Vec<f64> = newest.iter().filter(|entry| entry.outcome == "passed").map(|entry| entry.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
    Flakiness {
        runs: newest.len(),
        failed: passed.iter().filter(|passed| !**passed).count(),
        changes: passed.windows(2).filter(|pair| pair[0] != pair[1]).count(),
        median: Duration::try_from_secs_f64(median).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    fn case(name: &str, passed: bool, seconds: u64) -> Case {
        Case {
            name: name.into(),
            variant: "vm".into(),
            promise: "it boots".into(),
            took: Duration::from_secs(seconds),
            outcome: if passed { Outcome::Passed } else { Outcome::Failed("no".into()) },
            logs: "logs".into(),
        }
    }

    fn history(runs: &[(bool, u64)]) -> (History, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let history = History::at(Utf8Path::from_path(dir.path()).unwrap());
        for (passed, seconds) in runs {
            history.add(&[case("boots", *passed, *seconds)], jiff::Timestamp::UNIX_EPOCH).unwrap();
        }
        (history, dir)
    }

    #[test]
    fn a_mended_scenario_is_not_flaky_and_one_that_comes_and_goes_is() {
        type Runs<'a> = &'a [(bool, u64)];
        let cases: [(Runs<'_>, usize, bool, u64); 4] = [
            (&[(true, 10), (true, 30), (true, 20)], 0, false, 20),
            (&[(true, 10), (false, 99), (true, 12)], 1, false, 12),
            (&[(true, 10), (false, 9), (true, 10), (false, 9)], 2, true, 10),
            (&[(false, 9)], 1, false, 0),
        ];
        for (runs, failed, flaky, median) in cases {
            let (history, _dir) = history(runs);
            let judged = history.flakiness().unwrap().remove("boots").unwrap();
            assert_eq!((judged.runs, judged.failed, judged.flaky()), (runs.len(), failed, flaky), "{runs:?}");
            assert_eq!(judged.median, Duration::from_secs(median), "{runs:?}");
        }
    }

    #[test]
    fn the_last_result_says_what_is_broken_and_half_a_line_is_passed_over() {
        let (history, _dir) = history(&[(false, 1), (true, 1)]);
        assert_eq!(history.broken().unwrap(), Vec::<String>::new());
        history.add(&[case("stays", true, 1), case("boots", false, 1)], jiff::Timestamp::UNIX_EPOCH).unwrap();
        std::fs::File::options().append(true).open(&history.path).unwrap().write_all(b"{\"at\":").unwrap();
        assert_eq!(history.broken().unwrap(), ["boots"]);
    }

    #[test]
    fn no_history_is_no_error_and_an_unreadable_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::at(Utf8Path::from_path(dir.path()).unwrap());
        assert!(history.flakiness().unwrap().is_empty());
        std::fs::create_dir(&history.path).unwrap();
        assert!(history.flakiness().is_err());
        assert!(history.add(&[case("boots", true, 1)], jiff::Timestamp::UNIX_EPOCH).is_err());
    }
}
