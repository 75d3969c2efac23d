//! Weekly windows in which releases are handed out.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::{Span, Time};

/// Windows in one group: more than anybody plans, few enough to walk on every decision.
pub const MAX_WINDOWS: usize = 32;
/// The longest a window stays open: after a week it opens again anyway.
pub const MAX_LENGTH: Span = Span::hours(7 * 24);

/// When releases are handed out. None at all means always.
///
/// A window whose beginning is skipped by the change to summer time opens when the clocks have changed; it always stays
/// open for its full length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Windows {
    zone: TimeZone,
    open: Vec<Window>,
}

/// One weekly window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Window {
    /// Days on which it opens; empty means every day.
    #[serde(default)]
    pub days: Vec<Day>,
    /// Local time at which it opens, e.g. `22:00`.
    pub at: jiff::civil::Time,
    /// How long it stays open.
    pub length: Span,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // they are the days of the week
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// Windows as they are written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct Raw {
    /// IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    open: Vec<Window>,
}

/// Windows that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// No such time zone.
    #[error("time zone `{0}` is not known here; write a name like Europe/Berlin and check that tzdata is installed")]
    Zone(String),
    /// A window that is never or too long open.
    #[error("a window stays open for more than 0s and for at most {MAX_LENGTH}, not {0}")]
    Length(Span),
    /// Too many.
    #[error("a group has at most {MAX_WINDOWS} windows, not {0}")]
    Count(usize),
}

/// Whether a window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// One is.
    Open,
    /// None is.
    Closed {
        /// When the next one opens.
        opens: Option<Time>,
    },
}

impl Windows {
    /// Checks the windows.
    ///
    /// # Errors
    /// An unknown time zone, a window of no length or too long, too many windows.
    pub fn new(zone: &str, open: Vec<Window>) -> Result<Self, WindowError> {
        if open.len() > MAX_WINDOWS {
            return Err(WindowError::Count(open.len()));
        }
        if let Some(window) = open.iter().find(|window| window.length == Span::ZERO || window.length > MAX_LENGTH) {
            return Err(WindowError::Length(window.length));
        }
        // UTC works on machines without tzdata, too.
        let zone = match zone {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| WindowError::Zone(name.chars().take(40).collect()))?,
        };
        Ok(Self { zone, open })
    }

    /// Whether one is open at `now`, and otherwise when the next one opens.
    #[must_use]
    pub fn at(&self, now: Time) -> Opening {
        if self.open.is_empty() {
            return Opening::Open;
        }
        let Ok(instant) = Timestamp::from_millisecond(now.0) else { return Opening::Closed { opens: None } };
        let today = instant.to_zoned(self.zone.clone()).date();
        let mut next: Option<Time> = None;
        // A window that began a week ago may still be open; the next one begins within a week.
        let days = (-7..=8).filter_map(|offset: i64| today.checked_add(offset.days()).ok());
        for (day, window) in days.flat_map(|day| self.open.iter().map(move |window| (day, window))) {
            let Some(opens) = self.opens(day, window) else { continue };
            if opens <= now && now < opens + window.length {
                return Opening::Open;
            }
            if opens > now {
                next = Some(next.map_or(opens, |next| next.min(opens)));
            }
        }
        Opening::Closed { opens: next }
    }

    /// When `window` opens on `day`, if it does.
    fn opens(&self, day: Date, window: &Window) -> Option<Time> {
        if !window.days.is_empty() && !window.days.iter().any(|open| open.weekday() == day.weekday()) {
            return None;
        }
        let local = day.to_datetime(window.at).to_zoned(self.zone.clone()).ok()?;
        Some(Time(local.timestamp().as_millisecond()))
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, open: Vec::new() }
    }
}

impl TryFrom<Raw> for Windows {
    type Error = WindowError;

    fn try_from(raw: Raw) -> Result<Self, WindowError> {
        Self::new(raw.zone.as_deref().unwrap_or("UTC"), raw.open)
    }
}

impl From<Windows> for Raw {
    fn from(windows: Windows) -> Self {
        let zone = windows.zone.iana_name().filter(|name| *name != "UTC").map(str::to_owned);
        Self { zone, open: windows.open }
    }
}

impl Day {
    const fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(json: &str) -> Windows {
        serde_json::from_str(json).unwrap()
    }

    fn time(text: &str) -> Time {
        Time(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn check(windows: &Windows, now: &str, opens: Option<&str>) {
        let expected = opens.map_or(Opening::Open, |opens| Opening::Closed { opens: Some(time(opens)) });
        assert_eq!(windows.at(time(now)), expected, "at {now}");
    }

    #[test]
    fn no_windows_means_always() {
        check(&Windows::default(), "2026-01-05T00:00:00Z", None);
    }

    #[test]
    fn a_window_may_last_beyond_midnight() {
        let night = windows(r#"{"open": [{"days": ["mon", "fri"], "at": "22:00", "length": "4h"}]}"#);
        check(&night, "2026-01-05T21:59:59Z", Some("2026-01-05T22:00:00Z"));
        check(&night, "2026-01-05T22:00:00Z", None);
        check(&night, "2026-01-06T01:59:59Z", None);
        check(&night, "2026-01-06T02:00:00Z", Some("2026-01-09T22:00:00Z"));
        check(&night, "2026-01-10T03:00:00Z", Some("2026-01-12T22:00:00Z"));
    }

    #[test]
    fn a_window_of_a_week_never_closes() {
        let week = windows(r#"{"open": [{"days": ["wed"], "at": "12:00", "length": "7d"}]}"#);
        for day in 5..13 {
            check(&week, &format!("2026-01-{day:02}T11:00:00Z"), None);
        }
    }

    #[test]
    fn summer_time_moves_a_window_and_never_shortens_it() {
        let berlin = windows(r#"{"zone": "Europe/Berlin", "open": [{"at": "02:30", "length": "1h"}]}"#);
        check(&berlin, "2026-01-05T01:29:59Z", Some("2026-01-05T01:30:00Z"));
        // On 29 March 2026 the clocks go from 02:00 to 03:00: half past two is skipped, and half past three it is.
        check(&berlin, "2026-03-29T01:00:00Z", Some("2026-03-29T01:30:00Z"));
        check(&berlin, "2026-03-29T02:29:59Z", None);
        check(&berlin, "2026-07-01T00:30:00Z", None);
    }

    #[test]
    fn refuses_windows_that_make_no_sense() {
        for json in [
            r#"{"zone": "Europe/Atlantis", "open": []}"#,
            r#"{"open": [{"at": "22:00", "length": "0s"}]}"#,
            r#"{"open": [{"at": "22:00", "length": "8d"}]}"#,
            r#"{"open": [{"at": "25:00", "length": "1h"}]}"#,
            r#"{"open": [{"days": ["someday"], "at": "22:00", "length": "1h"}]}"#,
            r#"{"opne": []}"#,
        ] {
            assert!(serde_json::from_str::<Windows>(json).is_err(), "{json}");
        }
        let window = Window { days: Vec::new(), at: jiff::civil::Time::midnight(), length: Span::hours(1) };
        assert_eq!(Windows::new("UTC", vec![window; MAX_WINDOWS + 1]), Err(WindowError::Count(MAX_WINDOWS + 1)));
    }

    #[test]
    fn windows_survive_being_written() {
        for json in [r#"{"open":[]}"#, r#"{"zone":"Europe/Berlin","open":[{"days":["mon"],"at":"22:00:00","length":"4h"}]}"#] {
            assert_eq!(serde_json::to_string(&windows(json)).unwrap(), json);
        }
    }
}
