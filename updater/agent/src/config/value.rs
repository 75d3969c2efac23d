//! The syntax of single values. Each function says what is expected when a value is not it.

use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

/// A duration such as `45m` or `1h 30m`, within `range`.
pub(super) fn duration(range: std::ops::RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let parsed = SignedDuration::from_str(text).ok().and_then(|signed| Duration::try_from(signed).ok());
        let expected =
            || format!("expected a duration such as `45m` or `1h 30m`, {:#} to {:#}", Shown(*range.start()), Shown(*range.end()));
        parsed.filter(|duration| range.contains(duration)).ok_or_else(expected)
    }
}

/// A duration as people write it.
pub(crate) struct Shown(pub(crate) Duration);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let signed = SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX);
        write!(f, "{signed:#}")
    }
}

/// `http://` or `https://`, a host, and nothing that would be lost when a path is added.
pub(super) fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if !good || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#' || c == '?') {
        return Err("expected a URL such as \"https://updates.example.org\"".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}
