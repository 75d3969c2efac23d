//! What the text of a scalar means, once it is known what is wanted.
//!
//! YAML 1.1 as CoreOS's parser read it: 22 words for booleans, C-style integers, no sexagesimal numbers.

use super::{Scalar, Style, Tag};

const TRUE: [&str; 11] = ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"];
const FALSE: [&str; 11] = ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"];
const NULL: [&str; 5] = ["", "~", "null", "Null", "NULL"];

/// Whether the scalar says that there is no value.
#[must_use]
pub fn is_null(scalar: &Scalar) -> bool {
    scalar.tag == Some(Tag::Null) || (may_be_typed(scalar) && NULL.contains(&scalar.text.as_str()))
}

/// The boolean a plain scalar is.
#[must_use]
pub fn boolean(scalar: &Scalar) -> Option<bool> {
    if !may_be_typed(scalar) {
        return None;
    }
    let text = scalar.text.as_str();
    if TRUE.contains(&text) {
        return Some(true);
    }
    FALSE.contains(&text).then_some(false)
}

/// The words that are booleans, for schemas.
#[must_use]
pub fn boolean_words() -> Vec<&'static str> {
    TRUE.into_iter().chain(FALSE).collect()
}

/// The integer a plain scalar is.
#[must_use]
pub fn plain_integer(scalar: &Scalar) -> Option<i64> {
    if may_be_typed(scalar) { integer(&scalar.text) } else { None }
}

/// The integer `text` is: decimal, `0x`, `0o`, `0b`, or octal after a leading 0; `_` separates digits.
#[must_use]
pub fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = digits.replace('_', "");
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits.as_str(), 10),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// The number `text` is; integers are numbers, infinity is not.
#[must_use]
pub fn float(text: &str) -> Option<f64> {
    if let Some(integer) = integer(text) {
        #[allow(clippy::cast_precision_loss)]
        return Some(integer as f64);
    }
    let looks_like_one = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE_".contains(&b)) && text.bytes().any(|b| b.is_ascii_digit());
    if !looks_like_one {
        return None;
    }
    text.replace('_', "").parse().ok().filter(|value: &f64| value.is_finite())
}

/// A number in the form CoreOS's tools wrote it into variables: shortest digits, exponent below 1e-4 and from 1e21.
#[must_use]
pub fn go_float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{value}")
}

/// The bytes of a `!!binary` scalar: base64, with white space anywhere.
#[must_use]
pub fn binary(scalar: &Scalar) -> Option<Vec<u8>> {
    use base64::Engine;
    let text: String = scalar.text.split_ascii_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// What the scalar is, in words for messages.
#[must_use]
pub fn describe(scalar: &Scalar) -> &'static str {
    if scalar.tag == Some(Tag::Binary) {
        "binary data"
    } else if is_null(scalar) {
        "nothing"
    } else if boolean(scalar).is_some() {
        "a boolean"
    } else if may_be_typed(scalar) && float(&scalar.text).is_some() {
        "a number"
    } else {
        "text"
    }
}

/// Whether the text may stand for something else than text.
fn may_be_typed(scalar: &Scalar) -> bool {
    match scalar.tag {
        Some(Tag::Core) => true,
        Some(Tag::Binary | Tag::Str) => false,
        Some(Tag::Null) | None => scalar.style == Style::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar { text: text.to_owned(), style: Style::Plain, tag: None }
    }

    #[test]
    fn the_22_words_are_booleans_only_when_plain() {
        assert_eq!(boolean_words().len(), 22);
        for word in boolean_words() {
            assert!(boolean(&plain(word)).is_some(), "{word}");
            assert_eq!(boolean(&Scalar { style: Style::Quoted, ..plain(word) }), None, "{word}");
            assert_eq!(boolean(&Scalar { tag: Some(Tag::Str), ..plain(word) }), None, "{word}");
        }
        assert_eq!(boolean(&plain("no")), Some(false));
        for word in ["nO", "tRue", "0", "1", "", "enabled", "yes "] {
            assert_eq!(boolean(&plain(word)), None, "{word:?}");
        }
    }

    #[test]
    fn integers_are_written_as_in_c() {
        let table = [
            ("0", Some(0)),
            ("42", Some(42)),
            ("-7", Some(-7)),
            ("+7", Some(7)),
            ("0x1F", Some(31)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("0b101", Some(5)),
            ("1_000", Some(1000)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("089", None),
            ("", None),
            ("-", None),
            ("0x", None),
            ("--1", None),
            ("0x-1", None),
            ("0-1", None),
            ("0_", Some(0)),
            ("1:30", None),
            ("1.0", None),
            ("_1", None),
            ("99999999999999999999999999999999999999999", None),
        ];
        for (text, expected) in table {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn floats_look_like_they_did_in_variables() {
        let table = [
            ("1.0", "1"),
            ("0.000001", "1e-06"),
            ("2.5", "2.5"),
            ("30", "30"),
            ("1e3", "1000"),
            ("1e21", "1e+21"),
            ("0.0", "0"),
            ("-0.5", "-0.5"),
        ];
        for (text, expected) in table {
            assert_eq!(float(text).map(go_float).as_deref(), Some(expected), "{text}");
        }
        for text in ["", ".", "nan", ".inf", "inf", "1e999", "e", "1.2.3", "abc", "+"] {
            assert_eq!(float(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_is_null_only_when_plain() {
        for text in ["", "~", "null"] {
            assert!(is_null(&plain(text)));
            assert!(!is_null(&Scalar { style: Style::Quoted, ..plain(text) }));
        }
    }
}
