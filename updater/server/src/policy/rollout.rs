//! A release spreading through a group: its states and its running time.

use serde::{Deserialize, Serialize};

use super::brake::Stop;
use super::{Counts, Reason, ReleaseId, Salt, Settings, Share, Span, Time, Verdict, judge};

/// The storage's name of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolloutId(pub i64);

/// One release spreading through one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rollout {
    /// The storage's name of it.
    pub id: RolloutId,
    /// What spreads. One rollout per release (so one per architecture).
    pub release: ReleaseId,
    /// What makes its order of machines unlike any other's.
    pub salt: Salt,
    /// How it spreads.
    pub settings: Settings,
    /// Where it stands.
    pub state: State,
    /// When it was started. Machines first seen later come when the ramp is at 100 %, which without a ramp is at once. In
    /// the future for a rollout that is planned.
    pub started_at: Time,
    /// How long it had been running before `running_since`: time while paused or stopped does not count.
    #[serde(default)]
    pub carried: Span,
    /// Since when it has been running without a break; `None` unless the state is [`State::Running`].
    pub running_since: Option<Time>,
    /// The running time at which enough canaries had completed; the soak begins there.
    #[serde(default)]
    pub canaries_held: Option<Span>,
    /// The counts at the moment a person released the brake: what went wrong until then is forgiven.
    #[serde(default)]
    pub forgiven: Counts,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// It spreads.
    Running,
    /// A person holds it.
    Paused {
        /// Who.
        by: String,
        /// Why.
        why: String,
        /// Since when.
        at: Time,
    },
    /// The brake stopped it; only a person lets it go on.
    Stopped {
        /// Why.
        why: Stop,
        /// Since when.
        at: Time,
    },
    /// As many machines have it as there were when it began, and none is busy; who comes later still gets it.
    Done {
        /// Since when.
        at: Time,
    },
}

/// What a person asks of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Offer nothing until told otherwise.
    Pause {
        /// Who asks.
        by: String,
        /// Why.
        why: String,
    },
    /// Go on where it stood. After the brake this forgives what went wrong so far: the brake counts from zero again.
    Resume,
}

/// A request that makes no sense in the state the rollout is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It is not held.
    #[error("the rollout is neither paused nor stopped, there is nothing to resume")]
    NotHeld,
    /// It is held already.
    #[error("the rollout is held already ({0}); resume it first")]
    Held(String),
}

/// What changed by itself: the storage writes the rollout back and notes this in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// Enough canaries completed; the soak begins.
    CanariesHeld,
    /// The brake stopped it.
    Stopped(Stop),
    /// Everybody has it.
    Done,
}

impl Rollout {
    /// A rollout that starts at `starts`, which may lie ahead.
    #[must_use]
    pub const fn new(id: RolloutId, release: ReleaseId, salt: Salt, settings: Settings, starts: Time) -> Self {
        let (carried, running_since, canaries_held, forgiven) = (Span::ZERO, Some(starts), None, Counts::NONE);
        Self { id, release, salt, settings, state: State::Running, started_at: starts, carried, running_since, canaries_held, forgiven }
    }

    /// How long it has been running, without the time it was held.
    #[must_use]
    pub fn elapsed(&self, now: Time) -> Span {
        self.carried.plus(self.running_since.map_or(Span::ZERO, |since| now.since(since)))
    }

    /// The running time at which the ramp begins: at once without canaries, else after their soak; `None` while they have not held.
    fn ramp_begins(&self) -> Option<Span> {
        let canaries = &self.settings.canaries;
        if canaries.any() { self.canaries_held.map(|held| held.plus(canaries.soak)) } else { Some(Span::ZERO) }
    }

    /// How long the ramp has been running; `None` while the canaries go first.
    #[must_use]
    pub fn ramp_elapsed(&self, now: Time) -> Option<Span> {
        let (elapsed, begins) = (self.elapsed(now), self.ramp_begins()?);
        (elapsed >= begins).then(|| elapsed.less(begins))
    }

