//! What has become of a rollout so far.

use serde::{Deserialize, Serialize};

use super::{Brake, Grant};

/// What has become of one grant. The storage keeps exactly one per machine and rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No word yet.
    Pending,
    /// The machine committed the release (event 3/2), or was seen running it.
    Completed,
    /// The machine failed to install it (event 3/0) and tries again: it still runs what it ran before, so nothing is judged yet.
    Retrying,
    /// The machine failed to install it too often or for too long: see [`Brake::tries`](super::Brake::tries).
    Failed,
    /// The machine came back to the old slot and quarantined the release (3/0 with error 44).
    RolledBack,
    /// The machine has not been heard of for longer than the brake's silence deadline. Ends when it is heard of again.
    Silent,
}

/// Sums over the grants of one rollout, kept by the storage in step with the grants (same transaction).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Machines of the group, of the release's application and architecture, that were first seen when the rollout
    /// began or before, and last seen within [`LIVE_DAYS`]. Recounted from time to time; the share is a share of this number.
    pub population: u64,
    /// Machines that were ever granted the release in this rollout, whatever became of it. Never falls.
    pub granted: u64,
    /// Grants whose outcome is [`Outcome::Completed`].
    pub completed: u64,
    /// Grants whose outcome is [`Outcome::Failed`].
    pub failed: u64,
    /// Grants whose outcome is [`Outcome::RolledBack`].
    pub rolled_back: u64,
    /// Grants whose outcome is [`Outcome::Silent`].
    pub silent: u64,
    /// The same for the canaries alone (they are part of the sums above).
    #[serde(default)]
    pub canaries: CanaryCounts,
}

/// Sums over the canaries of one rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CanaryCounts {
    /// Canaries that were granted the release.
    pub granted: u64,
    /// Those that committed it.
    pub completed: u64,
    /// Those that failed, rolled back or fell silent.
    pub bad: u64,
}

/// How long a machine that is not heard of still counts as one of the population, in days.
pub const LIVE_DAYS: u64 = 7;

impl Counts {
    /// Nothing at all.
    pub const NONE: Self = {
        let canaries = CanaryCounts { granted: 0, completed: 0, bad: 0 };
        Self { population: 0, granted: 0, completed: 0, failed: 0, rolled_back: 0, silent: 0, canaries }
    };

    /// The outcomes that came after `earlier`; population and grants stay.
    #[must_use]
    pub const fn without(&self, earlier: &Self) -> Self {
        let canaries = CanaryCounts {
            granted: self.canaries.granted,
            completed: self.canaries.completed.saturating_sub(earlier.canaries.completed),
            bad: self.canaries.bad.saturating_sub(earlier.canaries.bad),
        };
        Self {
            population: self.population,
            granted: self.granted,
            completed: self.completed.saturating_sub(earlier.completed),
            failed: self.failed.saturating_sub(earlier.failed),
            rolled_back: self.rolled_back.saturating_sub(earlier.rolled_back),
            silent: self.silent.saturating_sub(earlier.silent),
            canaries,
        }
    }

    /// Grants that went wrong: failed too often, rolled back or silent.
    #[must_use]
    pub const fn bad(&self) -> u64 {
        self.failed.saturating_add(self.rolled_back).saturating_add(self.silent)
    }

    /// Grants whose outcome is known.
    #[must_use]
    pub const fn judged(&self) -> u64 {
        self.completed.saturating_add(self.bad())
    }

