//! One rollout: how far it is, why it stands still, and on which machines it went wrong.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;

use super::chart::{self, Svg};
use super::frame::{Frame, Here};
use super::guard::Visitor;
use super::problem::{Problem, escape};
use super::rollouts::{Line, wrong};
use super::steer::WHY_MAX;
use super::text::{When, count, counted, error_code, percent, tame, tame_maybe};
use super::{Page, answer};
use crate::policy::{RolloutId, State as Standing, Time};
use crate::store::rollouts::Point;
use crate::views::{self, RolloutPage};

/// Points in the table below the chart: what a person reads, where the chart shows the rest.
const ROWS: usize = 24;
/// The last point of the chart is now, to this many milliseconds, so that a page in which nothing happened stays the same.
const GRAIN: i64 = 60_000;

/// A machine that it went wrong on.
struct Casualty {
    href: String,
    machine: String,
    outcome: String,
    /// How it is painted: one that tries again may still make it.
    tone: &'static str,
    code: String,
    cause: String,
    granted: When,
}

/// One line of the table below the chart.
struct Row {
    at: When,
    numbers: [String; 4],
}

/// A setting in words.
struct Setting {
    name: &'static str,
    value: String,
}

#[derive(Template)]
#[template(path = "rollout.html")]
struct View {
    frame: Frame,
    line: Line,
    /// Why the brake stopped it, and since when.
    stopped: Option<(String, When)>,
    /// Who paused it, why, and since when.
    paused: Option<(String, String, When)>,
    done: Option<When>,
    resumable: bool,
    chart: Option<Svg>,
    rows: Vec<Row>,
    settings: Vec<Setting>,
    casualties: Vec<Casualty>,
    why_max: usize,
}

/// `GET /rollouts/ID`
///
/// # Errors
/// There is none of that number.
pub async fn get(State(page): State<Page>, visitor: Visitor, id: Path<String>) -> Result<Response, Problem> {
    let (id, now) = (number(&id)?, page.now());
    let found = views::rollout(&page.db, id, now).await?.ok_or_else(|| missing(id))?;
    answer::page(&view(&found, &visitor, now), now)
}

/// The number in a path.
///
/// # Errors
/// It is none.
pub fn number(Path(text): &Path<String>) -> Result<RolloutId, Problem> {
    text.parse().map(RolloutId).map_err(|_| no_rollout(&tame(text)))
}

/// There is no such rollout.
#[must_use]
pub fn missing(id: RolloutId) -> Problem {
    no_rollout(&id.0.to_string())
}

fn no_rollout(id: &str) -> Problem {
    let message = format!("There is no rollout {id}. Rollouts are never removed, so the address is wrong or of another server.");
    Problem::missing(message, ("/rollouts", "All rollouts"))
}

fn view(found: &RolloutPage, visitor: &Visitor, now: Time) -> View {
    let progress = &found.progress;
    let line = Line::new(progress, now);
    let mut view = View {
        frame: Frame::new(&format!("{} in {}", progress.version, progress.group), Here::Rollouts, visitor),
        line,
        stopped: None,
        paused: None,
        done: None,
        resumable: matches!(progress.state, Standing::Paused { .. } | Standing::Stopped { .. }),
        chart: None,
        rows: Vec::new(),
        settings: settings(&found.settings),
        casualties: found.casualties.iter().map(|casualty| casualty_of(casualty, now)).collect(),
        why_max: WHY_MAX,
    };
    match &progress.state {
        Standing::Stopped { why, at } => view.stopped = Some((wrong(why), When::new(*at, now))),
        Standing::Paused { by, why, at } => view.paused = Some((tame(by), tame(why), When::new(*at, now))),
        Standing::Done { at } => view.done = Some(When::new(*at, now)),
        Standing::Running => {}
    }
    let points = points(found);
    view.chart = chart::draw(&points);
    view.rows = rows(&points, now);
    view
}

/// The points with the last one moved to the full minute, or to where it ended.
fn points(found: &RolloutPage) -> Vec<Point> {
    let mut points = found.points.clone();
    let earliest = points.len().checked_sub(2).and_then(|before| points.get(before)).map_or(found.progress.started_at, |point| point.at);
    if let Some(last) = points.last_mut() {
        let end = if let Standing::Done { at } = found.progress.state { at } else { Time(last.at.0 - last.at.0.rem_euclid(GRAIN)) };
        last.at = end.max(earliest);
    }
    points
}

