//! What happened on a machine.

pub mod error_code;

use std::fmt;

/// Something that happened to an application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Which step it was about.
    pub kind: EventType,
    /// How that ended.
    pub result: EventResult,
    /// As sent, flag bits included; see [`Event::error`].
    pub error_code: Option<i64>,
    /// The version before; stock clients send it empty when nothing was updated.
    pub previous_version: Option<String>,
    /// Our extension: why it failed, for people; at most [`crate::limits::MAX_CAUSE_BYTES`] bytes.
    pub cause: Option<String>,
    /// The release it was about, as `nextversion`.
    pub release: Option<String>,
}

impl Event {
    /// Bits of an error code that hold the code; those above say where the client found it (custom server, test image, resumed).
    pub const ERROR_MASK: i64 = 0x0FFF_FFFF;

    /// An event without further values.
    #[must_use]
    pub fn new(kind: EventType, result: EventResult) -> Self {
        Self { kind, result, ..Self::default() }
    }

    /// The error code without its flag bits.
    #[must_use]
    pub fn error(&self) -> Option<i64> {
        self.error_code.map(|code| code & Self::ERROR_MASK)
    }

    /// Stock clients end *every* check with `3/2`; only with a previous version that is one does it mean a finished update.
    #[must_use]
    pub fn is_completed_update(&self) -> bool {
        self.kind == EventType::UPDATE_COMPLETE
            && self.result == EventResult::SUCCESS_REBOOT
            && self.previous_version.as_deref().is_some_and(|version| !matches!(version, "" | "0.0.0.0"))
    }

    /// The machine updated, and came back with what it had before.
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        self.kind == EventType::UPDATE_COMPLETE && self.result == EventResult::ERROR && self.error() == Some(error_code::ROLLBACK)
    }
}

/// Which step an event is about: the numbers of Google's list, of which others occur than have a name here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventType(pub u32);

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventResult(pub u32);

macro_rules! numbers {
    ($type:ident { $($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)* }) => {
        impl $type {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// What the number means, in a few words.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

numbers!(EventType {
    /// Nothing in particular.
    UNKNOWN = 0 "unknown",
    /// The download is complete.
    DOWNLOAD_COMPLETE = 1 "download complete",
    /// The installation is complete.
    INSTALL_COMPLETE = 2 "install complete",
    /// The update is complete: applied (result 1), or booted and working (result 2).
    UPDATE_COMPLETE = 3 "update complete",
    /// Uninstalled.
    UNINSTALL = 4 "uninstall",
    /// The download of an installation started.
    DOWNLOAD_STARTED = 5 "download started",
    /// The installation started.
    INSTALL_STARTED = 6 "install started",
    /// The installation of a new application started.
    NEW_INSTALL_STARTED = 9 "new application install started",
    /// The setup started.
    SETUP_STARTED = 10 "setup started",
    /// The setup finished.
    SETUP_FINISHED = 11 "setup finished",
    /// The update of an application started.
    UPDATE_APP_STARTED = 12 "update started",
    /// The download of an update started.
    UPDATE_DOWNLOAD_STARTED = 13 "update download started",
    /// The download of an update finished.
    UPDATE_DOWNLOAD_FINISHED = 14 "update download finished",
    /// The installer of an update started.
    UPDATE_INSTALLER_STARTED = 15 "update installer started",
    /// The update of the updater began.
    SETUP_UPDATE_BEGIN = 16 "setup update begin",
    /// The update of the updater is complete.
    SETUP_UPDATE_COMPLETE = 17 "setup update complete",
    /// A product was registered.
    REGISTER_PRODUCT_COMPLETE = 20 "product registered",
    /// First check of an OEM's installation.
    OEM_FIRST_CHECK = 30 "OEM first check",
    /// A command of an application started.
    APP_COMMAND_STARTED = 40 "application command started",
    /// A command of an application ended.
    APP_COMMAND_ENDED = 41 "application command ended",
    /// A check failed (sampled).
    UPDATE_CHECK_FAILURE = 50 "update check failure",
    /// The machine rebooted into an update (Fuchsia, ChromeOS).
    REBOOTED_AFTER_UPDATE = 54 "rebooted after update",
    /// The setup failed.
    SETUP_FAILURE = 100 "setup failure",
    /// The COM server failed.
    COM_FAILURE = 102 "COM server failure",
    /// The update of the updater failed.
    SETUP_UPDATE_FAILURE = 103 "setup update failure",
    /// Installed, but the machine holds its completion back (Nebraska).
    INSTALLED_ON_HOLD = 800 "installed, on hold",
});

numbers!(EventResult {
    /// It failed.
    ERROR = 0 "error",
    /// It succeeded.
    SUCCESS = 1 "success",
    /// It succeeded, with a reboot.
    SUCCESS_REBOOT = 2 "success, reboot",
    /// It succeeded, and the application must be restarted.
    SUCCESS_RESTART = 3 "success, restart",
    /// It was cancelled.
    CANCELLED = 4 "cancelled",
    /// The MSI installer failed.
    MSI_ERROR = 5 "MSI installer error",
    /// Another installer failed.
    INSTALLER_ERROR = 6 "installer error",
    /// There was no update.
    NO_UPDATE = 7 "no update",
    /// The system's installer failed.
    SYSTEM_INSTALLER_ERROR = 8 "system installer error",
    /// Put off by policy.
    DEFERRED = 9 "deferred",
    /// The hand-off to another installer failed.
    HANDOFF_ERROR = 10 "hand-off error",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_bits_are_masked() {
        for (sent, error) in [
            (44, 44),
            (268_435_456 + 37, 37),
            (268_435_456 + 2404, 2404),
            (-2_147_483_648 + 9, 9),
            (0x7000_0000 | 10, 10),
            (i64::MIN, 0),
            (i64::MAX, 0x0FFF_FFFF),
        ] {
            assert_eq!(Event { error_code: Some(sent), ..Event::default() }.error(), Some(error), "{sent}");
        }
        assert_eq!(Event::default().error(), None);
        assert_eq!(error_code::describe(44), "rolled back");
        assert_eq!(error_code::describe(-1), "unknown error");
    }

    #[test]
    fn only_a_real_previous_version_completes_an_update() {
        let event =
            |previous: Option<&str>| Event { previous_version: previous.map(Into::into), ..Event::new(EventType(3), EventResult(2)) };
        assert!(event(Some("1.0.0")).is_completed_update());
        for previous in [None, Some(""), Some("0.0.0.0")] {
            assert!(!event(previous).is_completed_update(), "{previous:?}");
        }
        assert!(!Event { result: EventResult::SUCCESS, ..event(Some("1.0.0")) }.is_completed_update());
    }

    #[test]
    fn a_rollback_is_recognised() {
        let event = Event { error_code: Some(44), ..Event::new(EventType::UPDATE_COMPLETE, EventResult::ERROR) };
        assert!(event.is_rollback());
        assert!(!Event { error_code: Some(43), ..event.clone() }.is_rollback());
        assert!(!Event { result: EventResult::SUCCESS, ..event.clone() }.is_rollback());
        assert!(!Event { kind: EventType(13), ..event }.is_rollback());
    }

    #[test]
    fn numbers_have_names() {
        assert_eq!(EventType(13).name(), Some("update download started"));
        assert_eq!(EventType(7).name(), None);
        assert_eq!((EventResult(9).name(), EventResult(11).name()), (Some("deferred"), None));
        assert_eq!(EventType(4_000_000_000).to_string(), "4000000000");
    }
}
