//! Why there is no answer, and whether to ask again.

use std::time::Duration;

use crate::wire::{Fault, WrongAnswer, code};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client cannot be prepared.
    #[error("preparing HTTP: {0}")]
    Setup(String),
    /// The network does not carry it, for now.
    #[error("{address} cannot be reached: {cause}")]
    Network {
        /// The address, without its token.
        address: String,
        /// What failed.
        cause: String,
    },
    /// Time is up.
    #[error("{address} did not answer within {} s", waited.as_secs_f32())]
    Timeout {
        /// The address, without its token.
        address: String,
        /// How long was waited.
        waited: Duration,
    },
    /// A server or a proxy failed, or asks for patience.
    #[error("{address} answered with HTTP status {status}")]
    Status {
        /// The address, without its token.
        address: String,
        /// HTTP status.
        status: u16,
    },
    /// The discovery service says no.
    #[error("the discovery service says: {} ({})", .0.message, .0.cause)]
    Fault(Fault),
    /// There is nothing at this address.
    #[error("the discovery service knows no such token; it may have expired: ask .../discovery/new?size=3 for another one")]
    NoToken,
    /// Something else is written under our identifier.
    #[error(
        "something else is registered under `{id}`, and this machine's secret does not open it; remove it with: curl -X DELETE ADDRESS/{id}"
    )]
    Taken {
        /// The identifier.
        id: String,
    },
    /// The answer makes no sense.
    #[error(transparent)]
    Answer(#[from] WrongAnswer),
    /// A member's entry that cannot be sent.
    #[error(transparent)]
    Member(#[from] crate::member::Wrong),
}

impl Error {
    /// Whether the same question may well be answered later.
    #[must_use]
    pub fn passing(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Timeout { .. } => true,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425 | 429),
            Self::Fault(fault) => matches!(fault.error_code, code::INTERNAL | 301 | code::CLEARED),
            _ => false,
        }
    }
}
