//! One file into staging, hashed while it streams.

use std::path::Path;

use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::layout::Name;
use super::switch::sync_folder;
use super::{Disk, Layout, PublishError, Step, at};

/// Largest file of a release, in bytes: four times today's root partition.
const TARGET_MAX: u64 = 8 << 30;
/// Largest file of metadata, in bytes: more than any client takes.
const TUF_MAX: u64 = 16 << 20;

/// Takes one file into staging. It appears there whole and with the announced content, or not at all: a broken or wrong
/// upload, a full disk or a kill leave at most a part file that the next upload of that name writes over.
///
/// # Errors
/// The content is not the announced one, the upload broke off, or the disk refused.
pub async fn upload<B, E>(
    layout: &Layout,
    name: &Name,
    announced: &str,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<u64, PublishError>
where
    B: AsRef<[u8]>,
    E: std::fmt::Display,
{
    let path = layout.staging.join(name.path());
    let folder = path.parent().unwrap_or(&layout.staging).to_owned();
    tokio::fs::create_dir_all(&folder).await.map_err(at(&folder))?;
    // Begins with a dot, which no published name does; one part file per name bounds what broken uploads leave.
    let part = folder.join(format!(".part-{}", path.file_name().and_then(|name| name.to_str()).unwrap_or_default()));
    let taken = take(&layout.disk, &part, name, announced, body).await;
    if taken.is_err() {
        let _ = tokio::fs::remove_file(&part).await;
    }
    let length = taken?;
    let (disk, staging) = (layout.disk.clone(), layout.staging.clone());
    let naming = tokio::task::spawn_blocking(move || {
        disk.step(Step::NamePart).and_then(|()| std::fs::rename(&part, &path)).map_err(at(&path))?;
        // What was taken is here after a power cut as well: the name, and its folder's own.
        disk.step(Step::SyncStaging).map_err(at(&folder))?;
        sync_folder(&folder)?;
        sync_folder(&staging.join("targets"))
    });
    naming.await.map_err(|error| at(&layout.staging)(std::io::Error::other(error)))??;
    Ok(length)
}

async fn take<B, E>(
    disk: &Disk,
    part: &Path,
    name: &Name,
    announced: &str,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<u64, PublishError>
where
    B: AsRef<[u8]>,
    E: std::fmt::Display,
{
    let limit = if matches!(name, Name::Tuf(_)) { TUF_MAX } else { TARGET_MAX };
    // Never through a link that somebody left there.
    let _ = tokio::fs::remove_file(part).await;
    disk.step(Step::CreatePart).map_err(at(part))?;
    let mut file = tokio::fs::OpenOptions::new().write(true).create_new(true).open(part).await.map_err(at(part))?;
    let (mut digest, mut length) = (Sha256::new(), 0_u64);
    let mut body = std::pin::pin!(body);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| PublishError::BrokenOff { name: name.to_string(), reason: error.to_string() })?;
        length += piece.as_ref().len() as u64;
        if length > limit {
            return Err(PublishError::Large { name: name.to_string(), limit });
        }
        digest.update(piece.as_ref());
        disk.step(Step::WritePart).map_err(at(part))?;
        file.write_all(piece.as_ref()).await.map_err(at(part))?;
    }
    // A write that is still under way has not failed yet.
    file.flush().await.map_err(at(part))?;
    disk.step(Step::SyncPart).map_err(at(part))?;
    file.sync_all().await.map_err(at(part))?;
    let got = hex::encode(digest.finalize());
    if got != announced {
        return Err(PublishError::Digest { name: name.to_string(), got, wanted: announced.to_owned() });
    }
    Ok(length)
}

/// Whether the same bytes are staged or published already, so that a second attempt need not send them again.
///
/// # Errors
/// The disk's.
pub fn have(layout: &Layout, name: &Name, announced: &str) -> Result<bool, PublishError> {
    for root in [&layout.staging, &layout.repository] {
        let path = root.join(name.path());
        if path.is_file() && hash_file(&path)?.1 == announced {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Length and SHA-256 in hex of a file.
///
/// # Errors
/// The disk's.
pub fn hash_file(path: &Path) -> Result<(u64, String), PublishError> {
    let mut file = std::fs::File::open(path).map_err(at(path))?;
    let (mut digest, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer).map_err(at(path))?;
        if read == 0 {
            return Ok((length, hex::encode(digest.finalize())));
        }
        digest.update(&buffer[..read]);
        length += read as u64;
    }
}
