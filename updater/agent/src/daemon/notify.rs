//! Telling the service manager how it goes.

use std::time::Duration;

use sd_notify::NotifyState;

/// Who is told how it goes.
pub trait Notifier {
    /// The daemon answers from now on.
    fn ready(&self);
    /// One line for `systemctl status`.
    fn status(&self, text: &str);
    /// The loop is alive.
    fn alive(&self);
    /// The daemon is ending.
    fn stopping(&self);
    /// How often [`Self::alive`] is expected, if at all.
    fn alive_every(&self) -> Option<Duration>;
}

/// systemd, when it is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Systemd;

impl Systemd {
    fn tell(state: NotifyState<'_>) {
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::debug!(%error, "telling systemd");
        }
    }
}

impl Notifier for Systemd {
    fn ready(&self) {
        Self::tell(NotifyState::Ready);
    }

    fn status(&self, text: &str) {
        Self::tell(NotifyState::Status(text));
    }

    fn alive(&self) {
        Self::tell(NotifyState::Watchdog);
    }

    fn stopping(&self) {
        Self::tell(NotifyState::Stopping);
    }

    fn alive_every(&self) -> Option<Duration> {
        // Twice as often as asked for, so that one late wake-up is no death.
        sd_notify::watchdog_enabled().map(|limit| limit / 2)
    }
}

/// Nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Notifier for Silent {
    fn ready(&self) {}
    fn status(&self, _text: &str) {}
    fn alive(&self) {}
    fn stopping(&self) {}
    fn alive_every(&self) -> Option<Duration> {
        None
    }
}
