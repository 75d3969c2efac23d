//! The other side of the interface, for the command line.

use zbus::proxy;

use super::UpdaterError;

/// A running updater.
#[proxy(interface = "org.slipway.Updater1", default_service = "org.slipway.Updater1", default_path = "/org/slipway/Updater1")]
pub trait Updater {
    /// See [`super::Updater`].
    fn check(&self) -> Result<u64, UpdaterError>;
    /// See [`super::Updater`].
    fn apply(&self, despite_quarantine: &str) -> Result<u64, UpdaterError>;
    /// See [`super::Updater`].
    fn reboot(&self) -> Result<(), UpdaterError>;
    /// See [`super::Updater`].
    fn reboot_now(&self) -> Result<(), UpdaterError>;
    /// See [`super::Updater`].
    fn rollback(&self) -> Result<u64, UpdaterError>;
    /// See [`super::Updater`].
    fn cancel(&self) -> Result<(), UpdaterError>;
    /// See [`super::Updater`].
    fn why(&self) -> Result<String, UpdaterError>;
    /// See [`super::Updater`].
    fn history(&self, count: u32) -> Result<String, UpdaterError>;
    /// See [`super::Updater`].
    fn status(&self) -> Result<String, UpdaterError>;
}
