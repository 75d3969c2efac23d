//! The chart of a rollout: machines allowed, granted, completed and gone wrong over time, drawn as SVG on the server.
//!
//! Pure: points in, markup out. The lines differ in dash and in the mark at their end, not in colour alone, and the same
//! numbers stand in a table below for whoever cannot see them.

use std::fmt::Write as _;

use askama::filters::HtmlSafe;

use super::text;
use crate::policy::Time;
use crate::store::rollouts::Point;

/// The picture's own unit; the page scales it.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 320.0;
/// Room for the numbers of the axes and for the names at the lines' ends.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;
/// Points drawn of each line: more than a screen can show apart, few enough for a page that is fetched every few seconds.
const DRAWN: usize = 240;
/// Lines across, about.
const GRID: u64 = 4;
/// Names at the ends of lines are at least so far apart.
const NAME_HEIGHT: f64 = 17.0;

/// A chart as markup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg(String);

impl std::fmt::Display for Svg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

// Made of numbers and words of this file only.
impl HtmlSafe for Svg {}

/// One line of the chart.
struct Line {
    name: &'static str,
    class: &'static str,
    value: fn(&Point) -> u64,
}

/// From the back to the front.
const LINES: [Line; 4] = [
    Line { name: "allowed", class: "allowed", value: |point| point.share.of(point.counts.population) },
    Line { name: "granted", class: "granted", value: |point| point.counts.granted },
    Line { name: "completed", class: "completed", value: |point| point.counts.completed },
    Line { name: "gone wrong", class: "wrong", value: |point| point.counts.bad() },
];

/// Where values and times lie in the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    from: i64,
    to: i64,
    top: u64,
}

impl Scale {
    /// A scale that holds all of `points`.
    #[must_use]
    pub fn of(points: &[Point]) -> Self {
        let times = || points.iter().map(|point| point.at.0);
        let (from, to) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        let highest = points.iter().flat_map(|point| LINES.iter().map(|line| (line.value)(point)).chain([point.counts.population])).max();
        let step = step(highest.unwrap_or(0));
        Self { from, to, top: highest.unwrap_or(0).max(1).div_ceil(step).saturating_mul(step) }
    }

    /// Where `time` lies; a single moment lies at the right, where now is.
    #[must_use]
    pub fn x(&self, time: Time) -> f64 {
        let width = WIDTH - LEFT - RIGHT;
        if self.to == self.from {
            return LEFT + width;
        }
        LEFT + width * (real(time.0.saturating_sub(self.from)) / real(self.to.saturating_sub(self.from))).clamp(0.0, 1.0)
    }

    /// Where a number of machines lies.
    #[must_use]
    pub fn y(&self, machines: u64) -> f64 {
        let height = HEIGHT - TOP - BOTTOM;
        TOP + height * (1.0 - unsigned(machines) / unsigned(self.top)).clamp(0.0, 1.0)
    }

    /// The numbers that lines across are drawn at.
    #[must_use]
    pub fn grid(&self) -> Vec<u64> {
        let step = step(self.top);
        (0..=self.top / step).map(|index| index * step).collect()
    }
}

/// The distance of lines across: 1, 2 or 5 times a power of ten.
fn step(highest: u64) -> u64 {
    let rough = (highest / GRID).max(1);
    let power = 10u64.saturating_pow(rough.ilog10());
    [1, 2, 5, 10].into_iter().map(|factor| power.saturating_mul(factor)).find(|step| *step >= rough).unwrap_or(rough)
}

#[allow(clippy::cast_precision_loss, reason = "a picture is a thousand units wide")]
fn real(number: i64) -> f64 {
    number as f64
}

#[allow(clippy::cast_precision_loss, reason = "a picture is a thousand units high")]
fn unsigned(number: u64) -> f64 {
    number as f64
}

/// Draws the chart; `None` when there is nothing to draw.
#[must_use]
pub fn draw(points: &[Point]) -> Option<Svg> {
    let last = points.last()?;
    let scale = Scale::of(points);
    let mut svg = format!(
        r#"<svg class="chart" viewBox="0 0 {WIDTH:.0} {HEIGHT:.0}" role="img" aria-labelledby="chart-title chart-desc"><title id="chart-title">Machines over time</title><desc id="chart-desc">{}</desc>"#,
        describe(last)
    );
    axes(&mut svg, &scale);
    let points = thin(points);
    for line in &LINES {
        path(&mut svg, line, &points, &scale);
    }
    names(&mut svg, last, &scale);
    svg.push_str("</svg>");
    Some(Svg(svg))
}

