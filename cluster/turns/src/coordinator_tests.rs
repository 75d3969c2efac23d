use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as Sync};

use proptest::prelude::*;

use super::*;

/// A machine and a cluster on which any call can fail.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    calls: Vec<String>,
    /// Calls that fail, by name.
    pub(crate) fails: BTreeSet<&'static str>,
    /// The call by this number fails, counted from 0.
    fails_at: BTreeSet<usize>,
    pub(crate) held: bool,
    leaving: bool,
    drained: bool,
    announced: Option<String>,
    file: Option<Turn>,
    unsteady: Vec<String>,
    /// Releases that failed somewhere, as the cluster knows.
    failed: Vec<String>,
    /// What this machine's updater has in quarantine.
    quarantine: Vec<String>,
    report: String,
    time: Duration,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Fake(Arc<Sync<Stage>>);

impl Fake {
    fn call(&self, name: &'static str) -> Result<(), Reason> {
        let mut stage = self.0.lock().unwrap();
        let number = stage.calls.len();
        stage.calls.push(name.to_owned());
        if stage.fails.contains(name) || stage.fails_at.contains(&number) { Err(Reason::new(format!("{name} failed"))) } else { Ok(()) }
    }

    fn refusable(&self, name: &'static str, kind: Kind) -> Result<(), Refusal> {
        self.call(name).map_err(|reason| Refusal::new(kind, reason))
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Stage) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.with(|stage| std::mem::take(&mut stage.calls))
    }
}

impl World for Fake {
    async fn say_leaving(&self) -> Result<(), Refusal> {
        self.refusable("say leaving", Kind::Unreachable)?;
        self.with(|stage| stage.leaving = true);
        Ok(())
    }

    async fn may_leave(&self) -> Result<(), Refusal> {
        self.refusable("may leave", Kind::Quorum)
    }

    async fn take(&self) -> Result<(), Refusal> {
        self.refusable("take", Kind::LockHeld)?;
        self.with(|stage| stage.held = true);
        Ok(())
    }

    async fn release(&self) -> Result<(), Reason> {
        self.call("release")?;
        self.with(|stage| (stage.held, stage.leaving) = (false, false));
        Ok(())
    }

    async fn extend(&self) -> Result<bool, Reason> {
        self.call("extend")?;
        Ok(self.with(|stage| stage.held))
    }

    async fn hand_over(&self) -> Result<(), Reason> {
        self.call("hand over")
    }

    async fn drain(&self) -> Result<(), Reason> {
        // Half a drain is a drain.
        self.with(|stage| stage.drained = true);
        self.call("drain")
    }

    async fn undrain(&self) -> Result<(), Reason> {
        self.call("undrain")?;
        self.with(|stage| stage.drained = false);
        Ok(())
    }

    async fn settled(&self) -> Result<(), Reason> {
        self.call("settled")
    }

    async fn units(&self) -> Result<Vec<String>, Reason> {
        self.call("units").map(|()| vec!["web.service".to_owned()])
    }

    async fn unsteady(&self, units: &[String]) -> Vec<String> {
        self.with(|stage| stage.unsteady.iter().filter(|unit| units.contains(unit) || unit.contains(' ')).cloned().collect())
    }

    async fn not_failed(&self, release: &str) -> Result<(), Refusal> {
        self.call("not failed").map_err(|reason| Refusal::new(Kind::Unreachable, reason))?;
        let failed = self.with(|stage| stage.failed.iter().any(|failed| failed == release));
        if failed { Err(Refusal::new(Kind::ReleaseFailed, "it failed")) } else { Ok(()) }
    }

    async fn tell_if_failed(&self, release: &str) -> Result<(), Reason> {
        self.call("tell if failed")?;
        self.with(|stage| stage.failed.extend(stage.quarantine.iter().filter(|version| *version == release).cloned().collect::<Vec<_>>()));
        Ok(())
    }

    async fn announce(&self, why: Option<&Reason>) {
        self.with(|stage| stage.announced = why.map(ToString::to_string));
    }

    fn remember(&self, turn: Option<&Turn>) -> Result<(), Reason> {
        self.call(if turn.is_some() { "remember" } else { "forget" })?;
        self.with(|stage| stage.file = turn.cloned());
        Ok(())
    }

    fn clock(&self) -> Duration {
        self.with(|stage| stage.time)
    }

    fn report(&self, state: &'static str, reason: &str) {
        self.with(|stage| stage.report = format!("{state}: {reason}"));
    }
}

