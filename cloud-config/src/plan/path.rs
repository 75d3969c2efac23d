//! Places on a host, as words that cannot lead anywhere else.

use std::fmt;

use serde::Serialize;

/// Longest path, in bytes; what Linux accepts (`PATH_MAX`) without its closing zero.
const LIMIT: usize = 4095;
/// Longest component, in bytes (`NAME_MAX`), less what the name of a file in the making adds.
const NAME_LIMIT: usize = 230;

/// An absolute path without `.`, `..`, empty components or control characters; never `/` itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HostPath(String);

/// Why a text is no [`HostPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is relative to something.
    #[error("`{0}` is not absolute: write it with a leading `/`")]
    Relative(String),
    /// A component climbs.
    #[error("`{0}` contains `..`: write the path it means")]
    Climbs(String),
    /// There is no file in it.
    #[error("`{0}` names no file")]
    Nothing(String),
    /// A character no path needs.
    #[error("{0:?} contains a control character")]
    Control(String),
    /// More than the system accepts.
    #[error("a path or a name in it is too long: at most {LIMIT} bytes, each name at most {NAME_LIMIT}")]
    Long,
}

impl HostPath {
    /// Reads a path; doubled and trailing slashes and `.` disappear.
    pub fn new(text: &str) -> Result<Self, PathError> {
        let rest = text.strip_prefix('/').ok_or_else(|| PathError::Relative(text.to_owned()))?;
        if text.chars().any(char::is_control) {
            return Err(PathError::Control(text.to_owned()));
        }
        let names: Vec<&str> = rest.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        if names.contains(&"..") {
            return Err(PathError::Climbs(text.to_owned()));
        }
        if names.is_empty() {
            return Err(PathError::Nothing(text.to_owned()));
        }
        if text.len() > LIMIT || names.iter().any(|name| name.len() > NAME_LIMIT) {
            return Err(PathError::Long);
        }
        Ok(Self(format!("/{}", names.join("/"))))
    }

    /// `name` in this folder; `name` must be one component.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        if name.is_empty() || name == "." {
            return Err(PathError::Nothing(name.to_owned()));
        }
        if name == ".." || name.contains('/') {
            return Err(PathError::Climbs(name.to_owned()));
        }
        Self::new(&format!("{}/{name}", self.0))
    }

    /// The path as text, with its leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder, without a leading slash (empty for the root), and the last component.
    #[must_use]
    pub fn split(&self) -> (&str, &str) {
        let (folder, name) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        (folder.strip_prefix('/').unwrap_or(folder), name)
    }

    /// The folder this is in, unless that is the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (folder, _) = self.0.rsplit_once('/')?;
        (!folder.is_empty()).then(|| Self(folder.to_owned()))
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_plain() {
        for (text, plain) in [("/etc/motd", "/etc/motd"), ("//etc/./motd/", "/etc/motd"), ("/a", "/a")] {
            assert_eq!(HostPath::new(text).unwrap().as_str(), plain);
        }
        assert_eq!(HostPath::new("/etc/motd").unwrap().split(), ("etc", "motd"));
        assert_eq!(HostPath::new("/motd").unwrap().split(), ("", "motd"));
    }

    #[test]
    fn refuses_what_could_lead_elsewhere() {
        for text in ["", "etc/motd", "/", "/./", "/etc/../shadow", "/..", "/a\nb", "/a\0b"] {
            assert!(HostPath::new(text).is_err(), "{text:?}");
        }
        assert_eq!(HostPath::new(&format!("/{}", "x".repeat(231))), Err(PathError::Long));
        assert_eq!(HostPath::new(&"/x".repeat(2100)), Err(PathError::Long));
    }

    #[test]
    fn joins_one_name_only() {
        let folder = HostPath::new("/etc/systemd/system").unwrap();
        assert_eq!(folder.join("a.service").unwrap().as_str(), "/etc/systemd/system/a.service");
        for name in ["", ".", "..", "../a", "a/b", "/etc/passwd"] {
            assert!(folder.join(name).is_err(), "{name:?}");
        }
    }
}
