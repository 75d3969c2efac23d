//! Every source against recorded machines: `NAME/STORY.case` holds what the machine and its platform say, and
//! `NAME/STORY.snap` what is made of it and which requests that took.
//!
//! Answers are written after the platforms' public documentation; keys and addresses are made up.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop the test")]

mod case;
mod host;
mod order;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloud_config::source::{FindError, Found, Request, SourceId, find};

use case::Case;
use host::Recorded;

/// The longest that any source may take.
const LONGEST: Duration = Duration::from_secs(60);
/// What is shown of a content, in characters.
const SHOWN: usize = 300;

/// Replays a case.
fn replay(text: &str) -> (Result<Found, FindError>, Recorded) {
    let case = Case::parse(text);
    let request = Request { from: case.from };
    let host = Recorded::new(case);
    (find(&request, &host), host)
}

fn story(text: &str) -> String {
    let (result, host) = replay(text);
    let mut shown = String::new();
    match result {
        Ok(found) => show(&found, &mut shown),
        Err(error) => writeln!(shown, "error: {error}").unwrap(),
    }
    let asked = host.asked.borrow();
    if !asked.is_empty() {
        writeln!(shown, "\nasked, {:.1} s:", host.elapsed().as_secs_f32()).unwrap();
    }
    let mut last = ("", 0);
    for line in asked.iter().map(String::as_str).chain([""]) {
        match last {
            (same, count) if same == line => last = (same, count + 1),
            (before, count) => {
                match count {
                    0 => {}
                    1 => writeln!(shown, "  {before}").unwrap(),
                    _ => writeln!(shown, "  {before} ({count} times)").unwrap(),
                }
                last = (line, 1);
            }
        }
    }
    assert!(host.elapsed() <= LONGEST, "{} s", host.elapsed().as_secs());
    shown
}

fn show(found: &Found, text: &mut String) {
    writeln!(text, "{}: {}", found.source, found.why).unwrap();
    for (kind, blobs) in [("user data", &found.user_data), ("vendor data", &found.vendor_data)] {
        for blob in blobs {
            let content: String = String::from_utf8_lossy(&blob.bytes).chars().take(SHOWN).collect();
            writeln!(text, "{kind} from {}, {} bytes: {content:?}", blob.name, blob.bytes.len()).unwrap();
        }
    }
    writeln!(text, "metadata: {}", serde_json::to_string_pretty(&found.metadata).unwrap()).unwrap();
    for file in &found.network_files {
        writeln!(text, "-- {}\n{}--", file.name, file.content).unwrap();
    }
    for note in &found.notes {
        writeln!(text, "note: {note}").unwrap();
    }
}

fn cases() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources");
    let folders = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|extension| extension == "case")).collect();
    cases.sort();
    cases
}

#[test]
fn every_recorded_machine_is_understood_as_before() {
    for path in cases() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut settings = insta::Settings::new();
        settings.set_snapshot_path(path.parent().unwrap());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let name = path.file_stem().unwrap().to_str().unwrap();
        settings.bind(|| insta::assert_snapshot!(name, story(&text)));
    }
}

#[test]
fn every_source_has_stories_that_end_well_and_as_many_that_do_not() {
    for id in SourceId::ALL {
        let (mut good, mut bad) = (0, 0);
        for path in cases().iter().filter(|path| path.parent().unwrap().file_name().unwrap().to_str() == Some(id.name())) {
            let (result, _host) = replay(&std::fs::read_to_string(path).unwrap());
            if result.is_ok() { good += 1 } else { bad += 1 }
        }
        assert!(good >= 1 && bad >= 1 && bad + 1 >= good, "{id}: {good} end well, {bad} do not");
    }
}
