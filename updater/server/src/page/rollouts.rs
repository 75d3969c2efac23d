//! The list of rollouts, and the line that one takes on this page and on the overview.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::bar::{Bar, bar};
use super::frame::{Frame, Here};
use super::guard::Visitor;
use super::problem::Problem;
use super::text::{When, count, counted, percent, tame};
use super::{Page, answer};
use crate::policy::{Counts, State as Standing, Time};
use crate::views::{self, Progress};

/// A rollout as lists show it.
#[derive(Debug)]
pub struct Line {
    /// Its page.
    pub href: String,
    /// What spreads.
    pub version: String,
    /// Where.
    pub group: String,
    /// For which machines.
    pub arch: String,
    /// Where it stands, in a word.
    pub state: &'static str,
    /// How that word is painted.
    pub tone: &'static str,
    /// Why it is held, if it is.
    pub held: String,
    /// Completed, busy and gone wrong as parts of all, with a mark at what is allowed.
    pub bar: Bar,
    /// The numbers of the bar.
    pub numbers: Numbers,
    /// When it began.
    pub started: When,
}

/// What has become of a rollout, as text.
#[derive(Debug)]
pub struct Numbers {
    /// Machines it is a share of.
    pub population: String,
    /// Machines that may have it.
    pub allowed: String,
    /// As a share.
    pub share: String,
    /// Machines that were given it.
    pub granted: String,
    /// Machines that run it.
    pub completed: String,
    /// As a share.
    pub completed_share: String,
    /// Machines busy with it.
    pub busy: String,
    /// Machines it failed on.
    pub failed: String,
    /// Machines that came back from it.
    pub rolled_back: String,
    /// Machines not heard of since.
    pub silent: String,
    /// The last three together.
    pub wrong: String,
    /// Whether any went wrong.
    pub any_wrong: bool,
}

impl Numbers {
    fn new(progress: &Progress) -> Self {
        let counts = &progress.counts;
        Self {
            population: counted(counts.population, "machine"),
            allowed: count(progress.share.of(counts.population)),
            share: percent(u64::from(progress.share.as_ppm()), 1_000_000),
            granted: count(counts.granted),
            completed: count(counts.completed),
            completed_share: percent(counts.completed, counts.population),
            busy: count(counts.in_flight()),
            failed: count(counts.failed),
            rolled_back: count(counts.rolled_back),
            silent: count(counts.silent),
            wrong: count(counts.bad()),
            any_wrong: counts.bad() > 0,
        }
    }
}

/// A rollout's state in a word, and how the word is painted.
#[must_use]
pub const fn state_word(state: &Standing) -> (&'static str, &'static str) {
    match state {
        Standing::Running => ("running", "busy"),
        Standing::Paused { .. } => ("paused", "warn"),
        Standing::Stopped { .. } => ("stopped", "bad"),
        Standing::Done { .. } => ("done", "good"),
    }
}

impl Line {
    /// The line of `progress`.
    #[must_use]
    pub fn new(progress: &Progress, now: Time) -> Self {
        let (state, tone) = state_word(&progress.state);
        let held = match &progress.state {
            Standing::Paused { by, why, .. } => format!("Paused by {}: {}", tame(by), tame(why)),
            Standing::Stopped { why, .. } => format!("Stopped by the brake: {}", wrong(why)),
            Standing::Running | Standing::Done { .. } => String::new(),
        };
        Self {
            href: format!("/rollouts/{}", progress.id.0),
            version: tame(&progress.version.to_string()),
            group: tame(&progress.group),
            arch: tame(&progress.arch),
            state,
            tone,
            held,
            bar: progress_bar(&progress.counts, progress.share.of(progress.counts.population)),
            numbers: Numbers::new(progress),
            started: When::new(progress.started_at, now),
        }
    }
}

fn progress_bar(counts: &Counts, allowed: u64) -> Bar {
    let parts = [("good", counts.completed), ("busy", counts.in_flight()), ("bad", counts.bad())];
    bar(&parts, counts.population.max(counts.granted), Some(allowed))
}

/// Why the brake stopped it, in a sentence with all its numbers.
#[must_use]
pub fn wrong(stop: &crate::policy::brake::Stop) -> String {
    let bad = stop.failed + stop.rolled_back + stop.silent;
    let mut parts = Vec::new();
    for (number, what) in [(stop.rolled_back, "rolled back"), (stop.failed, "failed"), (stop.silent, "fell silent")] {
        if number > 0 {
            parts.push(format!("{} {what}", count(number)));
        }
    }
    let who = if stop.canary { "canary" } else { "machine" };
    let ppm = |share: crate::policy::Share| percent(u64::from(share.as_ppm()), 1_000_000);
    let judged = if stop.canary && stop.judged != 1 { format!("{} canaries", count(stop.judged)) } else { counted(stop.judged, who) };
    format!(
        "{} of {judged} with a known outcome went wrong ({}); that counts as {}, allowed are {}",
        count(bad),
        parts.join(", "),
        ppm(stop.share),
        ppm(stop.limit)
    )
}

#[derive(Template)]
#[template(path = "rollouts.html")]
struct View {
    frame: Frame,
    lines: Vec<Line>,
}

/// `GET /rollouts`
///
/// # Errors
/// The database's.
pub async fn get(State(page): State<Page>, visitor: Visitor) -> Result<Response, Problem> {
    let now = page.now();
    let lines = views::rollout_list(&page.db, now).await?.iter().map(|progress| Line::new(progress, now)).collect();
    answer::page(&View { frame: Frame::new("Rollouts", Here::Rollouts, &visitor), lines }, now)
}
