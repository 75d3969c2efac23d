//! Text, booleans and numbers.

use super::reader::Reader;
use super::schema::{self, Definitions};
use super::{Rule, Value};
use crate::yaml::{Node, scalar};

impl Value for String {
    const WANTED: &'static str = "text";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.text(node, Self::WANTED)
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        schema::text()
    }
}

impl Value for bool {
    const WANTED: &'static str = "yes or no";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let value = node.as_scalar().and_then(scalar::boolean);
        if value.is_none() {
            reader.wrong_type(node, Self::WANTED);
        }
        value
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        schema::boolean()
    }
}

impl Value for i64 {
    const WANTED: &'static str = "a whole number";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let value = node.as_scalar().and_then(scalar::plain_integer);
        if value.is_none() {
            reader.wrong_type(node, Self::WANTED);
        }
        value
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        schema::integer()
    }
}

impl Value for u32 {
    const WANTED: &'static str = "a whole number, not negative";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let number = i64::read(node, reader)?;
        let value = Self::try_from(number).ok();
        if value.is_none() {
            reader.invalid(node, Rule::InvalidValue, format!("{number} is not between 0 and {}", Self::MAX), None);
        }
        value
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        schema::integer()
    }
}
