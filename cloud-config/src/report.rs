//! What happened at this boot: the file in /run, and a few lines for the journal and the console.
//!
//! Nothing of a document's text is in here, only where it is: a line that is wrong may be the line with a password.

use std::time::Duration;

use serde::Serialize;

use crate::apply::perform::Outcome;
use crate::apply::tree::Undone;
use crate::apply::{Applied, word};
use crate::model::{Problem, Severity};
use crate::plan::{Note, Plan};

/// Where the report is.
pub const REPORT: &str = "/run/slipway/cloud-config.json";
/// Version of the format; a new one for a change that readers would trip over.
const VERSION: u32 = 1;
/// Problems that the summary names; the file has all of them.
const SUMMARY_LIMIT: usize = 5;

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The host is what the document says.
    Applied,
    /// There is no document; what the platform says was done.
    Nothing,
    /// The document has errors; none of it was done.
    Refused,
    /// A step failed; everything before it was taken back.
    Failed,
}

/// Where the configuration came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Name of the data source, or of the file.
    pub name: String,
    /// How the machine was recognised as having it.
    pub why: String,
    /// Names of what it delivered.
    pub parts: Vec<String>,
    /// What was left out while looking.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Everything there is to say about one run.
#[derive(Debug, Serialize)]
pub struct Report {
    version: u32,
    /// How it went.
    pub verdict: Verdict,
    source: Source,
    instance: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    problems: Vec<Entry>,
    notes: Vec<Note>,
    effects: Vec<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undone: Option<Undone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rescue_failed: Option<String>,
    leftovers: Vec<String>,
    /// Files that kept the owner of whoever ran this, in a root that is not running.
    unset_owners: usize,
    took_ms: u128,
}

