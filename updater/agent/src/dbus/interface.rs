//! Properties and methods.

use tokio::sync::{mpsc, oneshot, watch};
use zbus::message::Header;
use zbus::object_server::InterfaceRef;
use zbus::{Connection, interface};

use super::UpdaterError;
use super::authority::{self, Action};
use crate::daemon::{Command, Reply, Request};
use crate::machine::Status;

/// Shortest time between two signals about progress: a person cannot read faster, and a bus has better things to do.
const PROGRESS_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// The object behind the interface.
#[derive(Debug)]
pub struct Updater {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    /// What the properties show; follows `status` in [`publish`].
    shown: Status,
}

impl Updater {
    /// An object that shows `status` and hands requests to `commands`.
    #[must_use]
    pub fn new(commands: mpsc::Sender<Command>, status: watch::Receiver<Status>) -> Self {
        let shown = status.borrow().clone();
        Self { commands, status, shown }
    }

    async fn ask(&self, request: Request) -> Result<Reply, UpdaterError> {
        let stopping = || UpdaterError::Stopping("the updater is stopping".to_owned());
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command { request, reply }).await.map_err(|_| stopping())?;
        Ok(answer.await.map_err(|_| stopping())??)
    }

    async fn begin(&self, request: Request) -> Result<u64, UpdaterError> {
        match self.ask(request).await? {
            Reply::Operation(number) => Ok(number),
            Reply::Text(_) => Ok(0),
        }
    }

    async fn text(&self, request: Request) -> Result<String, UpdaterError> {
        match self.ask(request).await? {
            Reply::Text(text) => Ok(text),
            Reply::Operation(_) => Ok(String::new()),
        }
    }
}

fn text_of(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// Seconds since 1970; 0 for never.
fn seconds(at: Option<jiff::Timestamp>) -> i64 {
    at.map_or(0, jiff::Timestamp::as_second)
}

#[interface(name = "org.slipway.Updater1")]
impl Updater {
    /// Asks the server now. The number tells this request's end apart in the status.
    async fn check(&self, #[zbus(header)] header: Header<'_>, #[zbus(connection)] connection: &Connection) -> Result<u64, UpdaterError> {
        authority::allow(connection, &header, Action::Check).await?;
        self.begin(Request::Check).await
    }

    /// Installs what the server has. A version given here is installed although it is in quarantine.
    async fn apply(
        &self,
        despite_quarantine: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, UpdaterError> {
        let action = if despite_quarantine.is_empty() { Action::Apply } else { Action::ApplyQuarantined };
        authority::allow(connection, &header, action).await?;
        let despite_quarantine = match despite_quarantine.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|error: payload::version::VersionError| UpdaterError::Invalid(error.to_string()))?),
        };
        self.begin(Request::Apply { despite_quarantine }).await
    }

    /// Reboots into what is staged; where machines take turns, when it is this one's.
    async fn reboot(&self, #[zbus(header)] header: Header<'_>, #[zbus(connection)] connection: &Connection) -> Result<(), UpdaterError> {
        authority::allow(connection, &header, Action::Reboot).await?;
        self.begin(Request::Reboot { now: false }).await.map(drop)
    }

    /// Reboots into what is staged at once, without a turn.
    async fn reboot_now(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), UpdaterError> {
        authority::allow(connection, &header, Action::Reboot).await?;
        self.begin(Request::Reboot { now: true }).await.map(drop)
    }

    /// Goes back to the other slot, with a reboot and a trial.
    async fn rollback(&self, #[zbus(header)] header: Header<'_>, #[zbus(connection)] connection: &Connection) -> Result<u64, UpdaterError> {
        authority::allow(connection, &header, Action::Rollback).await?;
        self.begin(Request::Rollback).await
    }

    /// Stops what is under way; what is staged is discarded.
    async fn cancel(&self, #[zbus(header)] header: Header<'_>, #[zbus(connection)] connection: &Connection) -> Result<(), UpdaterError> {
        authority::allow(connection, &header, Action::Cancel).await?;
        self.begin(Request::Cancel).await.map(drop)
    }

    /// The rules behind the present version, as JSON.
    async fn why(&self) -> Result<String, UpdaterError> {
        self.text(Request::Why).await
    }

    /// The last entries of the history, oldest first, as JSON.
    async fn history(&self, count: u32) -> Result<String, UpdaterError> {
        self.text(Request::History { count }).await
    }

    /// Everything the properties show and more, as JSON.
    async fn status(&self) -> Result<String, UpdaterError> {
        serde_json::to_string(&*self.status.borrow()).map_err(|error| UpdaterError::Invalid(error.to_string()))
    }

    /// Where the updater is, e.g. `idle` or `waiting-for-reboot`.
    #[zbus(property)]
    fn state(&self) -> String {
        self.shown.state.clone()
    }

    /// The version that runs.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> String {
        self.shown.version.to_string()
    }

    /// The slot that runs, `a` or `b`.
    #[zbus(property(emits_changed_signal = "const"))]
    fn slot(&self) -> String {
        self.shown.slot.to_string()
    }

    /// The newer version the server offers; empty if there is none.
    #[zbus(property)]
    fn available_version(&self) -> String {
        text_of(self.shown.available.as_ref())
    }

    /// How much of an update is written, 0 to 1; -1 when none is being written.
    #[zbus(property)]
    fn progress(&self) -> f64 {
        match &self.shown.progress {
            Some(progress) if progress.total > 0 => progress.done as f64 / progress.total as f64,
            Some(_) => 0.0,
            None => -1.0,
        }
    }

    /// What went wrong last; empty if nothing did. A wrong configuration comes first.
    #[zbus(property)]
    fn last_error(&self) -> String {
        text_of(self.shown.configuration_error.as_ref().or(self.shown.last_error.as_ref()))
    }

    /// What the reboot waits for; empty when none is wanted.
    #[zbus(property)]
    fn waiting_reason(&self) -> String {
        self.shown.waiting.as_ref().map(|waiting| waiting.text.clone()).unwrap_or_default()
    }

    /// When the waiting ends by itself, in seconds since 1970; 0 if it does not.
    #[zbus(property)]
    fn waiting_until(&self) -> i64 {
        seconds(self.shown.waiting.as_ref().and_then(|waiting| waiting.until))
    }

    /// When the server last answered, in seconds since 1970; 0 for never.
    #[zbus(property)]
    fn last_checked(&self) -> i64 {
        seconds(self.shown.last_checked)
    }

    /// When it will be asked next, in seconds since 1970; 0 when that is not planned.
    #[zbus(property)]
    fn next_check(&self) -> i64 {
        seconds(self.shown.next_check)
    }

    /// Versions that failed here, each with its cause.
    #[zbus(property)]
    fn quarantined(&self) -> Vec<(String, String)> {
        self.shown.quarantine.iter().map(|entry| (entry.version.to_string(), entry.cause.clone())).collect()
    }

    /// Updates happen by themselves.
    #[zbus(property)]
    fn enabled(&self) -> bool {
        self.shown.enabled
    }

    /// Group of the machine.
    #[zbus(property)]
    fn group(&self) -> String {
        self.shown.group.clone()
    }
}

