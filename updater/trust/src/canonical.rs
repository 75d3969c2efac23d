//! Canonical JSON as TUF uses it (OLPC's), and a JSON reader without ambiguities.
//!
//! Signatures are made and verified over the canonical form of the `signed` value: keys sorted, no white space, only `"` and
//! `\` escaped, integers only. Two readers that disagree about a text could be shown two different releases under one
//! signature, so [`parse`] refuses whatever readers are known to disagree about: repeated keys (also those that differ by letter
//! case only, which Go's reader takes for one, or by an escape), keys outside ASCII (some implementations normalise Unicode, some
//! do not), numbers that are not 64-bit integers, byte order marks, anything after the value, and deep nesting.
//!
//! Two known differences remain, both on tough's side, and both end in a refusal: it normalises strings to NFC before signing, and where one key
//! is the beginning of another it compares the closing quote with the next character, which matters for keys with spaces or `!`.

mod read;
mod write;

pub use read::parse;
pub use write::to_vec;

/// Why a text is not JSON that everybody reads alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The syntax.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// Starts with U+FEFF.
    #[error("it starts with a byte order mark")]
    ByteOrderMark,
    /// More text after the value.
    #[error("there is something after the end of the JSON value")]
    Trailing,
    /// One object has two members of this name.
    #[error("the key \"{0}\" occurs twice in one object")]
    DuplicateKey(String),
    /// One object has two members whose names differ by letter case only.
    #[error("the key \"{0}\" occurs twice in one object, spelled with other capitals")]
    KeyDiffersByCase(String),
    /// A member's name outside ASCII.
    #[error("the key \"{0}\" is not plain ASCII")]
    KeyNotAscii(String),
    /// Canonical JSON knows only integers.
    #[error("there is a number that is not an integer of 64 bits")]
    NotAnInteger,
    /// See [`MAX_DEPTH`](crate::limits::MAX_DEPTH).
    #[error("it is nested more than {} levels deep", crate::limits::MAX_DEPTH)]
    TooDeep,
}
