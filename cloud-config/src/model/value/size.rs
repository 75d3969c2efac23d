//! Sizes.

use crate::model::reader::Reader;
use crate::model::schema::{self, Definitions};
use crate::model::text::{FromText, Refused, value_from_text};
use crate::model::{Rule, Value};
use crate::yaml::{Kind, Node, scalar};

/// Size of a swap file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapSize {
    /// What fits the memory.
    Auto,
    /// So many bytes.
    Bytes(u64),
}

impl FromText for SwapSize {
    const WANTED: &'static str = "a size such as 2G, or `auto`";

    fn from_text(text: &str) -> Result<Self, Refused> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let shift = match &text[digits..] {
            "" | "B" => Some(0),
            "K" | "KiB" => Some(10),
            "M" | "MiB" => Some(20),
            "G" | "GiB" => Some(30),
            "T" | "TiB" => Some(40),
            _ => None,
        };
        let bytes = text[..digits].parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
        let refused = || Refused::new(format!("`{text}` is not a size")).with_hint("a number with K, M, G or T, such as 2G");
        bytes.map(Self::Bytes).ok_or_else(refused)
    }
}

value_from_text!(SwapSize);

/// One partition: its share of the disk, and its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionShare {
    /// Share of the disk in percent; the last partition takes what is left.
    pub percent: u8,
    /// Type as on an MBR, such as `0x82` for swap; Linux data if missing.
    pub kind: Option<u8>,
}

impl Value for PartitionShare {
    const WANTED: &'static str = "a share in percent, or [share, type]";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let number = |node: &Node| node.as_scalar().and_then(scalar::plain_integer);
        // cloud-init writes the type in hexadecimal digits, with or without 0x.
        let kind = |node: &Node| {
            let text = &node.as_scalar()?.text;
            u8::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
        };
        let (percent, kind) = match &node.kind {
            Kind::Sequence(items) => match items.as_slice() {
                [percent, name] => (number(percent), kind(name).map(Some)),
                _ => (None, None),
            },
            Kind::Scalar(_) => (number(node), Some(None)),
            Kind::Mapping(_) => (None, None),
        };
        let (Some(percent), Some(kind)) = (percent, kind) else {
            reader.wrong_type(node, Self::WANTED);
            return None;
        };
        let Some(percent) = u8::try_from(percent).ok().filter(|percent| (1..=100).contains(percent)) else {
            reader.invalid(node, Rule::InvalidValue, format!("{percent} is not a share between 1 and 100 percent"), None);
            return None;
        };
        Some(Self { percent, kind })
    }

    fn read_as_list(node: &Node, _: &mut Reader<'_>) -> Option<Vec<Self>> {
        match node.as_scalar().and_then(scalar::boolean)? {
            true => Some(vec![Self { percent: 100, kind: None }]),
            false => Some(Vec::new()),
        }
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        let share = serde_json::json!({ "type": "integer", "minimum": 1, "maximum": 100 });
        let kind = serde_json::json!({ "type": ["integer", "string"] });
        serde_json::json!({ "anyOf": [share, { "type": "array", "prefixItems": [share, kind], "minItems": 2, "maxItems": 2 }] })
    }

    fn list_schema(definitions: &mut Definitions) -> serde_json::Value {
        serde_json::json!({ "anyOf": [schema::list(Self::schema(definitions)), { "type": "boolean" }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        let table = [
            ("auto", SwapSize::Auto),
            ("512M", SwapSize::Bytes(512 << 20)),
            ("2G", SwapSize::Bytes(2 << 30)),
            ("1024", SwapSize::Bytes(1024)),
        ];
        for (text, size) in table {
            assert_eq!(SwapSize::from_text(text), Ok(size), "{text}");
        }
        for text in ["", "G", "2g", "-1G", "1.5G", "2 G", "99999999999999999999", "18446744073709551615T"] {
            assert!(SwapSize::from_text(text).is_err(), "{text:?}");
        }
    }
}