    /// Machines that are busy with the release: granted, no outcome yet; those that try again are among them.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.granted.saturating_sub(self.judged())
    }

    /// Books one new grant.
    pub const fn grant(&mut self, canary: bool) {
        self.granted = self.granted.saturating_add(1);
        if canary {
            self.canaries.granted = self.canaries.granted.saturating_add(1);
        }
    }

    /// Books what a machine says (or shows) about the release of this rollout, in its grant and in these sums; whether
    /// anything changed, so that both must be written.
    ///
    /// `grant` is the machine's own. Without one nothing is booked: whoever invents machines, or lets real ones report about
    /// a release that they were never granted, can neither pull the brake nor hurry the ramp. And since a grant has one
    /// outcome, a machine counts once, however often it reports. A failure that is tried again ([`Outcome::Retrying`]) becomes
    /// [`Outcome::Failed`] when it is the one that the brake has no more patience for.
    pub fn book(&mut self, grant: Option<&mut Grant>, report: Outcome, brake: &Brake) -> bool {
        let Some(grant) = grant else { return false };
        let open = matches!(grant.outcome, Outcome::Pending | Outcome::Retrying | Outcome::Silent);
        let failure = open && report == Outcome::Retrying;
        if failure {
            grant.tries = grant.tries.saturating_add(1);
        }
        let report = if failure && grant.tries >= brake.tries { Outcome::Failed } else { report };
        let Some(outcome) = grant.outcome.after(report) else { return failure };
        self.change(grant.canary, grant.outcome, outcome);
        grant.outcome = outcome;
        true
    }

    /// Books that the outcome of one grant changed; [`Self::book`] is what to call with a report.
    pub fn change(&mut self, canary: bool, from: Outcome, to: Outcome) {
        for (outcome, up) in [(from, false), (to, true)] {
            let step = |sum: &mut u64| *sum = if up { sum.saturating_add(1) } else { sum.saturating_sub(1) };
            let (sum, of_canaries) = match outcome {
                Outcome::Pending | Outcome::Retrying => continue,
                Outcome::Completed => (&mut self.completed, &mut self.canaries.completed),
                Outcome::Failed => (&mut self.failed, &mut self.canaries.bad),
                Outcome::RolledBack => (&mut self.rolled_back, &mut self.canaries.bad),
                Outcome::Silent => (&mut self.silent, &mut self.canaries.bad),
            };
            step(sum);
            if canary {
                step(of_canaries);
            }
        }
    }
}

