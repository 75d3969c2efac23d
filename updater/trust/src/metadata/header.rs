//! The members that all four files have.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, brief};
use crate::limits::MAX_VERSION;
use crate::role::Role;

/// Version and last moment of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
}

impl Header {
    /// Reads them from a `signed` object.
    pub(crate) fn parse(role: Role, signed: &Value) -> Result<Self, Error> {
        let malformed = |reason: &str| Error::Malformed { role, reason: reason.to_owned() };
        let text = |name: &str| signed.get(name).and_then(Value::as_str);
        let spec = text("spec_version").ok_or_else(|| malformed("it has no `spec_version`"))?;
        if spec.split('.').next() != Some("1") {
            return Err(malformed("its `spec_version` is not 1.x: this program is too old for it"));
        }
        let version = signed.get("version").and_then(Value::as_u64).filter(|&version| version > 0);
        let version = version.ok_or_else(|| malformed("its `version` is not a positive integer"))?;
        if version > MAX_VERSION {
            return Err(Error::VersionTooHigh { role, version });
        }
        let expires =
            text("expires").and_then(parse_time).ok_or_else(|| malformed("its `expires` is not a time like 2027-01-31T12:00:00Z"))?;
        Ok(Self { version, expires })
    }

    /// Refuses what is no longer valid at `now`.
    pub(crate) fn check_expiry(&self, role: Role, now: Timestamp) -> Result<(), Error> {
        if self.expires > now {
            return Ok(());
        }
        Err(Error::Expired { role, version: self.version, expires: self.expires, now })
    }
}

/// The rest of a `signed` object, through serde.
pub(super) fn body<'a, T: Deserialize<'a>>(role: Role, signed: &'a Value) -> Result<T, Error> {
    T::deserialize(signed).map_err(|error| Error::Malformed { role, reason: brief(&error.to_string()) })
}

/// A sha256 among `hashes`, which has to be there: the others alone are not enough for us.
pub(super) fn sha256(hashes: &std::collections::BTreeMap<String, String>) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(hashes.get("sha256")?, &mut digest).ok().map(|()| digest)
}

/// `2027-01-31T12:00:00Z`, with or without a fraction (tough writes one), and no other of the many spellings of a time.
fn parse_time(text: &str) -> Option<Timestamp> {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let (head, tail) = text.as_bytes().split_at_checked(SHAPE.len())?;
    let shaped = head.iter().zip(SHAPE).all(|(byte, shape)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == shape });
    let fraction = tail.strip_suffix(b"Z")?;
    let plain = match fraction.strip_prefix(b".") {
        Some(digits) => (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        None => fraction.is_empty(),
    };
    if shaped && plain { text.parse().ok() } else { None }
}

/// The specification's spelling: whole seconds, UTC.
pub(crate) fn format_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_times_in_one_spelling_only() {
        let second: Timestamp = "2027-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(parse_time("2027-01-31T12:00:00Z"), Some(second));
        assert_eq!(parse_time("2027-01-31T12:00:00.000Z"), Some(second));
        assert_eq!(format_time(second), "2027-01-31T12:00:00Z");
        for text in [
            "",
            "Z",
            "2027-01-31",
            "2027-01-31T12:00:00",
            "2027-01-31T12:00:00+00:00",
            "2027-01-31T12:00:00Z[UTC]",
            "2027-01-31 12:00:00Z",
            "2027-01-31t12:00:00z",
            "2027-02-31T12:00:00Z",
            "2027-01-31T25:00:00Z",
            "2027-01-31T12:00:00.Z",
            "2027-01-31T12:00:00.1234567890Z",
            "+12027-01-31T12:00:00Z",
            "２027-01-31T12:00:00Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_header_must_be_whole() {
        let good = json!({"spec_version": "1.0.31", "version": 7, "expires": "2027-01-31T12:00:00Z"});
        assert_eq!(Header::parse(Role::Targets, &good).unwrap().version, 7);
        for (name, value) in [
            ("spec_version", json!("2.0.0")),
            ("spec_version", json!("10.0")),
            ("spec_version", json!(1)),
            ("version", json!(0)),
            ("version", json!(-1)),
            ("version", json!("7")),
            ("version", json!(u64::MAX)),
            ("version", json!(MAX_VERSION + 1)),
            ("expires", json!(1_800_000_000)),
            ("expires", json!(null)),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert!(Header::parse(Role::Targets, &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_moment_is_already_too_late() {
        let header = Header { version: 1, expires: Timestamp::from_second(1000).unwrap() };
        for (now, good) in [(0, true), (999, true), (1000, false), (1001, false)] {
            assert_eq!(header.check_expiry(Role::Root, Timestamp::from_second(now).unwrap()).is_ok(), good, "{now}");
        }
    }
}
