//! Why bytes are no configuration.

use std::sync::Arc;

/// Why bytes are no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing says what they are.
    #[error("this is neither a configuration nor a script")]
    UnknownFormat {
        /// Name of the source.
        file: Arc<str>,
        /// Line of its beginning.
        line: usize,
        /// The first line.
        first: String,
    },
    /// They are not what they say they are.
    #[error("this is not {what}")]
    Undecodable {
        /// Name of the source.
        file: Arc<str>,
        /// Line of the mistake.
        line: usize,
        /// What it should be.
        what: &'static str,
    },
    /// A limit is passed.
    #[error("more than {limit} {what}")]
    TooLarge {
        /// Name of the source.
        file: Arc<str>,
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
}

impl ReadError {
    /// Name of the source.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::UnknownFormat { file, .. } | Self::Undecodable { file, .. } | Self::TooLarge { file, .. } => file,
        }
    }

    /// Line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        match self {
            Self::UnknownFormat { line, .. } | Self::Undecodable { line, .. } => *line,
            Self::TooLarge { .. } => 1,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownFormat { first, .. } if first.trim_start_matches('\u{feff}').trim() == "#cloud-config" => {
                "nothing may stand before `#cloud-config`, not even a byte order mark or a blank".to_owned()
            }
            Self::UnknownFormat { first, .. } if first.starts_with("#cloud-config") => {
                "nothing may follow `#cloud-config` on its line".to_owned()
            }
            Self::UnknownFormat { .. } => "begin with the line `#cloud-config`, or with `#!` and an interpreter".to_owned(),
            Self::Undecodable { .. } => "save or encode it again".to_owned(),
            Self::TooLarge { .. } => "fetch large files with `url` in `write_files`".to_owned(),
        }
    }
}
