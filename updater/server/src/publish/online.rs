//! Re-signs what says that the repository is fresh: timestamp and snapshot. Only where this server was given the online
//! keys; root and targets are signed elsewhere, by people.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use trust::{KeySigner, Role, Root, Signer, repository};

use super::{PublishError, at};

/// How long a timestamp made here lives: a server that is off over a long weekend leaves no machine without updates.
const TIMESTAMP_LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long a snapshot made here lives.
const SNAPSHOT_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The online keys; none is the ordinary case.
#[derive(Debug, Default)]
pub struct Keys(Vec<KeySigner>);

impl Keys {
    /// Reads every `.pem` of a folder.
    ///
    /// # Errors
    /// The folder cannot be read, a file holds no private key, or there is none.
    pub fn read(folder: &Path) -> Result<Self, PublishError> {
        let mut keys = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(at(folder))? {
            let path = entry.map_err(at(folder))?.path();
            if path.extension().is_some_and(|extension| extension == "pem") {
                let text = std::fs::read_to_string(&path).map_err(at(&path))?;
                // Public halves lie beside private ones.
                if text.contains("PRIVATE KEY") {
                    let key =
                        KeySigner::from_pem(&text).map_err(|error| PublishError::Key { path: path.clone(), reason: error.to_string() })?;
                    keys.push(key);
                }
            }
        }
        if keys.is_empty() {
            return Err(PublishError::Key { path: folder.to_owned(), reason: "there is no private key in this folder (*.pem)".to_owned() });
        }
        Ok(Self(keys))
    }

    /// Those that `root` trusts for `role`.
    fn of(&self, root: &Root, role: Role) -> Vec<&dyn Signer> {
        let trusted = |key: &&KeySigner| root.role(role).keys.contains_key(&key.public_key().id());
        self.0.iter().filter(trusted).map(|key| key as &dyn Signer).collect()
    }
}

/// Makes the snapshot and timestamp for newly staged targets, where they were not staged with them.
///
/// # Errors
/// A file that must be there is not, or does not verify under the present root.
pub fn complete(
    tuf: &mut BTreeMap<String, Vec<u8>>,
    staged: &BTreeMap<String, Vec<u8>>,
    keys: &Keys,
    now: Timestamp,
) -> Result<(), PublishError> {
    let incomplete = !staged.contains_key("timestamp.json") && staged.contains_key("targets.json");
    if incomplete && !keys.0.is_empty() {
        sign(tuf, keys, now, !staged.contains_key("snapshot.json"))?;
    }
    Ok(())
}

fn sign(tuf: &mut BTreeMap<String, Vec<u8>>, keys: &Keys, now: Timestamp, with_snapshot: bool) -> Result<(), PublishError> {
    let missing = |name: &str| PublishError::NoMetadata(name.to_owned());
    let root = Root::open(newest_root(tuf).ok_or_else(|| missing("root.json"))?)?;
    if with_snapshot {
        let targets = tuf.get("targets.json").ok_or_else(|| missing("targets.json"))?;
        let version = repository::next_version(Role::Snapshot, tuf.get("snapshot.json").map(Vec::as_slice))?;
        let snapshot = repository::snapshot(&root, targets, version, now + SNAPSHOT_LIFE, &keys.of(&root, Role::Snapshot))?;
        tuf.insert("snapshot.json".to_owned(), snapshot);
    }
    let snapshot = tuf.get("snapshot.json").ok_or_else(|| missing("snapshot.json"))?;
    let version = repository::next_version(Role::Timestamp, tuf.get("timestamp.json").map(Vec::as_slice))?;
    let timestamp = repository::timestamp(&root, snapshot, version, now + TIMESTAMP_LIFE, &keys.of(&root, Role::Timestamp))?;
    tuf.insert("timestamp.json".to_owned(), timestamp);
    Ok(())
}

fn newest_root(tuf: &BTreeMap<String, Vec<u8>>) -> Option<&[u8]> {
    let numbered = tuf.iter().filter_map(|(name, bytes)| Some((name.strip_suffix(".root.json")?.parse::<u64>().ok()?, bytes)));
    numbered.max_by_key(|(version, _)| *version).map(|(_, bytes)| bytes).or_else(|| tuf.get("root.json")).map(Vec::as_slice)
}

/// New metadata when less than half of the life of timestamp or snapshot is left; `None` when all is fresh.
///
/// # Errors
/// The published metadata cannot be read, or the keys are not those of the root.
pub fn refresh(
    published: &BTreeMap<String, Vec<u8>>,
    keys: &Keys,
    now: Timestamp,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, PublishError> {
    if published.is_empty() || keys.0.is_empty() {
        return Ok(None);
    }
    let due =
        |name: &str, life: SignedDuration| published.get(name).and_then(|bytes| expires(bytes)).is_none_or(|end| now + life / 2 > end);
    let snapshot = due("snapshot.json", SNAPSHOT_LIFE);
    if !snapshot && !due("timestamp.json", TIMESTAMP_LIFE) {
        return Ok(None);
    }
    let mut tuf = published.clone();
    sign(&mut tuf, keys, now, snapshot)?;
    Ok(Some(tuf))
}

fn expires(bytes: &[u8]) -> Option<Timestamp> {
    let json: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    json.pointer("/signed/expires")?.as_str()?.parse().ok()
}
