//! Makes verified files visible: files first, metadata last, with one atomic rename.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::layout::Name;
use super::verify::Verified;
use super::{Layout, PublishError, Step, at};

/// Old sets of metadata that are kept beside the present one, for whoever is reading them right now.
const KEEP: usize = 2;

/// Makes it visible. Interrupted at any point, the old metadata stays whole and in place, and another run completes it:
/// files that nobody names yet do no harm.
///
/// # Errors
/// The disk's.
pub fn switch(layout: &Layout, verified: &Verified) -> Result<(), PublishError> {
    for name in &verified.moves {
        let (from, to) = (layout.staging.join(name.path()), layout.repository.join(name.path()));
        let folder = to.parent().unwrap_or(&layout.repository);
        std::fs::create_dir_all(folder).map_err(at(folder))?;
        layout.disk.step(Step::MoveTarget).and_then(|()| std::fs::rename(&from, &to)).map_err(at(&to))?;
        layout.disk.step(Step::SyncTarget).map_err(at(folder))?;
        sync_folder(folder)?;
    }
    let targets = layout.repository.join("targets");
    layout.disk.step(Step::SyncTargets).map_err(at(&targets))?;
    sync_folder(&targets)?;
    metadata(layout, &verified.tuf)
}

/// Replaces the served metadata by `files`.
///
/// # Errors
/// The disk's.
pub fn metadata(layout: &Layout, files: &BTreeMap<String, Vec<u8>>) -> Result<(), PublishError> {
    let present = present(layout);
    let next = present.map_or(1, |present| present + 1);
    let folder = layout.repository.join(format!("tuf-{next}"));
    // What a run that was interrupted here left.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(at(&folder))?;
    for (name, bytes) in files {
        let path = folder.join(name);
        let mut file = File::create(&path).map_err(at(&path))?;
        layout.disk.step(Step::WriteMetadata).and_then(|()| file.write_all(bytes)).map_err(at(&path))?;
        layout.disk.step(Step::SyncMetadata).and_then(|()| file.sync_all()).map_err(at(&path))?;
    }
    layout.disk.step(Step::SyncSet).map_err(at(&folder))?;
    sync_folder(&folder)?;
    let link = layout.repository.join(".tuf-next");
    let _ = std::fs::remove_file(&link);
    layout.disk.step(Step::LinkSet).and_then(|()| std::os::unix::fs::symlink(format!("tuf-{next}"), &link)).map_err(at(&link))?;
    // From here on machines see the new set.
    layout.disk.step(Step::Switch).and_then(|()| std::fs::rename(&link, layout.tuf())).map_err(at(layout.tuf()))?;
    layout.disk.step(Step::SyncRepository).map_err(at(&layout.repository))?;
    sync_folder(&layout.repository)?;
    layout.disk.step(Step::Forget).map_err(at(&layout.repository))?;
    for old in 1..next.saturating_sub(KEEP) {
        let _ = std::fs::remove_dir_all(layout.repository.join(format!("tuf-{old}")));
    }
    Ok(())
}

fn present(layout: &Layout) -> Option<usize> {
    let target = std::fs::read_link(layout.tuf()).ok()?;
    target.to_str()?.strip_prefix("tuf-")?.parse().ok()
}

/// Removes what was published from staging.
pub fn clear(layout: &Layout, verified: &Verified) {
    // Whatever cannot be removed is harmless: it is verified again, or overwritten, by the next upload.
    if layout.disk.step(Step::Clear).is_err() {
        return;
    }
    for name in verified.tuf.keys() {
        let _ = std::fs::remove_file(layout.staging.join("tuf").join(name));
    }
    for name in &verified.moves {
        if let Name::Target(folder, _) = name {
            let _ = std::fs::remove_dir(layout.staging.join("targets").join(folder));
        }
    }
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), PublishError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}
