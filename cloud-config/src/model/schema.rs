//! Keys as data, and JSON schema (draft 2020-12) from them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value as Json, json};

use crate::yaml::scalar;

/// How many values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One.
    One,
    /// A list.
    List,
    /// A mapping whose keys are the user's.
    Map,
}

/// One key of a section, as the declaration gives it.
pub struct Key {
    /// Name, with underscores.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What it is for.
    pub about: String,
    /// What it takes, in words.
    pub wanted: String,
    /// Whether the section means nothing without it.
    pub required: bool,
    /// Why it does nothing, or something else than it says.
    pub note: Option<&'static str>,
    /// One value, a list, a mapping.
    pub shape: Shape,
    /// Keys below it.
    pub children: fn() -> Vec<Key>,
    /// Its schema.
    pub schema: SchemaOf,
}

/// Where the schema of a key comes from.
pub enum SchemaOf {
    /// It is this.
    Ready(Json),
    /// A function makes it, and adds the sections it needs.
    Made(fn(&mut Definitions) -> Json),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Key {
    /// A key that is understood and does nothing.
    #[must_use]
    pub fn ignored(name: &'static str, why: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            about: String::new(),
            wanted: "anything".to_owned(),
            required: false,
            note: Some(why),
            shape: Shape::One,
            children: Vec::new,
            schema: SchemaOf::Ready(json!(true)),
        }
    }

    /// Whether it is understood and does nothing at all.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.about.is_empty()
    }
}

/// The sections a schema refers to, each once.
#[derive(Debug, Default)]
pub struct Definitions(BTreeMap<String, Json>);

impl Definitions {
    /// A reference to the section `name`, which is defined by its keys when it comes up for the first time.
    pub fn section(&mut self, name: &str, keys: &[Key]) -> Json {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), json!(true));
            let section = self.object(keys);
            self.0.insert(name.to_owned(), section);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    fn object(&mut self, keys: &[Key]) -> Json {
        let mut properties = serde_json::Map::new();
        for key in keys {
            let schema = match &key.schema {
                SchemaOf::Ready(schema) => schema.clone(),
                SchemaOf::Made(make) => make(self),
            };
            let mut described = match schema {
                Json::Object(_) => schema,
                _ => json!({}),
            };
            let about = match key.note {
                Some(note) => format!("{} ({note})", key.about).trim().to_owned(),
                None => key.about.clone(),
            };
            described["description"] = json!(about);
            if key.note.is_some() {
                described["deprecated"] = json!(true);
            }
            for name in key.aliases.iter().copied().chain([key.name]) {
                properties.insert(name.to_owned(), described.clone());
                properties.insert(name.replace('_', "-"), described.clone());
            }
        }
        let required: Vec<Json> = keys.iter().filter(|key| key.required && key.aliases.is_empty()).map(|key| json!(key.name)).collect();
        let mut object = json!({ "type": ["object", "null"], "properties": properties, "additionalProperties": false });
        if !required.is_empty() {
            object["required"] = json!(required);
        }
        object
    }
}

/// The schema of a whole configuration.
#[must_use]
pub fn document() -> Json {
    let mut definitions = Definitions::default();
    let keys = <super::Config as super::Value>::child_keys();
    let mut schema = definitions.object(&keys);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Slipway cloud-config");
    schema["$defs"] = json!(definitions.0);
    schema
}

/// Every name a key can have anywhere, sorted.
#[must_use]
pub fn all_names() -> Vec<&'static str> {
    fn add(keys: &[Key], names: &mut std::collections::BTreeSet<&'static str>) {
        for key in keys {
            names.extend(key.aliases.iter().copied().chain([key.name]));
            add(&(key.children)(), names);
        }
    }
    let mut names = std::collections::BTreeSet::new();
    add(&<super::Config as super::Value>::child_keys(), &mut names);
    names.into_iter().collect()
}

/// Any text; editors see numbers and booleans where YAML sees text that looks like them.
#[must_use]
pub fn text() -> Json {
    json!({ "type": ["string", "number", "boolean", "null"] })
}

/// Yes or no, in the words of YAML 1.1 as well.
#[must_use]
pub fn boolean() -> Json {
    json!({ "anyOf": [{ "type": ["boolean", "null"] }, { "enum": scalar::boolean_words() }] })
}

/// A whole number; octal and hexadecimal ones are text to some editors.
#[must_use]
pub fn integer() -> Json {
    json!({ "anyOf": [{ "type": ["integer", "null"] }, { "type": "string", "pattern": "^[-+]?0[xob]?[0-9a-fA-F_]+$" }] })
}

/// One of some words; `off` is a boolean to editors that read YAML 1.1.
#[must_use]
pub fn words(words: &[&str]) -> Json {
    let mut allowed: Vec<Json> = words.iter().map(|word| json!(word)).collect();
    if words.contains(&"off") {
        allowed.push(json!(false));
    }
    if words.contains(&"on") {
        allowed.push(json!(true));
    }
    allowed.push(Json::Null);
    json!({ "enum": allowed })
}

/// A list of something.
#[must_use]
pub fn list(item: Json) -> Json {
    json!({ "type": ["array", "null"], "items": item })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_defined_and_both_spellings_are_there() {
        let schema = document();
        let text = schema.to_string();
        for (at, _) in text.match_indices("#/$defs/") {
            let name: String = text[at + 8..].chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
            assert!(schema["$defs"][&name].is_object(), "{name}");
        }
        for key in ["ssh-authorized-keys", "ssh_authorized_keys", "write_files", "write-files"] {
            assert!(schema["properties"][key].is_object(), "{key}");
        }
        assert!(schema["$defs"]["Unit"]["properties"]["drop-ins"].is_object());
        assert_eq!(schema["$defs"]["Unit"]["required"], json!(["name"]));
        assert_eq!(schema["$defs"]["Unit"]["additionalProperties"], json!(false));
        assert!(schema["$defs"]["etcd"]["properties"]["peer-addr"]["deprecated"].as_bool().unwrap());
    }

    #[test]
    fn required_keys_have_one_spelling() {
        fn look(keys: &[Key]) {
            for key in keys {
                assert!(!key.required || !key.name.contains('_'), "{}", key.name);
                look(&(key.children)());
            }
        }
        look(&<super::super::Config as super::super::Value>::child_keys());
    }

    #[test]
    fn every_key_says_what_it_is_for() {
        fn look(keys: &[Key]) {
            for key in keys {
                assert!(key.is_ignored() || key.about.ends_with('.'), "{}", key.name);
                look(&(key.children)());
            }
        }
        look(&<super::super::Config as super::super::Value>::child_keys());
    }
}
