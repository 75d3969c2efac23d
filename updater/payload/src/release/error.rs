//! Why a `release.json` is refused.

use super::{
    FILE_NAME_MAX_BYTES, FORMAT, MAX_FRAMES, MAX_WAYS, NOTES_MAX_BYTES, PART_MAX_BYTES, PartName, Release, STORED_FRAME_MAX_BYTES,
    WORD_MAX_BYTES,
};
use crate::version::Version;

/// What is wrong with a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Longer than [`Release::MAX_BYTES`].
    #[error("release.json is {0} bytes long, more than {max}", max = Release::MAX_BYTES)]
    Long(usize),
    /// Not JSON, or not of the right shape.
    #[error("release.json: {0}")]
    Json(String),
    /// Made by a tool of another time.
    #[error("release.json has format {0}, this updater knows {FORMAT}; update to an intermediate release first")]
    Format(u32),
    /// Not in the form of [`crate::app_id()`].
    #[error("app-id `{0}` is not a lower-case UUID in braces")]
    AppId(String),
    /// A name is empty, too long or has characters that do not belong into file names.
    #[error(
        "{field} `{text}` is not a word of 1 to {WORD_MAX_BYTES} characters of a-z, 0-9, `.`, `_` and `-` that begins with a letter or digit"
    )]
    Word {
        /// The field.
        field: &'static str,
        /// Its value, shortened.
        text: String,
    },
    /// It could not be installed by any version before it.
    #[error("minimum-version {minimum} is newer than version {version}")]
    Minimum {
        /// The oldest version to come from.
        minimum: Version,
        /// The release's own.
        version: Version,
    },
    /// The notes are too long or could disturb a terminal.
    #[error("notes must be at most {NOTES_MAX_BYTES} bytes of text without control characters other than newline and tab")]
    Notes,
    /// A part is missing or there twice.
    #[error("there must be exactly one part `{part}`, not {count}")]
    PartCount {
        /// Which part.
        part: PartName,
        /// How often it is there.
        count: usize,
    },
    /// A part is empty or larger than any partition.
    #[error("part {part} is {bytes} bytes long, not 1 to {PART_MAX_BYTES}")]
    PartSize {
        /// Which part.
        part: PartName,
        /// Its length in bytes.
        bytes: u64,
    },
    /// The root has no whole number of blocks.
    #[error("part root is {0} bytes long, which is not a multiple of {block}", block = crate::verity::BLOCK_BYTES)]
    RootSize(u64),
    /// The hash tree does not belong to a root of that size.
    #[error("part verity is {bytes} bytes long; the hash tree of this root has {expected}")]
    VeritySize {
        /// Its length in bytes.
        bytes: u64,
        /// What it must be.
        expected: u64,
    },
    /// The list of frames does not cover the part.
    #[error("part {part} lists {count} frames; {expected} make up its size, and {MAX_FRAMES} are the most")]
    FrameCount {
        /// Which part.
        part: PartName,
        /// How many are listed.
        count: usize,
        /// How many its size needs.
        expected: u64,
    },
    /// More ways than anyone needs.
    #[error("part {part} has {count} ways of delivery, more than {MAX_WAYS}")]
    WayCount {
        /// Which part.
        part: PartName,
        /// How many.
        count: usize,
    },
    /// None that this crate knows.
    #[error("part {0} has no way of delivery that this updater knows; update to an intermediate release first")]
    NoWay(PartName),
    /// The name of a file is not plain; see [`super::is_plain_file_name`].
    #[error(
        "part {part}: `{file}` is not a plain file name (1 to {FILE_NAME_MAX_BYTES} of a-z, A-Z, 0-9, `.`, `_`, `-`, beginning with a letter or digit)"
    )]
    FileName {
        /// Which part.
        part: PartName,
        /// The name, shortened and cleaned.
        file: String,
    },
    /// Two ways name the same file (letters of either case are the same here).
    #[error("two ways of delivery name the file `{0}`")]
    SameFile(String),
    /// Another number of stored frames than of frames.
    #[error("part {part}, file {file}: {count} stored frames for {expected} frames")]
    StoredFrameCount {
        /// Which part.
        part: PartName,
        /// The file.
        file: String,
        /// How many are listed.
        count: usize,
        /// How many the part has.
        expected: usize,
    },
    /// A frame is empty or longer than anything zstd writes.
    #[error("part {part}, file {file}: stored frame {index} is {bytes} bytes long, not 1 to {STORED_FRAME_MAX_BYTES}")]
    StoredFrameSize {
        /// Which part.
        part: PartName,
        /// The file.
        file: String,
        /// Which frame, from 0.
        index: usize,
        /// Its length in bytes.
        bytes: u32,
    },
    /// The stored frames do not add up.
    #[error("part {part}, file {file}: the stored frames are {sum} bytes together, the file has {bytes}")]
    StoredSize {
        /// Which part.
        part: PartName,
        /// The file.
        file: String,
        /// Length of the file.
        bytes: u64,
        /// Sum of the frames.
        sum: u64,
    },
}

impl ReleaseError {
    /// serde's messages quote the input: shorten and clean them.
    pub(super) fn json(error: serde_json::Error) -> Self {
        const CHARACTERS: usize = 300;
        let text = error.to_string();
        Self::Json(text.chars().take(CHARACTERS).map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect())
    }
}
