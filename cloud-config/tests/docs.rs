//! `docs/cloud-config.md` has every key, every rule, and examples that are true.
//!
//! The tables between `<!-- keys PATH -->` and `<!-- end -->` come from the declarations; `UPDATE_DOCS=1` writes them anew.
//! A block that begins with three backticks and `yaml` has nothing to complain about; one with `yaml warnings` is usable and has
//! warnings, one with `yaml errors` is refused.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cloud_config::check::{self, Severity};
use cloud_config::model::schema::{Key, Shape};
use cloud_config::model::{Config, Rule, Value};
use cloud_config::yaml::{Kind, Node, parse};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/cloud-config.md")
}

fn docs() -> String {
    std::fs::read_to_string(path()).expect("the page is in the repository")
}

/// Path of a section, and its keys.
fn sections() -> Vec<(String, Vec<Key>)> {
    fn add(path: &str, keys: Vec<Key>, sections: &mut Vec<(String, Vec<Key>)>) {
        for key in &keys {
            let children = (key.children)();
            if !children.is_empty() {
                add(&child_path(path, key), children, sections);
            }
        }
        sections.push((path.to_owned(), keys));
    }
    let mut sections = Vec::new();
    add("", Config::child_keys(), &mut sections);
    sections.sort_by(|a, b| a.0.cmp(&b.0));
    sections
}

fn child_path(path: &str, key: &Key) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    let suffix = match key.shape {
        Shape::One => "",
        Shape::List => "[]",
        Shape::Map => ".*",
    };
    format!("{path}{dot}{}{suffix}", key.name)
}

fn table(keys: &[Key]) -> String {
    let mut text = "| key | takes | for |\n| --- | --- | --- |\n".to_owned();
    for key in keys {
        let aliases: String = key.aliases.iter().map(|alias| format!(", also `{alias}`")).collect();
        let required = if key.required { ", required" } else { "" };
        let note = key.note.map_or(String::new(), |note| format!(" *{}.*", upper(note)));
        let about = format!("{}{note}", key.about);
        text += &format!("| `{}`{aliases}{required} | {} | {} |\n", key.name, key.wanted.replace('|', "\\|"), about.trim());
    }
    text
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn rules() -> String {
    let rows = Rule::ALL.iter().map(|rule| {
        let severity = if rule.severity() == Severity::Error { "error" } else { "warning" };
        format!("| `{}` | {severity} | {} |\n", rule.id(), rule.about())
    });
    format!("| rule | breaking it is | what it asks for |\n| --- | --- | --- |\n{}", rows.collect::<String>())
}

/// Replaces what stands between a marker and the next end.
fn replace(docs: &mut String, marker: &str, table: &str) {
    let begin = format!("<!-- {marker} -->\n");
    let start = docs.find(&begin).unwrap_or_else(|| panic!("docs/cloud-config.md has no `<!-- {marker} -->`")) + begin.len();
    let end = start + docs[start..].find("<!-- end -->").expect("each table has an end");
    docs.replace_range(start..end, table);
}

#[test]
fn the_tables_are_those_of_the_declarations() {
    let mut fresh = docs();
    for (path, keys) in sections() {
        let marker = if path.is_empty() { "keys".to_owned() } else { format!("keys {path}") };
        replace(&mut fresh, &marker, &table(&keys));
    }
    replace(&mut fresh, "rules", &rules());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path(), &fresh).unwrap();
    }
    assert!(fresh == docs(), "docs/cloud-config.md is not up to date: run this test with UPDATE_DOCS=1");
}

