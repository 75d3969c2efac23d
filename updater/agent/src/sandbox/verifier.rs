//! Carries files from the fetcher to the verifier and keeps what the verifier says is trusted.

use std::io;
use std::path::{Path, PathBuf};

use payload::Release;

use super::fetcher::{Fetcher, broken};
use super::link::{Kind, Workers};
use super::messages::{Role, VerifyAnswer, VerifyAsk, presentable};
use super::verify::METADATA_MAX_BYTES;
use super::wire::WireError;
use crate::daemon::host::{Access, Failure, FailureKind, Offer, Refusal, RefusalKind, VerifiedRelease, Wanted};

/// Files a verifier may want in one run: a thousand new roots and what comes after them.
const MAX_FILES: usize = trust::limits::MAX_ROOT_ROTATIONS as usize + 16;
/// Longest name a verifier may want, in bytes.
const NAME_MAX_BYTES: usize = 128;

/// Where trusted metadata is kept and found.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Folder of what was verified so far.
    pub kept: PathBuf,
    /// The root that came with the image.
    pub initial_root: PathBuf,
}

fn internal(text: impl Into<String>) -> Refusal {
    Refusal { kind: RefusalKind::Internal, text: text.into() }
}

fn lost(error: WireError) -> Refusal {
    internal(broken(Kind::Verify, &error).text)
}

/// What the fetcher could not do, as a refusal.
fn unfetched(failure: Failure) -> Refusal {
    let kind = match failure.kind {
        FailureKind::Helper | FailureKind::Internal => RefusalKind::Internal,
        FailureKind::Response => RefusalKind::Malformed,
        _ => RefusalKind::Unreachable,
    };
    Refusal { kind, text: failure.text }
}

