//! The list of machines, by group, version and state.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::frame::{Frame, Here};
use super::guard::Visitor;
use super::problem::{Problem, escape};
use super::text::{When, counted, tame};
use super::{Page, answer};
use crate::policy::Time;
use crate::store::machines::{Filter, PAGE, Record, Standing, Tally};
use crate::views;

/// Choices in one list of the filter; a machine that invents versions must not fill the page.
const CHOICES: usize = 100;
/// Longest text that is filtered by, in characters.
const TEXT_MAX: usize = 200;

/// What the address says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    group: String,
    version: String,
    state: String,
    search: String,
    after: String,
}

/// One entry of a list of the filter.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

/// One machine of the list.
struct Line {
    href: String,
    name: String,
    id: String,
    group: String,
    version: String,
    state: String,
    tone: &'static str,
    platform: String,
    heard: When,
    duplicate: bool,
}

#[derive(Template)]
#[template(path = "machines.html")]
struct View {
    frame: Frame,
    groups: Vec<Choice>,
    versions: Vec<Choice>,
    states: Vec<Choice>,
    search: String,
    narrowed: bool,
    found: String,
    lines: Vec<Line>,
    first: Option<String>,
    next: Option<String>,
}

/// How a machine's state is painted.
#[must_use]
pub const fn state_tone(state: Standing) -> &'static str {
    match state {
        Standing::Idle => "quiet",
        Standing::Granted | Standing::Downloading | Standing::Downloaded | Standing::Staged => "busy",
        Standing::Failed | Standing::RolledBack => "bad",
    }
}

/// The address of the list narrowed to those that are not empty; what is too long to be filtered by does not narrow it.
#[must_use]
pub fn filtered(group: &str, version: &str, state: &str) -> String {
    address(&[("group", group), ("version", version), ("state", state)])
}

fn address(parts: &[(&str, &str)]) -> String {
    let given = parts.iter().filter(|(_, value)| !value.is_empty() && value.chars().nth(TEXT_MAX).is_none());
    let given: Vec<String> = given.map(|(name, value)| format!("{name}={}", escape(value))).collect();
    if given.is_empty() { "/machines".to_owned() } else { format!("/machines?{}", given.join("&")) }
}

impl Asked {
    fn filter(&self) -> Filter {
        let given = |text: &str| (!text.is_empty()).then(|| text.chars().take(TEXT_MAX).collect::<String>());
        Filter {
            group: given(&self.group),
            version: given(&self.version),
            state: given(&self.state),
            search: given(self.search.trim()),
            after: self.after.parse().ok(),
            // One more than is shown says whether there is another page.
            limit: Some(PAGE + 1),
        }
    }

    fn page_after(&self, after: &str) -> String {
        address(&[("group", &self.group), ("version", &self.version), ("state", &self.state), ("search", &self.search), ("after", after)])
    }

    fn narrowed(&self) -> bool {
        [&self.group, &self.version, &self.state, &self.search].iter().any(|text| !text.is_empty())
    }
}

/// `GET /machines`
///
/// # Errors
/// The database's.
pub async fn get(State(page): State<Page>, visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let now = page.now();
    let fleet = views::fleet(&page.db, now).await?;
    let records = views::machine_list(&page.db, &asked.filter()).await?;
    let groups: Vec<&str> = fleet.groups.iter().map(|group| group.name.as_str()).collect();
    answer::page(&view(&asked, &groups, &fleet.machines, &records, &visitor, now), now)
}

fn view(asked: &Asked, groups: &[&str], tallies: &[Tally], records: &[Record], visitor: &Visitor, now: Time) -> View {
    let shown = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let next = records
        .get(..shown)
        .filter(|_| records.len() > shown)
        .and_then(|page| page.last())
        .map(|last| asked.page_after(&last.id.to_string()));
    let named = tallies.iter().map(|tally| tally.group.as_str());
    let states: Vec<&str> = Standing::ALL.iter().map(|state| state.name()).collect();
    View {
        frame: Frame::new("Machines", Here::Machines, visitor),
        groups: choices(groups.iter().copied().chain(named).collect(), &asked.group),
        versions: choices(tallies.iter().rev().map(|tally| tally.version.as_str()).collect(), &asked.version),
        states: choices(states, &asked.state),
        search: tame(&asked.search),
        narrowed: asked.narrowed(),
        found: found(asked, tallies, records.len().min(shown)),
        lines: records.iter().take(shown).map(|record| line(record, now)).collect(),
        first: (!asked.after.is_empty()).then(|| asked.page_after("")),
        next,
    }
}

/// How many there are, where the counts by group, version and state can say it.
fn found(asked: &Asked, tallies: &[Tally], shown: usize) -> String {
    if !asked.search.trim().is_empty() {
        return format!("{} on this page", counted(shown as u64, "machine"));
    }
    let fits = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
    let all = tallies
        .iter()
        .filter(|tally| fits(&asked.group, &tally.group) && fits(&asked.version, &tally.version) && fits(&asked.state, &tally.state));
    let number = all.map(|tally| tally.machines).sum();
    counted(number, if asked.narrowed() { "matching machine" } else { "machine" })
}

/// The values once each, the chosen one always among them; but none that cannot be shown as it is.
fn choices(values: Vec<&str>, chosen: &str) -> Vec<Choice> {
    let mut once: Vec<&str> = Vec::new();
    for value in values.into_iter().chain([chosen]) {
        if !value.is_empty() && tame(value) == value && !once.contains(&value) && (once.len() < CHOICES || value == chosen) {
            once.push(value);
        }
    }
    once.into_iter()
        .map(|value| Choice { value: value.to_owned(), label: tame(value).replace("rolled-back", "rolled back"), chosen: value == chosen })
        .collect()
}

fn line(record: &Record, now: Time) -> Line {
    let facts = &record.facts;
    let shown = if facts.alias.is_empty() { &record.machine_id } else { &facts.alias };
    Line {
        href: format!("/machines/{}", escape(&record.machine_id)),
        name: tame(shown),
        id: if facts.alias.is_empty() { String::new() } else { tame(&record.machine_id) },
        group: tame(&record.group),
        version: tame(&record.version),
        state: record.state.name().replace('-', " "),
        tone: state_tone(record.state),
        platform: [tame(&record.oem), tame(&record.arch)].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", "),
        heard: When::new(record.last_seen, now),
        duplicate: facts.duplicates > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_carry_only_what_is_asked() {
        assert_eq!(filtered("", "", ""), "/machines");
        assert_eq!(filtered("a&b=c", "", "idle"), "/machines?group=a%26b%3Dc&state=idle");
        let asked = Asked { search: "\"><script>".to_owned(), ..Asked::default() };
        assert_eq!(asked.page_after("7"), "/machines?search=%22%3E%3Cscript%3E&after=7");
    }

    #[test]
    fn lists_of_choices_are_bounded_and_keep_the_chosen_one() {
        let many: Vec<String> = (0..1000).map(|number| format!("1.0.{number}")).collect();
        let list = choices(many.iter().map(String::as_str).collect(), "9.9.9");
        assert_eq!((list.len(), list.last().unwrap().chosen), (CHOICES + 1, true));
        assert!(choices(vec!["a", "a", ""], "").len() == 1);
    }

    #[test]
    fn nonsense_in_the_address_is_no_filter() {
        let asked = Asked { after: "x; DROP".to_owned(), group: "g".repeat(100_000), ..Asked::default() };
        let filter = asked.filter();
        assert_eq!((filter.after, filter.group.unwrap().len()), (None, TEXT_MAX));
    }
}