/// Blocks of YAML: line, words after `yaml`, text.
fn examples() -> Vec<(usize, String, String)> {
    let docs = docs();
    let mut examples: Vec<(usize, String, String)> = Vec::new();
    let mut inside = false;
    for (index, line) in docs.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(info) if info.starts_with("yaml") => {
                inside = true;
                examples.push((index + 1, info["yaml".len()..].trim().to_owned(), String::new()));
            }
            _ if inside => {
                let text = &mut examples.last_mut().expect("a block has begun").2;
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    examples
}

#[test]
fn every_example_is_what_it_says_it_is() {
    for (line, mark, text) in examples() {
        let checked = check::any(text.as_bytes());
        let (errors, warnings) = (checked.count(Severity::Error), checked.count(Severity::Warning));
        let found = match (errors, warnings) {
            (0, 0) => "",
            (0, _) => "warnings",
            _ => "errors",
        };
        let shown: String = checked.problems.iter().map(|problem| check::show(problem) + "\n").collect();
        assert_eq!(found, mark, "the example on line {line} of docs/cloud-config.md:\n{shown}");
    }
}

/// The keys that a tree uses, as paths like those of [`sections`].
fn used(node: &Node, path: &str, keys: &[Key], found: &mut BTreeSet<String>) {
    let Kind::Mapping(entries) = &node.kind else { return };
    for entry in entries {
        let name = entry.key.text.replace('-', "_");
        let Some(key) = keys.iter().find(|key| key.name == name || key.aliases.contains(&name.as_str())) else { continue };
        found.insert(format!("{path} {}", key.name));
        let (children, below) = ((key.children)(), child_path(path, key));
        match (&entry.value.kind, key.shape) {
            (Kind::Sequence(items), Shape::List) => items.iter().for_each(|item| used(item, &below, &children, found)),
            (Kind::Mapping(entries), Shape::Map) => entries.iter().for_each(|entry| used(&entry.value, &below, &children, found)),
            _ => used(&entry.value, &below, &children, found),
        }
    }
}

#[test]
fn every_key_is_in_an_example() {
    let mut found = BTreeSet::new();
    for (_, _, text) in examples() {
        if let Some(root) = parse(&text).root {
            used(&root, "", &Config::child_keys(), &mut found);
        }
    }
    let all = sections()
        .into_iter()
        .flat_map(|(path, keys)| keys.into_iter().filter(|key| !key.is_ignored()).map(move |key| format!("{path} {}", key.name)));
    let missing: Vec<String> = all.filter(|key| !found.contains(key)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// The part of JSON schema that ours uses; enough to see whether editors would accept the examples.
fn fits(value: &serde_json::Value, schema: &serde_json::Value, root: &serde_json::Value) -> Result<(), String> {
    use serde_json::Value as Json;
    let Json::Object(rules) = schema else { return Ok(()) };
    if let Some(reference) = rules.get("$ref").and_then(Json::as_str) {
        let target = root.pointer(reference.trim_start_matches('#')).ok_or(format!("{reference} is not defined"))?;
        fits(value, target, root)?;
    }
    if let Some(Json::Array(choices)) = rules.get("anyOf") {
        let errors: Vec<String> = choices.iter().filter_map(|choice| fits(value, choice, root).err()).collect();
        if errors.len() == choices.len() {
            return Err(format!("{value} fits none of: {}", errors.join("; ")));
        }
    }
    if let Some(Json::Array(allowed)) = rules.get("enum")
        && !allowed.contains(value)
    {
        return Err(format!("{value} is none of {allowed:?}"));
    }
    if let Some(wanted) = rules.get("type") {
        let found = match value {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(number) if number.is_f64() => "number",
            Json::Number(_) => "integer",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        };
        let names: Vec<&str> =
            wanted.as_str().into_iter().chain(wanted.as_array().into_iter().flatten().filter_map(Json::as_str)).collect();
        let fits = names.contains(&found) || found == "integer" && names.contains(&"number");
        if !fits {
            return Err(format!("{value} is {found}, not {names:?}"));
        }
    }
    if let (Some(items), Json::Array(values)) = (rules.get("items"), value) {
        values.iter().try_for_each(|value| fits(value, items, root))?;
    }
    if let Json::Object(values) = value {
        for (key, value) in values {
            match (rules.get("properties").and_then(|properties| properties.get(key)), rules.get("additionalProperties")) {
                (Some(schema), _) => fits(value, schema, root).map_err(|error| format!("{key}: {error}"))?,
                (None, Some(Json::Bool(false))) => return Err(format!("`{key}` is not allowed")),
                (None, Some(schema)) => fits(value, schema, root).map_err(|error| format!("{key}: {error}"))?,
                (None, None) => {}
            }
        }
        for key in rules.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if !values.contains_key(key) {
                return Err(format!("`{key}` is missing"));
            }
        }
    }
    Ok(())
}

/// A document as an editor sees it, in YAML 1.2.
fn as_json(node: &Node) -> serde_json::Value {
    match &node.kind {
        Kind::Mapping(entries) => entries.iter().map(|entry| (entry.key.text.clone(), as_json(&entry.value))).collect(),
        Kind::Sequence(items) => items.iter().map(as_json).collect(),
        Kind::Scalar(scalar) => match (scalar.text.as_str(), scalar.style) {
            _ if node.is_null() => serde_json::Value::Null,
            ("true", cloud_config::yaml::Style::Plain) => true.into(),
            ("false", cloud_config::yaml::Style::Plain) => false.into(),
            (text, cloud_config::yaml::Style::Plain) => {
                text.parse::<i64>().map_or_else(|_| text.parse::<f64>().map_or_else(|_| text.into(), Into::into), Into::into)
            }
            (text, _) => text.into(),
        },
    }
}

#[test]
fn editors_accept_the_examples_and_refuse_the_mistakes() {
    let schema = cloud_config::model::schema::document();
    for (line, mark, text) in examples() {
        let json = as_json(&parse(&text).root.unwrap());
        let result = fits(&json, &schema, &schema);
        assert_eq!(result.is_ok(), mark != "errors", "the example on line {line} of docs/cloud-config.md: {result:?}");
    }
    let wrong = [
        "hostnmae: a",
        "users: [{uid: 1}]",
        "coreos: {units: [{name: a.service, enable: maybe}]}",
        "ssh_authorized_keys: {a: b}",
        "swap: {size: [1]}",
    ];
    for text in wrong {
        let json = as_json(&parse(text).root.unwrap());
        assert!(fits(&json, &schema, &schema).is_err(), "{text}");
    }
}
