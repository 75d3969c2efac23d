//! `[turns]` of the configuration.

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::Group;

/// `[turns]` of `cluster.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// Who keeps the lock.
    pub lock: LockKind,
    /// The group this machine takes turns in.
    pub group: Group,
    /// Machines that may reboot at the same time, when this machine makes the semaphore of its group; later `cluster-agent reboots max`.
    pub max: u32,
    /// Base URL of the FleetLock server.
    pub url: Option<String>,
}

/// Who keeps the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockKind {
    /// A semaphore in etcd.
    #[default]
    Etcd,
    /// A FleetLock server.
    FleetLock,
}

impl Default for Plan {
    fn default() -> Self {
        Self { lock: LockKind::Etcd, group: Group::default(), max: 1, url: None }
    }
}

impl Plan {
    /// What serde cannot see.
    ///
    /// # Errors
    /// What is wrong, in words for whoever wrote the file.
    pub fn check(&self) -> Result<(), String> {
        if self.max == 0 || self.max > crate::semaphore::MAX_MAX {
            return Err(format!("`max` is {}; expected 1 to {}", self.max, crate::semaphore::MAX_MAX));
        }
        match (self.base(), self.lock) {
            (None, LockKind::FleetLock) if self.url.is_some() => {
                Err("`url` has to be an address such as \"https://locks.example.org\"".to_owned())
            }
            (None, LockKind::FleetLock) => Err("`lock = \"fleet-lock\"` needs the server's base `url`".to_owned()),
            (_, LockKind::Etcd) if self.url.is_some() => Err("`url` is for `lock = \"fleet-lock\"`".to_owned()),
            _ => Ok(()),
        }
    }

    /// The server's address, if it is one.
    pub(crate) fn base(&self) -> Option<Url> {
        let url = Url::parse(self.url.as_deref()?).ok()?;
        let good = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
        good.then_some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<Plan, String> {
        let plan: Plan = serde_json::from_str(json).map_err(|error| error.to_string())?;
        plan.check().map(|()| plan)
    }

    #[test]
    fn what_is_not_said_is_one_at_a_time_through_etcd() {
        assert_eq!(plan("{}").unwrap(), Plan::default());
        let fleet = plan(r#"{"lock":"fleet-lock","url":"https://locks.example.org/base","group":"web"}"#).unwrap();
        assert_eq!((fleet.lock, fleet.group.name()), (LockKind::FleetLock, "web"));
    }

    #[test]
    fn a_plan_that_cannot_work_is_refused() {
        for (json, word) in [
            (r#"{"max":0}"#, "max"),
            (r#"{"max":1001}"#, "1000"),
            (r#"{"group":"a b"}"#, "not the name of a group"),
            (r#"{"lock":"fleet-lock"}"#, "needs"),
            (r#"{"url":"https://x"}"#, "fleet-lock"),
            (r#"{"lock":"fleet-lock","url":"file:///x"}"#, "https"),
            (r#"{"lock":"fleet-lock","url":"locks"}"#, "https"),
            (r#"{"lock":"fleet-lock","url":"https://x?a=b"}"#, "https"),
            (r#"{"lock":"none"}"#, "none"),
            (r#"{"grup":"x"}"#, "grup"),
        ] {
            let error = plan(json).unwrap_err();
            assert!(error.contains(word), "{json}: {error}");
        }
    }
}
