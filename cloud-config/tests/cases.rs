//! Whole documents: a folder for each, with the host before and after.
//!
//! `tests/cases/NAME/`: `config.yaml` and `meta.json` go in, `before/` is the host; `plan.txt` is what `plan` shows, `after/` what
//! `apply` leaves. `UPDATE_CASES=1 cargo test -p cloud-config --test cases` writes the two anew after a change that was meant.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloud_config::apply::root::{Owners, Root};
use cloud_config::apply::systemd::{Recorder, Systemd};
use cloud_config::apply::tree::Tree;
use cloud_config::apply::{Applied, Host, Scope, apply};
use cloud_config::metadata::Metadata;
use cloud_config::plan::Plan;
use cloud_config::run::{Input, instance, prepare, units_of};

struct Case {
    name: String,
    folder: PathBuf,
    input: Input,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut found: Vec<Case> = std::fs::read_dir(folder).unwrap().map(|entry| case(entry.unwrap().path())).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(found.len() >= 4, "the cases are where they were");
    found
}

fn case(folder: PathBuf) -> Case {
    let metadata: Metadata = serde_json::from_slice(&std::fs::read(folder.join("meta.json")).unwrap()).unwrap();
    let documents = vec![("config.yaml".to_owned(), std::fs::read(folder.join("config.yaml")).unwrap())];
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    Case { name, folder, input: Input { documents, metadata, network_files: Vec::new() } }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&from, &to);
        } else if entry.file_type().unwrap().is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&from).unwrap(), &to).unwrap();
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// Files and links; what git keeps of them.
fn picture(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_dir() {
                left.push(path);
                continue;
            } else if meta.is_symlink() {
                format!("-> {}", std::fs::read_link(&path).unwrap().display())
            } else {
                let executable = if meta.permissions().mode() & 0o100 == 0 { "" } else { "executable " };
                format!("{executable}{}", String::from_utf8_lossy(&std::fs::read(&path).unwrap()))
            };
            found.insert(path.strip_prefix(root).unwrap().display().to_string(), what);
        }
    }
    found
}

fn planned(case: &Case, root: &Path) -> Plan {
    let root = Root::open_with(root, Owners::Keep).unwrap();
    let prepared = prepare(&case.input, units_of(&root), false);
    prepared.plan.unwrap_or_else(|| panic!("{}: {:#?}", case.name, prepared.problems))
}

fn applied(case: &Case, plan: &Plan, root: &Path, systemd: &mut Recorder) -> Applied {
    let root = Root::open_with(root, Owners::Keep).unwrap();
    let instance = instance(&case.input.metadata, &root);
    let systemd: &mut dyn Systemd = systemd;
    let mut host = Host { tree: Tree::changing(root), systemd: Some(systemd), commands: None, fetch: None, clock: &|| Duration::ZERO };
    let applied = apply(plan, Scope::Whole, &instance, &mut host);
    assert!(applied.is_complete(), "{}: {:?}", case.name, applied.failure());
    applied
}

fn text(plan: &Plan, calls: &[String]) -> String {
    let mut lines: Vec<String> = plan.effects.iter().map(|effect| format!("{effect}  [{}]", effect.origin)).collect();
    lines.extend(plan.notes.iter().map(|note| format!("note: {} [{}]", note.text, note.origin)));
    lines.push(format!("plan hash {}", plan.hash()));
    lines.push("\nasked of systemd:".to_owned());
    lines.extend(calls.iter().cloned());
    lines.join("\n") + "\n"
}

#[test]
fn each_document_makes_its_host() {
    let update = std::env::var_os("UPDATE_CASES").is_some();
    for case in cases() {
        let host = tempfile::tempdir().unwrap();
        copy(&case.folder.join("before"), host.path());
        let plan = planned(&case, host.path());
        let mut systemd = Recorder::default();
        applied(&case, &plan, host.path(), &mut systemd);
        let shown = text(&plan, &systemd.calls);
        if update {
            let after = case.folder.join("after");
            std::fs::remove_dir_all(&after).ok();
            std::fs::create_dir(&after).unwrap();
            copy(host.path(), &after);
            std::fs::write(case.folder.join("plan.txt"), &shown).unwrap();
        }
        assert_eq!(shown, std::fs::read_to_string(case.folder.join("plan.txt")).unwrap(), "{}", case.name);
        assert_eq!(picture(host.path()), picture(&case.folder.join("after")), "{}", case.name);
    }
}

#[test]
fn applying_twice_is_applying_once() {
    for case in cases() {
        let host = tempfile::tempdir().unwrap();
        copy(&case.folder.join("before"), host.path());
        let plan = planned(&case, host.path());
        applied(&case, &plan, host.path(), &mut Recorder::default());
        let once = picture(host.path());
        let again = applied(&case, &planned(&case, host.path()), host.path(), &mut Recorder::default());
        assert_eq!(picture(host.path()), once, "{}", case.name);
        assert!(again.leftovers.is_empty(), "{:?}", again.leftovers);
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for case in cases() {
        let host = case.folder.join("before");
        let json = |plan: &Plan| serde_json::to_string(plan).unwrap();
        assert_eq!(json(&planned(&case, &host)), json(&planned(&case, &host)));
    }
}

#[test]
fn no_plan_shows_a_secret() {
    let secrets = ["hunter2", "s3cret", "saltsalt", "cm9ib3Q6aHVudGVyMg"];
    for case in cases() {
        let plan = planned(&case, &case.folder.join("before"));
        let shown = [text(&plan, &[]), serde_json::to_string(&plan).unwrap(), format!("{plan:?}")];
        for secret in secrets {
            assert!(shown.iter().all(|shown| !shown.contains(secret)), "{}: {secret}", case.name);
        }
    }
}

/// Documents of all kinds, applied to a root with nothing in it by a user without rights.
#[test]
fn every_valid_document_makes_a_host_of_nothing() {
    let mut count = 0;
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut documents: Vec<PathBuf> = cases().iter().map(|case| case.folder.join("config.yaml")).collect();
    documents.extend(std::fs::read_dir(samples).into_iter().flatten().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    let metadata = Metadata {
        hostname: Some("node1".to_owned()),
        instance_id: Some("i-1".to_owned()),
        private_ipv4: Some("10.0.0.5".parse().unwrap()),
        public_ipv4: Some("203.0.113.5".parse().unwrap()),
        private_ipv6: Some("fd00::5".parse().unwrap()),
        public_ipv6: Some("2001:db8::5".parse().unwrap()),
        ..Metadata::default()
    };
    for document in documents {
        let input = Input {
            documents: vec![(document.display().to_string(), std::fs::read(&document).unwrap())],
            metadata: metadata.clone(),
            network_files: Vec::new(),
        };
        let prepared = prepare(&input, None, false);
        let plan = prepared.plan.unwrap_or_else(|| panic!("{}: {:#?}", document.display(), prepared.problems));
        let dir = tempfile::tempdir().unwrap();
        let case = Case { name: document.display().to_string(), folder: PathBuf::new(), input };
        applied(&case, &plan, dir.path(), &mut Recorder::default());
        count += 1;
    }
    assert!(count >= 7, "only {count} documents were applied");
}
