//! Words and numbers as the page shows them.

use std::fmt;

use askama::filters::HtmlSafe;

use crate::policy::Time;

/// Characters shown of one thing that somebody else wrote; more would push everything else off the screen.
const SHOWN: usize = 200;
/// What a character that plays tricks is replaced by.
const REPLACED: char = '\u{fffd}';

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Text of others, fit to be read: control characters, invisible ones and those that turn the direction of the text are
/// replaced, and what is too long is cut. Markup is not its business: the templates escape everything.
#[must_use]
pub fn tame(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).map(|c| if tricky(c) { REPLACED } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// [`tame`] for what may be missing; empty when it is.
#[must_use]
pub fn tame_maybe(text: Option<&str>) -> String {
    text.map(tame).unwrap_or_default()
}

/// Control and escape characters, bidirectional overrides and isolates, zero-width and tag characters.
fn tricky(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A count with thin spaces between thousands, which no locale mistakes for a decimal mark.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// `count` of `noun`, in the plural where there is not exactly one.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A part of a whole in per cent with one digit. What is not nothing never reads as nothing, and what is not everything
/// never as everything.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    match tenths {
        0 if part > 0 => "<0.1 %".to_owned(),
        tenths if tenths % 10 == 0 => format!("{} %", tenths / 10),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// A moment, as markup: UTC for the record, and how far from now for the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    iso: String,
    utc: String,
    hint: String,
}

impl When {
    /// `time`, seen from `now`.
    #[must_use]
    pub fn new(time: Time, now: Time) -> Self {
        let iso = time.to_string();
        let utc = iso.replace('T', " ").trim_end_matches('Z').to_owned() + " UTC";
        Self { iso, utc, hint: hint(time, now) }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { iso, utc, hint } = self;
        write!(f, r#"<time datetime="{iso}">{utc}</time> <span class="hint">{hint}</span>"#)
    }
}

// Made of digits and words of this file only.
impl HtmlSafe for When {}

/// How far `time` is from `now`, in the largest unit that says something. No seconds: the page would never stand still.
#[must_use]
pub fn hint(time: Time, now: Time) -> String {
    let away = now.0.saturating_sub(time.0);
    let size = away.saturating_abs();
    let (number, unit) = match size {
        ..MINUTE => return (if away >= 0 { "just now" } else { "in less than a minute" }).to_owned(),
        MINUTE..HOUR => (size / MINUTE, "min"),
        HOUR..DAY => (size / HOUR, "h"),
        _ => (size / DAY, if size / DAY == 1 { "day" } else { "days" }),
    };
    if away > 0 { format!("{number} {unit} ago") } else { format!("in {number} {unit}") }
}

/// The moment in UTC without its date, for the axis of a chart and the line that says how fresh a page is.
#[must_use]
pub fn clock_face(time: Time) -> String {
    let iso = time.to_string();
    iso.split_once('T').map_or(iso.clone(), |(_, clock)| clock.trim_end_matches('Z').to_owned())
}

/// An Omaha event in words.
#[must_use]
pub fn event(kind: u32, result: u32) -> String {
    let words = match (kind, result) {
        (13, 1) => "began to download",
        (14, 1) => "finished the download",
        (3, 1) => "installed, waits for its reboot",
        (3, 2) => "runs the new release",
        (3, 0) => "failed",
        (13 | 14, 0) => "download failed",
        _ => return format!("event {kind}, result {result}"),
    };
    words.to_owned()
}

/// The meaning of an error code where it has one that helps.
#[must_use]
pub fn error_code(code: i64) -> String {
    match code {
        0 => String::new(),
        44 => "44: came back to the old slot".to_owned(),
        2000..=2999 => format!("{code}: HTTP {}", code - 2000),
        _ => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tricky_characters_lose_their_power() {
        for (sent, shown) in [
            ("1.2.3", "1.2.3"),
            ("\u{1b}[31mred", "\u{fffd}[31mred"),
            ("safe\u{202e}gpj.exe", "safe\u{fffd}gpj.exe"),
            ("\u{2066}a\u{2069}", "\u{fffd}a\u{fffd}"),
            ("a\u{200b}b\u{feff}", "a\u{fffd}b\u{fffd}"),
            ("line\r\nline", "line\u{fffd}\u{fffd}line"),
            ("größe שלום", "größe שלום"),
        ] {
            assert_eq!(tame(sent), shown, "{sent:?}");
        }
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        assert_eq!(tame(&"x".repeat(SHOWN)), "x".repeat(SHOWN));
        let cut = tame(&"ä".repeat(1_000_000));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (SHOWN + 1, true));
    }

    #[test]
    fn counts_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(count(number).replace('\u{202f}', " "), text);
        }
        assert_eq!((counted(1, "machine"), counted(0, "machine")), ("1 machine".to_owned(), "0 machines".to_owned()));
    }

    #[test]
    fn a_little_is_not_nothing_and_nearly_is_not_everything() {
        for (part, whole, text) in
            [(0, 0, "–"), (0, 5, "0 %"), (1, 1_000_000, "<0.1 %"), (999_999, 1_000_000, "99.9 %"), (1, 3, "33.3 %"), (5, 5, "100 %")]
        {
            assert_eq!(percent(part, whole), text, "{part} of {whole}");
        }
        assert_eq!(percent(u64::MAX, u64::MAX), "100 %");
    }

    #[test]
    fn hints_speak_of_past_and_future() {
        let now = Time(1_000 * DAY);
        for (offset, text) in [
            (0, "just now"),
            (-59 * SECOND, "just now"),
            (30 * SECOND, "in less than a minute"),
            (-61 * SECOND, "1 min ago"),
            (-3 * HOUR - 5, "3 h ago"),
            (2 * HOUR, "in 2 h"),
            (-DAY, "1 day ago"),
            (-40 * DAY, "40 days ago"),
        ] {
            assert_eq!(hint(Time(now.0 + offset), now), text, "{offset}");
        }
        // Nothing that a clock can show makes it panic.
        assert!(hint(Time(i64::MIN), Time(i64::MAX)).ends_with("days ago"));
    }

    #[test]
    fn a_moment_is_shown_in_utc() {
        let when = When::new(Time(1_767_571_200_000), Time(1_767_571_260_000)).to_string();
        assert_eq!(when, r#"<time datetime="2026-01-05T00:00:00Z">2026-01-05 00:00:00 UTC</time> <span class="hint">1 min ago</span>"#);
        assert_eq!(clock_face(Time(1_767_571_200_000)), "00:00:00");
        assert!(When::new(Time(i64::MAX), Time(0)).to_string().contains(" ms"), "a time beyond all calendars");
    }

    #[test]
    fn reports_have_names() {
        assert_eq!(event(3, 2), "runs the new release");
        assert_eq!(event(800, 7), "event 800, result 7");
        assert_eq!((error_code(0), error_code(2404), error_code(-7)), (String::new(), "2404: HTTP 404".to_owned(), "-7".to_owned()));
    }
}
