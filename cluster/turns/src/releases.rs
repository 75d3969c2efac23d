//! Releases that failed on one machine of the cluster: no other one reboots into them.
//!
//! The machine that had the turn writes down what its updater put into quarantine, before it gives the turn back. A release that is bad
//! everywhere then costs one machine a reboot there and back, and not each of them. A person who knows better forgives it.

use cluster_store::{Access, PREFIX};
use etcd_client::{Error, GetOptions};
use serde::{Deserialize, Serialize};

use crate::lock::{connect, failed, seconds_now, within};
use crate::{Kind, Reason, Refusal};

/// Longest version that is looked up, in bytes; the updater's own limit is lower.
const VERSION_MAX: usize = 128;
/// Most that are shown.
const SHOWN_MAX: i64 = 100;

/// A release, and where it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailedRelease {
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Short name of the machine.
    pub machine: String,
    /// When it was written down, in seconds since 1970.
    pub since: u64,
    /// Why, in the words of the machine's updater.
    pub cause: String,
}

fn folder() -> String {
    format!("{PREFIX}turns/failed/")
}

fn key(version: &str) -> String {
    format!("{}{version}", folder())
}

/// Whether a text may be the version of a release here.
#[must_use]
pub(crate) fn is_version(text: &str) -> bool {
    (1..=VERSION_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+~_".contains(&byte))
}

/// Refuses a release that failed elsewhere.
pub(crate) async fn not_failed(access: &Access, version: &str) -> Result<(), Refusal> {
    let look = async { connect(access).await?.get(key(version), None).await };
    let found = within(look).await.map_err(|error| Refusal::new(Kind::Unreachable, format!("nobody reboots while {}", failed(&error))))?;
    let Some(kv) = found.kvs().first() else { return Ok(()) };
    let place = match serde_json::from_slice::<FailedRelease>(kv.value()) {
        Ok(found) => format!("on {}: {}", found.machine, found.cause),
        Err(_) => "on another machine".to_owned(),
    };
    let next = format!("a person who knows better says `cluster-agent reboots forgive {version}`");
    Err(Refusal::new(Kind::ReleaseFailed, format!("release {version} failed {place}; {next}")))
}

/// Writes down that a release failed here. What another machine wrote first stays.
pub(crate) async fn say_failed(access: &Access, version: &str, machine: &str, cause: &str) -> Result<(), Reason> {
    use etcd_client::{Compare, CompareOp, Txn, TxnOp};
    let note = FailedRelease {
        version: version.to_owned(),
        machine: machine.to_owned(),
        since: seconds_now(),
        cause: Reason::new(cause).to_string(),
    };
    let said = async {
        let absent = Compare::create_revision(key(version), CompareOp::Equal, 0);
        let put = TxnOp::put(key(version), serde_json::to_string(&note).unwrap_or_default(), None);
        connect(access).await?.txn(Txn::new().when([absent]).and_then([put])).await.map(drop)
    };
    within(said).await.map_err(|error| failed(&error))
}

/// The releases that failed somewhere, by version.
///
/// # Errors
/// etcd does not answer or has no quorum.
pub async fn failed_releases(access: &Access) -> Result<Vec<FailedRelease>, Reason> {
    let look = async {
        let options = GetOptions::new().with_prefix().with_limit(SHOWN_MAX);
        let found = connect(access).await?.get(folder(), Some(options)).await?;
        Ok::<_, Error>(found.kvs().iter().filter_map(|kv| serde_json::from_slice(kv.value()).ok()).collect())
    };
    within(look).await.map_err(|error| failed(&error))
}

/// Lets machines reboot into a release again that failed somewhere; whether it had.
///
/// # Errors
/// etcd does not answer or has no quorum.
pub async fn forgive(access: &Access, version: &str) -> Result<bool, Reason> {
    let forgiven = async { connect(access).await?.delete(key(version), None).await.map(|answer| answer.deleted() > 0) };
    within(forgiven).await.map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_no_path() {
        for good in ["1.0.3", "2026.11.22-rc1", "a_b+c~d", &"1".repeat(VERSION_MAX)] {
            assert!(is_version(good), "{good:?}");
        }
        for bad in ["", "1/2", "1 2", "1\n", "ä", &"1".repeat(VERSION_MAX + 1)] {
            assert!(!is_version(bad), "{bad:?}");
        }
    }
}