fn boot(world: &Fake, number: u32) -> Coordinator<Fake> {
    let file = world.with(|stage| stage.file.clone());
    Coordinator::new(world.clone(), &format!("boot-{number}"), file)
}

#[tokio::test]
async fn a_turn_from_the_question_to_the_end() {
    let world = Fake::default();
    let before = boot(&world, 1);
    before.pre_reboot(None).await.unwrap();
    let order = ["may leave", "units", "remember", "take", "say leaving", "may leave", "hand over", "drain", "remember"];
    assert_eq!(world.calls(), order);
    // The same answer, however often it is asked.
    before.pre_reboot(None).await.unwrap();
    assert_eq!(world.calls(), order);
    assert!(world.with(|stage| stage.file.clone().unwrap().granted && stage.drained && stage.announced.is_none()));

    let after = boot(&world, 2);
    world.with(|stage| stage.unsteady = vec!["web.service".to_owned()]);
    assert!(after.look_after().await);
    assert_eq!(world.calls(), ["extend"], "nothing is undone before the machine is steady");
    assert_eq!(world.with(|stage| stage.report.clone()), "settling: the reboot lock is kept until the machine is steady: web.service");
    world.with(|stage| stage.unsteady.clear());
    assert!(!after.look_after().await);
    assert_eq!(world.calls(), ["extend", "undrain", "settled", "release", "forget"], "released last");
    assert!(world.with(|stage| !stage.held && !stage.leaving && stage.file.is_none()));
}

#[tokio::test]
async fn a_release_that_failed_on_one_machine_is_refused_to_the_next() {
    let (one, two) = (Fake::default(), Fake::default());
    boot(&one, 1).pre_reboot(Some("1.0.3")).await.unwrap();
    let order = ["may leave", "units", "remember", "take", "not failed", "say leaving", "may leave", "hand over", "drain", "remember"];
    assert_eq!(one.calls(), order);
    one.with(|stage| stage.quarantine = vec!["1.0.3".to_owned(), "0.9.0".to_owned()]);
    // The others have to hear of it before the lock is theirs.
    one.with(|stage| stage.fails = BTreeSet::from(["tell if failed"]));
    let back = boot(&one, 2);
    assert!(back.look_after().await);
    assert_eq!(one.calls(), ["extend", "tell if failed"]);
    assert!(one.with(|stage| stage.report.contains("telling the others how the release did")));
    one.with(|stage| stage.fails.clear());
    assert!(!back.look_after().await);
    assert_eq!(one.calls(), ["extend", "tell if failed", "undrain", "settled", "release", "forget"]);
    let failed = one.with(|stage| stage.failed.clone());
    assert_eq!(failed, ["1.0.3"], "an old failure is no news");

    two.with(|stage| stage.failed = failed);
    let next = boot(&two, 1);
    assert_eq!(next.pre_reboot(Some("1.0.3")).await.unwrap_err().kind, Kind::ReleaseFailed);
    assert!(two.with(|stage| !stage.held && !stage.drained && stage.file.is_none()), "the turn was given back");
    next.pre_reboot(Some("1.0.4")).await.unwrap();
    next.pre_reboot(None).await.unwrap();
}

#[tokio::test]
async fn who_is_refused_says_so_to_the_others() {
    let world = Fake::default();
    world.with(|stage| stage.fails = BTreeSet::from(["take"]));
    let coordinator = boot(&world, 1);
    let refusal = coordinator.pre_reboot(None).await.unwrap_err();
    assert_eq!((refusal.kind, refusal.to_string().as_str()), (Kind::LockHeld, "take failed"));
    assert_eq!(world.with(|stage| stage.announced.clone()).unwrap(), "take failed");
    coordinator.steady_state().await.unwrap();
    assert_eq!(world.with(|stage| stage.announced.clone()), None, "it does not want it any more");
}

#[tokio::test]
async fn whatever_fails_is_undone() {
    for call in ["may leave", "units", "remember", "take", "say leaving", "hand over", "drain"] {
        let world = Fake::default();
        world.with(|stage| stage.fails = BTreeSet::from([call]));
        boot(&world, 1).pre_reboot(None).await.unwrap_err();
        world.with(|stage| {
            assert!(!stage.held && !stage.drained && !stage.leaving, "{call}: {stage:?}");
            assert_eq!(stage.file, None, "{call}");
        });
    }
}

