//! From one stored frame to exactly the bytes it must hold.
//!
//! What arrives here came over the network and nobody has vouched for it yet, so the header is read first: only a frame that
//! declares exactly the expected length is decompressed at all, straight into a buffer of that length. A frame can therefore cost
//! no more memory than [`FRAME_BYTES`] and the decompressor's fixed state, and no more time than the bytes it
//! was fetched with and the bytes it must produce.

mod header;

use zstd::zstd_safe::{self, DCtx};

use crate::FRAME_BYTES;
use crate::release::STORED_FRAME_MAX_BYTES;

/// Largest window a frame may ask for, in bytes: the most every zstd decoder must offer (RFC 8878, section 3.1.1.1.2).
pub const WINDOW_MAX_BYTES: u64 = 8 << 20;

/// Why a stored frame is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The caller asks for more than a frame can hold.
    #[error("a frame holds at most {FRAME_BYTES} bytes, not {0}")]
    Expected(usize),
    /// More than [`STORED_FRAME_MAX_BYTES`].
    #[error("the stored frame is {0} bytes long, more than {STORED_FRAME_MAX_BYTES}")]
    Long(usize),
    /// Not the beginning of a zstd frame this crate could have written.
    #[error("the frame's header: {0}")]
    Header(&'static str),
    /// It wants more memory than any frame of ours needs.
    #[error("the frame asks for a window of {0} bytes, more than {WINDOW_MAX_BYTES}")]
    Window(u64),
    /// It declares another length than the release.
    #[error("the frame declares {declared} bytes, the release {expected}")]
    Length {
        /// What the frame says.
        declared: u64,
        /// What the release says.
        expected: usize,
    },
    /// Something follows the frame.
    #[error("{0} bytes follow the frame")]
    Trailing(usize),
    /// zstd found it damaged.
    #[error("the frame is damaged: {0}")]
    Damaged(&'static str),
    /// The decompressor got no memory for its fixed state.
    #[error("no memory for a decompressor")]
    Memory,
}

/// A decompressor to use for one frame after another.
pub struct Unpacker {
    context: DCtx<'static>,
}

impl Unpacker {
    /// Allocates its fixed state (some 160 KiB).
    pub fn new() -> Result<Self, FrameError> {
        Ok(Self { context: DCtx::try_create().ok_or(FrameError::Memory)? })
    }

    /// Replaces the content of `into` by the `expected` bytes that `stored` holds; after an error `into` is empty.
    pub fn unpack(&mut self, stored: &[u8], expected: usize, into: &mut Vec<u8>) -> Result<(), FrameError> {
        into.clear();
        check(stored, expected)?;
        into.resize(expected, 0);
        let result = self.context.decompress(&mut into[..], stored);
        let result = match result {
            Ok(length) if length == expected => Ok(()),
            Ok(length) => Err(FrameError::Length { declared: length as u64, expected }),
            Err(code) => Err(FrameError::Damaged(zstd_safe::get_error_name(code))),
        };
        if result.is_err() {
            into.clear();
        }
        result
    }
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

/// Replaces the content of `into` by the `expected` bytes that `stored` holds; see [`Unpacker::unpack`], which is for many frames.
pub fn unpack(stored: &[u8], expected: usize, into: &mut Vec<u8>) -> Result<(), FrameError> {
    Unpacker::new()?.unpack(stored, expected, into)
}

/// Everything that can be known without decompressing.
fn check(stored: &[u8], expected: usize) -> Result<(), FrameError> {
    if expected > FRAME_BYTES {
        return Err(FrameError::Expected(expected));
    }
    if stored.len() > STORED_FRAME_MAX_BYTES as usize {
        return Err(FrameError::Long(stored.len()));
    }
    let header = header::Header::parse(stored).map_err(FrameError::Header)?;
    if header.window_bytes > WINDOW_MAX_BYTES {
        return Err(FrameError::Window(header.window_bytes));
    }
    if header.content_bytes != expected as u64 {
        return Err(FrameError::Length { declared: header.content_bytes, expected });
    }
    // Walks the block headers only; without it zstd would go on with whatever frame comes next.
    let length = zstd_safe::find_frame_compressed_size(stored).map_err(|code| FrameError::Damaged(zstd_safe::get_error_name(code)))?;
    match stored.len().saturating_sub(length) {
        0 => Ok(()),
        trailing => Err(FrameError::Trailing(trailing)),
    }
}

#[cfg(test)]
mod tests;
