//! Carries files from the fetcher to the verifier, and keeps what the verifier says is trusted as far as signatures bear it out.
//!
//! The verifier reads what the network sent, so it may have been taken over, and its word alone decides nothing that lasts. What it
//! calls the next root, and the targets by which it vouches for a release, it hands on as the bytes that were signed; a
//! [`Witness`] checks the signatures over them *before* anything reads them, with the root that is trusted already. So it can hide
//! that there is something newer, and no more.

use std::io;
use std::path::{Path, PathBuf};

use payload::Release;
use tokio::net::UnixStream;
use trust::{KeyId, Signature, Statement, Witness};

use super::fetcher::{Fetcher, broken};
use super::link::{Kind, Workers};
use super::messages::{ReleaseAsk, Role, Signatures, VerifyAnswer, VerifyAsk, presentable};
use super::verify::METADATA_MAX_BYTES;
use super::wire::{Pipe, WireError};
use crate::daemon::host::{Access, Failure, FailureKind, Offer, Refusal, RefusalKind, VerifiedRelease, Wanted};
use crate::disk::{self, Linux};

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
        disk::replace(&Linux, &self.kept.join(role.file()), bytes)
    }

    fn forget(&self, role: Role) -> io::Result<()> {
        disk::remove_for_good(&Linux, &self.kept.join(role.file()))
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

/// Folders of metadata, in order of preference.
fn metadata_folders(access: &Access, bases: &[String]) -> Vec<String> {
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
    for base in bases {
        if let Some((repository, _)) = base.trim_end_matches('/').rsplit_once("/targets/") {
            add(format!("{repository}/tuf/"));
        }
    }
    folders
}

/// What is asked of the verifier.
#[derive(Clone, Copy)]
struct Question<'q> {
    access: &'q Access,
    /// The release in question, if it is about one.
    release: Option<(&'q Offer, &'q Wanted)>,
    now: i64,
}

/// What the verifier found, as far as it was borne out.
struct Found {
    release: Option<VerifiedRelease>,
    expires: Option<jiff::Timestamp>,
}

impl Question<'_> {
    fn ask(&self) -> Option<ReleaseAsk> {
        let (offer, wanted) = self.release?;
        Some(ReleaseAsk { app_id: wanted.app_id.clone(), arch: wanted.arch.clone(), version: offer.version.to_string() })
    }

    /// Folders of the release's files: those offered, then the same folder on the configured server and mirrors.
    fn bases(&self, folder: &str) -> Vec<String> {
        let mut bases = self.release.map(|(offer, _)| offer.bases.clone()).unwrap_or_default();
        for root in [&self.access.server].into_iter().chain(&self.access.mirrors) {
            let base = format!("{}/targets/{folder}/", root.trim_end_matches('/'));
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        bases
    }
}

/// Fetches and verifies metadata and description of the offered release.
pub async fn verify(
    workers: &Workers,
    sources: &Sources,
    access: &Access,
    offer: &Offer,
    wanted: &Wanted,
    now: i64,
) -> Result<VerifiedRelease, Refusal> {
    let found = everywhere(workers, sources, Question { access, release: Some((offer, wanted)), now }, &offer.bases).await?;
    found.release.ok_or_else(|| internal("the verifier answered another question"))
}

/// Fetches and verifies the metadata alone; answers when the first piece of it expires.
pub async fn refresh(workers: &Workers, sources: &Sources, access: &Access, now: i64) -> Result<Option<jiff::Timestamp>, Refusal> {
    Ok(everywhere(workers, sources, Question { access, release: None, now }, &[]).await?.expires)
}

