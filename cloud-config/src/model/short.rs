//! Short ways to write a section: a group as its name, a mount as a line of fstab.

use super::disk::Mount;
use super::host::KernelModule;
use super::reader::Reader;
use super::section::Short;
use super::text::FromText;
use super::user::Group;
use super::value::{AbsolutePath, AccountName, ListedText};
use super::{Located, Rule, Value, schema};
use crate::yaml::{Kind, Node};

/// Fields of a line of fstab.
const FSTAB_FIELDS: usize = 6;

fn located<T: Value>(node: &Node, reader: &mut Reader<'_>) -> Option<Located<T>> {
    let value = T::read(node, reader)?;
    Some(Located::new(value, reader.place(&node.span)))
}

impl Short for Group {
    /// `NAME`, or `NAME: [member, ...]`.
    fn read_short(node: &Node, reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let group = |name, members| Self { name, gid: None, system: None, members };
        match &node.kind {
            Kind::Scalar(_) => Some(located(node, reader).map(|name| group(name, Vec::new()))),
            Kind::Mapping(entries) => {
                let [entry] = entries.as_slice() else { return None };
                if entry.key.text == "name" {
                    return None;
                }
                let members: Vec<Located<AccountName>> = match &entry.value.kind {
                    Kind::Sequence(items) => items.iter().filter_map(|item| located(item, reader)).collect(),
                    _ if entry.value.is_null() => Vec::new(),
                    _ => reader
                        .parse_list(&entry.value)
                        .unwrap_or_default()
                        .into_iter()
                        .map(|name| Located::new(name, reader.place(&entry.value.span)))
                        .collect(),
                };
                let place = reader.place(&entry.key.span);
                match AccountName::from_text(&entry.key.text) {
                    Ok(name) => Some(Some(group(Located::new(name, place), members))),
                    Err(refused) => {
                        reader.invalid(node, refused.rule, refused.message, refused.hint);
                        Some(None)
                    }
                }
            }
            Kind::Sequence(_) => None,
        }
    }

    fn short_schema() -> serde_json::Value {
        let named =
            serde_json::json!({ "type": "object", "maxProperties": 1, "additionalProperties": { "type": ["array", "null", "string"] } });
        serde_json::json!({ "anyOf": [{ "type": "string" }, named] })
    }
}

impl Short for KernelModule {
    fn read_short(node: &Node, reader: &mut Reader<'_>) -> Option<Option<Self>> {
        node.as_scalar()?;
        Some(located(node, reader).map(|name| Self { name, options: None, blacklist: None }))
    }

    fn short_schema() -> serde_json::Value {
        schema::text()
    }
}

impl Short for Mount {
    /// `[device, path, type, options, dump, pass]`, of which the last four may be missing and the last two mean nothing here.
    fn read_short(node: &Node, reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let Kind::Sequence(items) = &node.kind else { return None };
        let [device, path, rest @ ..] = items.as_slice() else {
            reader.invalid(node, Rule::InvalidValue, "a mount has at least a device and a path".to_owned(), None);
            return Some(None);
        };
        if items.len() > FSTAB_FIELDS {
            reader.invalid(node, Rule::InvalidValue, format!("a line of fstab has at most {FSTAB_FIELDS} fields"), None);
            return Some(None);
        }
        let (device, path) = (located(device, reader), located::<AbsolutePath>(path, reader));
        let filesystem = rest.first().filter(|node| !node.is_null()).and_then(|node| located(node, reader));
        let options: Vec<Located<ListedText>> = match rest.get(1).filter(|node| !node.is_null()) {
            None => Vec::new(),
            Some(node) => {
                let words: Option<Vec<ListedText>> = reader.parse_list(node);
                if words.is_none() {
                    reader.wrong_type(node, "options, comma separated");
                }
                let place = reader.place(&node.span);
                words.unwrap_or_default().into_iter().map(|word| Located::new(word, place.clone())).collect()
            }
        };
        Some(device.zip(path).map(|(device, path)| Self { device, path, filesystem, options }))
    }

    fn short_schema() -> serde_json::Value {
        serde_json::json!({ "type": "array", "items": schema::text(), "minItems": 2, "maxItems": FSTAB_FIELDS })
    }
}
