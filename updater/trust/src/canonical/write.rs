//! The canonical writer.

use serde_json::Value;

use super::JsonError;
use crate::limits::MAX_DEPTH;

/// The canonical form of `value`: the bytes that signatures and key ids are made of.
///
/// Note that control characters are written as they are, so that not every canonical form is JSON.
pub fn to_vec(value: &Value) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    write(value, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), JsonError> {
    if depth > MAX_DEPTH {
        return Err(JsonError::TooDeep);
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) if number.is_u64() || number.is_i64() => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Number(_) => return Err(JsonError::NotAnInteger),
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // Sorted here, whatever order the map keeps: UTF-8 sorts by code point, as the specification wants.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| key.as_bytes());
            out.push(b'{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                string(key, out);
                out.push(b':');
                write(member, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of securesystemslib, which the reference implementation stands on, and some of our own.
    #[test]
    fn agrees_with_the_reference_implementation() {
        let cases = [
            (json!([1, 2, 3]), "[1,2,3]"),
            (json!([]), "[]"),
            (json!({}), "{}"),
            (json!({"A": [99]}), r#"{"A":[99]}"#),
            (json!({"A": true, "B": false}), r#"{"A":true,"B":false}"#),
            (json!({"y": 2, "x": null}), r#"{"x":null,"y":2}"#),
            (json!({"b": 1, "a": {"z": -5, "B": 0}}), r#"{"a":{"B":0,"z":-5},"b":1}"#),
            (json!("a\"b\\c/d\n\u{1}é\u{1f600}"), "\"a\\\"b\\\\c/d\n\u{1}é\u{1f600}\""),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(i64::MIN), "-9223372036854775808"),
        ];
        for (value, expected) in cases {
            assert_eq!(String::from_utf8(to_vec(&value).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn refuses_floats_and_depth() {
        assert_eq!(to_vec(&json!({"x": 8.0})), Err(JsonError::NotAnInteger));
        let deep = (0..=MAX_DEPTH + 1).fold(json!(0), |value, _| json!([value]));
        assert_eq!(to_vec(&deep), Err(JsonError::TooDeep));
    }
}
