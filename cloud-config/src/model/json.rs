//! Settings that are passed on to a program as JSON, whatever they are.

use super::Value;
use super::reader::Reader;
use super::schema::Definitions;
use crate::yaml::{Kind, Node, Scalar, scalar};

/// A JSON value, as YAML writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(pub serde_json::Value);

impl Value for Json {
    const WANTED: &'static str = "anything";
    const NULL_IS_A_VALUE: bool = true;

    fn read(node: &Node, _: &mut Reader<'_>) -> Option<Self> {
        Some(Self(of_node(node)))
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        serde_json::json!({})
    }
}

fn of_node(node: &Node) -> serde_json::Value {
    match &node.kind {
        Kind::Scalar(scalar) => of_scalar(scalar),
        Kind::Sequence(items) => items.iter().map(of_node).collect(),
        Kind::Mapping(entries) => entries.iter().map(|entry| (entry.key.text.clone(), of_node(&entry.value))).collect(),
    }
}

/// Only `true` and `false` are booleans here: a setting `log-level: on` means the word to the program that gets it.
fn of_scalar(scalar: &Scalar) -> serde_json::Value {
    let text = scalar.text.as_str();
    if scalar::is_null(scalar) {
        serde_json::Value::Null
    } else if let (Some(value), "true" | "True" | "TRUE" | "false" | "False" | "FALSE") = (scalar::boolean(scalar), text) {
        value.into()
    } else if let Some(number) = scalar::plain_integer(scalar) {
        number.into()
    } else if scalar.style == crate::yaml::Style::Plain && scalar.tag.is_none() {
        scalar::float(text).and_then(serde_json::Number::from_f64).map_or_else(|| text.into(), serde_json::Value::Number)
    } else {
        text.into()
    }
}
