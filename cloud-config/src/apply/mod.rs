//! Carries a plan out, and undoes what it did when a step fails.
//!
//! ```text
//! root      the file system below a root that no link leads out of
//! tree      changes with a journal, or only tried
//! accounts, text, install    pure: what the edited files and links are
//! systemd, bus, command, fetch    the outside, each behind a small trait
//! import    public keys from another site
//! perform   one effect
//! state     what earlier runs did
//! ```

pub mod accounts;
pub mod bus;
pub mod command;
pub mod fetch;
mod import;
pub mod install;
pub mod perform;
pub mod root;
pub mod state;
pub mod systemd;
pub mod text;
pub mod tree;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::command::Commands;
use self::fetch::Fetch;
use self::perform::{Outcome, Outside, StepError, Traces, note, perform};
use self::root::FsError;
use self::state::{Placed, State};
use self::systemd::Systemd;
use self::tree::{Change, Tree, Undone};
use crate::plan::Plan;
use crate::plan::content::Sha256Sum;
use crate::plan::effect::{Action, Effect, Frequency, JobKind};
use crate::plan::path::HostPath;

/// Everything outside the plan that applying it takes.
pub struct Host<'a> {
    /// The files.
    pub tree: Tree,
    /// systemd, if this root is running.
    pub systemd: Option<&'a mut dyn Systemd>,
    /// Programs, if this root is running.
    pub commands: Option<&'a dyn Commands>,
    /// The network.
    pub fetch: Option<&'a dyn Fetch>,
    /// Time since any fixed moment.
    pub clock: &'a dyn Fn() -> Duration,
}

impl std::fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("tree", &self.tree).finish_non_exhaustive()
    }
}

/// What became of one effect of the plan.
#[derive(Debug)]
pub struct Step {
    /// Position in the plan.
    pub index: usize,
    /// What became of it.
    pub result: Result<Outcome, StepError>,
    /// How long it took.
    pub took: Duration,
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// One entry for each effect that was tried, in order; only the last can have failed.
    pub steps: Vec<Step>,
    /// Files of earlier runs that are gone from the configuration: removed, or left and why.
    pub leftovers: Vec<String>,
    /// An error outside any effect.
    pub failed_outside: Option<FsError>,
    /// What was taken back, after a failure.
    pub undone: Option<Undone>,
    /// Files that kept the owner of whoever ran this.
    pub unset_owners: usize,
}

impl Applied {
    /// The effect that failed, and why.
    #[must_use]
    pub fn failure(&self) -> Option<(usize, &StepError)> {
        let last = self.steps.last()?;
        Some((last.index, last.result.as_ref().err()?))
    }

    /// Whether all of it is done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failure().is_none() && self.failed_outside.is_none()
    }
}

/// Whether a plan is all there should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What earlier runs placed and this plan does not is removed.
    Whole,
    /// Earlier runs are left alone: this is only what helps somebody to log in.
    Rescue,
}

/// Carries out `plan` for `instance`. On failure everything this run changed is as it was.
pub fn apply(plan: &Plan, scope: Scope, instance: &str, host: &mut Host<'_>) -> Applied {
    let mut applied = Applied::default();
    let mut traces = Traces::default();
    if let Err(error) = carry_out(plan, scope, instance, host, &mut traces, &mut applied) {
        applied.failed_outside = Some(error);
    }
    if applied.is_complete() {
        host.tree.commit();
    } else if !host.tree.only_looks() {
        applied.undone = Some(take_back(host, &traces));
    }
    applied.unset_owners = host.tree.unset_owners();
    applied
}

fn carry_out(
    plan: &Plan,
    scope: Scope,
    instance: &str,
    host: &mut Host<'_>,
    traces: &mut Traces,
    applied: &mut Applied,
) -> Result<(), FsError> {
    let mut state = State::load(&host.tree, instance)?;
    let mut cleaned = scope == Scope::Rescue;
    for (index, effect) in plan.effects.iter().enumerate() {
        if !cleaned && effect.action == Action::DaemonReload {
            // All files are in place by now, and systemd should not see those that are no longer wanted.
            applied.leftovers = remove_leftovers(&state, &mut host.tree, traces)?;
            cleaned = true;
        }
        let start = (host.clock)();
        let result = step(effect, &mut state, host, traces);
        let failed = result.is_err();
        applied.steps.push(Step { index, result, took: (host.clock)().saturating_sub(start) });
        if failed {
            return Ok(());
        }
    }
    if !cleaned {
        applied.leftovers = remove_leftovers(&state, &mut host.tree, traces)?;
    }
    if host.tree.only_looks() || scope == Scope::Rescue {
        return Ok(());
    }
    // Only files of earlier runs went; what systemd thinks of them can wait for the next boot.
    if traces.stale
        && let Some(systemd) = host.systemd.as_deref_mut()
        && let Err(error) = systemd.reload()
    {
        applied.leftovers.push(format!("systemd still knows removed units: {error}"));
    }
    state.placed = remember(std::mem::take(&mut state.placed), &traces.placed);
    state.save(host.tree.root())
}

