//! Answers, errors and their JSON, as etcd's v2 API writes them.

use serde::{Deserialize, Serialize};

use crate::Member;
use crate::limits::{ANSWER_MAX, MEMBERS_MAX};

/// The header with the newest index: decimal, never falling, and no less than any index in the answer.
pub const INDEX_HEADER: &str = "x-etcd-index";
/// The header with a machine's secret. Other servers than ours ignore it.
pub const SECRET_HEADER: &str = "x-slipway-secret";
/// What the keys in answers begin with.
pub const REGISTRY: &str = "/_etcd/registry";

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Nothing; it was read.
    Get,
    /// Made.
    Create,
    /// Its value changed.
    Update,
    /// Gone.
    Delete,
    /// What this crate never writes (`set`, `compareAndSwap`, `expire`, ...).
    #[serde(other)]
    Other,
}

/// A key or a folder of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// The whole key.
    #[serde(default)]
    pub key: String,
    /// Whether it is a folder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dir: bool,
    /// What is written there; a folder has nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What is in the folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    /// The index of its last change.
    #[serde(default)]
    pub modified_index: u64,
    /// The index at which it was made.
    #[serde(default)]
    pub created_index: u64,
}

/// An answer that is no error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// What happened.
    pub action: Action,
    /// To what.
    pub node: Node,
    /// What it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_node: Option<Node>,
}

/// An error, as a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// One of [`code`].
    pub error_code: u32,
    /// The same in words.
    pub message: String,
    /// On which key, or why.
    #[serde(default)]
    pub cause: String,
    /// The newest index.
    #[serde(default)]
    pub index: u64,
}

/// Numbers of errors: etcd's, and one of ours.
pub mod code {
    /// Key not found
    pub const NOT_FOUND: u32 = 100;
    /// Not a file: a folder cannot be written or removed so.
    pub const NOT_A_FILE: u32 = 102;
    /// Key already exists
    pub const EXISTS: u32 = 105;
    /// The request requires user authentication
    pub const UNAUTHORIZED: u32 = 110;
    /// `waitIndex` is no number.
    pub const INDEX: u32 = 203;
    /// A field of the request is not what it must be.
    pub const FIELD: u32 = 209;
    /// The form is none.
    pub const FORM: u32 = 210;
    /// The server failed; read again later.
    pub const INTERNAL: u32 = 300;
    /// The events that are asked for were forgotten.
    pub const CLEARED: u32 = 401;
    /// Ours: there is no room for more.
    pub const FULL: u32 = 900;
}

/// Why an answer makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrongAnswer {
    /// Too large.
    #[error("the answer has more than {ANSWER_MAX} bytes")]
    Large,
    /// Not this kind of JSON.
    #[error("the answer is not what a discovery service writes: {0}")]
    Json(#[from] serde_json::Error),
    /// The number of seats.
    #[error("`{0}` is no number of seats")]
    Size(String),
    /// Too many entries.
    #[error("there are more than {MEMBERS_MAX} entries")]
    Many,
    /// An entry.
    #[error("the entry `{id}`: {source}; remove it with: curl -X DELETE .../{id}")]
    Entry {
        /// Which.
        id: String,
        /// What is wrong.
        source: crate::member::Wrong,
    },
}

impl Answer {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, WrongAnswer> {
        if bytes.len() > ANSWER_MAX {
            return Err(WrongAnswer::Large);
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The number of seats, of an answer about `_config/size`.
    ///
    /// # Errors
    /// It is no number, or none that a cluster can have. Other servers have other limits: all that fits is taken.
    pub fn size(&self) -> Result<usize, WrongAnswer> {
        let text = self.node.value.as_deref().unwrap_or_default();
        let size = text.parse().ok().filter(|size| (1..=MEMBERS_MAX).contains(size));
        size.ok_or_else(|| WrongAnswer::Size(text.chars().take(40).collect()))
    }

    /// The entries of an answer about the whole address, in the order in which they came.
    ///
    /// # Errors
    /// There are too many, or one of them cannot be read.
    pub fn members(&self) -> Result<Vec<Member>, WrongAnswer> {
        if self.node.nodes.len() > MEMBERS_MAX {
            return Err(WrongAnswer::Many);
        }
        let mut nodes: Vec<&Node> = self.node.nodes.iter().filter(|node| !node.dir && !node.id().starts_with('_')).collect();
        nodes.sort_by_key(|node| node.created_index);
        nodes.into_iter().map(Node::member).collect()
    }
}

impl Node {
    /// The last part of its key.
    #[must_use]
    pub fn id(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }

    /// The entry that it is.
    ///
    /// # Errors
    /// It is none.
    pub fn member(&self) -> Result<Member, WrongAnswer> {
        let value = self.value.as_deref().unwrap_or_default();
        Member::parse(self.id(), value).map_err(|source| WrongAnswer::Entry { id: self.id().chars().take(80).collect(), source })
    }
}

impl Fault {
    /// An error with the words that belong to its number.
    #[must_use]
    pub fn new(error_code: u32, cause: impl Into<String>, index: u64) -> Self {
        let message = match error_code {
            code::NOT_FOUND => "Key not found",
            code::NOT_A_FILE => "Not a file",
            code::EXISTS => "Key already exists",
            code::UNAUTHORIZED => "The request requires user authentication",
            code::INDEX => "The given index in POST form is not a number",
            code::FIELD => "Invalid field",
            code::FORM => "Invalid POST form",
            code::CLEARED => "The event in requested index is outdated and cleared",
            code::FULL => "No room for more",
            _ => "Internal error",
        };
        Self { error_code, message: message.to_owned(), cause: cause.into(), index }
    }

    /// The HTTP status that etcd sends with it.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.error_code {
            code::NOT_FOUND => 404,
            code::NOT_A_FILE | code::UNAUTHORIZED | code::FULL => 403,
            code::EXISTS => 412,
            code::INTERNAL => 503,
            _ => 400,
        }
    }
}

#[cfg(test)]
mod tests;
