//! How a release becomes bytes on the wire and bytes on a slot, without any I/O of its own.
//!
//! A release is described by its `release.json` ([`Release`]), which signed metadata vouches for. Its parts (root, hash tree,
//! UKI) travel as frames of [`FRAME_BYTES`] ([`pack`] makes them, [`frame`] opens them) of which each is checked against its own
//! digest before a byte of it is written. What was written is proven by reading it back through its dm-verity tree ([`verity`]).
//!
//! | module | content |
//! | --- | --- |
//! | [`release`] | `release.json`: types, limits, parsing |
//! | [`version`], [`digest`] | versions and digests with one spelling each |
//! | [`pack`] | from a part to framed zstd |
//! | [`frame`] | from a frame to exactly the bytes it must hold |
//! | [`verity`] | dm-verity hash trees: make, verify, check while reading |
//!
//! ```
//! use payload::{FRAME_BYTES, Sha256Digest, frame, pack};
//!
//! let part = vec![7; FRAME_BYTES + 100];
//! let mut stored = Vec::new();
//! let packed = pack::pack(&part[..], &mut stored, 3)?;
//! assert_eq!(packed.frames.len(), 2);
//!
//! let mut bytes = Vec::new();
//! frame::unpack(&stored[packed.stored_frames[0] as usize..], 100, &mut bytes)?;
//! assert_eq!(Sha256Digest::of(&bytes), packed.frames[1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod app_id;
pub mod digest;
pub mod frame;
pub mod pack;
pub mod release;
#[cfg(test)]
mod test_data;
pub mod verity;
pub mod version;

pub use app_id::app_id;
pub use digest::Sha256Digest;
pub use release::{Full, Part, PartName, Release, ReleaseError, Way};
pub use version::Version;

/// Unit of decompression, verification, writing and resuming, in bytes; part of the format.
///
/// Large enough that zstd loses nothing worth having, small enough that a host holds several at once.
pub const FRAME_BYTES: usize = 4 << 20;

/// The beginning of untrusted text, fit for an error message: short, and without control characters.
fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 80;
    text.chars().take(CHARACTERS).map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
