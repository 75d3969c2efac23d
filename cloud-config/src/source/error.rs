//! What can go wrong while looking for a configuration. Every message names the source, the object and what to do.

use std::time::Duration;

use super::{SourceId, http::HttpError};

/// Why the search ended without an answer.
///
/// A source that is there and broken ends the search: going on to a lower one would let whoever breaks the first choose
/// the configuration.
#[derive(Debug, thiserror::Error)]
#[error("data source {source_id}: {error}")]
pub struct FindError {
    /// The source that is at fault.
    pub source_id: SourceId,
    /// What is wrong with it.
    pub error: SourceError,
}

/// What is wrong with a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Something local cannot be read.
    #[error("reading {place}: {error}")]
    Read {
        /// File, device or key.
        place: String,
        /// Why.
        error: ReadError,
    },
    /// The platform did not answer in time.
    #[error("{url} did not answer within {} s, the time this source may take ({last}); the boot goes on without it", budget.as_secs())]
    Budget {
        /// What was asked for.
        url: String,
        /// What the source may take in total.
        budget: Duration,
        /// How the last try failed.
        last: String,
    },
    /// The platform answered in a way that does not get better by asking again.
    #[error("{url}: {error}")]
    Http {
        /// What was asked for.
        url: String,
        /// What came.
        error: HttpError,
    },
    /// The platform answered with an unexpected HTTP status.
    #[error("{url} answered with HTTP status {status}{hint}")]
    Status {
        /// What was asked for.
        url: String,
        /// What came.
        status: u16,
        /// What it usually means; empty, or a clause that begins with a separator.
        hint: &'static str,
    },
    /// The answer does not come from whom it should.
    #[error("{url} answers without the header {header}: this is not the platform's metadata service")]
    Stranger {
        /// What was asked for.
        url: String,
        /// The missing header.
        header: &'static str,
    },
    /// Text was expected.
    #[error("{place} is not UTF-8 text")]
    NotText {
        /// File or URL.
        place: String,
    },
    /// A document cannot be read at all.
    #[error("{place} is not {what}: {reason}")]
    Malformed {
        /// File or URL.
        place: String,
        /// What it should be.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// One value is wrong.
    #[error("{place}: `{field}` {reason}")]
    Field {
        /// File or URL.
        place: String,
        /// The value's name in it.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// More than one disk claims to be the source.
    #[error("more than one disk is labelled `{label}` ({devices}); detach all but the one that is meant")]
    Ambiguous {
        /// The label.
        label: &'static str,
        /// The devices.
        devices: String,
    },
    /// A person asked for a source that this machine does not have.
    #[error("this machine does not have it: {missing}")]
    Absent {
        /// What would have to be there.
        missing: &'static str,
    },
}

/// Why something local cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is larger than it may be.
    #[error("it has more than {0} bytes, the most that is taken")]
    TooLarge(usize),
    /// Not allowed.
    #[error("permission denied; run this as root")]
    NotPermitted,
    /// A link on a medium leads away from it.
    #[error("a link in its path leads out of the medium, which is not followed")]
    Escapes,
    /// A directory, device or pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// Anything else.
    #[error("{0}")]
    Io(String),
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => Self::NotPermitted,
            _ => Self::Io(error.to_string()),
        }
    }
}

impl SourceError {
    /// A wrong value.
    pub(crate) fn field(place: &str, field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Field { place: place.to_owned(), field: field.into(), reason: reason.into() }
    }

    /// A document that cannot be read.
    pub(crate) fn malformed(place: &str, what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Malformed { place: place.to_owned(), what, reason: reason.to_string() }
    }

    /// For `map_err` where something local is read.
    pub(crate) fn read(place: impl Into<String>) -> impl FnOnce(ReadError) -> Self {
        move |error| Self::Read { place: place.into(), error }
    }
}
