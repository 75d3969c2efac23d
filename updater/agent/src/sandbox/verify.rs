//! The verifier: reads signed metadata and a release's description, in a process that has no network, no disk and no privilege.
//!
//! It asks for files by name and gets bytes; it says which metadata to keep, and ends with the verified release or the reason why
//! there is none.

use payload::version::VersionError;
use payload::{Release, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use trust::{Answer, Kind, Refresh, Statement, Target, Targets, Trusted, Verified};

use super::messages::{ReleaseAsk, Role, Signatures, VerifyAnswer, VerifyAsk, presentable};
use super::wire::{Pipe, WireError};
use crate::daemon::host::{Refusal, RefusalKind};

/// Largest metadata file, in bytes; the verifier itself names a tighter limit for each.
pub const METADATA_MAX_BYTES: usize = trust::limits::MAX_TARGETS_BYTES as usize;
/// Name of a release's description within its folder.
const DESCRIPTION: &str = "/release.json";

/// What the release must be.
#[derive(Debug, Clone)]
struct Wanted {
    app_id: String,
    arch: String,
    version: Version,
}

/// Why the conversation ends before a verdict.
enum End {
    Refused(Refusal),
    Broken(WireError),
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        Self::Broken(error)
    }
}

impl From<trust::Error> for End {
    fn from(error: trust::Error) -> Self {
        Self::Refused(refusal(&error))
    }
}

fn refuse(kind: RefusalKind, text: impl Into<String>) -> End {
    End::Refused(Refusal { kind, text: text.into() })
}

/// A metadata error as the daemon sorts them.
fn refusal(error: &trust::Error) -> Refusal {
    let kind = match error.kind() {
        Kind::WrongKey => RefusalKind::WrongKey,
        Kind::Expired => RefusalKind::Expired,
        Kind::Older => RefusalKind::Older,
        Kind::Mismatch => RefusalKind::Mismatch,
        Kind::Missing => RefusalKind::Missing,
        Kind::Malformed => RefusalKind::Malformed,
        _ => RefusalKind::Internal,
    };
    Refusal { kind, text: error.to_string() }
}

/// Gives one verdict on `stream`.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<(), WireError> {
    let mut pipe = Pipe::new(stream, None);
    match judge(&mut pipe).await {
        Ok(()) => Ok(()),
        Err(End::Broken(error)) => Err(error),
        Err(End::Refused(Refusal { kind, text })) => pipe.send(&VerifyAnswer::Refused { kind, text: presentable(&text) }).await,
    }
}

async fn judge<S: AsyncRead + AsyncWrite + Unpin>(pipe: &mut Pipe<S>) -> Result<(), End> {
    let VerifyAsk::Start { have, now, release } = pipe.receive().await? else {
        return Err(refuse(RefusalKind::Internal, "the conversation began in the middle"));
    };
    let mut trusted = Trusted::new(Vec::new());
    for role in have {
        let bytes = pipe.receive_data(METADATA_MAX_BYTES).await?;
        match role {
            Role::Root => trusted.root = bytes,
            Role::Timestamp => trusted.timestamp = Some(bytes),
            Role::Snapshot => trusted.snapshot = Some(bytes),
            Role::Targets => trusted.targets = Some(bytes),
        }
    }
    let wanted = release.map(wanted).transpose()?;
    let now = jiff::Timestamp::from_second(now).map_err(|error| refuse(RefusalKind::Internal, format!("the present: {error}")))?;
    let mut refresh = Refresh::new(trusted, now)?;
    while let Some(want) = refresh.want() {
        pipe.send(&VerifyAnswer::Want { path: want.path, max_bytes: want.max_bytes }).await?;
        let answer = match pipe.receive().await? {
            VerifyAsk::Missing => Answer::Missing,
            _ => Answer::Bytes(pipe.receive_data(METADATA_MAX_BYTES).await?),
        };
        let before = refresh.trusted().clone();
        let outcome = refresh.supply(answer);
        tell_changes(pipe, &before, refresh.trusted()).await?;
        outcome?;
    }
    let expires = refresh.summary().next_expiry.1.as_second();
    let signed = refresh.trusted().targets.clone().unwrap_or_default();
    let targets = refresh.finish()?;
    let Some(wanted) = wanted else {
        pipe.send(&VerifyAnswer::Fresh { expires }).await?;
        return Ok(());
    };
    let (folder, target) = find(&targets, &wanted).map_err(End::Refused)?;
    pipe.send(&VerifyAnswer::WantRelease { folder: folder.clone(), max_bytes: target.length }).await?;
    let bytes = match pipe.receive().await? {
        VerifyAsk::Missing => {
            return Err(refuse(RefusalKind::Unreachable, format!("{folder}{DESCRIPTION} is signed but nowhere to be had")));
        }
        _ => pipe.receive_data(Release::MAX_BYTES).await?,
    };
    accept(&target.check_as(&format!("{folder}{DESCRIPTION}"), &bytes)?, &folder, &wanted).map_err(End::Refused)?;
    let statement = Statement::of(trust::Role::Targets, &signed)?;
    pipe.send(&VerifyAnswer::Verified { folder, expires, signatures: signatures(&statement) }).await?;
    pipe.send_data(&statement.signed).await?;
    Ok(())
}