#[tokio::test]
async fn a_turn_without_a_reboot_is_given_back() {
    let world = Fake::default();
    let coordinator = boot(&world, 1);
    coordinator.pre_reboot(None).await.unwrap();
    world.with(|stage| stage.time += GRANT_GOOD_FOR - Duration::from_secs(1));
    assert!(coordinator.look_after().await);
    assert!(world.with(|stage| stage.held));
    // Whoever asks again still wants to.
    coordinator.pre_reboot(None).await.unwrap();
    world.with(|stage| stage.time += GRANT_GOOD_FOR - Duration::from_secs(1));
    assert!(coordinator.look_after().await);
    world.with(|stage| stage.time += Duration::from_secs(2));
    assert!(!coordinator.look_after().await);
    assert!(world.with(|stage| !stage.held && !stage.drained));
    // At once when the caller says so.
    coordinator.pre_reboot(None).await.unwrap();
    coordinator.steady_state().await.unwrap();
    assert!(world.with(|stage| !stage.held && !stage.drained && stage.file.is_none()));
}

#[tokio::test]
async fn a_lock_that_nobody_remembers_is_given_back_when_steady() {
    let world = Fake::default();
    world.with(|stage| (stage.held, stage.unsteady) = (true, vec!["etcd is not well".to_owned()]));
    let coordinator = boot(&world, 1);
    assert!(coordinator.look_after().await && world.with(|stage| stage.held));
    world.with(|stage| stage.unsteady.clear());
    assert!(!coordinator.look_after().await && !world.with(|stage| stage.held));
}

#[tokio::test]
async fn a_second_reboot_that_is_refused_does_not_end_the_first() {
    let world = Fake::default();
    boot(&world, 1).pre_reboot(None).await.unwrap();
    let after = boot(&world, 2);
    world.with(|stage| (stage.fails, stage.unsteady) = (BTreeSet::from(["drain"]), vec!["web.service".to_owned()]));
    after.pre_reboot(None).await.unwrap_err();
    assert!(world.with(|stage| stage.held && stage.file.clone().unwrap().boot_id == "boot-1"));
    assert!(after.steady_state().await.unwrap_err().to_string().contains("web.service"));
    // And one that is allowed waits for the same units after it.
    world.with(|stage| stage.fails.clear());
    after.pre_reboot(None).await.unwrap();
    assert_eq!(world.with(|stage| stage.file.clone()).unwrap().units, ["web.service"]);
}

#[test]
fn what_there_is_to_do() {
    let turn = |boot_id: &str, granted| Turn { boot_id: boot_id.to_owned(), granted, units: Vec::new(), release: None };
    let (soon, late) = (Duration::from_secs(1), GRANT_GOOD_FOR);
    for (turn, held, granted_for, todo) in [
        (None, false, late, Todo::Nothing),
        (None, true, soon, Todo::Settle),
        (Some(turn("now", true)), true, soon, Todo::AwaitReboot),
        (Some(turn("now", true)), false, soon, Todo::AwaitReboot),
        (Some(turn("now", true)), true, late, Todo::GiveUp),
        (Some(turn("now", false)), true, soon, Todo::GiveUp),
        (Some(turn("before", true)), true, soon, Todo::Settle),
        (Some(turn("before", false)), false, late, Todo::Settle),
        (Some(turn("", true)), true, soon, Todo::Settle),
    ] {
        assert_eq!(decide(turn.as_ref(), "now", held, granted_for), todo, "{turn:?} {held} {granted_for:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any call fails, the machine reboots and the daemon restarts at any time, and in the end nothing is held, drained or remembered.
    #[test]
    fn nothing_stays_behind(deeds in proptest::collection::vec(0..6_u8, 0..20), fails in proptest::collection::btree_set(0..200_usize, 0..40)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let world = Fake::default();
            world.with(|stage| stage.fails_at = fails);
            let mut number = 1;
            let mut coordinator = boot(&world, number);
            for deed in deeds {
                match deed {
                    0 | 1 => {
                        if coordinator.pre_reboot(None).await.is_ok() {
                            let ready = world.with(|stage| stage.held && stage.drained && stage.leaving && stage.file.as_ref().is_some_and(|turn| turn.granted));
                            assert!(ready, "said yes without being ready");
                        }
                    }
                    2 => drop(coordinator.steady_state().await),
                    3 => drop(coordinator.look_after().await),
                    4 => coordinator = boot(&world, number),
                    _ => {
                        number += 1;
                        coordinator = boot(&world, number);
                    }
                }
            }
            world.with(|stage| stage.fails_at.clear());
            world.with(|stage| stage.time += GRANT_GOOD_FOR);
            for _ in 0..3 {
                coordinator.look_after().await;
            }
            world.with(|stage| assert!(!stage.held && !stage.drained && !stage.leaving && stage.file.is_none(), "{stage:?}"));
        });
    }
}
