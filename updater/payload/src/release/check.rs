//! Everything about a release that can be checked without its parts.

use std::collections::BTreeSet;

use super::{
    Full, MAX_FRAMES, MAX_WAYS, NOTES_MAX_BYTES, PART_MAX_BYTES, Part, PartName, Release, ReleaseError, STORED_FRAME_MAX_BYTES,
    WORD_MAX_BYTES, is_plain_file_name,
};
use crate::{FRAME_BYTES, app_id, verity};

pub(super) fn check(release: &Release) -> Result<(), ReleaseError> {
    if release.format != super::FORMAT {
        return Err(ReleaseError::Format(release.format));
    }
    if !app_id::is_app_id(&release.app_id) {
        return Err(ReleaseError::AppId(crate::excerpt(&release.app_id)));
    }
    for (field, text) in [("name", &release.name), ("variant", &release.variant), ("arch", &release.arch)] {
        if !is_word(text) {
            return Err(ReleaseError::Word { field, text: crate::excerpt(text) });
        }
    }
    if let Some(minimum) = release.minimum_version.as_ref().filter(|minimum| **minimum > release.version) {
        return Err(ReleaseError::Minimum { minimum: minimum.clone(), version: release.version.clone() });
    }
    let clean = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    if release.notes.len() > NOTES_MAX_BYTES || !release.notes.chars().all(clean) {
        return Err(ReleaseError::Notes);
    }
    check_parts(release)
}

fn check_parts(release: &Release) -> Result<(), ReleaseError> {
    for part in PartName::ALL {
        let count = release.parts.iter().filter(|other| other.name == part).count();
        if count != 1 {
            return Err(ReleaseError::PartCount { part, count });
        }
    }
    let mut files = BTreeSet::new();
    for part in &release.parts {
        check_part(part, &mut files)?;
    }
    let size = |name| release.part(name).map_or(0, |part| part.size);
    let (root, tree) = (size(PartName::Root), size(PartName::Verity));
    if !root.is_multiple_of(verity::BLOCK_BYTES) {
        return Err(ReleaseError::RootSize(root));
    }
    let expected = verity::tree_bytes(root);
    if tree != expected {
        return Err(ReleaseError::VeritySize { bytes: tree, expected });
    }
    Ok(())
}

fn check_part(part: &Part, files: &mut BTreeSet<String>) -> Result<(), ReleaseError> {
    let name = part.name;
    if part.size == 0 || part.size > PART_MAX_BYTES {
        return Err(ReleaseError::PartSize { part: name, bytes: part.size });
    }
    let expected = part.size.div_ceil(FRAME_BYTES as u64);
    if part.frames.len() as u64 != expected || part.frames.len() > MAX_FRAMES {
        return Err(ReleaseError::FrameCount { part: name, count: part.frames.len(), expected });
    }
    if part.ways.len() > MAX_WAYS {
        return Err(ReleaseError::WayCount { part: name, count: part.ways.len() });
    }
    if part.known_ways().next().is_none() {
        return Err(ReleaseError::NoWay(name));
    }
    part.known_ways().try_for_each(|full| check_full(part, full, files))
}

fn check_full(part: &Part, full: &Full, files: &mut BTreeSet<String>) -> Result<(), ReleaseError> {
    let name = part.name;
    if !is_plain_file_name(&full.file) {
        return Err(ReleaseError::FileName { part: name, file: crate::excerpt(&full.file) });
    }
    // `release.json` itself is in the folder as well.
    if full.file.eq_ignore_ascii_case("release.json") || !files.insert(full.file.to_ascii_lowercase()) {
        return Err(ReleaseError::SameFile(full.file.clone()));
    }
    let file = || full.file.clone();
    if full.stored_frames.len() != part.frames.len() {
        return Err(ReleaseError::StoredFrameCount {
            part: name,
            file: file(),
            count: full.stored_frames.len(),
            expected: part.frames.len(),
        });
    }
    let wrong = full.stored_frames.iter().position(|bytes| *bytes == 0 || *bytes > STORED_FRAME_MAX_BYTES);
    if let Some(index) = wrong {
        return Err(ReleaseError::StoredFrameSize { part: name, file: file(), index, bytes: full.stored_frames[index] });
    }
    // At most 4096 frames of little more than 4 MiB: no overflow.
    let sum = full.stored_offset(full.stored_frames.len());
    if sum != full.size {
        return Err(ReleaseError::StoredSize { part: name, file: file(), bytes: full.size, sum });
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= WORD_MAX_BYTES
        && text.bytes().next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text.bytes().all(fits)
        && !text.contains("..")
}
