//! One machine: why it runs what it runs, when that can change, and what it said.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use super::frame::{Frame, Here};
use super::guard::Visitor;
use super::machines::{filtered, state_tone};
use super::problem::{Problem, escape};
use super::text::{When, counted, error_code, event, tame, tame_maybe};
use super::{Page, answer};
use crate::policy::{Because, Decision, Outcome, Span, Time};
use crate::store::grants::outcome_name;
use crate::views::{self, MachinePage};

/// A machine that was not heard of for this long is said to be silent: two of the polls that clients make by themselves.
const SILENT: Span = Span::minutes(100);

/// Something to know about the machine.
struct Flag {
    tone: &'static str,
    text: String,
}

/// A fact with its name.
struct Fact {
    name: &'static str,
    value: String,
}

/// One rule of the explanation.
struct Rule {
    name: String,
    passed: bool,
    text: String,
}

/// A release that it was given.
struct Given {
    href: String,
    rollout: String,
    outcome: String,
    tone: &'static str,
    canary: bool,
    code: String,
    cause: String,
    at: When,
}

/// Something that it reported.
struct Report {
    at: When,
    what: String,
    version: String,
    release: String,
    code: String,
    cause: String,
    bad: bool,
}

#[derive(Template)]
#[template(path = "machine.html")]
struct View {
    frame: Frame,
    name: String,
    id: String,
    state: String,
    tone: &'static str,
    version: String,
    group: String,
    group_href: String,
    heard: When,
    flags: Vec<Flag>,
    /// The answer in a sentence.
    answer: String,
    offered: bool,
    /// When the answer can be another one by itself.
    earliest: Option<When>,
    why: Vec<Rule>,
    facts: Vec<Fact>,
    given: Vec<Given>,
    reports: Vec<Report>,
}