impl Outcome {
    /// What becomes of this outcome when the machine says (or shows) something new; `None` when nothing changes.
    /// A rollback is final: the machine never tries the release again. A failure stands until the machine completes after
    /// all: if a sign of life or a new try undid it, machines that fail all day long would never pull the brake. A sign of
    /// life ([`Outcome::Pending`]) ends a silence and nothing else. Whoever runs the release and cannot download has no
    /// trouble with this release.
    #[must_use]
    pub fn after(self, report: Self) -> Option<Self> {
        let next = match (self, report) {
            (Self::RolledBack, _)
            | (Self::Completed | Self::Failed, Self::Pending | Self::Retrying | Self::Silent)
            | (Self::Retrying, Self::Pending) => self,
            (_, report) => report,
        };
        (next != self).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::fixture::{START, counts, rollout};
    use crate::policy::{Verdict, judge};

    const GRANT: Grant = Grant::new(START, false);

    #[test]
    fn forged_failures_of_machines_without_a_grant_do_not_count() {
        let (mut rollout, mut counts) = (rollout("0h:100"), counts(100, 10));
        let before = counts;
        for report in [Outcome::RolledBack, Outcome::Failed, Outcome::Silent, Outcome::Completed].repeat(1_000) {
            assert!(!counts.book(None, report, &Brake::default()), "{report:?}");
        }
        assert_eq!((counts, rollout.advance(&counts, START)), (before, None));
        // The same word from machines with a grant stops it.
        let mut granted = [GRANT; 10];
        assert!(granted.iter_mut().all(|grant| counts.book(Some(grant), Outcome::RolledBack, &Brake::default())));
        assert!(rollout.advance(&counts, START).is_some());
    }

    #[test]
    fn one_machine_counts_once_however_often_it_reports() {
        let (mut rollout, mut counts, mut grant) = (rollout("0h:100"), counts(100, 10), GRANT);
        for report in [Outcome::Failed, Outcome::Failed, Outcome::Pending, Outcome::Failed, Outcome::Completed, Outcome::Failed].repeat(500)
        {
            counts.book(Some(&mut grant), report, &Brake::default());
            assert!(counts.bad() <= 1 && counts.judged() <= 1, "{counts:?}");
            assert_eq!(judge(&counts, &Brake::default(), false), Verdict::Continue, "one in twenty is tolerated");
            assert_eq!(rollout.advance(&counts, START), None);
        }
        assert!(counts.book(Some(&mut grant), Outcome::RolledBack, &Brake::default()));
        for report in [Outcome::Completed, Outcome::Failed, Outcome::Pending, Outcome::RolledBack] {
            assert!(!counts.book(Some(&mut grant), report, &Brake::default()), "a rollback is final, {report:?} changes nothing");
        }
        assert_eq!((counts.rolled_back, counts.bad(), counts.judged()), (1, 1, 1));
    }

    #[test]
    fn a_download_that_fails_counts_when_the_brake_has_no_more_patience() {
        let brake = Brake { tries: 3, ..Brake::default() };
        let (mut counts, mut grant) = (counts(100, 1), GRANT);
        for (report, tries, outcome, failed) in [
            (Outcome::Retrying, 1, Outcome::Retrying, 0),
            (Outcome::Pending, 1, Outcome::Retrying, 0),
            (Outcome::Retrying, 2, Outcome::Retrying, 0),
            // Silence in between forgets nothing.
            (Outcome::Silent, 2, Outcome::Silent, 0),
            (Outcome::Pending, 2, Outcome::Pending, 0),
            (Outcome::Retrying, 3, Outcome::Failed, 1),
            (Outcome::Retrying, 3, Outcome::Failed, 1),
            (Outcome::Pending, 3, Outcome::Failed, 1),
            (Outcome::Completed, 3, Outcome::Completed, 0),
            (Outcome::Retrying, 3, Outcome::Completed, 0),
        ] {
            let before = (grant.outcome, grant.tries);
            let changed = counts.book(Some(&mut grant), report, &brake);
            assert_eq!((grant.tries, grant.outcome, counts.failed), (tries, outcome, failed), "{before:?}, then {report:?}");
            assert_eq!(changed, before != (outcome, tries), "{before:?}, then {report:?}: what changed must be written");
        }
        assert_eq!((counts.completed, counts.bad(), counts.in_flight()), (1, 0, 0));
    }

    proptest! {
        #[test]
        fn the_sums_are_those_of_the_grants_whatever_anybody_reports(
            reports in prop::collection::vec((0usize..20, prop::sample::select(vec![
                Outcome::Pending, Outcome::Completed, Outcome::Retrying, Outcome::Failed, Outcome::RolledBack, Outcome::Silent,
            ])), 0..200),
        ) {
            // The first ten machines have a grant, every third of them as a canary; the others only claim to.
            let mut grants: BTreeMap<usize, Grant> = (0..10).map(|index| (index, Grant { canary: index % 3 == 0, ..GRANT })).collect();
            let mut counts = Counts::NONE;
            grants.values().for_each(|grant| counts.grant(grant.canary));
            for (machine, report) in reports {
                counts.book(grants.get_mut(&machine), report, &Brake::default());
            }
            let with = |outcome, canary: bool| grants.values().filter(|grant| grant.outcome == outcome && (grant.canary || !canary)).count() as u64;
            let bad = |canary| [Outcome::Failed, Outcome::RolledBack, Outcome::Silent].iter().map(|outcome| with(*outcome, canary)).sum::<u64>();
            prop_assert_eq!((counts.granted, counts.completed, counts.bad()), (10, with(Outcome::Completed, false), bad(false)));
            prop_assert_eq!(counts.in_flight(), with(Outcome::Pending, false) + with(Outcome::Retrying, false));
            prop_assert_eq!((counts.canaries.completed, counts.canaries.bad), (with(Outcome::Completed, true), bad(true)));
        }
    }
}