/// The newest points first, thinned to what is read.
fn rows(points: &[Point], now: Time) -> Vec<Row> {
    let every = points.len().div_ceil(ROWS).max(1);
    let row = |point: &Point| {
        let counts = &point.counts;
        let numbers = [point.share.of(counts.population), counts.granted, counts.completed, counts.bad()];
        Row { at: When::new(point.at, now), numbers: numbers.map(count) }
    };
    points.iter().rev().step_by(every).map(row).collect()
}

fn casualty_of(casualty: &crate::store::grants::Casualty, now: Time) -> Casualty {
    Casualty {
        href: format!("/machines/{}", escape(&casualty.machine_id)),
        machine: tame(&casualty.machine_id),
        outcome: casualty.outcome.replace('-', " "),
        tone: if casualty.outcome == "retrying" { "warn" } else { "bad" },
        code: casualty.code.map(error_code).unwrap_or_default(),
        cause: tame_maybe(casualty.cause.as_deref()),
        granted: When::new(casualty.granted_at, now),
    }
}

/// How it spreads, in words.
fn settings(settings: &crate::policy::Settings) -> Vec<Setting> {
    let (canaries, brake) = (&settings.canaries, &settings.brake);
    let who = [(&canaries.machines, "machines"), (&canaries.tags, "tags"), (&canaries.oems, "platforms")];
    let named: Vec<String> =
        who.into_iter().filter(|(list, _)| !list.is_empty()).map(|(list, noun)| format!("{noun} {}", tame(&list.join(", ")))).collect();
    let first = if named.is_empty() {
        "none".to_owned()
    } else {
        let (need, limit, soak) = (count(canaries.need), count(canaries.limit), canaries.soak);
        format!("{}; at most {limit}, of which {need} must complete and then hold for {soak}", named.join("; "))
    };
    let limit = percent(u64::from(brake.max_failures.as_ppm()), 1_000_000);
    let enough = brake.fewest(brake.sample).map(|fewest| format!(", of which {} are too many", count(fewest))).unwrap_or_default();
    let stops = format!(
        "more than {limit} gone wrong and more than chance explains, counted over at least {}{enough}; a machine not heard of for {} counts as \
         gone wrong, and so does one that fails to install it {} or for {}",
        counted(brake.sample, "machine"),
        brake.silence,
        counted(brake.tries, "time"),
        brake.patience
    );
    vec![
        Setting { name: "Share over time", value: ramp(&written(&settings.ramp)) },
        Setting { name: "Canaries", value: first },
        Setting { name: "Stops itself at", value: stops },
    ]
}

/// A ramp for readers: `1 % at once, 10 % after 1h`.
fn ramp(written: &str) -> String {
    let (steps, corners) = written.strip_prefix("steps ").map_or((false, written), |corners| (true, corners));
    let corner = |corner: &str| {
        let (after, share) = corner.split_once(':')?;
        let when =
            if after.trim_start_matches('0').chars().all(char::is_alphabetic) { "at once".to_owned() } else { format!("after {after}") };
        Some(format!("{share} % {when}"))
    };
    let corners: Vec<String> = corners.split(',').filter_map(corner).collect();
    if corners.is_empty() {
        return written.to_owned();
    }
    format!(
        "{}{}",
        corners.join(", "),
        if steps {
            " (in steps)"
        } else if corners.len() > 1 {
            " (rising evenly between)"
        } else {
            ""
        }
    )
}

/// A value that serialises as one string, as people write it.
fn written(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramps_are_told_in_words() {
        for (written, told) in [
            ("0s:1,2h:5,2d:100", "1 % at once, 5 % after 2h, 100 % after 2d (rising evenly between)"),
            ("steps 0h:1,1d:100", "1 % at once, 100 % after 1d (in steps)"),
            ("0s:100", "100 % at once"),
            ("", ""),
            ("strange", "strange"),
        ] {
            assert_eq!(ramp(written), told, "{written}");
        }
    }

    #[test]
    fn only_numbers_name_rollouts() {
        assert_eq!(number(&Path("12".to_owned())).unwrap(), RolloutId(12));
        for wrong in ["", "x", "1;2", "99999999999999999999", "<b>"] {
            assert!(number(&Path(wrong.to_owned())).is_err(), "{wrong}");
        }
    }
}