fn wanted(ask: ReleaseAsk) -> Result<Wanted, End> {
    let version = ask.version.parse().map_err(|error: VersionError| refuse(RefusalKind::WrongVersion, error.to_string()))?;
    Ok(Wanted { app_id: ask.app_id, arch: ask.arch, version })
}

fn signatures(statement: &Statement) -> Signatures {
    statement.signatures.iter().map(|(id, signature)| (id.to_string(), hex::encode(signature.to_bytes()))).collect()
}

/// Tells the daemon what to keep, in the order in which it must be kept.
async fn tell_changes<S: AsyncRead + AsyncWrite + Unpin>(pipe: &mut Pipe<S>, before: &Trusted, after: &Trusted) -> Result<(), End> {
    let files =
        |trusted: &Trusted| [Some(trusted.root.clone()), trusted.timestamp.clone(), trusted.snapshot.clone(), trusted.targets.clone()];
    let changes: Vec<(Role, Option<Vec<u8>>)> = Role::ALL
        .into_iter()
        .zip(files(before).into_iter().zip(files(after)))
        .filter(|(_, (before, after))| before != after)
        .map(|(role, (_, after))| (role, after))
        .collect();
    let rank = |(role, bytes): &&(Role, Option<Vec<u8>>)| (*role != Role::Root, bytes.is_some());
    let mut changes: Vec<_> = changes.iter().collect();
    changes.sort_by_key(rank);
    for (role, bytes) in changes {
        match bytes {
            Some(bytes) if *role == Role::Root => {
                let statement = Statement::of(trust::Role::Root, bytes)?;
                pipe.send(&VerifyAnswer::Rotate { signatures: signatures(&statement) }).await?;
                pipe.send_data(&statement.signed).await?;
            }
            Some(bytes) => {
                pipe.send(&VerifyAnswer::Trust { role: *role }).await?;
                pipe.send_data(bytes).await?;
            }
            None => pipe.send(&VerifyAnswer::Forget { role: *role }).await?,
        }
    }
    Ok(())
}

/// The signed description of the wanted release, by what its publisher noted beside it.
fn find(targets: &Verified<Targets>, wanted: &Wanted) -> Result<(String, Target), Refusal> {
    let mut near: Option<Refusal> = None;
    for (name, target) in targets.iter() {
        let name = name.to_string();
        let Some(folder) = name.strip_suffix(DESCRIPTION).filter(|folder| !folder.contains('/')) else { continue };
        let noted = |key: &str| target.custom.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        if noted("version") != wanted.version.to_string() {
            continue;
        }
        let refusal = |kind, what: &str, has: &str, want: &str| Refusal {
            kind,
            text: format!("{folder} is signed for {what} {has}, this machine is {want}"),
        };
        if noted("app-id") != wanted.app_id {
            near.get_or_insert(refusal(RefusalKind::WrongApp, "application", noted("app-id"), &wanted.app_id));
        } else if noted("arch") != wanted.arch {
            near = Some(refusal(RefusalKind::WrongArch, "architecture", noted("arch"), &wanted.arch));
        } else {
            return Ok((folder.to_owned(), target.clone()));
        }
    }
    Err(near.unwrap_or_else(|| Refusal {
        kind: RefusalKind::Missing,
        text: format!("no release {} is in the signed metadata", wanted.version),
    }))
}

/// The description itself must say the same as the note beside it, and as the folder.
fn accept(bytes: &Verified<Vec<u8>>, folder: &str, wanted: &Wanted) -> Result<(), Refusal> {
    let release =
        Release::parse(bytes).map_err(|error| Refusal { kind: RefusalKind::Malformed, text: format!("{folder}{DESCRIPTION}: {error}") })?;
    let checks = [
        (RefusalKind::WrongApp, "application", &release.app_id, &wanted.app_id),
        (RefusalKind::WrongArch, "architecture", &release.arch, &wanted.arch),
        (RefusalKind::WrongVersion, "version", &release.version.to_string(), &wanted.version.to_string()),
        (RefusalKind::Mismatch, "folder", &release.folder(), &folder.to_owned()),
    ];
    for (kind, what, has, want) in checks {
        if has != want {
            return Err(Refusal { kind, text: format!("{folder}{DESCRIPTION} is for {what} {has}, wanted is {want}") });
        }
    }
    Ok(())
}
