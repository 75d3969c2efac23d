//! Releases without signed metadata, for stock clients that bring their own trust (update engines check a signature inside the payload).

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::layout::{Name, plain};
use super::switch::sync_folder;
use super::{Layout, PublishError, Step, at};
use crate::store::catalog::{Offer, Package, Source};

/// Takes uploaded files of one folder out of staging and describes them. Running it again after an interruption completes it.
///
/// # Errors
/// A name is wrong, a file is not there, or the disk refuses.
pub fn register(layout: &Layout, folder: &str, files: &[String]) -> Result<Offer, PublishError> {
    if !plain(folder) {
        return Err(PublishError::Name(folder.to_owned()));
    }
    let mut packages = Vec::new();
    for file in files {
        let name = Name::parse(&format!("targets/{folder}/{file}"))?;
        let (staged, published) = (layout.staging.join(name.path()), layout.repository.join(name.path()));
        if staged.is_file() {
            if published.exists() {
                return Err(PublishError::Published(name.to_string()));
            }
            let parent = published.parent().unwrap_or(&layout.repository);
            std::fs::create_dir_all(parent).map_err(at(parent))?;
            layout.disk.step(Step::MoveTarget).and_then(|()| std::fs::rename(&staged, &published)).map_err(at(&published))?;
            layout.disk.step(Step::SyncTarget).map_err(at(parent))?;
            sync_folder(parent)?;
            sync_folder(&layout.repository.join("targets"))?;
        }
        packages.push(describe(&published, file, &name)?);
    }
    Ok(Offer { folder: folder.to_owned(), packages, source: Source::Registered })
}

fn describe(path: &std::path::Path, file: &str, name: &Name) -> Result<Package, PublishError> {
    use base64::Engine as _;
    let mut source = std::fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => PublishError::Missing(name.to_string()),
        _ => at(path)(error),
    })?;
    let (mut sha256, mut sha1, mut size, mut buffer) = (Sha256::new(), Sha1::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = std::io::Read::read(&mut source, &mut buffer).map_err(at(path))?;
        if read == 0 {
            break;
        }
        sha256.update(&buffer[..read]);
        sha1.update(&buffer[..read]);
        size += read as u64;
    }
    let sha1 = base64::engine::general_purpose::STANDARD.encode(sha1.finalize());
    Ok(Package { name: file.to_owned(), size, sha256: hex::encode(sha256.finalize()), sha1_base64: Some(sha1) })
}
