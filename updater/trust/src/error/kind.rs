//! A coarse reading of errors.

use super::Error;

/// A coarse reading of an [`Error`], for exit codes, metrics and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Signatures, keys, thresholds.
    WrongKey,
    /// Expired: an operator's omission or a freeze attack. Raise an alarm.
    Expired,
    /// Rollback or two contents under one version.
    Older,
    /// The files do not belong together, or a target's bytes are not those signed.
    Mismatch,
    /// Not metadata, or beyond a limit.
    Malformed,
    /// The repository is incomplete.
    Missing,
    /// The caller's mistake, not the repository's.
    Usage,
}

impl Kind {
    /// One word for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongKey => "wrong-key",
            Self::Expired => "expired",
            Self::Older => "older",
            Self::Mismatch => "mismatch",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Usage => "usage",
        }
    }
}

impl Error {
    /// What sort of trouble this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Signatures { .. } | Self::DuplicateSignature { .. } | Self::KeyId { .. } | Self::Key { .. } | Self::Unmeetable { .. } => {
                Kind::WrongKey
            }
            Self::Expired { .. } => Kind::Expired,
            Self::Rollback { .. } | Self::Vanished { .. } | Self::SameVersion { .. } => Kind::Older,
            Self::RootVersion { .. } | Self::VersionMismatch { .. } | Self::Length { .. } | Self::Digest { .. } => Kind::Mismatch,
            Self::Json { .. }
            | Self::Malformed { .. }
            | Self::WrongType { .. }
            | Self::TooManyRoots
            | Self::VersionTooHigh { .. }
            | Self::TooLarge { .. }
            | Self::Name { .. } => Kind::Malformed,
            Self::Missing { .. } => Kind::Missing,
            Self::OutOfOrder | Self::MissingSigners { .. } | Self::Signing { .. } | Self::Edit(_) => Kind::Usage,
        }
    }
}
