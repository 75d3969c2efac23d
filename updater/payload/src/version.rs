//! Versions of releases.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest version, in bytes: it becomes part of folder names, partition entries and metric labels.
pub const VERSION_MAX_BYTES: usize = 64;

/// A version as semver 2.0 writes and orders it, e.g. `1.2.3` or `1.3.0-rc.1`; build metadata (`+...`) is refused, because two
/// versions that differ only there would have no order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

impl Version {
    /// The plain version `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// The numbers and the pre-release part.
    #[must_use]
    pub const fn as_semver(&self) -> &semver::Version {
        &self.0
    }
}

/// The text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// Longer than [`VERSION_MAX_BYTES`].
    #[error("a version is at most {VERSION_MAX_BYTES} bytes long, not {0}")]
    Long(usize),
    /// It has build metadata.
    #[error("version `{0}` has build metadata (`+`), which gives versions no order; leave it away")]
    Build(String),
    /// semver says no.
    #[error("`{text}` is not a version like 1.2.3: {reason}")]
    Syntax {
        /// The text, shortened.
        text: String,
        /// semver's reason.
        reason: String,
    },
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text.len() > VERSION_MAX_BYTES {
            return Err(VersionError::Long(text.len()));
        }
        let parsed =
            semver::Version::parse(text).map_err(|error| VersionError::Syntax { text: crate::excerpt(text), reason: error.to_string() })?;
        if !parsed.build.is_empty() {
            return Err(VersionError::Build(crate::excerpt(text)));
        }
        Ok(Self(parsed))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Padding works as for a string.
        f.pad(&self.0.to_string())
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_semver_says() {
        let rising = [
            "0.0.9",
            "0.1.0-alpha",
            "0.1.0-alpha.1",
            "0.1.0-alpha.beta",
            "0.1.0-rc.2",
            "0.1.0-rc.10",
            "0.1.0",
            "0.9.0",
            "0.10.0",
            "1.0.0",
            "3732.0.0",
        ];
        let versions: Vec<Version> = rising.iter().map(|text| text.parse().unwrap()).collect();
        assert!(versions.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(versions.iter().zip(rising).all(|(version, text)| version.to_string() == text));
        assert_eq!(Version::new(1, 0, 0), versions[9]);
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        let long = format!("1.0.0-{}", "a".repeat(VERSION_MAX_BYTES));
        for wrong in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "v1.2.3",
            "01.2.3",
            "1.2.3+build",
            "1.2.3-",
            " 1.2.3",
            "1.2.3\n",
            "1.2.3/..",
            "99999999999999999999.0.0",
            "-1.0.0",
            &long,
        ] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
        assert!(matches!("1.2.3+build".parse::<Version>(), Err(VersionError::Build(_))));
    }
}
