//! What became of every defect, for people and for machines.

use std::time::Duration;

use serde::Serialize;

use super::exhibit::Exhibit;
use super::judge::{How, Verdict};

/// The result of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The exhibits, by name.
    #[serde(rename = "exhibits")]
    pub rows: Vec<Row>,
    /// Seconds for the run without a defect, compiling included.
    pub sound_seconds: f64,
    /// Seconds for all of it.
    pub seconds: f64,
}

/// One exhibit.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What would happen to a user.
    pub story: String,
    /// What it breaks.
    pub promise: String,
    /// The files it changes.
    pub files: Vec<String>,
    /// The tests that were expected to notice, as they are called on the command line.
    pub expected: Vec<String>,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Seconds it took, compiling included.
    pub seconds: f64,
}

impl Row {
    pub(super) fn new(exhibit: Exhibit, verdict: Verdict, took: Duration) -> Self {
        let files = exhibit.changes.iter().map(|change| change.file.to_string()).collect();
        let killer = |killer: &super::Killer| format!("{} {}: {}", killer.package, killer.kind, killer.filters.join(", "));
        let expected = exhibit.killers.iter().map(killer).collect();
        let Exhibit { name, story, promise, .. } = exhibit;
        Self { name, story, promise, files, expected, verdict, seconds: took.as_secs_f64() }
    }

    /// `killed`, `ESCAPED` or `BROKEN`.
    pub(super) const fn word(&self) -> &'static str {
        match &self.verdict {
            Verdict::Killed { .. } => "killed",
            Verdict::Survived => "ESCAPED",
            Verdict::Broken { .. } => "BROKEN",
        }
    }

    /// By whom it was killed, or why not.
    pub(super) fn detail(&self) -> String {
        match &self.verdict {
            Verdict::Killed { by, how } => {
                let names = by.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                match how {
                    How::AsNamed | How::Crash => names,
                    How::TimeLimit => format!("{names} (by time limit)"),
                    How::ByOthers => format!("{names} (not the test that the exhibit names: name this one)"),
                }
            }
            Verdict::Survived => "no test noticed".to_owned(),
            Verdict::Broken { reason } => reason.clone(),
        }
    }

    /// One line for a terminal.
    #[must_use]
    pub fn line(&self) -> String {
        let detail = self.detail();
        format!("{:<9} {} ({:.0} s): {}", self.word(), self.name, self.seconds, detail.lines().next().unwrap_or_default())
    }
}

impl Report {
    /// The exhibits that were not killed, for whatever reason.
    pub fn escaped(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.verdict.is_killed())
    }

    /// The sum in one line.
    #[must_use]
    pub fn sum(&self) -> String {
        let escaped = self.escaped().count();
        let killed = self.rows.len() - escaped;
        format!("{killed} of {} defects killed, {escaped} not; {:.0} s", self.rows.len(), self.seconds)
    }

    /// `museum.json`.
    ///
    /// # Errors
    /// None that is not a bug.
    pub fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// `museum.html`: one file, no script, nothing from elsewhere.
    #[must_use]
    pub fn html(&self) -> String {
        super::page::page(self)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    pub(in crate::museum) fn report() -> Report {
        let row = |name: &str, verdict| Row {
            name: name.to_owned(),
            story: "A <b>bad</b> day & \"night\".".to_owned(),
            promise: "None.".to_owned(),
            files: vec!["a.rs".to_owned()],
            expected: vec!["p lib: f".to_owned()],
            verdict,
            seconds: 1.26,
        };
        let killed = |how| Verdict::Killed { by: BTreeSet::from(["a::b".to_owned()]), how };
        let rows = vec![
            row("one", killed(How::AsNamed)),
            row("other", killed(How::ByOthers)),
            row("slow", killed(How::TimeLimit)),
            row("free", Verdict::Survived),
            row("wrong", Verdict::Broken { reason: "it does <not> compile\nE1".to_owned() }),
        ];
        Report { rows, sound_seconds: 10.0, seconds: 100.0 }
    }

    #[test]
    fn what_was_not_killed_has_escaped() {
        let report = report();
        assert_eq!(report.sum(), "3 of 5 defects killed, 2 not; 100 s");
        let lines: Vec<String> = report.rows.iter().map(Row::line).collect();
        assert_eq!(
            lines,
            [
                "killed    one (1 s): a::b",
                "killed    other (1 s): a::b (not the test that the exhibit names: name this one)",
                "killed    slow (1 s): a::b (by time limit)",
                "ESCAPED   free (1 s): no test noticed",
                "BROKEN    wrong (1 s): it does <not> compile",
            ]
        );
    }

    #[test]
    fn machines_get_the_verdicts_by_name() {
        let json: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        let verdicts: Vec<&str> = json["exhibits"].as_array().unwrap().iter().map(|row| row["verdict"].as_str().unwrap()).collect();
        assert_eq!(verdicts, ["killed", "killed", "killed", "survived", "broken"]);
        assert_eq!((&json["exhibits"][1]["how"], &json["exhibits"][0]["by"][0]), (&"by-others".into(), &"a::b".into()));
        assert_eq!(json["sound-seconds"], 10.0);
    }
}
