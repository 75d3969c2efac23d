//! Bars: parts of a whole, drawn as SVG without style attributes, with the numbers beside them in the page.

use std::fmt::{self, Write as _};

use askama::filters::HtmlSafe;

/// A bar's own width; the page stretches it.
const WIDTH: u64 = 1000;
/// What is not nothing is seen.
const LEAST: u64 = 4;

/// A bar as markup. Hidden from screen readers: the numbers that it shows stand beside it as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar(String);

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// Made of numbers and of class names that are written in this crate.
impl HtmlSafe for Bar {}

/// Draws `parts` of `whole` one after the other, and a mark where a limit is.
#[must_use]
pub fn bar(parts: &[(&'static str, u64)], whole: u64, mark: Option<u64>) -> Bar {
    let mut svg = format!(r#"<svg class="bar" viewBox="0 0 {WIDTH} 10" preserveAspectRatio="none" aria-hidden="true">"#);
    svg.push_str(r#"<rect class="track" x="0" y="0" width="1000" height="10"/>"#);
    let mut x = 0;
    for (class, part) in parts {
        let width = width(*part, whole).min(WIDTH - x);
        if width > 0 {
            // Writing into a string cannot fail.
            let _ = write!(svg, r#"<rect class="{class}" x="{x}" y="0" width="{width}" height="10"/>"#);
        }
        x += width;
    }
    if let Some(mark) = mark {
        let x = width(mark, whole).clamp(2, WIDTH - 2) - 2;
        let _ = write!(svg, r#"<rect class="mark" x="{x}" y="0" width="4" height="10"/>"#);
    }
    svg.push_str("</svg>");
    Bar(svg)
}

fn width(part: u64, whole: u64) -> u64 {
    if part == 0 || whole == 0 {
        return 0;
    }
    let width = u64::try_from(u128::from(part) * u128::from(WIDTH) / u128::from(whole)).unwrap_or(WIDTH);
    width.clamp(LEAST, WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_shares_and_a_little_is_seen() {
        for (part, whole, expected) in
            [(0, 0, 0), (0, 5, 0), (5, 0, 0), (1, 2, 500), (1, 1_000_000, LEAST), (9, 3, WIDTH), (u64::MAX, u64::MAX, WIDTH)]
        {
            assert_eq!(width(part, whole), expected, "{part} of {whole}");
        }
    }

    #[test]
    fn parts_never_leave_the_bar() {
        let text = bar(&[("a", 9), ("b", 9), ("c", 1)], 10, Some(100)).to_string();
        assert!(text.contains(r#"class="a" x="0" y="0" width="900""#), "{text}");
        assert!(text.contains(r#"class="b" x="900" y="0" width="100""#), "{text}");
        assert!(!text.contains(r#"class="c""#), "{text}");
        assert!(text.contains(r#"class="mark" x="996""#), "{text}");
    }

    #[test]
    fn a_bar_of_nothing_is_its_track() {
        assert_eq!(bar(&[("a", 0)], 0, None).to_string().matches("<rect").count(), 1);
    }
}
