//! Why a document was refused.

use crate::limits::{MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, MAX_NAME_BYTES, MAX_VALUE_BYTES};

/// Why a document was refused. Its text quotes nothing of the document but names of elements and attributes, cleaned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// There is nothing.
    #[error("the document is empty")]
    Empty,
    /// Longer than [`MAX_BYTES`].
    #[error("the document is {0} bytes long, more than {MAX_BYTES}")]
    Long(usize),
    /// Not UTF-8, or declared to be something else.
    #[error("the document is not UTF-8")]
    Encoding,
    /// Not well-formed.
    #[error("byte {position}: not well-formed XML: {reason}")]
    Xml {
        /// Where, in bytes from the start.
        position: u64,
        /// The reason.
        reason: String,
    },
    /// A character that XML 1.0 does not have, such as NUL or escape, directly or as a reference.
    #[error("byte {position}: a character that XML does not allow")]
    Character {
        /// Where, in bytes from the start.
        position: u64,
    },
    /// There is a `<!DOCTYPE`.
    #[error("byte {position}: a document type declaration is not accepted")]
    Doctype {
        /// Where, in bytes from the start.
        position: u64,
    },
    /// There is a `<?...?>` other than the XML declaration at the start.
    #[error("byte {position}: processing instructions are not accepted")]
    Instruction {
        /// Where, in bytes from the start.
        position: u64,
    },
    /// An entity other than the five XML begins with.
    #[error("byte {position}: an entity other than amp, lt, gt, quot and apos")]
    Entity {
        /// Where, in bytes from the start.
        position: u64,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("elements are nested deeper than {MAX_DEPTH}")]
    Depth,
    /// More elements than [`MAX_ELEMENTS`].
    #[error("there are more than {MAX_ELEMENTS} elements")]
    Elements,
    /// An element has more attributes than [`MAX_ATTRIBUTES`].
    #[error("<{0}> has more than {MAX_ATTRIBUTES} attributes")]
    Attributes(String),
    /// A name is longer than [`MAX_NAME_BYTES`].
    #[error("byte {position}: a name is longer than {MAX_NAME_BYTES} bytes")]
    Name {
        /// Where, in bytes from the start.
        position: u64,
    },
    /// A value is longer than its limit.
    #[error("<{element} {attribute}> is longer than {limit} bytes")]
    ValueLong {
        /// The element.
        element: String,
        /// The attribute.
        attribute: String,
        /// [`MAX_VALUE_BYTES`] or less.
        limit: usize,
    },
    /// The outermost element is another one.
    #[error("the document is a <{found}>, not a <{expected}>")]
    Root {
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Another version of the protocol.
    #[error("protocol `{0}` is not 3.0")]
    Protocol(String),
    /// Too many of one kind.
    #[error("there are more than {limit} <{element}>")]
    Count {
        /// The element.
        element: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// Something that cannot be done without is not there.
    #[error("<{element}> has no {attribute}")]
    Missing {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// A value is not what it should be.
    #[error("<{element} {attribute}> is not {expected}")]
    Value {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

const _: () = assert!(MAX_VALUE_BYTES < MAX_BYTES);