/// The chart in one sentence.
#[must_use]
pub fn describe(last: &Point) -> String {
    let parts: Vec<String> = LINES.iter().map(|line| format!("{} {}", text::count((line.value)(last)), line.name)).collect();
    format!("Now, of {}: {}.", text::counted(last.counts.population, "machine"), parts.join(", "))
}

fn axes(svg: &mut String, scale: &Scale) {
    let (left, right, bottom) = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM);
    for machines in scale.grid() {
        let y = scale.y(machines);
        put(svg, format_args!(r#"<line class="grid" x1="{left:.1}" x2="{right:.1}" y1="{y:.1}" y2="{y:.1}"/>"#));
        let (x, y, number) = (left - 8.0, y + 4.0, text::count(machines));
        put(svg, format_args!(r#"<text class="tick" x="{x:.1}" y="{y:.1}" text-anchor="end">{number}</text>"#));
    }
    let moments = if scale.from == scale.to { vec![(1.0, scale.to)] } else { [0.0, 0.5, 1.0].map(|at| (at, between(scale, at))).to_vec() };
    for (at, time) in moments {
        let (x, anchor) = (
            left + (right - left) * at,
            if at == 0.0 {
                "start"
            } else if at == 1.0 {
                "end"
            } else {
                "middle"
            },
        );
        let iso = Time(time).to_string();
        let (day, clock) = iso.trim_end_matches('Z').split_once('T').unwrap_or((&iso, ""));
        let (upper, lower) = (bottom + 19.0, bottom + 36.0);
        put(svg, format_args!(r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{bottom:.1}" y2="{:.1}"/>"#, bottom + 5.0));
        put(
            svg,
            format_args!(
                r#"<text class="tick" x="{x:.1}" y="{upper:.1}" text-anchor="{anchor}">{} UTC</text>"#,
                clock.get(..5).unwrap_or(clock)
            ),
        );
        put(svg, format_args!(r#"<text class="tick" x="{x:.1}" y="{lower:.1}" text-anchor="{anchor}">{day}</text>"#));
    }
}

fn between(scale: &Scale, at: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "lies between two numbers of that type")]
    let offset = (real(scale.to.saturating_sub(scale.from)) * at) as i64;
    scale.from.saturating_add(offset)
}

/// The allowed share moves all the time; counts stand still until the next point.
fn path(svg: &mut String, line: &Line, points: &[Point], scale: &Scale) {
    let mut d = String::new();
    let stepped = line.class != "allowed";
    let mut before: Option<f64> = None;
    for point in points {
        let (x, y) = (scale.x(point.at), scale.y((line.value)(point)));
        match before {
            None => put(&mut d, format_args!("M{x:.1} {y:.1}")),
            Some(before) if stepped && (before - y).abs() > 0.05 => put(&mut d, format_args!("H{x:.1}V{y:.1}")),
            Some(_) => put(&mut d, format_args!("L{x:.1} {y:.1}")),
        }
        before = Some(y);
    }
    put(svg, format_args!(r#"<path class="line {}" d="{d}"/>"#, line.class));
}

/// The lines' names and last numbers at their ends, moved apart where they would lie on each other.
fn names(svg: &mut String, last: &Point, scale: &Scale) {
    let x = scale.x(last.at);
    let mut ends: Vec<(f64, &Line)> = LINES.iter().map(|line| (scale.y((line.value)(last)), line)).collect();
    // Stable: equal numbers keep the lines' own order from top to bottom.
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = f64::NEG_INFINITY;
    let lowest = HEIGHT - BOTTOM + 4.0;
    let count = ends.len();
    for (index, (y, line)) in ends.into_iter().enumerate() {
        // Room for those that come below.
        let room = lowest - NAME_HEIGHT * real(i64::try_from(count - 1 - index).unwrap_or(0));
        let at = (y + 4.0).max(below + NAME_HEIGHT).min(room);
        below = at;
        let (class, name, number) = (line.class, line.name, text::count((line.value)(last)));
        put(svg, format_args!(r#"<circle class="end {class}" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#));
        put(svg, format_args!(r#"<text class="name {class}" x="{:.1}" y="{at:.1}">{number} {name}</text>"#, x + 10.0));
    }
}

/// As many of `points` as are drawn, evenly, always with the first and the last.
fn thin(points: &[Point]) -> Vec<Point> {
    if points.len() <= DRAWN {
        return points.to_vec();
    }
    (0..DRAWN).filter_map(|index| points.get(index * (points.len() - 1) / (DRAWN - 1))).copied().collect()
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = out.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Counts, Share};

    fn point(at: i64, population: u64, granted: u64, failed: u64) -> Point {
        let counts = Counts { population, granted, completed: granted / 2, failed, ..Counts::default() };
        Point { at: Time(at), share: Share::percent(50), counts }
    }

    #[test]
    fn nothing_draws_nothing() {
        assert_eq!(draw(&[]), None);
    }

    #[test]
    fn one_point_lies_where_now_is() {
        let svg = draw(&[point(5, 10, 4, 1)]).unwrap().to_string();
        let now = format!(r#"cx="{:.1}""#, WIDTH - RIGHT);
        assert_eq!(svg.matches(&now).count(), LINES.len(), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("UTC</text>").count(), 1, "one moment, one label");
    }

    #[test]
    fn a_rollout_without_machines_has_a_scale() {
        let scale = Scale::of(&[point(0, 0, 0, 0), point(1000, 0, 0, 0)]);
        assert_eq!((scale.top, scale.y(0), scale.grid()), (1, HEIGHT - BOTTOM, vec![0, 1]));
    }

    #[test]
    fn the_scale_holds_every_number_on_round_lines() {
        for (machines, top, grid) in [
            (1, 1, vec![0, 1]),
            (3, 3, vec![0, 1, 2, 3]),
            (9, 10, vec![0, 2, 4, 6, 8, 10]),
            (100, 100, vec![0, 50, 100]),
            (1_000_000, 1_000_000, vec![0, 500_000, 1_000_000]),
        ] {
            let scale = Scale::of(&[point(0, machines, machines, 0)]);
            assert!(scale.top >= machines, "{machines}");
            assert!(scale.grid().len() <= 7, "{machines}: {:?}", scale.grid());
            assert_eq!((scale.top, scale.grid()), (top, grid), "{machines}");
        }
    }

    #[test]
    fn a_million_machines_and_the_largest_number_fit() {
        for machines in [1_000_000, u64::MAX] {
            let svg = draw(&[point(0, machines, 0, 0), point(i64::MAX, machines, machines, machines)]).unwrap().to_string();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn more_points_than_pixels_are_thinned_and_keep_their_ends() {
        let points: Vec<Point> = (0..100_000).map(|at| point(at, 1000, 0, 0)).collect();
        let thinned = thin(&points);
        assert_eq!((thinned.len(), thinned[0].at, thinned[DRAWN - 1].at), (DRAWN, Time(0), Time(99_999)));
        assert!(draw(&points).unwrap().to_string().len() < 32 * 1024);
    }

    #[test]
    fn names_never_lie_on_each_other_nor_outside() {
        for last in [point(9, 10, 0, 0), point(9, 10, 10, 10), point(9, 10, 5, 2)] {
            let svg = draw(&[point(0, 10, 0, 0), last]).unwrap().to_string();
            let mut heights: Vec<f64> = svg
                .match_indices(r#"<text class="name"#)
                .map(|(at, _)| svg[at..].split(r#" y=""#).nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
                .collect();
            heights.sort_by(f64::total_cmp);
            assert_eq!(heights.len(), LINES.len());
            assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= NAME_HEIGHT - 0.2), "{heights:?}");
            assert!(heights.iter().all(|y| (0.0..=HEIGHT).contains(y)), "{heights:?}");
        }
    }

    #[test]
    fn the_picture_says_what_it_shows_and_brings_no_style() {
        let svg = draw(&[point(0, 1200, 600, 3)]).unwrap().to_string();
        assert!(svg.contains("Now, of 1\u{202f}200 machines: 600 allowed, 600 granted, 300 completed, 3 gone wrong."), "{svg}");
        for refused in ["style", "<script", "href", "onload"] {
            assert!(!svg.contains(refused), "{refused}");
        }
    }
}
