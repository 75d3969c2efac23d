//! The walk through the rules; each either lets the machine through or ends the walk with a reason.

use super::{Ask, Because, Live, NotNow, Step, Update, View, target};
use crate::policy::window::Opening;
use crate::policy::{Group, Outcome, Phase, Position, Progress, Reason, Release, Rollout, Share, Span, newer, try_grant};

/// How long a download that a machine reported keeps it from being offered anything else. A machine that lost its state in
/// between asks in vain for this long at most.
const DOWNLOAD_HOLDS: Span = Span::hours(1);
/// How long a staged update does: machines wait for their maintenance window, and stock clients would begin all over.
const STAGED_HOLDS: Span = Span::hours(24);

/// Notes the rules that let a machine through. Deciding takes the one that notes nothing, and so never builds the texts.
pub(super) trait Trace {
    fn passed(&mut self, rule: &'static str, text: impl FnOnce() -> String);
}

impl Trace for () {
    fn passed(&mut self, _rule: &'static str, _text: impl FnOnce() -> String) {}
}

impl Trace for Vec<Step> {
    fn passed(&mut self, rule: &'static str, text: impl FnOnce() -> String) {
        self.push(Step { rule: rule.to_owned(), passed: true, text: text() });
    }
}

/// All rules in their order: what may the machine get at all, then whether it is its turn.
pub(super) fn walk(ask: &Ask<'_>, view: &View<'_>, trace: &mut impl Trace) -> Result<Update, NotNow> {
    let group = view.group.ok_or_else(|| Reason::GroupUnknown { group: ask.machine.group.clone() })?;
    trace.passed("group", || format!("the machine is in group `{}`", group.name));
    if !group.enabled {
        return Err(Reason::UpdatesDisabled { group: group.name.clone() }.into());
    }
    let headed = target(ask.machine, group, view.catalog)?;
    trace.passed("target", || format!("it is headed for release {}", headed.version));
    let release = fits(ask, view, headed, trace)?;
    let floor_for = (release.id != headed.id).then(|| headed.version.clone());
    free(ask, group, trace)?;
    let because = turn(ask, view, group, headed, trace)?;
    Ok(Update { release: release.id, version: release.version.clone(), floor_for, because })
}

/// Rules about release and machine: newer, not blocked, no floor skipped, not known to fail here.
fn fits<'a>(ask: &Ask<'_>, view: &View<'a>, headed: &'a Release, trace: &mut impl Trace) -> Result<&'a Release, NotNow> {
    let (machine, runs) = (ask.machine, &ask.machine.version);
    if !newer(&headed.version, runs) {
        return Err(Reason::UpToDate { runs: runs.clone(), offered: headed.version.clone() }.into());
    }
    trace.passed("newer", || format!("it runs {runs}"));
    let release = view.catalog.next_step(runs, headed);
    match &release.floor {
        Some(floor) if release.id != headed.id => {
            trace.passed("floor", || format!("release {} must not be skipped: {}", release.version, floor.reason));
        }
        _ => trace.passed("floor", || "no release in between must be taken first".to_owned()),
    }
    for blocked in [headed, release] {
        if let Some(why) = &blocked.blocked {
            return Err(Reason::Blocked { version: blocked.version.clone(), why: why.clone() }.into());
        }
    }
    if machine.quarantined.iter().any(|bad| bad.cmp_precedence(&release.version).is_eq()) {
        let floor_for = (release.id != headed.id).then(|| headed.version.clone());
        return Err(Reason::Quarantined { version: release.version.clone(), floor_for }.into());
    }
    trace.passed("not-quarantined", || format!("release {} did not fail on it before", release.version));
    Ok(release)
}

/// Rules about the moment: a window is open, the machine is not busy.
fn free(ask: &Ask<'_>, group: &Group, trace: &mut impl Trace) -> Result<(), NotNow> {
    if let Opening::Closed { opens } = group.windows.at(ask.now) {
        return Err(NotNow::until(Reason::Window { opens }, opens));
    }
    trace.passed("window", || "releases are handed out at this time".to_owned());
    if let Some(Progress { phase, at }) = ask.machine.progress {
        let holds = if phase == Phase::Staged { STAGED_HOLDS } else { DOWNLOAD_HOLDS };
        if ask.now.since(at) < holds {
            return Err(NotNow::until(Reason::InProgress { phase, since: at }, Some(at + holds)));
        }
    }
    trace.passed("not-busy", || "it is not busy with an update".to_owned());
    Ok(())
}

/// Rules of the rollout: whether it is this machine's turn.
fn turn(ask: &Ask<'_>, view: &View<'_>, group: &Group, headed: &Release, trace: &mut impl Trace) -> Result<Because, NotNow> {
    let (machine, now) = (ask.machine, ask.now);
    if machine.pin.is_some() {
        trace.passed("machine-pin", || format!("it is held at {}, whatever the rollouts do", headed.version));
        return Ok(Because::MachinePin);
    }
    let Some(live) = view.live.filter(|live| live.rollout.release == headed.id) else {
        return Err(Reason::NoRollout { version: headed.version.clone() }.into());
    };
    let Live { rollout, counts, grant } = live;
    rollout.offers(now).map_err(|reason| {
        let starts = matches!(reason, Reason::NotStarted { .. }).then_some(rollout.started_at);
        NotNow::until(reason, starts)
    })?;
    trace.passed("rollout", || format!("the rollout of {} is running", headed.version));
    if let Some(grant) = grant {
        // The machine's own list may be lost with its state; the grant remembers.
        if grant.outcome == Outcome::RolledBack {
            return Err(Reason::Quarantined { version: headed.version.clone(), floor_for: None }.into());
        }
        trace.passed("granted", || format!("it was granted the release at {}", grant.at));
        return Ok(Because::Granted { at: grant.at });
    }
    let canary = rollout.settings.canaries.any() && rollout.settings.canaries.include(machine);
    let position = ask.position.unwrap_or_else(|| Position::of(&rollout.salt, &machine.id)).needs();
    if !canary && rollout.ramp_elapsed(now).is_some() {
        wave(ask, rollout, position, trace)?;
    }
    let ticket = try_grant(rollout, counts, group.parallel, canary, now).map_err(|reason| {
        let needed = match reason {
            Reason::CanarySoak { .. } => Some(position),
            Reason::Cap { granted, population, .. } => {
                Share::needed_for(granted.saturating_add(1), population).map(|share| share.max(position))
            }
            _ => None,
        };
        NotNow::until(reason, needed.and_then(|share| rollout.reaches(share, now)))
    })?;
    trace.passed("cap", || format!("{} of {} allowed machines were granted it before", ticket.granted, ticket.allowed));
    Ok(Because::Turn { ticket, position })
}

/// The machine's place in the order; newcomers have none until the ramp is at 100 %.
fn wave(ask: &Ask<'_>, rollout: &Rollout, position: Share, trace: &mut impl Trace) -> Result<(), NotNow> {
    let share = rollout.share(ask.now);
    let (first_seen, started) = (ask.machine.first_seen, rollout.started_at);
    if first_seen > started && share < Share::ALL {
        return Err(NotNow::until(Reason::Newcomer { first_seen, started, share }, rollout.reaches(Share::ALL, ask.now)));
    }
    if share < position {
        return Err(NotNow::until(Reason::Wave { position, share }, rollout.reaches(position, ask.now)));
    }
    trace.passed("wave", || format!("its turn was at {position}, the rollout is at {share}"));
    Ok(())
}
