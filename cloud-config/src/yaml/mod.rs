//! YAML as a tree that remembers where everything was written.
//!
//! Scalars keep the text a person wrote (after YAML's own unescaping) and how it was quoted; what it means is decided per field,
//! since `off` is a word in one place and a boolean in another. This gives YAML 1.1's reading of booleans, as CoreOS had it,
//! without giving up on values such as `0644` and `no` where text is wanted.

mod build;
mod place;
pub mod scalar;

#[cfg(test)]
mod tests;

pub use build::{Parsed, YamlProblem, parse};
pub use place::{Located, Place, Span};

/// Longest text that is parsed, in bytes: cloud platforms store far less, and all work below is linear in it.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deepest nesting; configurations need about six levels.
pub const MAX_DEPTH: usize = 64;
/// Most nodes of a tree, those made by aliases included.
pub const MAX_NODES: usize = 200_000;
/// Most bytes of scalars that aliases may add, so that a small text cannot become a large tree.
pub const MAX_ALIAS_BYTES: usize = MAX_BYTES;

/// A value in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it was written.
    pub span: Span,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Text, of whatever meaning.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the text, each key once.
    Mapping(Vec<Entry>),
}

/// Text and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text, quotes and escapes undone.
    pub text: String,
    /// Whether quotes or a block protect it from being read as something else.
    pub style: Style,
    /// An explicit type.
    pub tag: Option<Tag>,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is; the only style in which `no` is a boolean.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// As a block after `|` or `>`.
    Block,
}

/// The explicit type of a scalar; other tags are refused when the tree is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `!!binary`: base64 of bytes.
    Binary,
    /// `!!str`, or `!`: text, whatever it looks like.
    Str,
    /// `!!null`.
    Null,
    /// `!!bool`, `!!int`, `!!float`, `!!timestamp`: what the text looks like anyway.
    Core,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// The key of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

impl Node {
    /// The scalar, if it is one.
    #[must_use]
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Sequence(_) | Kind::Mapping(_) => None,
        }
    }

    /// Whether it says that there is no value: nothing, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.as_scalar().is_some_and(scalar::is_null)
    }

    /// What it is, in words for messages.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
            Kind::Scalar(scalar) => scalar::describe(scalar),
        }
    }
}
