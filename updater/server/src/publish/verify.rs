//! The whole chain of signed metadata, and every file it names, before anything becomes visible.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use payload::{PartName, Release};
use trust::{Answer, Refresh, Root, Target, Trusted};

use super::layout::Name;
use super::upload::hash_file;
use super::{Layout, PublishError, at, online};
use crate::checkin::facts::{normal_app, normal_arch};
use crate::store::catalog::{New, Offer, Package, Source};

/// What was verified and may become visible.
#[derive(Debug)]
pub struct Verified {
    /// All files of the new metadata folder, by name.
    pub tuf: BTreeMap<String, Vec<u8>>,
    /// Staged files to move into the repository.
    pub moves: Vec<Name>,
    /// The releases that the metadata vouches for.
    pub releases: Vec<New>,
    /// When the first file of metadata expires.
    pub expires: jiff::Timestamp,
    /// Whether this is the first root, believed because an authenticated publisher brought it.
    pub first: bool,
}

/// Verifies what is staged on top of what is published.
///
/// What is published is what is trusted: a client's own workflow starts from the present root, timestamp, snapshot and targets, so
/// that older versions, metadata of other keys and mixed sets are refused here as they would be refused by every machine.
///
/// # Errors
/// Whatever a machine would refuse, or a file that is missing or differs.
pub fn verify(layout: &Layout, keys: &online::Keys, now: jiff::Timestamp) -> Result<Verified, PublishError> {
    check(layout, files(&layout.staging.join("tuf"))?, keys, now)
}

/// The releases that the published metadata vouches for, without anything that is staged.
///
/// # Errors
/// It does not verify any more, e.g. because it expired.
pub fn published(layout: &Layout, now: jiff::Timestamp) -> Result<Vec<New>, PublishError> {
    Ok(check(layout, BTreeMap::new(), &online::Keys::default(), now)?.releases)
}

fn check(layout: &Layout, staged: BTreeMap<String, Vec<u8>>, keys: &online::Keys, now: jiff::Timestamp) -> Result<Verified, PublishError> {
    let published = files(&layout.tuf())?;
    let mut tuf = published.clone();
    tuf.extend(staged.iter().map(|(name, bytes)| (name.clone(), bytes.clone())));
    let pinned = layout.pinned_root()?;
    unchanged(&published, &staged, pinned.as_deref())?;
    let trusted = trusted(&published, &tuf, pinned.clone())?;
    online::complete(&mut tuf, &staged, keys, now)?;

    let mut refresh = Refresh::new(trusted, now)?;
    let verified = refresh.run(|want| {
        let file = tuf.get(&want.path).cloned();
        Ok::<_, PublishError>(file.map_or(Answer::Missing, Answer::Bytes))
    });
    verified.map_err(|error| match error {
        PublishError::Trust(source) if published.is_empty() && pinned.is_some() => PublishError::Pinned(source),
        other => other,
    })?;
    let expires = refresh.summary().next_expiry.1;
    let root = refresh.trusted().root.clone();
    let targets = refresh.finish()?;
    fits_together(&tuf, root.clone(), now)?;
    // The one under the plain name must be the one that the chain leads to.
    tuf.insert("root.json".to_owned(), root);

    let before = published.get("targets.json").and_then(|bytes| listed(bytes)).unwrap_or_default();
    let (mut moves, mut releases) = (Vec::new(), Vec::new());
    let all: BTreeMap<String, &Target> = targets.iter().map(|(name, target)| (name.to_string(), target)).collect();
    for (path, target) in &all {
        let name = Name::parse(&format!("targets/{path}"))?;
        let known = before.get(path).is_some_and(|digest| *digest == hex::encode(target.sha256));
        if present(layout, &name, target, known)? {
            moves.push(name);
        }
    }
    for (path, target) in &all {
        if let Some(folder) = path.strip_suffix("/release.json") {
            releases.push(release(layout, folder, path, target, &all, &moves)?);
        }
    }
    Ok(Verified { tuf, moves, releases, expires, first: published.is_empty() })
}

/// Whether a machine that has nothing but the root gets through all of it. What follows from what is published need not: of a
/// publication that arrived in part, with the timestamp of before, nobody would look at the rest, and then it would be served.
fn fits_together(tuf: &BTreeMap<String, Vec<u8>>, root: Vec<u8>, now: jiff::Timestamp) -> Result<(), PublishError> {
    let mut refresh = Refresh::new(Trusted::new(root), now)?;
    refresh.run(|want| Ok::<_, PublishError>(tuf.get(&want.path).cloned().map_or(Answer::Missing, Answer::Bytes)))?;
    refresh.finish()?;
    Ok(())
}

/// Numbered roots never change: hosts with an older image walk along them, so whoever could replace one by another file would
/// cut those hosts off.
fn unchanged(published: &BTreeMap<String, Vec<u8>>, staged: &BTreeMap<String, Vec<u8>>, pinned: Option<&[u8]>) -> Result<(), PublishError> {
    let own = match pinned {
        Some(bytes) => Some((format!("{}.root.json", Root::open(bytes)?.version), bytes)),
        None => None,
    };
    for (name, bytes) in staged.iter().filter(|(name, _)| name.ends_with(".root.json")) {
        let known = published.get(name).map(Vec::as_slice).or_else(|| own.as_ref().filter(|(own, _)| own == name).map(|(_, bytes)| *bytes));
        if known.is_some_and(|known| known != bytes.as_slice()) {
            return Err(PublishError::Published(format!("tuf/{name}")));
        }
    }
    Ok(())
}

