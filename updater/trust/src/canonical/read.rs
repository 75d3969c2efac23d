//! The strict reader.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::JsonError;
use crate::error::brief;
use crate::limits::MAX_DEPTH;

/// Reads one JSON value, refusing every ambiguity listed in the [module](super).
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError::ByteOrderMark);
    }
    let problem = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0, problem: &problem }
        .deserialize(&mut reader)
        .map_err(|error| problem.take().unwrap_or_else(|| JsonError::Syntax(error.to_string())))?;
    reader.end().map_err(|_| JsonError::Trailing)?;
    Ok(value)
}

/// Builds a value; what it dislikes is put into `problem`, because serde's errors carry only text.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    problem: &'a RefCell<Option<JsonError>>,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(self, problem: JsonError) -> E {
        let error = E::custom(&problem);
        *self.problem.borrow_mut() = Some(problem);
        error
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > MAX_DEPTH { Err(self.refuse(JsonError::TooDeep)) } else { Ok(Self { depth, ..self }) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value, E> {
        Err(self.refuse(JsonError::NotAnInteger))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        let mut folded = BTreeSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if !key.is_ascii() {
                return Err(self.refuse(JsonError::KeyNotAscii(brief(&key))));
            }
            if object.contains_key(&key) {
                return Err(self.refuse(JsonError::DuplicateKey(brief(&key))));
            }
            if !folded.insert(key.to_ascii_lowercase()) {
                return Err(self.refuse(JsonError::KeyDiffersByCase(brief(&key))));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_everybody_reads_alike() {
        let value = parse(br#" {"a": [1, -2, 18446744073709551615, true, null, "\u00e9\n"], "b": {}} "#).unwrap();
        assert_eq!(value, serde_json::json!({"a": [1, -2, u64::MAX, true, null, "é\n"], "b": {}}));
    }

    #[test]
    fn refuses_what_readers_disagree_about() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        let cases: [(&[u8], JsonError); 14] = [
            (b"\xef\xbb\xbf{}", JsonError::ByteOrderMark),
            (b"{} {}", JsonError::Trailing),
            (b"{}\0", JsonError::Trailing),
            (br#"{"a":1,"a":1}"#, JsonError::DuplicateKey("a".to_owned())),
            (br#"{"a":1,"\u0061":1}"#, JsonError::DuplicateKey("a".to_owned())),
            (br#"[{"x":{"a":1,"b":2,"a":3}}]"#, JsonError::DuplicateKey("a".to_owned())),
            (br#"{"version":1,"Version":2}"#, JsonError::KeyDiffersByCase("Version".to_owned())),
            ("{\"é\":1}".as_bytes(), JsonError::KeyNotAscii("é".to_owned())),
            (b"1.0", JsonError::NotAnInteger),
            (b"1e3", JsonError::NotAnInteger),
            (b"-0", JsonError::NotAnInteger),
            (b"18446744073709551616", JsonError::NotAnInteger),
            (br#"{"version":1.5}"#, JsonError::NotAnInteger),
            (deep(MAX_DEPTH + 1).leak().as_bytes(), JsonError::TooDeep),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn refuses_what_is_not_json() {
        let huge = "[".repeat(1_000_000);
        let cases: [&[u8]; 12] = [
            b"",
            b"  ",
            b"{",
            b"{'a':1}",
            b"{\"a\":1,}",
            b"[1,]",
            b"01",
            b"nul",
            b"\"\xff\"",
            b"\"\\ud800\"",
            b"// comment\n{}",
            b"\"a\nb\"",
        ];
        for text in cases {
            assert!(matches!(parse(text), Err(JsonError::Syntax(_))), "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(parse(huge.as_bytes()), Err(JsonError::TooDeep));
    }
}