#[derive(Debug, Serialize)]
struct Entry {
    kind: Severity,
    file: String,
    line: usize,
    column: usize,
    rule: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct Effect {
    effect: String,
    origin: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    took_ms: u128,
}

#[derive(Debug, Serialize)]
struct Failed {
    effect: String,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    why: String,
}

impl Report {
    /// A report of a run that has not done anything yet.
    #[must_use]
    pub fn new(source: Source, instance: &str, problems: &[Problem]) -> Self {
        let entry = |problem: &Problem| Entry {
            kind: problem.severity,
            file: problem.place.file.to_string(),
            line: problem.place.line,
            column: problem.place.column,
            rule: problem.rule.id(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        };
        let errors = problems.iter().any(|problem| problem.severity == Severity::Error);
        Self {
            version: VERSION,
            verdict: if errors { Verdict::Refused } else { Verdict::Nothing },
            source,
            instance: instance.to_owned(),
            plan: None,
            problems: problems.iter().map(entry).collect(),
            notes: Vec::new(),
            effects: Vec::new(),
            failed: None,
            undone: None,
            rescue_failed: None,
            leftovers: Vec::new(),
            unset_owners: 0,
            took_ms: 0,
        }
    }

    /// A failure before there was anything to do.
    #[must_use]
    pub fn of_failure(source: Source, what: &str, why: &str) -> Self {
        let mut report = Self::new(source, "", &[]);
        report.verdict = Verdict::Failed;
        report.failed = Some(Failed { effect: what.to_owned(), origin: String::new(), line: None, why: why.to_owned() });
        report
    }

    /// Adds what became of the plan.
    pub fn add(&mut self, plan: &Plan, applied: &Applied) {
        self.plan = Some(plan.hash().to_string());
        self.notes.clone_from(&plan.notes);
        for step in &applied.steps {
            let effect = &plan.effects[step.index];
            let (outcome, detail) = match &step.result {
                Ok(outcome) => (word(outcome), detail(outcome)),
                Err(error) => ("failed", Some(error.to_string())),
            };
            self.effects.push(Effect {
                effect: effect.to_string(),
                origin: effect.origin.to_string(),
                outcome,
                detail,
                took_ms: step.took.as_millis(),
            });
        }
        self.failed = match (applied.failure(), &applied.failed_outside) {
            (Some((index, error)), _) => {
                let effect = &plan.effects[index];
                Some(Failed {
                    effect: effect.action.to_string(),
                    origin: effect.origin.to_string(),
                    line: effect.origin.line,
                    why: error.to_string(),
                })
            }
            (None, Some(error)) => {
                Some(Failed { effect: "keeping the state".to_owned(), origin: String::new(), line: None, why: error.to_string() })
            }
            (None, None) => None,
        };
        self.undone.clone_from(&applied.undone);
        self.leftovers.clone_from(&applied.leftovers);
        self.unset_owners = applied.unset_owners;
        self.verdict = if self.failed.is_some() { Verdict::Failed } else { Verdict::Applied };
    }

    /// A plan that was not carried out because another one was expected.
    pub fn unexpected(&mut self, plan: &Plan, expected: &str) {
        self.plan = Some(plan.hash().to_string());
        self.verdict = Verdict::Refused;
        let why = format!("the plan is {} and not {expected}; nothing was done", plan.hash());
        self.failed = Some(Failed { effect: "--expect-plan".to_owned(), origin: String::new(), line: None, why });
    }

    /// Not even name and keys of the platform could be put in place.
    pub fn rescue_failed(&mut self, why: &str) {
        self.rescue_failed = Some(why.to_owned());
    }

    /// Says how long all of it took.
    pub fn took(&mut self, took: Duration) {
        self.took_ms = took.as_millis();
    }

    /// What a person wants to know: one line when all went well, a few otherwise. Without colours, for journal and console alike.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let source = &self.source.name;
        let mut lines = Vec::new();
        match self.verdict {
            Verdict::Nothing => lines.push(format!("no configuration found ({source})")),
            Verdict::Applied => {
                let count = |words: &[&str]| self.effects.iter().filter(|effect| words.contains(&effect.outcome)).count();
                let (changed, queued, all) = (count(&["change", "create", "remove"]), count(&["queued"]), self.effects.len());
                lines.push(format!(
                    "applied {source}: {all} effects, {changed} changed something, {queued} jobs queued, {} ms",
                    self.took_ms
                ));
            }
            Verdict::Refused => {
                let errors: Vec<&Entry> = self.problems.iter().filter(|entry| entry.kind == Severity::Error).collect();
                lines.push(format!("REFUSED {source}: nothing of it was done"));
                lines.extend(
                    errors
                        .iter()
                        .take(SUMMARY_LIMIT)
                        .map(|entry| format!("{}:{}:{}: {}", entry.file, entry.line, entry.column, entry.message)),
                );
                if errors.len() > SUMMARY_LIMIT {
                    lines.push(format!("and {} more in {REPORT}", errors.len() - SUMMARY_LIMIT));
                }
            }
            Verdict::Failed => lines.push(format!("FAILED {source}")),
        }
        if let Some(failed) = &self.failed {
            let origin = if failed.origin.is_empty() { String::new() } else { format!("{}: ", failed.origin) };
            lines.push(format!("{origin}{}: {}", failed.effect, failed.why));
        }
        if let Some(undone) = &self.undone {
            lines.push(format!("undone: {} changes of this run", undone.back.len()));
            lines.extend(undone.left.iter().map(|left| format!("NOT undone: {left}")));
        }
        match (&self.rescue_failed, self.verdict) {
            (Some(why), _) => lines.push(format!("name and keys of the platform are NOT in place: {why}")),
            (None, Verdict::Refused | Verdict::Failed) => {
                lines.push("name and keys of the platform, as far as there are any, are in place".to_owned());
            }
            (None, Verdict::Applied | Verdict::Nothing) => {}
        }
        let missing = self.effects.iter().filter(|effect| effect.outcome == "not available");
        lines.extend(missing.map(|effect| format!("{}: {}", effect.origin, effect.detail.as_deref().unwrap_or(&effect.effect))));
        lines
    }
}

/// What there is to say about an outcome besides its word.
#[must_use]
pub fn detail(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Skipped(why) => Some((*why).to_owned()),
        Outcome::Unavailable(why) => Some(why.clone()),
        Outcome::Change(_) | Outcome::Queued | Outcome::Ran => None,
    }
}
