//! The overview: what needs somebody, what spreads, and what the fleet runs.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::bar::{Bar, bar};
use super::frame::{Frame, Here};
use super::guard::Visitor;
use super::machines::{filtered, state_tone};
use super::problem::Problem;
use super::rollouts::Line;
use super::text::{count, counted, percent, tame};
use super::{Page, answer};
use crate::background::findings::{Finding, Kind};
use crate::policy::{Follow, Group, State as Standing, Time};
use crate::store::machines::{Standing as MachineState, Tally};
use crate::views::{self, Fleet};

/// Versions of one group with a bar of their own; the rest is one bar.
const VERSIONS: usize = 8;
/// Finished rollouts shown; the rest has its own page.
const FINISHED: usize = 3;

/// Something that needs somebody.
struct Alarm {
    tone: &'static str,
    text: String,
    href: String,
    link: &'static str,
}

/// One bar with its number.
struct Slice {
    label: String,
    /// Empty where there is no list of just these machines.
    href: String,
    count: String,
    percent: String,
    bar: Bar,
}

/// A group, and what its machines run.
struct Card {
    name: String,
    href: String,
    /// Where its releases come from; empty for a group that machines name and nobody made.
    follows: String,
    notes: Vec<String>,
    machines: String,
    versions: Vec<Slice>,
    states: Vec<Slice>,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct View {
    frame: Frame,
    total: String,
    alarms: Vec<Alarm>,
    running: Vec<Line>,
    finished: Vec<Line>,
    cards: Vec<Card>,
}

/// `GET /`
///
/// # Errors
/// The database's.
pub async fn get(State(page): State<Page>, visitor: Visitor) -> Result<Response, Problem> {
    let now = page.now();
    let fleet = views::fleet(&page.db, now).await?;
    answer::page(&view(&fleet, &page.findings.all(), &visitor, now), now)
}

fn view(fleet: &Fleet, found: &[Finding], visitor: &Visitor, now: Time) -> View {
    let total = fleet.machines.iter().map(|tally| tally.machines).sum();
    let (finished, running): (Vec<_>, Vec<_>) = fleet.rollouts.iter().partition(|progress| matches!(progress.state, Standing::Done { .. }));
    View {
        frame: Frame::new("Overview", Here::Overview, visitor),
        total: format!("{} in {}", counted(total, "machine"), counted(fleet.groups.len() as u64, "group")),
        alarms: alarms(fleet, found),
        running: running.into_iter().map(|progress| Line::new(progress, now)).collect(),
        finished: finished.into_iter().take(FINISHED).map(|progress| Line::new(progress, now)).collect(),
        cards: cards(fleet),
    }
}

/// The worst first.
fn alarms(fleet: &Fleet, found: &[Finding]) -> Vec<Alarm> {
    let found = found.iter().map(|finding| Alarm {
        tone: "bad",
        text: tame(&finding.text),
        href: if finding.kind == Kind::MachinesAhead { "/machines" } else { "/history" }.to_owned(),
        link: if finding.kind == Kind::MachinesAhead { "Show the machines" } else { "Show the history" },
    });
    let mut alarms: Vec<Alarm> = found.collect();
    for progress in &fleet.rollouts {
        let line = Line::new(progress, progress.started_at);
        if !line.held.is_empty() {
            let text = format!("{} in group {}. {}.", line.version, line.group, line.held.trim_end_matches('.'));
            alarms.push(Alarm { tone: line.tone, text, href: line.href, link: "Open the rollout" });
        }
    }
    alarms.sort_by_key(|alarm| alarm.tone != "bad");
    for (state, text) in
        [(MachineState::RolledBack, "came back from their last update"), (MachineState::Failed, "failed their last update")]
    {
        let number = fleet.machines.iter().filter(|tally| tally.state == state.name()).map(|tally| tally.machines).sum();
        if number > 0 {
            let text = format!("{} {text}.", counted(number, "machine"));
            alarms.push(Alarm { tone: "warn", text, href: filtered("", "", state.name()), link: "Show them" });
        }
    }
    let strangers: u64 =
        fleet.machines.iter().filter(|tally| !fleet.groups.iter().any(|group| group.name == tally.group)).map(|tally| tally.machines).sum();
    if strangers > 0 {
        let text = format!("{} in groups that nobody made; no updates are offered there.", counted(strangers, "machine"));
        alarms.push(Alarm { tone: "warn", text, href: "#groups".to_owned(), link: "Show the groups" });
    }
    alarms
}

fn cards(fleet: &Fleet) -> Vec<Card> {
    let mut cards: Vec<Card> = fleet.groups.iter().map(|group| card(&group.name, Some(group), fleet)).collect();
    let mut strange: Vec<&str> = fleet.machines.iter().map(|tally| tally.group.as_str()).collect();
    strange.retain(|name| !fleet.groups.iter().any(|group| group.name == *name));
    strange.dedup();
    cards.extend(strange.into_iter().map(|name| card(name, None, fleet)));
    cards
}

fn card(name: &str, group: Option<&Group>, fleet: &Fleet) -> Card {
    let tallies: Vec<&Tally> = fleet.machines.iter().filter(|tally| tally.group == name).collect();
    let whole = tallies.iter().map(|tally| tally.machines).sum();
    Card {
        name: tame(name),
        href: filtered(name, "", ""),
        follows: group.map(|group| follows(&group.follow)).unwrap_or_default(),
        notes: group.map_or_else(|| vec!["nobody made this group; its machines are offered nothing".to_owned()], notes),
        machines: counted(whole, "machine"),
        versions: versions(name, &tallies, whole),
        states: states(name, &tallies, whole),
    }
}

fn follows(follow: &Follow) -> String {
    match follow {
        Follow::Channel(channel) => format!("follows channel {}", tame(channel)),
        Follow::Pinned(version) => format!("held at {version}"),
    }
}

fn notes(group: &Group) -> Vec<String> {
    let mut notes = Vec::new();
    if !group.enabled {
        notes.push("updates are switched off".to_owned());
    }
    if let Some(parallel) = group.parallel {
        notes.push(format!("at most {} busy at the same time", counted(parallel, "machine")));
    }
    notes.extend(windows(group));
    notes
}

/// When releases are handed out, if not always.
fn windows(group: &Group) -> Option<String> {
    let written = serde_json::to_value(&group.windows).ok()?;
    let zone = written.get("zone").and_then(|zone| zone.as_str()).unwrap_or("UTC").to_owned();
    let window = |window: &serde_json::Value| {
        let text = |name: &str| window.get(name).and_then(|value| value.as_str());
        let days: Vec<&str> =
            window.get("days").and_then(|days| days.as_array()).into_iter().flatten().filter_map(|day| day.as_str()).collect();
        let days = if days.is_empty() { "daily".to_owned() } else { days.join(", ") };
        Some(format!("{days} {} for {}", text("at")?.get(..5)?, text("length")?))
    };
    let open: Vec<String> = written.get("open")?.as_array()?.iter().filter_map(window).collect();
    (!open.is_empty()).then(|| format!("only {} ({})", open.join("; "), tame(&zone)))
}

/// What a group's machines run, the most common first.
fn versions(group: &str, tallies: &[&Tally], whole: u64) -> Vec<Slice> {
    let mut sums: Vec<(&str, u64)> = Vec::new();
    for tally in tallies {
        match sums.iter_mut().find(|(version, _)| *version == tally.version) {
            Some((_, sum)) => *sum += tally.machines,
            None => sums.push((&tally.version, tally.machines)),
        }
    }
    // The newest first among equals, as text sorts them.
    sums.sort_by(|a, b| b.1.cmp(&a.1).then(b.0.cmp(a.0)));
    let rest: u64 = sums.iter().skip(VERSIONS).map(|(_, sum)| sum).sum();
    let mut slices: Vec<Slice> = sums
        .iter()
        .take(VERSIONS)
        .map(|(version, sum)| slice(&tame(version), filtered(group, version, ""), "version", *sum, whole))
        .collect();
    if rest > 0 {
        let others = format!("{} others", count((sums.len() - VERSIONS) as u64));
        slices.push(slice(&others, String::new(), "quiet", rest, whole));
    }
    slices
}

/// Where a group's machines stand, in the order of an update.
fn states(group: &str, tallies: &[&Tally], whole: u64) -> Vec<Slice> {
    let sum = |state: MachineState| tallies.iter().filter(|tally| tally.state == state.name()).map(|tally| tally.machines).sum();
    let present = MachineState::ALL.into_iter().map(|state| (state, sum(state))).filter(|(_, sum)| *sum > 0);
    present
        .map(|(state, sum)| slice(&state.name().replace('-', " "), filtered(group, "", state.name()), state_tone(state), sum, whole))
        .collect()
}

fn slice(label: &str, href: String, tone: &'static str, part: u64, whole: u64) -> Slice {
    Slice { label: label.to_owned(), href, count: count(part), percent: percent(part, whole), bar: bar(&[(tone, part)], whole, None) }
}
