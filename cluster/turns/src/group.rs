//! Groups of machines that take turns among themselves, and the keys that belong to one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest name of a group, in bytes.
pub(crate) const GROUP_MAX: usize = 64;
/// The group of a machine that was not told any.
pub(crate) const DEFAULT: &str = "default";

/// Where locksmith keeps its semaphores.
const LOCKSMITH: &str = "coreos.com/updateengine/rebootlock/";
/// Where everything else about turns is.
const TURNS: &str = "slipway/turns/";

/// Machines of one group take turns among themselves. Of letters, digits, `.` and `-`, as FleetLock has it (`^[a-zA-Z0-9.-]+$`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Group(String);

/// A text is not the name of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a group: expected 1 to {GROUP_MAX} letters, digits, `.` and `-`")]
pub struct NotAGroup(String);

impl Group {
    /// The group a text names.
    ///
    /// # Errors
    /// It is empty, too long, or has other characters.
    pub fn new(text: impl Into<String>) -> Result<Self, NotAGroup> {
        let text = text.into();
        let good = (1..=GROUP_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        if good { Ok(Self(text)) } else { Err(NotAGroup(text.chars().take(GROUP_MAX).collect())) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// locksmith's key: that of a machine without a group for [`DEFAULT`]. Nothing in a name needs locksmith's escaping.
    pub(crate) fn semaphore(&self) -> String {
        if self.0 == DEFAULT { format!("{LOCKSMITH}semaphore") } else { format!("{LOCKSMITH}groups/{}/semaphore", self.0) }
    }

    /// The group whose semaphore `key` is.
    pub(crate) fn of_semaphore(key: &str) -> Option<Self> {
        match key.strip_prefix(LOCKSMITH)? {
            "semaphore" => Some(Self::default()),
            other => Self::new(other.strip_prefix("groups/")?.strip_suffix("/semaphore")?).ok(),
        }
    }

    /// Below this are the leased keys of holders, by id.
    pub(crate) fn holding(&self) -> String {
        format!("{TURNS}holding/{}/", self.0)
    }

    /// Below this are the leased keys of machines that wait, by id.
    pub(crate) fn waiting(&self) -> String {
        format!("{TURNS}waiting/{}/", self.0)
    }
}

/// All semaphores are below this.
pub(crate) fn semaphores() -> &'static str {
    LOCKSMITH
}

/// Below this are the leased keys of machines that are about to reboot, whatever their group and their lock, by id.
pub(crate) fn leaving() -> String {
    format!("{TURNS}leaving/")
}

impl Default for Group {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Group {
    type Err = NotAGroup;

    fn from_str(text: &str) -> Result<Self, NotAGroup> {
        Self::new(text)
    }
}

impl TryFrom<String> for Group {
    type Error = NotAGroup;

    fn try_from(text: String) -> Result<Self, NotAGroup> {
        Self::new(text)
    }
}

impl From<Group> for String {
    fn from(group: Group) -> Self {
        group.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_what_fleet_lock_calls_one() {
        for good in ["default", "a", "Web.eu-1", &"x".repeat(GROUP_MAX)] {
            assert_eq!(Group::new(good).unwrap().name(), good);
        }
        for bad in ["", " ", "a b", "a/b", "a_b", "ä", "a\n", "../x", &"x".repeat(GROUP_MAX + 1)] {
            assert!(Group::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_keys_are_locksmiths() {
        let web = Group::new("web.1").unwrap();
        assert_eq!(Group::default().semaphore(), "coreos.com/updateengine/rebootlock/semaphore");
        assert_eq!(web.semaphore(), "coreos.com/updateengine/rebootlock/groups/web.1/semaphore");
        for group in [Group::default(), web] {
            assert_eq!(Group::of_semaphore(&group.semaphore()), Some(group));
        }
        for other in ["", "semaphore", "coreos.com/updateengine/rebootlock/x", "coreos.com/updateengine/rebootlock/groups//semaphore"] {
            assert_eq!(Group::of_semaphore(other), None, "{other}");
        }
    }
}