fn step(effect: &Effect, state: &mut State, host: &mut Host<'_>, traces: &mut Traces) -> Result<Outcome, StepError> {
    let key = effect.once_key();
    if key.as_ref().is_some_and(|key| state.done.contains(key)) {
        return Ok(Outcome::Skipped("done before on this instance"));
    }
    let mut outside = Outside { systemd: host.systemd.as_deref_mut(), commands: host.commands, fetch: host.fetch };
    let Some(key) = key else { return perform(&effect.action, &mut host.tree, &mut outside, traces) };
    let cannot_be_taken_back = matches!(effect.action, Action::Job { .. } | Action::Run { .. });
    if cannot_be_taken_back && outside.systemd.is_some() {
        // Written before it happens: rather not at all than twice, should the power fail in between.
        state.done.insert(key);
        state.save(host.tree.root())?;
        return perform(&effect.action, &mut host.tree, &mut outside, traces);
    }
    let outcome = perform(&effect.action, &mut host.tree, &mut outside, traces)?;
    if !cannot_be_taken_back {
        state.done.insert(key);
    }
    Ok(outcome)
}

/// Removes what earlier runs placed and this one did not, unless it was changed since or had replaced something.
fn remove_leftovers(state: &State, tree: &mut Tree, traces: &mut Traces) -> Result<Vec<String>, FsError> {
    let wanted: BTreeSet<String> = traces.placed.iter().map(|(path, _)| path.clone()).collect();
    let mut notes = Vec::new();
    for (text, placed) in &state.placed {
        let Ok(path) = HostPath::new(text) else { continue };
        if wanted.contains(text) || !tree.exists(&path)? {
            continue;
        }
        let is = match tree.read_link(&path)? {
            Some(target) => target,
            None => match tree.read(&path) {
                Ok(bytes) => Sha256Sum::of(&bytes.unwrap_or_default()).to_string(),
                Err(_) => String::new(),
            },
        };
        if placed.replaced {
            notes.push(format!("left: {path} is no longer in the configuration, but was on the host before it"));
        } else if is != placed.is {
            notes.push(format!("left: {path} is no longer in the configuration, and was changed since"));
        } else {
            let change = tree.remove(&path)?;
            note(traces, &path, change);
            notes.push(format!("removed: {path} is no longer in the configuration"));
        }
    }
    Ok(notes)
}

fn remember(before: BTreeMap<String, Placed>, placed: &[(String, Placed)]) -> BTreeMap<String, Placed> {
    let mut now: BTreeMap<String, Placed> = BTreeMap::new();
    for (path, placed) in placed {
        // Whether something was replaced is only known the first time: later there is always our own file.
        let replaced = now.get(path).or_else(|| before.get(path)).map_or(placed.replaced, |first| first.replaced);
        now.insert(path.clone(), Placed { replaced, ..placed.clone() });
    }
    now
}

/// Takes back files, then what systemd thinks of them, then jobs, the last one first.
fn take_back(host: &mut Host<'_>, traces: &Traces) -> Undone {
    let mut undone = host.tree.undo();
    let Some(systemd) = host.systemd.as_deref_mut() else { return undone };
    let mut note = |what: String, result: Result<(), self::systemd::SystemdError>| match result {
        Ok(()) => undone.back.push(what),
        Err(error) => undone.left.push(format!("{what}: {error}")),
    };
    if traces.reloaded {
        note("daemon-reload".to_owned(), systemd.reload());
    }
    for (unit, was_active) in traces.jobs.iter().rev() {
        let job = if *was_active { JobKind::Restart } else { JobKind::Stop };
        note(format!("{} {unit}", job.word()), systemd.job(unit, job));
    }
    if let Some(name) = &traces.hostname {
        note(format!("hostname {name}"), systemd.set_hostname(name));
    }
    undone
}

impl Effect {
    /// What a one-time effect is remembered by. The content is no part of it: another script is not run on a machine that had one.
    #[must_use]
    pub fn once_key(&self) -> Option<String> {
        let key = match (&self.frequency, &self.action) {
            (Frequency::EveryBoot, _) => return None,
            (_, Action::User(user)) => format!("user {}", user.name),
            (_, Action::Job { unit, job, .. }) => format!("{} {unit}", job.word()),
            (_, Action::Run { name, .. }) => format!("run {name}"),
            (_, action) => action.to_string(),
        };
        Some(key)
    }
}

/// How a change is called in plans and reports.
#[must_use]
pub fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Change(Change::Same) => "same",
        Outcome::Change(Change::Changed) => "change",
        Outcome::Change(Change::Created) => "create",
        Outcome::Change(Change::Removed) => "remove",
        Outcome::Queued => "queued",
        Outcome::Ran => "done",
        Outcome::Skipped(_) => "skip",
        Outcome::Unavailable(_) => "not available",
    }
}
