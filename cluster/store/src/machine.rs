//! Who this machine is to the others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Who this machine is to the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Machine {
    /// `/etc/machine-id`, 32 hexadecimal digits.
    pub id: String,
    /// Short name, also that of its etcd member: the first eight digits of the id unless configured.
    pub name: String,
    /// Where the others reach it.
    pub address: IpAddr,
    /// What its owner says about it, such as `frontend` = `true`.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}
