//! Where the parts of a plan are collected, in the order in which they are carried out.

use super::content::Content;
use super::effect::{Action, Effect, Frequency, JobKind, Mode, Origin, Owner, Persistence};
use super::path::{HostPath, PathError};
use super::{Facts, Note};
use crate::metadata::Metadata;
use crate::model::{Place, Problem, Rule};

/// Anybody may read it.
pub(super) const PUBLIC: u32 = 0o644;
/// Only root may.
pub(super) const PRIVATE: u32 = 0o600;
/// A program of root's.
pub(super) const PROGRAM: u32 = 0o700;
/// Where programs of the configuration are kept.
pub(super) const SCRIPTS: &str = "/var/lib/slipway/cloud-config/scripts";

/// A plan in the making.
pub(super) struct Builder<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) facts: &'a Facts,
    pub(super) effects: Vec<Effect>,
    pub(super) notes: Vec<Note>,
    pub(super) problems: Vec<Problem>,
    /// Jobs for after everything is in place.
    pub(super) jobs: Vec<Effect>,
}

impl From<&Place> for Origin {
    fn from(place: &Place) -> Self {
        Self { file: place.file.to_string(), line: Some(place.line) }
    }
}

impl<'a> Builder<'a> {
    pub(super) fn new(metadata: &'a Metadata, facts: &'a Facts) -> Self {
        Self { metadata, facts, effects: Vec::new(), notes: Vec::new(), problems: Vec::new(), jobs: Vec::new() }
    }

    pub(super) fn every_boot(&mut self, origin: impl Into<Origin>, action: Action) {
        self.effects.push(Effect { action, frequency: Frequency::EveryBoot, origin: origin.into() });
    }

    pub(super) fn once(&mut self, origin: impl Into<Origin>, action: Action) {
        self.effects.push(Effect { action, frequency: Frequency::OncePerInstance, origin: origin.into() });
    }

    /// A file of root's; masked when the mode keeps others from reading it.
    pub(super) fn file(&mut self, origin: impl Into<Origin>, path: &str, mode: u32, text: impl Into<Vec<u8>>) {
        let origin = origin.into();
        match HostPath::new(path) {
            Ok(path) => {
                let content = Content::for_mode(text, mode);
                self.every_boot(origin, Action::File { path, mode: Mode(mode), owner: Owner::root(), content });
            }
            Err(error) => self.note(origin, format!("not written: {error}")),
        }
    }

    /// A job for after everything is in place.
    pub(super) fn job(&mut self, origin: impl Into<Origin>, unit: &str, job: JobKind) {
        let action = Action::Job { unit: unit.to_owned(), job, when_changed: Vec::new() };
        self.jobs.push(Effect { action, frequency: Frequency::EveryBoot, origin: origin.into() });
    }

    /// A job for after everything is in place, the first time only.
    pub(super) fn job_once(&mut self, origin: impl Into<Origin>, unit: &str, job: JobKind) {
        let action = Action::Job { unit: unit.to_owned(), job, when_changed: Vec::new() };
        self.jobs.push(Effect { action, frequency: Frequency::OncePerInstance, origin: origin.into() });
    }

    /// A job for when one of these files changed.
    pub(super) fn job_after_change(&mut self, origin: impl Into<Origin>, unit: &str, job: JobKind, files: &[&str]) {
        let when_changed: Vec<HostPath> = files.iter().filter_map(|file| HostPath::new(file).ok()).collect();
        // One restart takes up all changes.
        for known in &mut self.jobs {
            if let Action::Job { unit: same, job: kind, when_changed: paths } = &mut known.action
                && same == unit
                && *kind == job
                && !paths.is_empty()
            {
                paths.extend(when_changed);
                return;
            }
        }
        let action = Action::Job { unit: unit.to_owned(), job, when_changed };
        self.jobs.push(Effect { action, frequency: Frequency::EveryBoot, origin: origin.into() });
    }

    /// Something the reader of the plan should know.
    pub(super) fn note(&mut self, origin: impl Into<Origin>, text: impl Into<String>) {
        self.notes.push(Note { origin: origin.into(), text: text.into() });
    }

    /// A value that has a place in the document and cannot be used.
    pub(super) fn problem(&mut self, rule: Rule, place: &Place, message: impl Into<String>) {
        self.problems.push(Problem::new(rule, place.clone(), message));
    }

    /// A checked path, as the plan has it.
    pub(super) fn path(&mut self, place: &Place, text: &str) -> Option<HostPath> {
        match HostPath::new(text) {
            Ok(path) => Some(path),
            Err(error) => {
                self.path_problem(place, &error);
                None
            }
        }
    }

    pub(super) fn path_problem(&mut self, place: &Place, error: &PathError) {
        self.problem(Rule::InvalidPath, place, error.to_string());
    }
}

/// `/etc/systemd/system` or its counterpart that lasts until the next boot.
pub(super) fn systemd_folder(kind: &str, persistence: Persistence) -> String {
    match persistence {
        Persistence::Persistent => format!("/etc/systemd/{kind}"),
        Persistence::Runtime => format!("/run/systemd/{kind}"),
    }
}

/// `KEY=value` as a line of an `Environment=` setting: quoted, with what systemd would interpret escaped.
pub(super) fn environment_line(key: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("Environment=\"{key}={value}\"\n")
}
