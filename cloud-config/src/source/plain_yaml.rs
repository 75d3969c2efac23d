//! YAML as platforms write metadata: mappings, lists and scalars. Anchors, tags and further documents are refused.
//!
//! User data is read by [`crate::yaml`], which keeps the place of every value and speaks the dialect of the user; here a value is
//! all that is wanted.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Levels of nesting, at most; `network-config` needs seven.
const MAX_DEPTH: usize = 24;
/// Values, at most.
const MAX_VALUES: usize = 20_000;

/// The one document in `text`; null when there is none.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| error.to_string())?;
        builder.take(event).map_err(|reason| format!("line {}: {reason}", span.start.line()))?;
    }
    Ok(builder.root.unwrap_or(Value::Null))
}

/// A collection that has begun.
enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Value>,
    documents: usize,
    values: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { Err("a second document, where one is wanted".to_owned()) } else { Ok(()) }
            }
            Event::Alias(_) => Err("an alias, which is not taken here".to_owned()),
            Event::Scalar(text, style, anchor, tag) => {
                plain(anchor, tag.is_some())?;
                if let Some(Open::Map(_, key @ None)) = self.open.last_mut() {
                    *key = Some(text.into_owned());
                    return Ok(());
                }
                self.put(scalar(text, style))
            }
            Event::SequenceStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.begin(Open::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.begin(Open::Map(Map::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(list)) => self.put(Value::Array(list)),
                Some(Open::Map(map, _)) => self.put(Value::Object(map)),
                None => Err("an end without its beginning".to_owned()),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, open: Open) -> Result<(), String> {
        if let Some(Open::Map(_, None)) = self.open.last() {
            return Err("a collection as a key, which is not taken here".to_owned());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels"));
        }
        self.open.push(open);
        Ok(())
    }

    fn put(&mut self, value: Value) -> Result<(), String> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(map, key)) => {
                let key = key.take().ok_or("a value without its key")?;
                if map.contains_key(&key) {
                    return Err(format!("the key {key:?} for the second time"));
                }
                map.insert(key, value);
            }
        }
        Ok(())
    }
}

fn plain(anchor: usize, tag: bool) -> Result<(), String> {
    if anchor != 0 || tag { Err("an anchor or a tag, which is not taken here".to_owned()) } else { Ok(()) }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.into_owned());
    }
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        number => match canonical(number) {
            Some(number) => Value::Number(number),
            None => Value::String(text.into_owned()),
        },
    }
}

/// A number only when it is written the way it would be printed: `007` and `1_000` stay text.
fn canonical(text: &str) -> Option<Number> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text).map(Number::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_becomes_values() {
        let value =
            parse("# seed\ninstance-id: i-1\nn: 7\nzero: 007\nyes: yes\nquoted: 'yes'\nempty:\nlist:\n  - {a: [1, x]}\n  - |\n    text\n");
        let expected = serde_json::json!({
            "instance-id": "i-1", "n": 7, "zero": "007", "yes": true, "quoted": "yes", "empty": null, "list": [{"a": [1, "x"]}, "text\n"]
        });
        assert_eq!(value, Ok(expected));
        assert_eq!(parse(""), Ok(Value::Null));
        assert_eq!(parse("# only a comment\n"), Ok(Value::Null));
        assert_eq!(parse(r#"{"json": [true, null]}"#), Ok(serde_json::json!({"json": [true, null]})));
    }

    #[test]
    fn what_could_grow_or_surprise_is_refused() {
        let deep = "[".repeat(MAX_DEPTH + 1);
        let wide = format!("[{}]", "1,".repeat(MAX_VALUES + 1));
        for (text, word) in [
            ("a: &x 1\nb: *x", "anchor"),
            ("a: !!str 1", "tag"),
            ("a: 1\n---\nb: 2", "second document"),
            ("a: 1\na: 2", "second time"),
            ("? [a]\n: 1", "collection as a key"),
            ("a: [", ""),
            ("a: 'x", ""),
            (&deep, "levels"),
            (&wide, "values"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{text:.40}: {error}");
        }
        assert!(parse("a: 1\nb: *x").unwrap_err().contains("line 2") || parse("a: 1\nb: *x").is_err());
    }
}
