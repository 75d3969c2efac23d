//! The section `[swarm]` of `cluster.toml`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Managers of a swarm for which nothing else was written: one of them may fail.
const USUAL_MANAGERS: u32 = 3;
/// Docker recommends no more than seven: each change waits for a majority of them.
pub const MOST_MANAGERS: u32 = 7;
/// How long a node is away, by default, before its seat is given up.
const USUAL_REPLACE_AFTER: Duration = Duration::from_secs(60 * 60);

/// What the owner wants of this machine's swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Plan {
    /// How many managers; an even number counts as the odd one below it, and at most [`MOST_MANAGERS`] are made.
    pub managers: u32,
    /// What this machine is to be.
    pub role: Wish,
    /// The address that other nodes use; by default that of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Labels of this node, beside the metadata of the machine.
    pub labels: BTreeMap<String, String>,
    /// A node that is down for so long, and gone from etcd as well, is removed from the swarm.
    #[serde(with = "cluster_store::duration")]
    pub replace_after: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { managers: USUAL_MANAGERS, role: Wish::Auto, address: None, labels: BTreeMap::new(), replace_after: USUAL_REPLACE_AFTER }
    }
}

/// What a machine wants to be in the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// A manager while managers are missing.
    #[default]
    Auto,
    /// A manager whatever the number of them.
    Manager,
    /// Never a manager.
    Worker,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_says_what_is_wanted() {
        let plan: Plan =
            toml::from_str("managers = 5\nrole = \"worker\"\naddress = \"10.0.0.5\"\nlabels = { zone = \"a\" }\nreplace-after = \"2h\"")
                .unwrap();
        assert_eq!(plan.managers, 5);
        assert_eq!(plan.role, Wish::Worker);
        assert_eq!(plan.address, Some("10.0.0.5".parse().unwrap()));
        assert_eq!(plan.labels["zone"], "a");
        assert_eq!(plan.replace_after, Duration::from_secs(7200));
        assert_eq!(toml::from_str::<Plan>("").unwrap(), Plan::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in ["managers = -1", "role = \"boss\"", "address = \"here\"", "replace-after = 5", "manager = 3", "labels = \"a\""] {
            assert!(toml::from_str::<Plan>(wrong).is_err(), "{wrong}");
        }
    }
}
