//! Structured metadata: values by path, with errors that name document and field.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::error::SourceError;
use super::limits::KEYS;
use super::{facts, plain_yaml};

/// A document, or a part of one.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    place: String,
    /// Path of this part in the document, with a dot at its end; empty for the whole.
    prefix: String,
    value: Value,
}

impl Fields {
    /// Reads JSON whose outermost value is an object.
    pub(super) fn json(place: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        let wrong = |reason: String| SourceError::malformed(place, "JSON", reason);
        let value: Value = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if !value.is_object() {
            return Err(wrong(format!("it is {}, where an object is wanted", kind(&value))));
        }
        Ok(Self { place: place.to_owned(), prefix: String::new(), value })
    }

    /// Reads YAML whose outermost value is a mapping; JSON is YAML, too.
    pub(super) fn yaml(place: &str, bytes: Vec<u8>) -> Result<Self, SourceError> {
        let text = facts::text(place, bytes)?;
        let value = plain_yaml::parse(&text).map_err(|reason| SourceError::malformed(place, "YAML", reason))?;
        let value = if value.is_null() { Value::Object(serde_json::Map::new()) } else { value };
        if !value.is_object() {
            return Err(SourceError::malformed(place, "YAML", format!("it is {}, where a mapping is wanted", kind(&value))));
        }
        Ok(Self { place: place.to_owned(), prefix: String::new(), value })
    }

    /// A value that is already there, under the name of its document.
    pub(super) fn of(place: &str, value: Value) -> Self {
        Self { place: place.to_owned(), prefix: String::new(), value }
    }

    /// The object at a path, as a document of its own.
    pub(super) fn part(&self, path: &str) -> Result<Self, SourceError> {
        match self.value(path)? {
            Some(value @ Value::Object(_)) => {
                Ok(Self { place: self.place.clone(), prefix: format!("{}{path}.", self.prefix), value: value.clone() })
            }
            other => Err(self.wrong(path, format!("is {}, where an object is wanted", kind(other.unwrap_or(&Value::Null))))),
        }
    }

