//! What a configuration says, in types: every value checked, every value with its place.
//!
//! Each section is one declaration (see [`section`]) from which come its struct, parser, JSON schema and its table in the
//! documentation. Several documents are merged by [`Value::merge`]: later single values win, lists add up, and units, users, groups
//! and files of the same name become one.

pub mod cluster;
pub mod config;
pub mod coreos;
pub mod disk;
pub mod docker;
pub mod environment;
pub mod file;
mod foreign;
pub mod host;
pub mod json;
mod plain;
mod problem;
pub mod reader;
mod rule;
pub mod schema;
pub mod section;
mod short;
pub mod text;
pub mod user;
pub mod value;

use crate::yaml::Node;
use reader::Reader;
use schema::{Definitions, Key};

pub use crate::yaml::{Located, Place};
pub use config::Config;
pub use problem::{MAX_PROBLEMS, Problem, Problems};
pub use rule::{Rule, Severity};

/// A value of the configuration.
pub trait Value: Sized {
    /// What is wanted, for messages: "text", "a mapping".
    const WANTED: &'static str;
    /// Whether an empty value means something, as it does in settings that are passed on as they are.
    const NULL_IS_A_VALUE: bool = false;

    /// Reads the value; reports what is wrong and gives `None`.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;

    /// Reads what was written where a list of these is wanted; `None` if only a list will do.
    fn read_as_list(_node: &Node, _reader: &mut Reader<'_>) -> Option<Vec<Self>> {
        None
    }

    /// What is wanted, in full.
    fn wanted() -> String {
        Self::WANTED.to_owned()
    }

    /// The name that makes two entries of a list the same one.
    fn identity(&self) -> Option<String> {
        None
    }

    /// Takes over what a later document says about the same thing.
    fn merge(&mut self, later: Self) {
        *self = later;
    }

    /// JSON schema.
    fn schema(definitions: &mut Definitions) -> serde_json::Value;

    /// JSON schema of a list of these.
    fn list_schema(definitions: &mut Definitions) -> serde_json::Value {
        schema::list(Self::schema(definitions))
    }

    /// The keys, if it is a section.
    fn child_keys() -> Vec<Key> {
        Vec::new()
    }
}

/// A hint for a word that is none of `words`.
pub(crate) fn choices(word: &str, words: &[&str]) -> Option<String> {
    diagnostics::nearest(word, words.iter().copied()).map(|near| format!("did you mean `{near}`?"))
}
