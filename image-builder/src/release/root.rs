//! `root.json`: which keys may sign what. Images carry the root of their day; hosts follow the rotations from there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use trust::repository::RootDraft;
use trust::{PublicKey, Role, Root};

use super::repository::{expires, write};
use super::signers::{public_keys, signers};
use crate::keys;

/// How long a root is good unless told otherwise, in days. An expired root refuses nothing that a newer one vouches for.
pub const ROOT_DAYS: i64 = 3 * 365;
/// The newest root, beside the public keys.
const NEWEST: &str = "root.json";

/// `3.root.json`.
pub(super) fn root_name(version: u64) -> String {
    format!("{version}.root.json")
}

/// Where the newest root lies.
#[must_use]
pub fn newest(keys: &Path) -> PathBuf {
    keys.join("public").join(NEWEST)
}

/// Every root from the first to the newest, checked to follow one another.
pub fn roots(keys: &Path) -> anyhow::Result<Vec<(u64, Vec<u8>)>> {
    let dir = keys.join("public");
    let mut chain: Vec<(u64, Vec<u8>)> = Vec::new();
    for version in 1..=trust::limits::MAX_ROOT_ROTATIONS {
        let path = dir.join(root_name(version));
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
            read => read.with_context(|| format!("reading {}", path.display()))?,
        };
        match chain.last() {
            None => drop(Root::open(&bytes).with_context(|| format!("reading {}", path.display()))?),
            Some((_, previous)) => {
                let previous = Root::open(previous)?;
                trust::repository::check_next_root(&previous, &bytes)
                    .with_context(|| format!("following the roots to {}", path.display()))?;
            }
        }
        chain.push((version, bytes));
    }
    ensure!(!chain.is_empty(), "{} has no {}; make one with: image-builder root init {}", dir.display(), root_name(1), keys.display());
    Ok(chain)
}

/// Makes the first root: one key per role, as they lie in the folder.
pub fn init(keys: &Path, days: i64, now: Timestamp) -> anyhow::Result<Root> {
    let path = keys.join("public").join(root_name(1));
    ensure!(!path.exists(), "{} is there already; change it with: image-builder root rotate {}", path.display(), keys.display());
    let mut draft = RootDraft::new(expires(now, days)?);
    for role in Role::ALL {
        draft = draft.role(role, 1, public_keys(keys, role)?);
    }
    finish(keys, &draft)
}

/// What a rotation changes.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Roles that get a fresh key in place of those in the folder.
    pub renew: Vec<Role>,
    /// Further public keys.
    pub add: Vec<(Role, PathBuf)>,
    /// Ids of keys that no longer count.
    pub remove: Vec<String>,
    /// How many signatures a role needs.
    pub thresholds: Vec<(Role, u64)>,
}

/// Makes the next root. It is signed with the old root keys and the new ones, so that every host can follow.
///
/// Keys that a renewed role had are moved to `private/retired/`, once the new root is written.
pub fn rotate(keys: &Path, change: &Change, days: i64, now: Timestamp) -> anyhow::Result<Root> {
    let chain = roots(keys)?;
    let (_, previous) = chain.last().context("there is no root.json")?;
    let before = Root::open(previous)?;
    let mut draft = RootDraft::after(previous, expires(now, days)?)?;
    let mut fresh = Vec::new();
    for role in Role::ALL {
        let mut listed: Vec<PublicKey> = before.role(role).keys.values().copied().collect();
        if change.renew.contains(&role) {
            let held = public_keys(keys, role)?;
            listed.retain(|key| !held.contains(key));
            let key = keys::ReleaseKey::generate(role.name())?;
            listed.push(PublicKey::from_pem(&key.public_pem)?);
            fresh.push((role, key));
        }
        for (_, path) in change.add.iter().filter(|(of, _)| *of == role) {
            let key = super::signers::public_key(path)?;
            ensure!(!listed.contains(&key), "{} is a key of {role} already", path.display());
            listed.push(key);
        }
        listed.retain(|key| !change.remove.contains(&key.id().to_string()));
        let threshold = change.thresholds.iter().rev().find(|(of, _)| *of == role).map_or(before.role(role).threshold, |(_, count)| *count);
        draft = draft.role(role, threshold, listed);
    }
    for id in &change.remove {
        let known = Role::ALL.iter().any(|role| before.role(*role).keys.keys().any(|key| key.as_str() == id));
        ensure!(known, "no role has a key {id}; `image-builder root show` lists them");
    }
    // The new root key has to sign as well, so it is beside the old one while signing; nothing is retired before that.
    let staged: Vec<(Role, keys::Staged)> =
        fresh.into_iter().map(|(role, key)| Ok((role, key.stage(keys)?))).collect::<anyhow::Result<_>>()?;
    let result = finish(keys, &draft);
    for (role, staged) in staged {
        match &result {
            Ok(_) => staged.replace(keys, role.name())?,
            Err(_) => staged.discard(keys)?,
        }
    }
    result
}

fn finish(keys: &Path, draft: &RootDraft) -> anyhow::Result<Root> {
    let signers = signers(keys, Role::Root)?;
    if signers.is_empty() {
        bail!("there is no private root key in {}; signing a root needs it", keys.join("private").display());
    }
    let bytes = draft.sign(&signers.iter().map(|signer| &**signer).collect::<Vec<_>>())?;
    let root = Root::open(&bytes)?;
    let dir = keys.join("public");
    write(&dir.join(root_name(root.version)), &bytes)?;
    write(&dir.join(NEWEST), &bytes)?;
    Ok(root)
}