    /// The share of the population that may have been granted the release by now.
    #[must_use]
    pub fn share(&self, now: Time) -> Share {
        if matches!(self.state, State::Done { .. }) {
            return Share::ALL;
        }
        self.ramp_elapsed(now).map_or(Share::NONE, |elapsed| self.settings.ramp.share(elapsed))
    }

    /// When the ramp reaches `share` if nobody holds it before; `None` if never, or if that depends on somebody.
    #[must_use]
    pub fn reaches(&self, share: Share, now: Time) -> Option<Time> {
        let at = self.ramp_begins()?.plus(self.settings.ramp.reaches(share)?);
        match self.state {
            State::Running => Some(now.max(self.started_at) + at.less(self.elapsed(now))),
            State::Done { .. } => Some(now),
            State::Paused { .. } | State::Stopped { .. } => None,
        }
    }

    /// Whether it offers anything.
    ///
    /// # Errors
    /// Why it does not.
    pub fn offers(&self, now: Time) -> Result<(), Reason> {
        match &self.state {
            State::Running if now < self.started_at => Err(Reason::NotStarted { starts: self.started_at }),
            State::Running | State::Done { .. } => Ok(()),
            State::Paused { by, why, at } => Err(Reason::Paused { by: by.clone(), why: why.clone(), at: *at }),
            State::Stopped { why, at } => Err(Reason::Braked { stop: *why, at: *at }),
        }
    }

    /// Applies what a person asks. Takes effect at the next decision.
    ///
    /// # Errors
    /// When the request makes no sense in the present state.
    pub fn control(&mut self, control: Control, counts: &Counts, now: Time) -> Result<(), ControlError> {
        match (control, &self.state) {
            (Control::Pause { .. }, State::Paused { by, why, .. }) => Err(ControlError::Held(format!("by {by}: {why}"))),
            (Control::Pause { .. }, State::Stopped { why, .. }) => Err(ControlError::Held(why.to_string())),
            (Control::Pause { by, why }, State::Running | State::Done { .. }) => {
                self.hold(State::Paused { by, why, at: now }, now);
                Ok(())
            }
            (Control::Resume, State::Running | State::Done { .. }) => Err(ControlError::NotHeld),
            (Control::Resume, held) => {
                if matches!(held, State::Stopped { .. }) {
                    self.forgiven = *counts;
                }
                (self.state, self.running_since) = (State::Running, Some(now.max(self.started_at)));
                Ok(())
            }
        }
    }

    /// What happens by itself: to be called in the transaction of every change of the counts, and once a minute. Call it
    /// again until it answers `None`, or call [`Self::settle`].
    pub fn advance(&mut self, counts: &Counts, now: Time) -> Option<Change> {
        self.offers(now).ok()?;
        let soaking = self.ramp_elapsed(now).is_none();
        if let Verdict::Stop(why) = judge(&counts.without(&self.forgiven), &self.settings.brake, soaking) {
            self.hold(State::Stopped { why, at: now }, now);
            return Some(Change::Stopped(why));
        }
        if self.settings.canaries.any() && self.canaries_held.is_none() && counts.canaries.completed >= self.settings.canaries.needed() {
            self.canaries_held = Some(self.elapsed(now));
            return Some(Change::CanariesHeld);
        }
        let everybody = self.share(now) == Share::ALL && counts.granted >= counts.population.max(1) && counts.in_flight() == 0;
        if everybody && self.state == State::Running {
            self.hold(State::Done { at: now }, now);
            return Some(Change::Done);
        }
        None
    }

    /// Calls [`Self::advance`] until nothing happens any more; what happened, in order.
    #[must_use = "changes are noted in the log"]
    pub fn settle(&mut self, counts: &Counts, now: Time) -> Vec<Change> {
        std::iter::from_fn(|| self.advance(counts, now)).collect()
    }