impl Sources {
    /// The files to start from. A root in the image that is newer than the kept one (by name: its version is the verifier's business)
    /// is found by the ordinary chain of roots.
    fn load(&self) -> io::Result<Vec<(Role, Vec<u8>)>> {
        let mut have = Vec::new();
        for role in Role::ALL {
            match read_bounded(&self.kept.join(role.file())) {
                Ok(bytes) => have.push((role, bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && role == Role::Root => {
                    // Nothing else can be trusted without a root; a later role's file alone is left from nowhere.
                    return Ok(vec![(Role::Root, read_bounded(&self.initial_root)?)]);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(have)
    }

    fn keep(&self, role: Role, bytes: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.kept)?;
        replace(&self.kept.join(role.file()), bytes)
    }

    fn forget(&self, role: Role) -> io::Result<()> {
        crate::stage::remove_for_good(&self.kept.join(role.file()))
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let length = std::fs::metadata(path).map_err(named)?.len();
    if length > METADATA_MAX_BYTES as u64 {
        return Err(named(io::Error::other("too large for metadata")));
    }
    std::fs::read(path).map_err(named)
}

/// Replaces a file, which only root may read, so that after a power cut it is the old or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_as(path, bytes, 0o600)
}

/// As [`replace`], for a file that everybody may read.
pub(crate) fn replace_public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_as(path, bytes, 0o644)
}

fn replace_as(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().ok_or_else(|| io::Error::other("a file without a folder"))?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    if mode != 0o600 {
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    crate::stage::sync_folder(folder)
}

/// Folders of metadata, in order of preference.
fn metadata_folders(access: &Access, offer: &Offer) -> Vec<String> {
    let mut folders = Vec::new();
    let mut add = |url: String| {
        if !folders.contains(&url) {
            folders.push(url);
        }
    };
    if access.metadata_url.is_empty() {
        add(format!("{}/tuf/", access.server.trim_end_matches('/')));
    } else {
        add(format!("{}/", access.metadata_url.trim_end_matches('/')));
    }
    for mirror in &access.mirrors {
        add(format!("{}/tuf/", mirror.trim_end_matches('/')));
    }
    // A server may offer releases that lie elsewhere, with their metadata beside them.
    for base in &offer.bases {
        if let Some((repository, _)) = base.trim_end_matches('/').rsplit_once("/targets/") {
            add(format!("{repository}/tuf/"));
        }
    }
    folders
}

/// Folders of the release's files: those offered, then the same folder on the configured server and mirrors.
fn bases(access: &Access, offer: &Offer, folder: &str) -> Vec<String> {
    let mut bases = offer.bases.clone();
    for root in [&access.server].into_iter().chain(&access.mirrors) {
        let base = format!("{}/targets/{folder}/", root.trim_end_matches('/'));
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    bases
}

/// Fetches and verifies metadata and description of the offered release. Places are tried one after the other, each with a complete
/// run: files of two places do not fit together.
pub async fn verify(
    workers: &Workers,
    sources: &Sources,
    access: &Access,
    offer: &Offer,
    wanted: &Wanted,
    now: i64,
) -> Result<VerifiedRelease, Refusal> {
    let mut worst: Option<Refusal> = None;
    for folder in metadata_folders(access, offer) {
        match run(workers, sources, access, offer, wanted, now, &folder).await {
            Ok(release) => return Ok(release),
            Err(refusal) => {
                tracing::warn!(folder, %refusal, "not verified from here");
                let refusal = Refusal { kind: refusal.kind, text: format!("{folder}: {}", refusal.text) };
                // What the first place that could be reached says counts: a mirror that is down must not hide it.
                match &worst {
                    Some(earlier) if !earlier.kind.is_transient() || refusal.kind.is_transient() => {}
                    _ => worst = Some(refusal),
                }
            }
        }
    }
    Err(worst.unwrap_or_else(|| internal("no place for metadata is configured")))
}

async fn run(
    workers: &Workers,
    sources: &Sources,
    access: &Access,
    offer: &Offer,
    wanted: &Wanted,
    now: i64,
    metadata: &str,
) -> Result<VerifiedRelease, Refusal> {
    let have = sources.load().map_err(|error| internal(format!("reading trusted metadata: {error}")))?;
    let mut fetcher = Fetcher::connect(workers, access).await.map_err(unfetched)?;
    let mut pipe = workers.connect(Kind::Verify).await.map_err(unfetched)?;
    let start = VerifyAsk::Start {
        have: have.iter().map(|(role, _)| *role).collect(),
        now,
        app_id: wanted.app_id.clone(),
        arch: wanted.arch.clone(),
        version: offer.version.to_string(),
    };
    pipe.send(&start).await.map_err(lost)?;
    for (_, bytes) in &have {
        pipe.send_data(bytes).await.map_err(lost)?;
    }
    // The kept root may differ from the image's only by rotation; from then on it is the one that counts.
    if !sources.kept.join(Role::Root.file()).exists()
        && let Some((_, root)) = have.first()
    {
        sources.keep(Role::Root, root).map_err(|error| internal(format!("keeping the trusted root: {error}")))?;
    }
    let mut files = 0;
    loop {
        let (urls, max_bytes) = match pipe.receive::<VerifyAnswer>().await.map_err(lost)? {
            VerifyAnswer::Want { path, max_bytes } => {
                let plain = path.len() <= NAME_MAX_BYTES && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
                if !plain || path.starts_with('.') {
                    return Err(internal("the verifier wants a file with a strange name"));
                }
                (vec![format!("{metadata}{path}")], max_bytes.min(METADATA_MAX_BYTES as u64))
            }
            VerifyAnswer::WantRelease { folder, max_bytes } => {
                if folder.contains(['/', '\\', '?', '#', '%']) || folder.starts_with('.') || folder.len() > NAME_MAX_BYTES {
                    return Err(internal("the verifier wants a release with a strange name"));
                }
                let urls = bases(access, offer, &folder).iter().map(|base| format!("{base}release.json")).collect();
                (urls, max_bytes.min(Release::MAX_BYTES as u64))
            }
            VerifyAnswer::Trust { role } => {
                let bytes = pipe.receive_data(METADATA_MAX_BYTES).await.map_err(lost)?;
                sources.keep(role, &bytes).map_err(|error| internal(format!("keeping {}: {error}", role.file())))?;
                continue;
            }
            VerifyAnswer::Forget { role } => {
                sources.forget(role).map_err(|error| internal(format!("forgetting {}: {error}", role.file())))?;
                continue;
            }
            VerifyAnswer::Verified { folder, expires } => {
                let bytes = pipe.receive_data(Release::MAX_BYTES).await.map_err(lost)?;
                let release = Release::parse(&bytes).map_err(|error| internal(format!("the verifier's answer: {error}")))?;
                if release.app_id != wanted.app_id || release.arch != wanted.arch || release.version != offer.version {
                    return Err(internal("the verifier vouches for another release than the one in question"));
                }
                let expires = jiff::Timestamp::from_second(expires).ok();
                return Ok(VerifiedRelease { release, bases: bases(access, offer, &folder), expires });
            }
            VerifyAnswer::Refused { kind, text } => return Err(Refusal { kind, text: presentable(&text) }),
        };
        files += 1;
        if files > MAX_FILES {
            return Err(internal("the verifier wants no end of files"));
        }
        match fetcher.small(urls, max_bytes).await.map_err(unfetched)? {
            Some(bytes) => {
                pipe.send(&VerifyAsk::Bytes).await.map_err(lost)?;
                pipe.send_data(&bytes).await.map_err(lost)?;
            }
            None => pipe.send(&VerifyAsk::Missing).await.map_err(lost)?,
        }
    }
}
