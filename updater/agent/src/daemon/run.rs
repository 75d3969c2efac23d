//! The loop.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::clock::Clock;
use super::command::{Command, Reply, Request};
use super::host::Host;
use super::notify::Notifier;
use super::work::{self, Job};
use crate::config;
use crate::history::{Entry, History};
use crate::machine::{Effect, Input, Machine, State, Status, TransitionError};
use crate::store::Store;
use crate::{metrics, why};

/// The configuration is read this often even without a check: a file that was wrong may have been put right.
const RE_READ: Duration = Duration::from_secs(5 * 60);
/// Most entries of the history in one answer.
const HISTORY_MAX: usize = 1000;

/// The daemon: a machine, the host it decides for, and the disk it remembers on.
pub struct Daemon<'h, H, C, N> {
    /// The mind.
    pub machine: Machine,
    /// The body.
    pub host: &'h H,
    /// The memory.
    pub store: Store,
    /// What happened.
    pub history: History,
    /// Where the configuration files are; `/` but for tests.
    pub config_root: PathBuf,
    /// Where the figures are published.
    pub metrics: PathBuf,
    /// The time.
    pub clock: C,
    /// Whom to tell.
    pub notifier: N,
    /// What operators want.
    pub commands: mpsc::Receiver<Command>,
    /// What the outside sees.
    pub status: watch::Sender<Status>,
}

/// What is going on beside the machine.
struct Jobs<'h> {
    work: Option<Job<'h>>,
    report: Option<Job<'h>>,
    users: Option<Job<'h>>,
    ping: Option<Job<'h>>,
    warning: Option<std::pin::Pin<Box<dyn Future<Output = ()> + 'h>>>,
    /// A turn that is being given up.
    give_up: Option<std::pin::Pin<Box<dyn Future<Output = ()> + 'h>>>,
    progress: watch::Sender<(u64, u64)>,
}