/// `GET /machines/ID`
///
/// # Errors
/// It was never heard of.
pub async fn get(State(page): State<Page>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Problem> {
    let now = page.now();
    let found = views::machine(&page.db, &id, now).await?.ok_or_else(|| {
        let message = format!("No machine “{}” was ever heard of here. Machines appear with their first check-in.", tame(&id));
        Problem::missing(message, ("/machines", "All machines"))
    })?;
    answer::page(&view(&found, &visitor, now), now)
}

fn view(found: &MachinePage, visitor: &Visitor, now: Time) -> View {
    let (machine, facts) = (&found.machine, &found.machine.facts);
    let id = tame(&machine.machine_id);
    let name = if facts.alias.is_empty() { id.clone() } else { tame(&facts.alias) };
    let (answer, offered, earliest) = told(&found.decision, now);
    View {
        frame: Frame::new(&name, Here::Machines, visitor),
        name,
        id,
        state: machine.state.name().replace('-', " "),
        tone: state_tone(machine.state),
        version: tame(&machine.version),
        group: tame(&machine.group),
        group_href: filtered(&machine.group, "", ""),
        heard: When::new(machine.last_seen, now),
        flags: flags(found, now),
        answer,
        offered,
        earliest,
        why: found
            .why
            .iter()
            .map(|step| Rule { name: tame(&step.rule).replace('-', " "), passed: step.passed, text: tame(&step.text) })
            .collect(),
        facts: known(found, now),
        given: found.grants.iter().map(|grant| given(grant, now)).collect(),
        reports: found.events.iter().map(|event| report(event, now)).collect(),
    }
}

/// The decision in a sentence, whether it is an offer, and when it can be another one by itself.
fn told(decision: &Decision, now: Time) -> (String, bool, Option<When>) {
    match decision {
        Decision::Update(update) => {
            let mut text = format!("At its next check it is offered {}", update.version);
            if let Some(target) = &update.floor_for {
                text.push_str(&format!(", which must not be skipped on the way to {target}"));
            }
            text.push_str(match update.because {
                Because::MachinePin => ": it is held at this version.",
                Because::Granted { .. } => ": it was granted this before.",
                Because::Turn { .. } => ": it is its turn.",
            });
            (text, true, None)
        }
        Decision::NotNow(not_now) => {
            let text = format!("At its next check it is offered nothing: {}.", tame(&not_now.reason.to_string()));
            (text, false, not_now.earliest.map(|time| When::new(time, now)))
        }
    }
}

fn flags(found: &MachinePage, now: Time) -> Vec<Flag> {
    let (machine, facts) = (&found.machine, &found.machine.facts);
    let mut flags = Vec::new();
    let mut flag = |tone, text: String| flags.push(Flag { tone, text });
    if facts.duplicates > 0 {
        let times = counted(u64::from(facts.duplicates), "time");
        flag("bad", format!("More than one machine uses this id: an earlier boot came back {times}. Give each its own machine-id."));
    }
    if let Some(failure) = &facts.failure {
        let what = if failure.rolled_back { "It came back from" } else { "It failed to install" };
        let release = failure.release.as_deref().map_or_else(|| "its last update".to_owned(), tame);
        let cause = failure.cause.as_deref().map(|cause| format!(": {}", tame(cause))).unwrap_or_default();
        flag("bad", format!("{what} {release}{cause} (code {}).", failure.code));
    }
    if now.since(machine.last_seen) >= SILENT {
        flag("warn", format!("Not heard of for {}.", super::text::hint(machine.last_seen, now).trim_end_matches(" ago")));
    }
    if !facts.quarantined.is_empty() {
        let versions: Vec<String> = facts.quarantined.iter().map(ToString::to_string).collect();
        flag("warn", format!("It never tries these again: {}.", tame(&versions.join(", "))));
    }
    if let Some(pin) = &facts.pin {
        flag("note", format!("An operator holds it at {pin}."));
    }
    if facts.group_fixed {
        flag("note", "An operator put it into its group; what it asks for itself is ignored.".to_owned());
    }
    flags
}

fn known(found: &MachinePage, now: Time) -> Vec<Fact> {
    let (machine, facts) = (&found.machine, &found.machine.facts);
    let platform = [&machine.oem, &facts.oem_version].map(|text| tame(text)).join(" ");
    let first = machine.first_seen.to_string().replace('T', " ").replace('Z', " UTC");
    let list = [
        ("Platform", platform.trim().to_owned()),
        ("Architecture", tame(&machine.arch)),
        ("Board", tame(&facts.board)),
        ("Application", tame(&machine.app)),
        ("Update client", tame(&facts.client)),
        ("Installed with", tame(&facts.aleph)),
        ("Tags", tame(&facts.tags.join(", "))),
        ("This boot", tame(&facts.boot_id)),
        ("First heard of", format!("{first}, {}", super::text::hint(machine.first_seen, now))),
    ];
    list.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| Fact { name, value }).collect()
}

fn given(grant: &crate::store::grants::Stored, now: Time) -> Given {
    let tone = match grant.grant.outcome {
        Outcome::Pending | Outcome::Retrying => "busy",
        Outcome::Completed => "good",
        Outcome::Failed | Outcome::RolledBack | Outcome::Silent => "bad",
    };
    Given {
        href: format!("/rollouts/{}", escape(&grant.rollout.0.to_string())),
        rollout: grant.rollout.0.to_string(),
        outcome: outcome_name(grant.grant.outcome).replace('-', " "),
        tone,
        canary: grant.grant.canary,
        code: grant.code.map(error_code).unwrap_or_default(),
        cause: tame_maybe(grant.cause.as_deref()),
        at: When::new(grant.grant.at, now),
    }
}

fn report(said: &crate::store::events::Event, now: Time) -> Report {
    Report {
        at: When::new(said.at, now),
        what: event(said.kind, said.result),
        version: tame(&said.version),
        release: tame_maybe(said.release.as_deref()),
        code: said.code.map(error_code).unwrap_or_default(),
        cause: tame_maybe(said.cause.as_deref()),
        bad: said.result == 0,
    }
}
