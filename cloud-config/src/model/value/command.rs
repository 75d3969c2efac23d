//! Commands to run.

use crate::model::reader::Reader;
use crate::model::schema::Definitions;
use crate::model::{Rule, Value};
use crate::yaml::{Kind, Node};

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A line for `sh -c`.
    Shell(String),
    /// A program and its arguments, which no shell touches.
    Program(Vec<String>),
}

impl Value for Command {
    const WANTED: &'static str = "a line for the shell, or a list of a program and its arguments";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Kind::Sequence(items) = &node.kind else {
            return reader.text(node, Self::WANTED).map(Self::Shell);
        };
        let words: Option<Vec<String>> = items.iter().map(|item| reader.text(item, "text")).collect();
        let words = words?;
        if words.first().is_none_or(String::is_empty) {
            reader.invalid(node, Rule::InvalidValue, "this names no program".to_owned(), None);
            return None;
        }
        Some(Self::Program(words))
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        let word = crate::model::schema::text();
        serde_json::json!({ "anyOf": [word, { "type": "array", "items": word, "minItems": 1 }] })
    }
}