/// Places are tried one after the other, each with a complete run: files of two places do not fit together.
async fn everywhere(workers: &Workers, sources: &Sources, question: Question<'_>, bases: &[String]) -> Result<Found, Refusal> {
    let mut worst: Option<Refusal> = None;
    for folder in metadata_folders(question.access, bases) {
        match run(workers, sources, question, &folder).await {
            Ok(found) => return Ok(found),
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

/// What the verifier hands on as signed, as the witness wants it.
async fn statement(pipe: &mut Pipe<UnixStream>, signatures: Signatures) -> Result<Statement, Refusal> {
    let signed = pipe.receive_data(METADATA_MAX_BYTES).await.map_err(lost)?;
    let signatures = signatures.iter().filter_map(|(id, signature)| Some((KeyId::from_hex(id)?, Signature::from_hex(signature)?)));
    Ok(Statement { signed, signatures: signatures.collect() })
}

fn not_borne_out(what: &str, error: &trust::Error) -> Refusal {
    internal(format!("the verifier's word on {what} is not borne out, so it is not believed: {error}"))
}

async fn run(workers: &Workers, sources: &Sources, question: Question<'_>, metadata: &str) -> Result<Found, Refusal> {
    let have = sources.load().map_err(|error| internal(format!("reading trusted metadata: {error}")))?;
    let mut witness = have.first().map(|(_, root)| Witness::new(root)).unwrap_or_else(|| Witness::new(b""));
    let mut fetcher = Fetcher::connect(workers, question.access).await.map_err(unfetched)?;
    let mut pipe = workers.connect(Kind::Verify).await.map_err(unfetched)?;
    let start = VerifyAsk::Start { have: have.iter().map(|(role, _)| *role).collect(), now: question.now, release: question.ask() };
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
    let (mut files, mut rotated, mut description) = (0, false, Vec::new());
    loop {
        let (urls, max_bytes, is_description) = match pipe.receive::<VerifyAnswer>().await.map_err(lost)? {
            VerifyAnswer::Want { path, max_bytes } => {
                let plain = path.len() <= NAME_MAX_BYTES && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
                if !plain || path.starts_with('.') {
                    return Err(internal("the verifier wants a file with a strange name"));
                }
                (vec![format!("{metadata}{path}")], max_bytes.min(METADATA_MAX_BYTES as u64), false)
            }
            VerifyAnswer::WantRelease { folder, max_bytes } => {
                if folder.contains(['/', '\\', '?', '#', '%']) || folder.starts_with('.') || folder.len() > NAME_MAX_BYTES {
                    return Err(internal("the verifier wants a release with a strange name"));
                }
                let urls = question.bases(&folder).iter().map(|base| format!("{base}release.json")).collect();
                (urls, max_bytes.min(Release::MAX_BYTES as u64), true)
            }
            VerifyAnswer::Rotate { signatures } => {
                let statement = statement(&mut pipe, signatures).await?;
                let trusted = witness.as_mut().map_err(|error| not_borne_out("the kept root", error))?;
                let file = trusted.root(&statement).map_err(|error| not_borne_out("a new root", &error))?;
                sources.keep(Role::Root, &file).map_err(|error| internal(format!("keeping the new root: {error}")))?;
                rotated = true;
                continue;
            }
            VerifyAnswer::Trust { role: Role::Root } => return Err(internal("the verifier wants a root to be trusted on its word")),
            VerifyAnswer::Trust { role } => {
                let bytes = pipe.receive_data(METADATA_MAX_BYTES).await.map_err(lost)?;
                sources.keep(role, &bytes).map_err(|error| internal(format!("keeping {}: {error}", role.file())))?;
                continue;
            }
            VerifyAnswer::Forget { role } => {
                // Only new keys are a reason to forget. What is damaged is replaced by what comes next, and does no harm meanwhile.
                if rotated && role != Role::Root {
                    sources.forget(role).map_err(|error| internal(format!("forgetting {}: {error}", role.file())))?;
                }
                continue;
            }
            VerifyAnswer::Verified { folder, expires, signatures } => {
                let statement = statement(&mut pipe, signatures).await?;
                let trusted = witness.as_ref().map_err(|error| not_borne_out("the kept root", error))?;
                return vouched(&question, trusted, &statement, &folder, &description, expires);
            }
            VerifyAnswer::Fresh { expires } => {
                return Ok(Found { release: None, expires: jiff::Timestamp::from_second(expires).ok() });
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
                if is_description {
                    description = bytes;
                }
            }
            None => pipe.send(&VerifyAsk::Missing).await.map_err(lost)?,
        }
    }
}

/// The targets are what the offline keys signed, they list this description, and it is of the release in question.
fn vouched(
    question: &Question<'_>,
    witness: &Witness,
    statement: &Statement,
    folder: &str,
    description: &[u8],
    expires: i64,
) -> Result<Found, Refusal> {
    let (offer, wanted) = question.release.ok_or_else(|| internal("the verifier vouches for a release that nobody asked for"))?;
    let now = jiff::Timestamp::from_second(question.now).map_err(|error| internal(format!("the present: {error}")))?;
    let targets = witness.targets(statement, now).map_err(|error| not_borne_out("the targets", &error))?;
    let name = format!("{folder}/release.json");
    let target = targets.find(&name).ok_or_else(|| internal(format!("the verifier vouches for {name}, which nobody signed")))?;
    let bytes = target.check_as(&name, description).map_err(|error| not_borne_out(&name, &error))?;
    // From here on it is what the offline keys signed, and no longer only what the network sent.
    let release = Release::parse(&bytes).map_err(|error| internal(format!("{name}: {error}")))?;
    if release.app_id != wanted.app_id || release.arch != wanted.arch || release.version != offer.version {
        return Err(internal("the verifier vouches for another release than the one in question"));
    }
    let expires = jiff::Timestamp::from_second(expires).ok().map(|at| at.min(targets.expires));
    Ok(Found { release: Some(VerifiedRelease { release, bases: question.bases(folder), expires }), expires })
}