/// What is published was verified from the pinned root on, so it stands for it.
fn trusted(
    published: &BTreeMap<String, Vec<u8>>,
    all: &BTreeMap<String, Vec<u8>>,
    pinned: Option<Vec<u8>>,
) -> Result<Trusted, PublishError> {
    let Some(root) = published.get("root.json") else {
        let first = pinned.or_else(|| all.get("1.root.json").or_else(|| all.get("root.json")).cloned());
        return first.map(Trusted::new).ok_or_else(|| PublishError::NoMetadata("root.json".into()));
    };
    Ok(Trusted {
        timestamp: published.get("timestamp.json").cloned(),
        snapshot: published.get("snapshot.json").cloned(),
        targets: published.get("targets.json").cloned(),
        ..Trusted::new(root.clone())
    })
}

/// All files of a folder of metadata; none when there is no such folder.
///
/// # Errors
/// The disk's.
pub fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, PublishError> {
    let mut out = BTreeMap::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(out),
        Err(error) => return Err(at(folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(at(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if super::layout::plain(&name) {
            out.insert(name, std::fs::read(&path).map_err(at(&path))?);
        }
    }
    Ok(out)
}

/// What a targets file that was verified when it was published lists: digests in hex by name. Its files never change.
fn listed(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let json: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let targets = json.pointer("/signed/targets")?.as_object()?;
    let digest = |target: &serde_json::Value| target.pointer("/hashes/sha256").and_then(|digest| digest.as_str()).map(str::to_owned);
    Some(targets.iter().filter_map(|(name, target)| Some((name.clone(), digest(target)?))).collect())
}

/// Whether a target is staged (and to be moved) rather than published; an error when it is neither, or differs.
fn present(layout: &Layout, name: &Name, target: &Target, known: bool) -> Result<bool, PublishError> {
    let published = layout.repository.join(name.path());
    let staged = layout.staging.join(name.path());
    let wanted = hex::encode(target.sha256);
    if published.is_file() {
        let length = std::fs::metadata(&published).map_err(at(&published))?.len();
        if length == target.length && (known || hash_file(&published)?.1 == wanted) {
            return Ok(false);
        }
        return Err(PublishError::Published(name.to_string()));
    }
    if !staged.is_file() {
        return Err(PublishError::Missing(name.to_string()));
    }
    let (length, digest) = hash_file(&staged)?;
    if length != target.length || digest != wanted {
        let problem = format!("{length} bytes with SHA-256 {digest} instead of {} bytes with {wanted}", target.length);
        return Err(PublishError::Differs { name: name.to_string(), problem });
    }
    Ok(true)
}

fn release(
    layout: &Layout,
    folder: &str,
    path: &str,
    target: &Target,
    all: &BTreeMap<String, &Target>,
    moves: &[Name],
) -> Result<New, PublishError> {
    let name = Name::parse(&format!("targets/{path}"))?;
    let root: &PathBuf = if moves.contains(&name) { &layout.staging } else { &layout.repository };
    let file = root.join(name.path());
    let bytes = target.check(&std::fs::read(&file).map_err(at(&file))?)?;
    let release = Release::parse(&bytes).map_err(|source| PublishError::Release { name: name.to_string(), source })?;
    let differs = |problem: String| PublishError::Differs { name: name.to_string(), problem };
    if release.folder() != folder {
        return Err(differs(format!("it is in folder {folder} instead of {}", release.folder())));
    }
    for (key, value) in [("app-id", &release.app_id), ("version", &release.version.to_string()), ("arch", &release.arch)] {
        if target.custom.get(key).is_some_and(|said| said.as_str() != Some(value)) {
            return Err(differs(format!("the metadata's own {key} is {}, the file's is {value}", target.custom[key])));
        }
    }
    let mut packages = Vec::new();
    for part in PartName::ALL.into_iter().filter_map(|name| release.part(name)) {
        for full in part.known_ways() {
            let path = format!("{folder}/{}", full.file);
            let listed = all.get(&path).ok_or_else(|| differs(format!("its part {} is not in the metadata", full.file)))?;
            if listed.length != full.size || hex::encode(listed.sha256) != full.sha256.to_string() {
                return Err(differs(format!("its part {} has another size or digest in the metadata", full.file)));
            }
            packages.push(package(&full.file, listed));
        }
    }
    packages.push(package("release.json", target));
    let version = release.version.to_string();
    Ok(New {
        app: normal_app(&release.app_id),
        arch: normal_arch(&release.arch),
        version: semver::Version::parse(&version).map_err(|error| differs(error.to_string()))?,
        rollback_index: release.rollback_index,
        offer: Offer { folder: folder.to_owned(), packages, source: Source::Signed },
    })
}

fn package(name: &str, target: &Target) -> Package {
    Package { name: name.to_owned(), size: target.length, sha256: hex::encode(target.sha256), sha1_base64: None }
}
