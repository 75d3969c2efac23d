//! Values of the cluster's sections.

use std::fmt;

use crate::model::text::{FromText, Refused, value_from_text};

/// Longest time span: ten years.
const SPAN_SECONDS_MAX: u64 = 10 * 366 * 24 * 3600;
/// Largest number of things in a cluster that a document may ask for.
const COUNT_MAX: u32 = 1000;
/// Longest label, in bytes.
const LABEL_BYTES_MAX: usize = 256;

/// A time span such as `90s`, `10m`, `6h` or `7d`; or `never`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span(String);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromText for Span {
    const WANTED: &'static str = "a time span such as `90s`, `10m`, `6h` or `7d`";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let refused = || Refused::new(format!("`{text}` is not a time span")).with_hint("a number with s, m, h or d, such as 10m");
        if text == "never" {
            return Ok(Self(text.to_owned()));
        }
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            _ => return Err(refused()),
        };
        let seconds = digits.parse::<u64>().ok().filter(|_| !digits.starts_with('+')).and_then(|number| number.checked_mul(factor));
        match seconds {
            Some(1..=SPAN_SECONDS_MAX) => Ok(Self(text.to_owned())),
            Some(_) => Err(Refused::new(format!("`{text}` is not between one second and ten years"))),
            None => Err(refused()),
        }
    }
}

value_from_text!(Span);

/// A whole number from 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(u32);

impl Count {
    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl FromText for Count {
    const WANTED: &'static str = "a number from 1 to 1000";

    fn from_text(text: &str) -> Result<Self, Refused> {
        match text.parse::<u32>() {
            Ok(number @ 1..=COUNT_MAX) if !text.starts_with('+') => Ok(Self(number)),
            _ => Err(Refused::new(format!("`{text}` is not {}", Self::WANTED))),
        }
    }
}

value_from_text!(Count);

/// The value of a label: one line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for Label {
    const WANTED: &'static str = "a line of text";

    fn from_text(text: &str) -> Result<Self, Refused> {
        if text.len() > LABEL_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(Refused::new(format!("a label is one line of at most {LABEL_BYTES_MAX} bytes")));
        }
        Ok(Self(text.to_owned()))
    }
}

value_from_text!(Label);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_one_unit() {
        for good in ["1s", "90s", "10m", "6h", "7d", "never"] {
            assert_eq!(Span::from_text(good).unwrap().to_string(), good);
        }
        for bad in ["", "10", "m", "0s", "-1m", "+1m", "1.5h", "1h30m", "10 m", "1w", "Never", "99999999d", "99999999999999999999s"] {
            assert!(Span::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_are_small_and_not_zero() {
        assert_eq!(Count::from_text("3").unwrap().get(), 3);
        for bad in ["", "0", "-1", "+3", "1001", "3.0", "three"] {
            assert!(Count::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_are_one_line() {
        assert_eq!(Label::from_text("true").unwrap().as_str(), "true");
        for bad in ["a\nb".to_owned(), "x".repeat(257)] {
            assert!(Label::from_text(&bad).is_err(), "{bad}");
        }
    }
}
