//! Spans of time as people write them in configuration: `90s`, `10m`, `6h`, `1h30m`.
//!
//! With serde: `#[serde(with = "cluster_store::duration")]`, and [`or_never`] where a thing may also never happen.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Units, largest first, in seconds.
const UNITS: [(char, u64); 4] = [('d', 24 * 3600), ('h', 3600), ('m', 60), ('s', 1)];
/// Longest span, in seconds: one hundred years. More is a slip of the finger, and would overflow clocks.
const LONGEST: u64 = 100 * 365 * 24 * 3600;

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no span of time; write a number with its unit, such as 90s, 10m, 6h or 1h30m (units: s, m, h, d)")]
pub struct DurationError(String);

/// Reads `90s`, `10m`, `6h`, `2d`, `1h30m`: whole numbers, each with its unit, larger units first.
///
/// # Errors
/// Anything else, nothing at all, and more than a hundred years.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError(text.to_owned());
    let mut units = UNITS.iter();
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = rest[digits..].chars().next().ok_or_else(wrong)?;
        let (_, size) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        seconds = number.checked_mul(*size).and_then(|more| seconds.checked_add(more)).filter(|sum| *sum <= LONGEST).ok_or_else(wrong)?;
        rest = &rest[digits + unit.len_utf8()..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

/// Writes what [`parse`] reads; parts of a second are left out.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (name, size) in UNITS {
        if rest >= size {
            text.push_str(&format!("{}{name}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// For serde.
///
/// # Errors
/// As [`parse`].
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// For serde.
///
/// # Errors
/// As the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format(*duration))
}

/// The same for `Option<Duration>`, where nothing is written `never`.
pub mod or_never {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// How nothing is written.
    const NEVER: &str = "never";

    /// For serde.
    ///
    /// # Errors
    /// As [`super::parse`].
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(from)?;
        if text == NEVER { Ok(None) } else { super::parse(&text).map(Some).map_err(D::Error::custom) }
    }

    /// For serde.
    ///
    /// # Errors
    /// As the serializer.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&duration.map_or_else(|| NEVER.to_owned(), super::format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read() {
        let table =
            [("0s", 0), ("90s", 90), ("10m", 600), ("6h", 21_600), ("2d", 172_800), ("1h30m", 5400), ("1d1h1m1s", 90_061), ("007s", 7)];
        for (text, seconds) in table {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_an_error_that_shows_how() {
        let huge = format!("{}d", u64::MAX);
        for text in ["", "10", "s", "10 m", "-1s", "1.5h", "10M", "1m1h", "1m1m", "10min", "99999999999999999999s", "36501d", &huge, "1ö"]
        {
            let error = parse(text).expect_err(text);
            assert!(error.to_string().contains("10m"), "{error}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for seconds in [0, 1, 59, 60, 61, 3600, 5400, 86_400, 90_061] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }

    #[test]
    fn a_thing_may_never_happen() {
        #[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
        struct Plan {
            #[serde(with = "or_never")]
            after: Option<Duration>,
        }
        for (text, after) in [("after = \"never\"\n", None), ("after = \"10m\"\n", Some(Duration::from_secs(600)))] {
            let plan: Plan = toml::from_str(text).unwrap();
            assert_eq!(plan, Plan { after });
            assert_eq!(toml::to_string(&plan).unwrap(), text);
        }
        assert!(toml::from_str::<Plan>("after = \"Never\"").is_err());
    }
}
