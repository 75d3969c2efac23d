//! Weekly maintenance windows, in the local time of a time zone.
//!
//! A window is a weekday, a local start time and a length. Its start is looked up in the time zone for each week: a start that a
//! clock change skips is moved forward by the size of the gap, a start that happens twice is the first of the two. The length is real time,
//! so a window that lies over a clock change still lasts as long as it says.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Serialize;

/// Most windows that are looked at; a week has 168 hours.
pub const WINDOWS_MAX: usize = 168;
/// Longest window; a longer one would say "always", which is another strategy.
pub const LENGTH_MAX: SignedDuration = SignedDuration::from_hours(24 * 7);

/// One weekly window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The day it starts on; `None` is every day.
    #[serde(serialize_with = "day_name")]
    pub day: Option<Weekday>,
    /// Local time it starts at.
    pub start: Time,
    /// How long it stays open.
    pub length: SignedDuration,
}

fn day_name<S: serde::Serializer>(day: &Option<Weekday>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day.map_or("every day", name_of))
}

/// `Mon` to `Sun`.
#[must_use]
pub fn name_of(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

/// All windows of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Windows {
    /// In the order of the file; they may overlap.
    pub list: Vec<Window>,
    /// The time zone of the start times.
    #[serde(serialize_with = "zone_name")]
    pub zone: TimeZone,
}

fn zone_name<S: serde::Serializer>(zone: &TimeZone, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(zone.iana_name().unwrap_or("UTC"))
}

impl Default for Windows {
    fn default() -> Self {
        Self { list: Vec::new(), zone: TimeZone::UTC }
    }
}

/// Whether a window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Yes, until then.
    Open {
        /// End of the window that closes last of those open now.
        until: Timestamp,
    },
    /// No; the next one opens then.
    Closed {
        /// Start of the next window.
        opens: Timestamp,
    },
    /// There are no windows at all.
    Never,
}

impl Windows {
    /// The windows as seen at `now`.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Opening {
        let today = now.to_zoned(self.zone.clone()).date();
        // The longest window began at most a week ago; the next one begins within a week, or a day later when a clock change moved it.
        let days = (-8..=8).filter_map(|offset: i64| today.checked_add(offset.days()).ok());
        let spans: Vec<(Timestamp, Timestamp)> = days.flat_map(|date| self.starting(date)).collect();
        let open = spans.iter().filter(|(start, end)| *start <= now && now < *end).map(|(_, end)| *end).max();
        if let Some(until) = open {
            return Opening::Open { until };
        }
        match spans.iter().filter(|(start, _)| *start > now).map(|(start, _)| *start).min() {
            Some(opens) => Opening::Closed { opens },
            None => Opening::Never,
        }
    }

    fn starting(&self, date: Date) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        self.list.iter().take(WINDOWS_MAX).filter_map(move |window| {
            if window.day.is_some_and(|day| day != date.weekday()) {
                return None;
            }
            let start = self.zone.to_ambiguous_timestamp(date.to_datetime(window.start)).compatible().ok()?;
            let end = start.checked_add(window.length).ok()?;
            Some((start, end))
        })
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
