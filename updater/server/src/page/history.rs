//! The audit log: who changed what.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::frame::{Frame, Here};
use super::guard::Visitor;
use super::problem::Problem;
use super::text::{When, tame};
use super::{Page, answer};
use crate::policy::Time;
use crate::store::audit::Entry;
use crate::views;

/// Changes on one page.
const LINES: i64 = 50;
/// Values of one change that are shown; whole documents are in the API.
const CHANGES: usize = 12;

/// What the address says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    before: String,
}

/// A value that changed.
struct Change {
    name: String,
    before: String,
    after: String,
}

/// One change.
struct Line {
    at: When,
    who: String,
    action: String,
    object: String,
    changes: Vec<Change>,
}

#[derive(Template)]
#[template(path = "history.html")]
struct View {
    frame: Frame,
    lines: Vec<Line>,
    newest: bool,
    older: Option<i64>,
}

/// `GET /history`
///
/// # Errors
/// The database's.
pub async fn get(State(page): State<Page>, visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let (now, before) = (page.now(), asked.before.parse().ok());
    let entries = views::history(&page.db, before, LINES + 1).await?;
    answer::page(&view(&entries, before.is_none(), &visitor, now), now)
}

fn view(entries: &[Entry], newest: bool, visitor: &Visitor, now: Time) -> View {
    let shown = usize::try_from(LINES).unwrap_or(usize::MAX);
    let older = entries.get(shown - 1).filter(|_| entries.len() > shown).map(|last| last.id);
    let lines = entries.iter().take(shown).map(|entry| line(entry, now)).collect();
    View { frame: Frame::new("History", Here::History, visitor), lines, newest, older }
}

fn line(entry: &Entry, now: Time) -> Line {
    Line {
        at: When::new(entry.at, now),
        who: tame(&entry.who),
        action: tame(&entry.action),
        object: tame(&entry.object),
        changes: changes(entry.before.as_ref(), entry.after.as_ref()),
    }
}

/// What differs between two documents, value by value.
fn changes(before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    flatten("", before.unwrap_or(&Value::Null), &mut old);
    flatten("", after.unwrap_or(&Value::Null), &mut new);
    let value = |list: &[(String, String)], name: &str| {
        list.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut names: Vec<&String> = old.iter().chain(&new).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    let differing = names.into_iter().map(|name| Change { name: tame(name), before: value(&old, name), after: value(&new, name) });
    differing.filter(|change| change.before != change.after).take(CHANGES).collect()
}

fn flatten(path: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (name, value) in map {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, out);
            }
        }
        Value::String(text) => out.push((path.to_owned(), tame(text))),
        other => out.push((path.to_owned(), tame(&other.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(before: Value, after: Value, expected: &[(&str, &str, &str)]) {
        let found = changes(Some(&before), Some(&after));
        let found: Vec<_> = found.iter().map(|change| (change.name.as_str(), change.before.as_str(), change.after.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_differs_is_shown() {
        check(
            json!({"state": "running", "x": 1}),
            json!({"state": "paused", "x": 1, "by": "anna"}),
            &[("by", "", "anna"), ("state", "running", "paused")],
        );
        check(json!({"a": {"b": [1, 2]}}), json!({"a": {"b": [1]}}), &[("a.b", "[1,2]", "[1]")]);
        check(json!("1.0.0"), json!("1.1.0"), &[("", "1.0.0", "1.1.0")]);
        check(json!(null), json!(null), &[]);
    }

    #[test]
    fn large_documents_are_cut() {
        let large: serde_json::Map<String, Value> = (0..1000).map(|number| (format!("key{number}"), json!("x".repeat(10_000)))).collect();
        let found = changes(None, Some(&Value::Object(large)));
        assert_eq!(found.len(), CHANGES);
        assert!(found.iter().all(|change| change.after.chars().count() < 300));
    }
}
