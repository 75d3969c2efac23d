//! Errors as they travel over D-Bus.

use crate::machine::TransitionError;

/// What can go wrong with a request. The names on the bus are `org.slipway.Updater1.Error.*`.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.slipway.Updater1.Error")]
pub enum UpdaterError {
    /// The bus itself.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// Not now.
    Busy(String),
    /// Not here.
    Refused(String),
    /// Not by this caller.
    NotAuthorized(String),
    /// The request makes no sense.
    Invalid(String),
    /// The daemon is ending.
    Stopping(String),
}

impl From<TransitionError> for UpdaterError {
    fn from(error: TransitionError) -> Self {
        match &error {
            TransitionError::Busy { .. } | TransitionError::Unexpected { .. } => Self::Busy(error.to_string()),
            TransitionError::Refused { .. } => Self::Refused(error.to_string()),
        }
    }
}