    /// The document's name.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// A value's name as a reader knows it.
    pub(super) fn name(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// An error about a value of this part.
    pub(super) fn wrong(&self, path: &str, reason: impl Into<String>) -> SourceError {
        SourceError::field(&self.place, self.name(path), reason)
    }

    /// The value at a dotted path; nothing when it, or something on the way, is missing or null.
    fn value(&self, path: &str) -> Result<Option<&Value>, SourceError> {
        let mut here = &self.value;
        for word in path.split('.') {
            let next = match here {
                Value::Object(map) => map.get(word),
                Value::Array(list) => word.parse::<usize>().ok().and_then(|index| list.get(index)),
                Value::Null => None,
                other => return Err(self.wrong(path, format!("cannot be looked up: on the way there is {}", kind(other)))),
            };
            let Some(next) = next else { return Ok(None) };
            here = next;
        }
        Ok(Some(here).filter(|value| !value.is_null()))
    }

    /// Text; an empty one counts as missing, which is how platforms write it.
    pub(super) fn text(&self, path: &str) -> Result<Option<&str>, SourceError> {
        match self.value(path)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other) => Err(self.wrong(path, format!("is {}, where text is wanted", kind(other)))),
        }
    }

    /// Text, or a number as it is written.
    pub(super) fn text_or_number(&self, path: &str) -> Result<Option<String>, SourceError> {
        match self.value(path)? {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => Ok(self.text(path)?.map(str::to_owned)),
        }
    }

    /// Yes or no.
    pub(super) fn flag(&self, path: &str) -> Result<Option<bool>, SourceError> {
        match self.value(path)? {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(path, format!("is {}, where true or false is wanted", kind(other)))),
        }
    }

    /// A whole number from zero to `max`.
    pub(super) fn number(&self, path: &str, max: u32) -> Result<Option<u32>, SourceError> {
        match self.value(path)? {
            None => Ok(None),
            Some(value) => {
                let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= max);
                number.map(Some).ok_or_else(|| self.wrong(path, format!("is {}, where a number up to {max} is wanted", kind(value))))
            }
        }
    }

    /// Objects of a list.
    pub(super) fn list(&self, path: &str) -> Result<Vec<Self>, SourceError> {
        let mut parts = Vec::new();
        for (index, value) in self.array(path)?.iter().enumerate() {
            let prefix = format!("{}{path}.{index}.", self.prefix);
            if !value.is_object() {
                return Err(self.wrong(&format!("{path}.{index}"), format!("is {}, where an object is wanted", kind(value))));
            }
            parts.push(Self { place: self.place.clone(), prefix, value: value.clone() });
        }
        Ok(parts)
    }

    /// Objects of an object, with their names.
    pub(super) fn table(&self, path: &str) -> Result<Vec<(String, Self)>, SourceError> {
        let map = match self.value(path)? {
            None => return Ok(Vec::new()),
            Some(Value::Object(map)) => map,
            Some(other) => return Err(self.wrong(path, format!("is {}, where an object is wanted", kind(other)))),
        };
        let part = |(key, value): (&String, &Value)| {
            let prefix = format!("{}{path}.{key}.", self.prefix);
            if !value.is_object() {
                return Err(self.wrong(&format!("{path}.{key}"), format!("is {}, where an object is wanted", kind(value))));
            }
            Ok((key.clone(), Self { place: self.place.clone(), prefix, value: value.clone() }))
        };
        map.iter().map(part).collect()
    }

    /// Texts of a list.
    pub(super) fn texts(&self, path: &str) -> Result<Vec<String>, SourceError> {
        let text = |(index, value): (usize, &Value)| match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(self.wrong(&format!("{path}.{index}"), format!("is {}, where text is wanted", kind(other)))),
        };
        self.array(path)?.iter().enumerate().map(text).collect()
    }

    fn array(&self, path: &str) -> Result<&[Value], SourceError> {
        match self.value(path)? {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(self.wrong(path, format!("is {}, where a list is wanted", kind(other)))),
        }
    }

    /// Names of the values in this part.
    pub(super) fn keys(&self) -> Vec<&str> {
        self.value.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    /// Whether there is a value.
    pub(super) fn has(&self, path: &str) -> Result<bool, SourceError> {
        Ok(self.value(path)?.is_some())
    }

    /// A host name.
    pub(super) fn hostname(&self, path: &str) -> Result<Option<String>, SourceError> {
        self.text(path)?.map(|text| facts::hostname(&self.place, &self.name(path), text)).transpose()
    }

    /// An identity.
    pub(super) fn instance_id(&self, path: &str) -> Result<Option<String>, SourceError> {
        self.text_or_number(path)?.map(|text| facts::instance_id(&self.place, &self.name(path), &text)).transpose()
    }

    /// An IPv4 address.
    pub(super) fn ipv4(&self, path: &str) -> Result<Option<Ipv4Addr>, SourceError> {
        self.text(path)?.map(|text| facts::ipv4(&self.place, &self.name(path), text)).transpose()
    }

    /// An IPv6 address.
    pub(super) fn ipv6(&self, path: &str) -> Result<Option<Ipv6Addr>, SourceError> {
        self.text(path)?.map(|text| facts::ipv6(&self.place, &self.name(path), text)).transpose()
    }

    /// SSH keys: a list, an object with names, or one text with a key per line.
    pub(super) fn ssh_keys(&self, path: &str) -> Result<BTreeMap<String, String>, SourceError> {
        let listed = |keys: Vec<String>| keys.into_iter().enumerate().map(|(index, key)| (format!("key-{index}"), key)).collect();
        let named: Vec<(String, String)> = match self.value(path)? {
            Some(Value::Object(map)) => {
                let text = |(name, value): (&String, &Value)| match value {
                    Value::String(text) => Ok((name.clone(), text.clone())),
                    other => Err(self.wrong(&format!("{path}.{name}"), format!("is {}, where text is wanted", kind(other)))),
                };
                map.iter().map(text).collect::<Result<_, _>>()?
            }
            Some(Value::String(text)) => listed(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()),
            _ => listed(self.texts(path)?),
        };
        if named.len() > KEYS {
            return Err(self.wrong(path, format!("has {} keys; {KEYS} are the most that are taken", named.len())));
        }
        let checked = named.into_iter().map(|(name, key)| {
            let key = facts::ssh_key(&self.place, &format!("{}.{name}", self.name(path)), &key)?;
            Ok((facts::key_name(&self.place, &name)?, key))
        });
        checked.collect()
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let text = r#"{"a": {"b": [{"ip": "10.0.0.5"}, {"ip": 7}]}, "empty": "", "null": null, "n": 9, "yes": true,
            "keys": {"me": "ssh-rsa AAAA"}, "lines": "ssh-rsa AAAA\n\nssh-rsa BBBB\n", "list": ["ssh-rsa AAAA"], "bad": {"me": "no key"}}"#;
        Fields::json("meta.json", text.as_bytes()).unwrap()
    }

    #[test]
    fn values_are_found_by_path_and_missing_ones_are_nothing() {
        let fields = fields();
        assert_eq!(fields.ipv4("a.b.0.ip").unwrap(), Some(Ipv4Addr::new(10, 0, 0, 5)));
        for missing in ["x", "a.x", "a.b.9.ip", "empty", "null", "null.x"] {
            assert_eq!(fields.text(missing).unwrap(), None, "{missing}");
        }
        assert_eq!(fields.text_or_number("n").unwrap().as_deref(), Some("9"));
        assert_eq!((fields.flag("yes").unwrap(), fields.number("n", 9).unwrap()), (Some(true), Some(9)));
        assert_eq!(fields.list("a.b").unwrap()[1].name("ip"), "a.b.1.ip");
    }

    #[test]
    fn a_wrong_shape_names_document_and_field() {
        let fields = fields();
        let errors = [
            fields.text("n").unwrap_err(),
            fields.text("empty.x").unwrap_err(),
            fields.ipv4("a.b.1.ip").unwrap_err(),
            fields.list("n").unwrap_err(),
            fields.list("list").unwrap_err(),
            fields.table("a").unwrap_err(),
            fields.number("n", 8).unwrap_err(),
            fields.flag("n").unwrap_err(),
            fields.ssh_keys("bad").unwrap_err(),
            fields.ssh_keys("n").unwrap_err(),
        ];
        insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"), @r"
        meta.json: `n` is a number, where text is wanted
        meta.json: `empty.x` cannot be looked up: on the way there is text
        meta.json: `a.b.1.ip` is a number, where text is wanted
        meta.json: `n` is a number, where a list is wanted
        meta.json: `list.0` is text, where an object is wanted
        meta.json: `a.b` is a list, where an object is wanted
        meta.json: `n` is a number, where a number up to 8 is wanted
        meta.json: `n` is a number, where true or false is wanted
        meta.json: `bad.me` is `no key`, not an ssh public key: type, key and perhaps a comment
        meta.json: `n` is a number, where a list is wanted
        ");
        for wrong in ["", "[]", "7", "{", "{\"a\":1}{", "null"] {
            assert!(Fields::json("x", wrong.as_bytes()).unwrap_err().to_string().starts_with("x is not JSON"), "{wrong}");
        }
        assert!(Fields::yaml("x", vec![0xff]).unwrap_err().to_string().contains("UTF-8"));
        assert!(Fields::yaml("x", b"- a".to_vec()).unwrap_err().to_string().contains("a mapping is wanted"));
    }

    #[test]
    fn keys_come_in_three_shapes() {
        let fields = fields();
        assert_eq!(fields.ssh_keys("keys").unwrap().into_iter().collect::<Vec<_>>(), [("me".into(), "ssh-rsa AAAA".into())]);
        assert_eq!(fields.ssh_keys("lines").unwrap().keys().collect::<Vec<_>>(), ["key-0", "key-1"]);
        assert_eq!(fields.ssh_keys("list").unwrap().len(), 1);
        assert!(fields.ssh_keys("nothing").unwrap().is_empty());
        let many = format!(r#"{{"keys": [{}]}}"#, vec!["\"ssh-rsa AAAA\""; KEYS + 1].join(","));
        assert!(Fields::json("x", many.as_bytes()).unwrap().ssh_keys("keys").is_err());
    }
}