/// Follows the status and tells the bus what changed, until the daemon is gone.
pub async fn publish(object: InterfaceRef<Updater>, mut status: watch::Receiver<Status>) {
    while status.changed().await.is_ok() {
        let new = status.borrow_and_update().clone();
        if let Err(error) = show(&object, new).await {
            tracing::debug!(%error, "telling the bus");
        }
        // More changes meanwhile become one.
        tokio::time::sleep(if object.get().await.shown.progress.is_some() { PROGRESS_EVERY } else { std::time::Duration::ZERO }).await;
    }
}

async fn show(object: &InterfaceRef<Updater>, new: Status) -> zbus::Result<()> {
    let emitter = object.signal_emitter();
    let mut updater = object.get_mut().await;
    let old = std::mem::replace(&mut updater.shown, new);
    let new = &updater.shown;
    if old.state != new.state {
        updater.state_changed(emitter).await?;
    }
    if old.available != new.available {
        updater.available_version_changed(emitter).await?;
    }
    if old.progress != new.progress {
        updater.progress_changed(emitter).await?;
    }
    if old.last_error != new.last_error || old.configuration_error != new.configuration_error {
        updater.last_error_changed(emitter).await?;
    }
    if old.waiting != new.waiting {
        updater.waiting_reason_changed(emitter).await?;
        updater.waiting_until_changed(emitter).await?;
    }
    if old.last_checked != new.last_checked {
        updater.last_checked_changed(emitter).await?;
    }
    if old.next_check != new.next_check {
        updater.next_check_changed(emitter).await?;
    }
    if old.quarantine != new.quarantine {
        updater.quarantined_changed(emitter).await?;
    }
    if old.enabled != new.enabled {
        updater.enabled_changed(emitter).await?;
    }
    if old.group != new.group {
        updater.group_changed(emitter).await?;
    }
    Ok(())
}