    fn hold(&mut self, state: State, now: Time) {
        self.carried = self.elapsed(now);
        (self.state, self.running_since) = (state, None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::fixture::{START, canaries, counts, rollout};
    use crate::policy::{CanaryCounts, Outcome};

    fn hours(hours: u64) -> Time {
        START + Span::hours(hours)
    }

    fn pause() -> Control {
        Control::Pause { by: "anna".to_owned(), why: "lunch".to_owned() }
    }

    #[test]
    fn a_resumed_rollout_goes_on_where_it_stood() {
        let (mut rollout, counts) = (rollout("0h:0,10h:100"), counts(10, 0));
        rollout.control(pause(), &counts, hours(3)).unwrap();
        assert_eq!(rollout.share(hours(99)), Share::percent(30));
        assert_eq!(rollout.reaches(Share::percent(40), hours(99)), None);
        rollout.control(Control::Resume, &counts, hours(100)).unwrap();
        assert_eq!(rollout.share(hours(100)), Share::percent(30));
        assert_eq!(rollout.share(hours(102)), Share::percent(50));
        assert_eq!(rollout.reaches(Share::percent(40), hours(100)), Some(hours(101)));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let (mut rollout, counts) = (rollout("0h:100"), counts(10, 0));
        assert_eq!(rollout.control(Control::Resume, &counts, START), Err(ControlError::NotHeld));
        rollout.control(pause(), &counts, START).unwrap();
        let held = rollout.clone();
        assert_eq!(rollout.control(pause(), &counts, hours(1)), Err(ControlError::Held("by anna: lunch".to_owned())));
        assert_eq!(rollout, held, "a refused request changes nothing");
    }

    #[test]
    fn the_brake_stops_and_a_person_forgives() {
        let mut rollout = rollout("0h:0,10h:100");
        let bad = Counts { granted: 50, completed: 10, rolled_back: 5, ..counts(100, 0) };
        let Some(Change::Stopped(stop)) = rollout.advance(&bad, hours(5)) else { panic!("went on") };
        assert_eq!((stop.rolled_back, stop.judged), (5, 15));
        assert_eq!(rollout.advance(&bad, hours(6)), None, "it stops once");
        assert_eq!(rollout.offers(hours(6)), Err(Reason::Braked { stop, at: hours(5) }));
        assert!(matches!(rollout.control(pause(), &bad, hours(6)), Err(ControlError::Held(_))));
        rollout.control(Control::Resume, &bad, hours(7)).unwrap();
        assert_eq!(rollout.advance(&bad, hours(7)), None, "what went wrong before is forgiven");
        assert_eq!(rollout.share(hours(8)), Share::percent(60));
        assert_eq!(rollout.advance(&Counts { rolled_back: 8, ..bad }, hours(8)), None, "three new ones are not yet too many");
        let worse = Counts { rolled_back: 9, ..bad };
        assert!(matches!(rollout.advance(&worse, hours(8)), Some(Change::Stopped(Stop { rolled_back: 4, .. }))));
    }

    #[test]
    fn a_pause_keeps_the_brake_quiet_and_a_resume_lets_it_look_again() {
        let mut rollout = rollout("0h:100");
        let bad = Counts { granted: 50, rolled_back: 5, ..counts(100, 0) };
        rollout.control(pause(), &bad, START).unwrap();
        assert_eq!(rollout.advance(&bad, START), None);
        rollout.control(Control::Resume, &bad, START).unwrap();
        assert!(matches!(rollout.advance(&bad, START), Some(Change::Stopped(_))), "a pause forgives nothing");
    }

    #[test]
    fn the_ramp_begins_after_the_canaries_soak() {
        let mut rollout = rollout("0h:10,10h:100");
        rollout.settings.canaries = canaries(&["c"], 5, 9, Span::hours(2));
        let held = |completed| Counts { granted: 5, completed, canaries: CanaryCounts { granted: 5, completed, bad: 0 }, ..counts(100, 0) };
        assert_eq!(rollout.advance(&held(4), hours(1)), None);
        assert_eq!((rollout.share(hours(50)), rollout.reaches(Share::percent(10), hours(50))), (Share::NONE, None));
        // Nine are needed, but only five are ever let in.
        assert_eq!(rollout.advance(&held(5), hours(1)), Some(Change::CanariesHeld));
        assert_eq!(rollout.share(hours(3) - Span(1)), Share::NONE);
        assert_eq!(rollout.share(hours(3)), Share::percent(10));
        assert_eq!(rollout.reaches(Share::ALL, hours(2)), Some(hours(13)));
    }

    #[test]
    fn it_is_done_when_everybody_has_it_and_the_brake_still_watches() {
        let mut rollout = rollout("0h:100");
        assert_eq!(rollout.advance(&counts(0, 0), START), None, "nobody is not everybody");
        let all = Counts { granted: 10, completed: 10, ..counts(10, 0) };
        assert_eq!(rollout.advance(&Counts { completed: 9, ..all }, START), None);
        assert_eq!(rollout.advance(&all, START), Some(Change::Done));
        assert_eq!((rollout.offers(hours(1)), rollout.share(hours(1))), (Ok(()), Share::ALL));
        let newcomers = Counts { granted: 20, completed: 10, rolled_back: 10, ..all };
        assert!(matches!(rollout.advance(&newcomers, hours(1)), Some(Change::Stopped(_))));
    }

    #[test]
    fn several_things_happen_at_one_moment() {
        let mut rollout = rollout("0h:100");
        rollout.settings.canaries = canaries(&["c"], 1, 1, Span::ZERO);
        let all = Counts { granted: 10, completed: 10, canaries: CanaryCounts { granted: 1, completed: 1, bad: 0 }, ..counts(10, 0) };
        assert_eq!(rollout.settle(&all, hours(1)), [Change::CanariesHeld, Change::Done]);
        assert_eq!(rollout.settle(&all, hours(1)), []);
    }

    #[test]
    fn outcomes_follow_reports() {
        use Outcome::{Completed, Failed, Pending, Retrying, RolledBack, Silent};
        for (before, report, after) in [
            (Pending, Completed, Some(Completed)),
            (Pending, Pending, None),
            (Pending, Silent, Some(Silent)),
            (Silent, Pending, Some(Pending)),
            (Silent, Completed, Some(Completed)),
            (Failed, Pending, None),
            (Failed, RolledBack, Some(RolledBack)),
            (Silent, Failed, Some(Failed)),
            (Failed, Silent, None),
            (Failed, Completed, Some(Completed)),
            (Completed, RolledBack, Some(RolledBack)),
            (Completed, Pending, None),
            (Completed, Silent, None),
            (RolledBack, Completed, None),
            (RolledBack, Pending, None),
            (Pending, Retrying, Some(Retrying)),
            (Retrying, Pending, None),
            (Retrying, Retrying, None),
            (Retrying, Silent, Some(Silent)),
            (Retrying, Failed, Some(Failed)),
            (Retrying, Completed, Some(Completed)),
            (Silent, Retrying, Some(Retrying)),
            (Failed, Retrying, None),
            (Completed, Retrying, None),
            (RolledBack, Retrying, None),
        ] {
            assert_eq!(before.after(report), after, "{before:?}, then {report:?}");
        }
    }

    proptest! {
        #[test]
        fn the_share_never_falls_over_pauses(pauses in prop::collection::vec((0u64..300, 0u64..300), 0..10)) {
            let (mut rollout, counts) = (rollout("0h:0,10h:100"), counts(10, 0));
            let (mut now, mut running, mut last) = (START, Span::ZERO, Share::NONE);
            for (run, hold) in pauses {
                now = now + Span::minutes(run);
                running = running.plus(Span::minutes(run));
                rollout.control(pause(), &counts, now).unwrap();
                now = now + Span::minutes(hold);
                rollout.control(Control::Resume, &counts, now).unwrap();
                prop_assert_eq!(rollout.elapsed(now), running);
                prop_assert!(rollout.share(now) >= last);
                last = rollout.share(now);
            }
        }

        #[test]
        fn rollouts_survive_being_written(canaries in 0u64..3, at in any::<i64>()) {
            let mut rollout = rollout("steps 0h:1,24h:100");
            rollout.settings.canaries.need = canaries;
            rollout.state = State::Paused { by: "anna".to_owned(), why: String::new(), at: Time(at) };
            let json = serde_json::to_string(&rollout).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rollout>(&json).unwrap(), rollout);
        }
    }
}
