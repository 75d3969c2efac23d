//! The result of a run as one page for people: what failed, why, and where everything about it is.

use std::collections::BTreeMap;

use anyhow::Context;
use askama::Template;
use camino::Utf8Path;

use super::{Case, Flakiness, Outcome};

/// How deep files are looked for below a scenario's directory: its machines, and what they left.
const MAX_DEPTH: usize = 2;
/// More files than this of one scenario are not listed.
const MAX_FILES: usize = 40;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: String,
    when: String,
    took: String,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    case: &'a Case,
    took: String,
    usual: String,
    past: String,
    flaky: bool,
    excuse: &'a str,
    story: &'a str,
    files: Vec<String>,
    screens: Vec<String>,
}

/// The page; links are relative to `logs`.
pub fn page(logs: &Utf8Path, cases: &[Case], past: &BTreeMap<String, Flakiness>, when: jiff::Timestamp) -> anyhow::Result<String> {
    let mut sorted: Vec<&Case> = cases.iter().collect();
    // What went wrong first.
    sorted.sort_by_key(|case| (case.outcome == Outcome::Passed, &case.name));
    let count = |word: &str| cases.iter().filter(|case| case.outcome.word() == word).count();
    let page = Page {
        title: format!("{} passed, {} failed, {} snoozed", count("passed"), count("failed"), count("snoozed")),
        when: when.to_string(),
        took: seconds(cases.iter().map(|case| case.took.as_secs_f64()).sum()),
        rows: sorted.into_iter().map(|case| row(logs, case, past.get(&case.name))).collect(),
    };
    page.render().context("making the report's page")
}

fn row<'a>(logs: &Utf8Path, case: &'a Case, past: Option<&Flakiness>) -> Row<'a> {
    let files = artefacts(logs, &case.logs);
    let excuse = match &case.outcome {
        Outcome::Snoozed { excuse, .. } => excuse,
        Outcome::Passed | Outcome::Failed(_) => "",
    };
    Row {
        case,
        took: seconds(case.took.as_secs_f64()),
        usual: past.map(|past| seconds(past.median.as_secs_f64())).unwrap_or_default(),
        past: past.map(|past| format!("{} of {} failed", past.failed, past.runs)).unwrap_or_default(),
        flaky: past.is_some_and(Flakiness::flaky),
        excuse,
        story: case.outcome.story().unwrap_or_default(),
        screens: files.iter().filter(|file| file.ends_with(".png")).cloned().collect(),
        files,
    }
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

/// Files below `dir`, relative to `logs`, in order.
fn artefacts(logs: &Utf8Path, dir: &Utf8Path) -> Vec<String> {
    let mut found = Vec::new();
    collect(dir, MAX_DEPTH, &mut found);
    found.sort();
    found.truncate(MAX_FILES);
    found.iter().map(|file: &camino::Utf8PathBuf| file.strip_prefix(logs).unwrap_or(file).to_string()).collect()
}

fn collect(dir: &Utf8Path, depth: usize, found: &mut Vec<camino::Utf8PathBuf>) {
    // A directory that is not there has nothing to show: the logs of what passed are removed.
    for entry in dir.read_dir_utf8().into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_file() => found.push(entry.path().to_owned()),
            Ok(kind) if kind.is_dir() && depth > 0 => collect(entry.path(), depth - 1, found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_page_shows_the_worst_first_with_its_files_and_escapes_everything() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Utf8Path::from_path(dir.path()).unwrap();
        std::fs::create_dir_all(logs.join("stays/vm/state")).unwrap();
        for file in ["stays/vm/serial.log", "stays/vm/screen.png"] {
            std::fs::write(logs.join(file), "").unwrap();
        }
        let case = |name: &str, outcome: Outcome| Case {
            name: name.into(),
            variant: "vm".into(),
            promise: "it <boots> & stays".into(),
            took: Duration::from_millis(1500),
            outcome,
            logs: logs.join(name),
        };
        let cases = [case("boots", Outcome::Passed), case("stays", Outcome::Failed("said <script>".into()))];
        let past = [("stays".to_owned(), Flakiness { runs: 9, failed: 4, changes: 7, median: Duration::from_secs(2) })];
        let page = page(logs, &cases, &past.into(), jiff::Timestamp::UNIX_EPOCH).unwrap();
        assert!(page.contains("1 passed, 1 failed, 0 snoozed"), "{page}");
        assert!(page.find("said &#60;script&#62;").unwrap() < page.find(">boots<").unwrap(), "{page}");
        assert!(page.contains("href=\"stays/vm/serial.log\"") && page.contains("src=\"stays/vm/screen.png\""), "{page}");
        assert!(page.contains("4 of 9 failed") && page.contains("flaky"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<boots>"), "{page}");
    }
}
