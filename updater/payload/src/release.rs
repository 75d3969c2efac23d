//! `release.json`: what a release is, in one small signed file.
//!
//! Kebab-case JSON. Unknown fields and unknown ways of delivery are ignored, so that later releases may say more; nothing in the
//! file is ever executed. [`Release::parse`] is the only way in and checks everything that can be checked without the parts.

mod check;
mod error;
mod file_name;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::version::Version;
pub use error::ReleaseError;
pub use file_name::is_plain_file_name;

/// The format this crate reads and writes.
pub const FORMAT: u32 = 1;
/// Most frames of one part: 16 GiB, twice [`PART_MAX_BYTES`].
pub const MAX_FRAMES: usize = 4096;
/// Largest part, unpacked, in bytes: four times today's root partition.
pub const PART_MAX_BYTES: u64 = 8 << 30;
/// Most ways to deliver one part: full, and a few deltas.
pub const MAX_WAYS: usize = 16;
/// Longest stored frame, in bytes: what zstd makes of noise, and some.
pub const STORED_FRAME_MAX_BYTES: u32 = crate::FRAME_BYTES as u32 + (64 << 10);
/// Longest word (name, variant, architecture), in bytes.
pub const WORD_MAX_BYTES: usize = 64;
/// Longest file name, in bytes.
pub const FILE_NAME_MAX_BYTES: usize = 128;
/// Longest release notes, in bytes: some screens of text.
pub const NOTES_MAX_BYTES: usize = 16 << 10;

/// One version of the OS for one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Release {
    /// [`FORMAT`]; grows only when an older reader must not go on.
    pub format: u32,
    /// As [`crate::app_id()`] makes it.
    pub app_id: String,
    /// Which image, e.g. `slipway`.
    pub name: String,
    /// Its flavour, e.g. `vm`.
    pub variant: String,
    /// The version.
    pub version: Version,
    /// Debian's name of the architecture, e.g. `amd64`.
    pub arch: String,
    /// Root hash of the dm-verity tree.
    pub root_hash: Sha256Digest,
    /// The oldest version that may update straight to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_version: Option<Version>,
    /// Grows when an older release must never be booted again, whatever its version.
    #[serde(default)]
    pub rollback_index: u64,
    /// Exactly one of each [`PartName`].
    pub parts: Vec<Part>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// What a part is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartName {
    /// The root file system.
    Root,
    /// Its hash tree, superblock included.
    Verity,
    /// The unified kernel image.
    Uki,
}

impl PartName {
    /// In the order in which a host writes them: what makes a slot bootable comes last.
    pub const ALL: [Self; 3] = [Self::Root, Self::Verity, Self::Uki];

    /// As in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Verity => "verity",
            Self::Uki => "uki",
        }
    }
}

impl std::fmt::Display for PartName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// One part, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Part {
    /// Which part.
    pub name: PartName,
    /// Unpacked length, in bytes.
    pub size: u64,
    /// Of the unpacked part.
    pub sha256: Sha256Digest,
    /// Of each piece of [`crate::FRAME_BYTES`], unpacked; the last may be shorter.
    pub frames: Vec<Sha256Digest>,
    /// In order of preference; whatever the way, the result is checked against `frames`.
    pub ways: Vec<Way>,
}

impl Part {
    /// The ways this crate knows, in order of preference.
    pub fn known_ways(&self) -> impl Iterator<Item = &Full> {
        self.ways.iter().filter_map(|way| match way {
            Way::Full(full) => Some(full),
            Way::Unknown => None,
        })
    }

    /// Unpacked length of frame `index`, in bytes; zero behind the last.
    #[must_use]
    pub fn frame_len(&self, index: usize) -> usize {
        let begin = (index as u64).saturating_mul(crate::FRAME_BYTES as u64);
        self.size.saturating_sub(begin).min(crate::FRAME_BYTES as u64) as usize
    }
}

/// A way to get a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Way {
    /// The whole part, compressed frame by frame.
    Full(Full),
    /// Something a later version invented; passed over.
    #[serde(other)]
    Unknown,
}

/// The whole part as one file of independent zstd frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Full {
    /// Base name in the release's folder; see [`is_plain_file_name`].
    pub file: String,
    /// Length of the file, in bytes.
    pub size: u64,
    /// Of the file.
    pub sha256: Sha256Digest,
    /// Stored length of each frame, in bytes; they follow each other without gaps.
    pub stored_frames: Vec<u32>,
}

impl Full {
    /// Where stored frame `index` begins in the file, in bytes.
    #[must_use]
    pub fn stored_offset(&self, index: usize) -> u64 {
        self.stored_frames.iter().take(index).map(|len| u64::from(*len)).sum()
    }
}

impl Release {
    /// Largest `release.json`, in bytes: 4096 frames make some 300 KiB of digests, and there are three parts.
    pub const MAX_BYTES: usize = 1 << 20;

    /// Reads and checks a `release.json`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(ReleaseError::Long(bytes.len()));
        }
        // First the format alone: of another one, nothing else can be expected to fit.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(bytes).map_err(ReleaseError::json)?;
        if format != FORMAT {
            return Err(ReleaseError::Format(format));
        }
        let release: Self = serde_json::from_slice(bytes).map_err(ReleaseError::json)?;
        release.check()?;
        Ok(release)
    }

    /// Checks everything that [`Release::parse`] checks; for who made a release by hand.
    pub fn check(&self) -> Result<(), ReleaseError> {
        check::check(self)
    }

    /// The file: readable, the same bytes for the same release, with a newline at its end.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("strings and numbers always serialise");
        json.push(b'\n');
        json
    }

    /// The part called `name`; a release that was parsed or checked has every one.
    #[must_use]
    pub fn part(&self, name: PartName) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// All files of the release in its folder, beside `release.json` itself.
    pub fn files(&self) -> impl Iterator<Item = &Full> {
        self.parts.iter().flat_map(Part::known_ways)
    }

    /// The name of the release's folder, e.g. `slipway-vm-1.2.3-amd64`.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}-{}-{}-{}", self.name, self.variant, self.version, self.arch)
    }
}

#[cfg(test)]
mod tests;
