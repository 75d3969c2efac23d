//! From switching the machine on to the moment it rests: the real daemon, boot after boot.

use std::cell::Cell;
use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::computer::{check, objects, power_on};
use super::disk::{Fault, Forgets, Power, STATE, TwinDisk};
use super::host::TwinHost;
use super::image::Image;
use super::story::{Act, RELEASES, Scenario, Story};
use crate::config::Settings;
use crate::daemon::host::Host;
use crate::daemon::{Clock, Command, Daemon, Reply, Request, Silent};
use crate::history::History;
use crate::machine::{Machine, Now, Status, TransitionError};
use crate::store::Store;

/// Boots within which a machine must come to rest, whatever happened to it before: a trial, the way back, and one attempt more.
pub(super) const BOOTS_MAX: u32 = 8;
/// A boot that does not rest within this time never will: most of a day of growing waits between attempts.
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// What is needed to run machines, made once per thread.
pub(super) struct Bench {
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, strategy) in [("immediate", "immediate"), ("by-hand", "off")] {
            let path = folder.path().join(name).join("etc/slipway");
            std::fs::create_dir_all(&path).unwrap();
            let text = format!(
                "server = \"http://10.0.2.2\"\n[check]\ninterval = \"1m\"\njitter = \"0s\"\nfirst = \"1s\"\nmetadata = \"168h\"\n\
                 [reboot]\nwait-for-users = \"0s\"\nstrategy = \"{strategy}\"\n"
            );
            std::fs::write(path.join("updater.toml"), text).unwrap();
        }
        Self { runtime, folder }
    }
}

/// What goes wrong in a run beside power cuts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trouble {
    pub(super) forgets: Option<Forgets>,
    /// The access with this number, counted over all boots, fails.
    pub(super) fault: Option<(usize, Fault)>,
}

/// How a run went.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Every moment at which the power could have gone.
    pub(super) moments: Vec<super::disk::Moment>,
    /// What is on the disk once the machine rests, and what happened until then.
    pub(super) end: Option<(Image, Story)>,
    /// The first rule that was broken.
    pub(super) violation: Option<String>,
    /// Accesses that changed something.
    pub(super) accesses: usize,
    /// What failed, if something was told to.
    pub(super) faulted: Option<String>,
    /// Every error the daemon showed.
    pub(super) errors: Vec<String>,
    pub(super) boots: u32,
}

/// Time that passes while nothing is being done, and only then.
#[derive(Debug, Clone, Default)]
struct Passing {
    now: Rc<Cell<Duration>>,
    busy: Rc<Cell<u32>>,
    /// Each boot is an hour after the one before.
    boots: u32,
}

impl Clock for Passing {
    fn now(&self) -> Now {
        let wall = self.now.get().as_secs() + u64::from(self.boots) * 3600;
        Now { mono: self.now.get(), ..crate::machine::test_support::now(wall) }
    }

    async fn sleep(&self, duration: Duration) {
        poll_fn(|_| {
            // Whoever is busy wakes the daemon when he is done.
            if self.busy.get() > 0 {
                return Poll::Pending;
            }
            self.now.set(self.now.get() + duration.max(Duration::from_millis(1)));
            Poll::Ready(())
        })
        .await;
    }
}

/// Runs the machine from `image` until it rests.
pub(super) fn run(bench: &Bench, scenario: &Scenario, image: Image, story: Story, trouble: Trouble) -> Run {
    let mut run = Run::default();
    let (mut image, mut story) = (image, story);
    for boot in 1..=BOOTS_MAX {
        run.boots = boot;
        let (slot, version) = match power_on(&mut image, &mut story, scenario) {
            Ok(started) => started,
            Err(why) => {
                run.violation = Some(why);
                return run;
            }
        };
        let mut power = Power::on(image, story);
        power.forgets = trouble.forgets;
        power.fault = trouble.fault.and_then(|(at, fault)| Some((at.checked_sub(run.accesses)?, fault)));
        power.untouchable = objects(slot).to_vec();
        let disk = TwinDisk(Arc::new(Mutex::new(power)));
        let rested = daemon(bench, scenario, &disk, &TwinHost::new(disk.clone(), *scenario, slot, &version), &mut run.errors);
        let mut power = disk.power();
        run.moments.append(&mut power.moments);
        run.accesses += power.accesses;
        run.faulted = run.faulted.or(power.faulted.take());
        run.violation = power.violation.take();
        if run.violation.is_some() {
            return run;
        }
        if !power.off {
            // It rests: all is written out in time.
            power.shut_down();
        }
        (image, story) = (std::mem::take(&mut power.durable), power.story.clone());
        if let Err(broken) = check(&image) {
            run.violation = Some(format!("after boot {boot}: {broken}"));
            return run;
        }
        if rested {
            run.end = Some((image, story));
            return run;
        }
    }
    run.violation = Some(format!("no rest within {BOOTS_MAX} boots"));
    run
}

