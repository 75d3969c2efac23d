//! The figures of a machine.

use jiff::Timestamp;

use super::Figures;
use crate::machine::Machine;

/// What there is to tell about `machine`.
#[must_use]
pub fn collect(machine: &Machine) -> Figures {
    let (status, persisted) = (machine.status(), machine.persisted());
    let progress = status.progress.map_or((0, 0), |progress| (progress.done, progress.total));
    Figures {
        state: status.state,
        version: status.version.to_string(),
        slot: status.slot.to_string(),
        available: status.available.map(|version| version.to_string()),
        last_check: machine.last_asked().map(Timestamp::as_second),
        last_success: status.last_checked.map(Timestamp::as_second),
        failures: machine.failures().iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
        staged_bytes: progress.0,
        release_bytes: progress.1,
        quarantined: status.quarantine.len(),
        trial_passed: persisted.trial_passed,
        metadata_expires: persisted.metadata_expires.map(Timestamp::as_second),
        metadata_checked: persisted.metadata_checked.map(Timestamp::as_second),
        metadata_refused: persisted.metadata_error.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::host::{FailureKind, Slot};
    use crate::machine::Input;
    use crate::machine::test_support::*;

    #[test]
    fn failures_are_counted_by_kind() {
        let mut bench = Bench::new();
        for _ in 0..2 {
            bench.wake();
            bench.feed(Input::Checked(Err(failure("no route"))));
        }
        bench.feed(Input::Apply { despite_quarantine: None });
        bench.feed(offered("1.1.0"));
        bench.feed(verified("1.1.0"));
        bench.feed(Input::Progress { done: 30, total: 300 });
        let figures = collect(&bench.machine);
        assert_eq!((figures.staged_bytes, figures.release_bytes, figures.available.as_deref()), (30, 300, Some("1.1.0")));
        bench.feed(Input::Staged(Err(crate::daemon::host::Failure::new(FailureKind::ReadBack, "block 7 differs"))));
        let figures = collect(&bench.machine);
        assert_eq!(figures.failures, [("network".to_owned(), 2), ("read-back".to_owned(), 1)].into());
        assert!(figures.last_check.is_some() && figures.trial_passed.is_none());
    }

    #[test]
    fn the_expiry_of_the_metadata_and_the_end_of_the_trial_outlive_the_reboot() {
        let mut bench = Bench::new();
        assert_eq!(collect(&bench.machine).metadata_expires, None);
        bench.stage("1.1.0");
        let after_reboot = bench.machine.persisted().clone();
        let boot = |slot, running| Bench::booted(booted(slot, 2, running), after_reboot.clone(), settings()).0;

        let mut good = boot(Slot::B, "1.1.0");
        let expires: Timestamp = EXPIRES.parse().unwrap();
        assert_eq!(collect(&good.machine).metadata_expires, Some(expires.as_second()));
        good.feed(Input::Healthy(healthy()));
        good.feed(Input::Committed(Ok(())));
        assert_eq!(collect(&good.machine).trial_passed, Some(true));

        let mut bad = boot(Slot::B, "1.1.0");
        bad.feed(Input::Healthy(ill("docker did not answer")));
        assert_eq!(collect(&bad.machine).trial_passed, Some(false));
        let back = collect(&boot(Slot::A, "1.0.0").machine);
        assert_eq!((back.trial_passed, back.quarantined, back.failures["trial"]), (Some(false), 1, 1));
    }
}