impl<'h, H: Host, C: Clock, N: Notifier> Daemon<'h, H, C, N> {
    /// Runs until `shutdown` is done. `reload` says when to read the configuration again.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>, mut reload: mpsc::Receiver<()>) {
        let (progress, mut progressed) = watch::channel((0, 0));
        let mut jobs = Jobs { work: None, report: None, users: None, ping: None, warning: None, give_up: None, progress };
        let mut shutdown = std::pin::pin!(shutdown);
        self.read_settings(&mut jobs);
        self.feed(Input::Start, &mut jobs);
        self.notifier.ready();
        let mut alive = self.notifier.alive_every().map(tokio::time::interval);
        let mut re_read = self.clock.now().mono + RE_READ;
        loop {
            self.publish();
            let now = self.clock.now();
            if re_read <= now.mono {
                re_read = now.mono + RE_READ;
                self.read_settings(&mut jobs);
                continue;
            }
            let sleep = self.machine.sleep(now).unwrap_or(RE_READ).min(re_read - now.mono);
            let input = tokio::select! {
                biased;
                () = &mut shutdown => break,
                input = maybe(&mut jobs.work) => { jobs.work = None; input }
                input = maybe(&mut jobs.report) => { jobs.report = None; input }
                input = maybe(&mut jobs.users) => { jobs.users = None; input }
                input = maybe(&mut jobs.ping) => { jobs.ping = None; input }
                () = maybe(&mut jobs.warning) => { jobs.warning = None; continue }
                () = maybe(&mut jobs.give_up) => { jobs.give_up = None; continue }
                Some(command) = self.commands.recv() => { self.command(command, &mut jobs); continue }
                Some(()) = reload.recv() => { self.read_settings(&mut jobs); continue }
                Ok(()) = progressed.changed() => {
                    let (done, total) = *progressed.borrow_and_update();
                    Input::Progress { done, total }
                }
                () = beat(&mut alive) => { self.notifier.alive(); continue }
                () = self.clock.sleep(sleep) => Input::Tick,
            };
            self.feed(input, &mut jobs);
        }
        // Dropping the work cancels it; the state on disk already says how far it was.
        drop(jobs);
        self.notifier.stopping();
        tracing::info!(state = self.machine.state().name(), "stopped");
    }

    /// Gives `input` to the machine and does what it answers, and so on until it has nothing more to say at once.
    fn feed(&mut self, input: Input, jobs: &mut Jobs<'h>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let label = input.label();
            match self.machine.step(input, self.clock.now()) {
                Ok(effects) => inputs.extend(self.execute(effects, jobs)),
                Err(TransitionError::Unexpected { state, .. }) if label == "progress" => tracing::trace!(state, "late progress"),
                Err(error) => tracing::warn!(%error, "input without a use"),
            }
        }
    }

    /// Does `effects` in order; what follows at once is returned.
    fn execute(&mut self, effects: Vec<Effect>, jobs: &mut Jobs<'h>) -> Vec<Input> {
        let mut follow = Vec::new();
        let mut unwritten: Option<String> = None;
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Persist => match self.store.save(self.machine.persisted()) {
                    Ok(()) => unwritten = None,
                    Err(error) => {
                        tracing::error!(%error, "the state is not on disk");
                        unwritten = Some(error.to_string());
                    }
                },
                Effect::Log(entry) => {
                    self.tell(&entry);
                    if let Err(error) = self.history.append(&entry) {
                        tracing::warn!(%error, "the history could not be written");
                    }
                }
                Effect::Work(work) => {
                    if let Some(input) = unwritten.as_deref().and_then(|reason| work::not_begun(&work, reason)) {
                        follow.push(input);
                        continue;
                    }
                    if let crate::machine::Work::Check(_) = &work {
                        // With the settings of this moment, not of the last check.
                        let input = self.settings();
                        effects.extend(self.machine.step(input, self.clock.now()).unwrap_or_default());
                    }
                    tracing::debug!(?work, "begin");
                    // A turn that is asked for while the one before is being given up must not be taken for that one.
                    let first = if matches!(work, crate::machine::Work::TakeTurn(_)) { jobs.give_up.take() } else { None };
                    let job = work::begin(self.host, &self.machine, work, jobs.progress.clone());
                    jobs.work = Some(match first {
                        Some(first) => Box::pin(async move {
                            first.await;
                            job.await
                        }),
                        None => job,
                    });
                }
                Effect::CancelWork => jobs.work = None,
                Effect::Report(event) => jobs.report = Some(work::report(self.host, &self.machine, event)),
                Effect::Ping => jobs.ping = Some(work::ping(self.host, &self.machine)),
                Effect::AskUsers => {
                    let host = self.host;
                    jobs.users = Some(Box::pin(async move { Input::Users(host.logged_in_users().await) }));
                }
                Effect::GiveUpTurn => {
                    let host = self.host;
                    jobs.give_up = Some(Box::pin(async move { host.give_up_turn().await }));
                }
                Effect::WarnUsers(text) => {
                    tracing::info!("{text}");
                    let host = self.host;
                    jobs.warning = Some(Box::pin(async move { host.warn_users(&text).await }));
                }
            }
        }
        follow
    }

    /// Into the journal, with fields to look for: `journalctl SLIPWAY_VERSION=1.2.3`.
    fn tell(&self, entry: &Entry) {
        let (message_id, state) = (entry.what.message_id(), self.machine.state().name());
        let version = entry.version.as_ref().map(tracing::field::display);
        if entry.what.is_trouble() {
            tracing::warn!(message_id, event = %entry.what, state, version, cause = entry.text, "{}", entry.text);
        } else {
            tracing::info!(message_id, event = %entry.what, state, version, "{}", entry.text);
        }
    }

    fn read_settings(&mut self, jobs: &mut Jobs<'h>) {
        let input = self.settings();
        self.feed(input, jobs);
    }

    /// Reads the configuration.
    fn settings(&self) -> Input {
        match config::load(&self.config_root) {
            Ok(loaded) => {
                if loaded.settings != *self.machine.settings() {
                    for note in &loaded.notes {
                        tracing::warn!("{note}");
                    }
                }
                Input::Settings(Box::new(loaded.settings))
            }
            Err(error) => {
                let text = error.to_string();
                if !self.machine.has_configuration_error() {
                    tracing::error!("the configuration is not used, the last good one stays in force: {text}");
                }
                Input::SettingsError(text)
            }
        }
    }

    fn command(&mut self, command: Command, jobs: &mut Jobs<'h>) {
        let input = match command.request {
            Request::Why => {
                let now = self.clock.now();
                let text = serde_json::to_string(&why::explain(&self.machine, now)).unwrap_or_default();
                let _ = command.reply.send(Ok(Reply::Text(text)));
                return;
            }
            Request::History { count } => {
                let entries = self.history.last((count as usize).min(HISTORY_MAX)).unwrap_or_default();
                let text = serde_json::to_string(&entries).unwrap_or_default();
                let _ = command.reply.send(Ok(Reply::Text(text)));
                return;
            }
            Request::Check => Input::Check,
            Request::Apply { despite_quarantine } => Input::Apply { despite_quarantine },
            Request::Reboot { now } => Input::Reboot { now },
            Request::Rollback => Input::Rollback,
            Request::Cancel => Input::Cancel,
        };
        self.read_settings(jobs);
        tracing::info!(request = input.label(), "asked by an operator");
        let result = self.machine.step(input, self.clock.now());
        let reply = match result {
            Ok(effects) => {
                let follow = self.execute(effects, jobs);
                for input in follow {
                    self.feed(input, jobs);
                }
                Ok(Reply::Operation(self.machine.operation()))
            }
            Err(error) => Err(error),
        };
        // Published before the answer, so that whoever gets it sees what it speaks of.
        self.publish();
        let _ = command.reply.send(reply);
    }

    fn publish(&self) {
        let status = self.machine.status();
        let line = line_of(&status, self.machine.state());
        self.status.send_if_modified(|seen| {
            if *seen == status {
                return false;
            }
            if seen.state != status.state {
                tracing::info!(from = seen.state, to = status.state, "state");
            }
            *seen = status;
            self.notifier.status(&line);
            if let Err(error) = metrics::write(&self.metrics, &metrics::collect(&self.machine)) {
                tracing::debug!(%error, path = %self.metrics.display(), "the figures could not be written");
            }
            true
        });
    }
}

fn line_of(status: &Status, state: &State) -> String {
    match (state, &status.progress) {
        (State::Fetching { release, .. }, Some(progress)) if progress.total > 0 => {
            format!("fetching {}: {} %", release.release.version, progress.done.saturating_mul(100) / progress.total)
        }
        _ => match &status.waiting {
            Some(waiting) => format!("{}: waiting for {}", status.state, waiting.text),
            None => format!("{}, version {}, slot {}", status.state, status.version, status.slot),
        },
    }
}

/// The result of the job, if there is one; else never.
async fn maybe<T>(job: &mut Option<std::pin::Pin<Box<dyn Future<Output = T> + '_>>>) -> T {
    match job {
        Some(job) => job.await,
        None => std::future::pending().await,
    }
}

async fn beat(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}