/// One boot. Answers whether the machine rests at its end; else it went down.
fn daemon(bench: &Bench, scenario: &Scenario, disk: &TwinDisk, host: &TwinHost, errors: &mut Vec<String>) -> bool {
    let opened = Store::open(Arc::new(disk.clone()), Path::new(STATE)).and_then(|store| Ok((store.load()?, store)));
    let (loaded, store) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            disk.power().break_rule(format!("the state cannot be opened: {error}"));
            return false;
        }
    };
    if let Some(damage) = loaded.damage {
        disk.power().break_rule(damage);
        return false;
    }
    let config_root = bench.folder.path().join(if scenario.by_hand { "by-hand" } else { "immediate" });
    let machine = Machine::new(host.booted(), loaded.persisted, Settings::default());
    let (status, mut shown) = watch::channel(machine.status());
    let (requests, commands) = mpsc::channel(1);
    let (_reload, reloads) = mpsc::channel(1);
    let clock = Passing { busy: Rc::clone(&host.busy), boots: disk.power().story.boots, ..Passing::default() };
    let daemon = Daemon {
        machine,
        host,
        store,
        history: History::new(&bench.folder.path().join("nowhere")),
        config_root,
        metrics: bench.folder.path().join("nowhere/metrics"),
        clock: clock.clone(),
        notifier: Silent,
        commands,
        status,
    };
    let mut asked: Option<oneshot::Receiver<Result<Reply, TransitionError>>> = None;
    let mut rested = false;
    let story = poll_fn(|_| {
        let status = shown.borrow_and_update().clone();
        if let Some(error) = status.last_error.as_ref().filter(|error| errors.last() != Some(error)) {
            errors.push(error.clone());
        }
        let mut power = disk.power();
        if power.off || power.violation.is_some() {
            return Poll::Ready(());
        }
        if clock.now.get() > TIME_MAX {
            power.break_rule(format!("no rest in {} s: {} ({:?})", TIME_MAX.as_secs(), status.state, status.last_error));
            return Poll::Ready(());
        }
        if asked.as_mut().is_some_and(|answer| answer.try_recv() == Err(oneshot::error::TryRecvError::Empty)) || host.busy.get() > 0 {
            return Poll::Pending;
        }
        asked = None;
        let step = scenario.steps.get(power.story.step);
        let request = match step {
            Some(step) if step.when == status.state && (step.when != "idle" || host.checks.get() > 0) => {
                power.story.step += 1;
                host.checks.set(0);
                match step.act {
                    Act::Offer(offer) => {
                        power.story.offer = offer;
                        None
                    }
                    Act::Reboot => Some(Request::Reboot { now: false }),
                    Act::Rollback => Some(Request::Rollback),
                    Act::Cancel => Some(Request::Cancel),
                }
            }
            // What was asked for was lost with the power; the operator asks again.
            None if status.state == "waiting-for-reboot" && scenario.by_hand => Some(Request::Reboot { now: false }),
            // A step whose state never comes again, because a power cut led elsewhere, is not waited for.
            step if is_at_rest(&status, &power.story) && host.checks.get() > u32::from(step.is_some()) => {
                rested = true;
                return Poll::Ready(());
            }
            _ => None,
        };
        if let Some(request) = request {
            let (reply, answer) = oneshot::channel();
            requests.try_send(Command { request, reply }).unwrap();
            asked = Some(answer);
        }
        Poll::Pending
    });
    bench.runtime.block_on(daemon.run(story, reloads));
    rested
}

/// Nothing is under way, and nothing is going to be tried again by itself.
fn is_at_rest(status: &Status, story: &Story) -> bool {
    let offered = story.offer.map(|index| &RELEASES[index].release.version);
    let again = status.attempts.as_ref().is_some_and(|attempts| Some(&attempts.version) == offered);
    (status.state == "idle" || status.state == "rolled-back") && status.unsent_events == 0 && !again
}
