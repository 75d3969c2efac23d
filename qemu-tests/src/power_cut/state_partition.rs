//! The state partition of a state, as a file system checker and a reader see it after the journal has been replayed.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, ensure};
use camino::Utf8Path;
use image_builder::cmd::Cmd;
use serde_json::Value;

use super::machine::DISK;
use super::sector::{SECTOR, read};
use super::state::State;
use super::timeline::Timeline;

/// Folder of the updater on the state partition.
const UPDATER: &str = "/lib/slipway/updater";
/// Trusted metadata in it.
const METADATA: [&str; 4] = ["root.json", "timestamp.json", "snapshot.json", "targets.json"];
/// What e2fsck says when it finds more than a replayed journal leaves.
const BEYOND_REPAIR: &str = "UNEXPECTED INCONSISTENCY";
/// Longest piece that is written at once, in bytes.
const RUN_BYTES_MAX: usize = 4 << 20;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// What the checker complained about beside the journal's replay.
    pub fsck: Option<String>,
    /// `state.json`, when there is one.
    pub state: Option<String>,
    /// The trusted metadata that is there.
    pub metadata: BTreeMap<String, String>,
    /// The owner's files that were asked for, with their content.
    pub owner: BTreeMap<String, Option<String>>,
}

/// Makes the partition as a file in `folder`, replays its journal, checks it and reads `owner` and the updater's files.
pub fn examine(
    timeline: &Timeline<'_>,
    state: &State<'_>,
    extent: std::ops::Range<u64>,
    folder: &Utf8Path,
    owner: &[&str],
) -> anyhow::Result<Findings> {
    let path = folder.join("state.ext4");
    make(timeline, state, extent, &path)?;
    let file = File::options().read(true).write(true).open(&path).with_context(|| format!("opening {path}"))?;
    // As the initrd does first of all. What it refuses, the checker finds.
    let _ = superblock::mend(&file);
    // Replays the journal and does what a mount does as well: orphans, counts. Anything worse needs a person, and is a finding.
    let said = Cmd::new("e2fsck").args(["-f", "-p"]).arg(&path).transcript().context("checking the state partition")?;
    let said = format!("{}{}", said.stdout, said.stderr);
    let fsck = [BEYOND_REPAIR, "superblock"].iter().any(|word| said.contains(word)).then(|| format!("e2fsck: {}", said.trim()));
    let cat = |file: &str| -> anyhow::Result<Option<String>> {
        let out =
            Cmd::new("debugfs").args(["-R", &format!("cat {file}")]).arg(&path).output().with_context(|| format!("reading {file}"))?;
        let stat = Cmd::new("debugfs").args(["-R", &format!("stat {file}")]).arg(&path).text().unwrap_or_default();
        Ok(stat.contains("Inode:").then(|| String::from_utf8_lossy(&out).into_owned()))
    };
    let mut found = Findings { fsck, state: cat(&format!("{UPDATER}/state.json"))?, ..Findings::default() };
    for name in METADATA {
        if let Some(text) = cat(&format!("{UPDATER}/tuf/{name}"))? {
            found.metadata.insert(name.to_owned(), text);
        }
    }
    for file in owner {
        found.owner.insert((*file).to_owned(), cat(file)?);
    }
    std::fs::remove_file(&path).with_context(|| format!("removing {path}"))?;
    Ok(found)
}

fn make(timeline: &Timeline<'_>, state: &State<'_>, extent: std::ops::Range<u64>, path: &Utf8Path) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("creating {path}"))?;
    file.set_len(extent.end - extent.start).with_context(|| format!("sizing {path}"))?;
    let (mut run, mut start) = (Vec::new(), 0);
    let put = |run: &mut Vec<u8>, start: u64| {
        let written = file.write_all_at(run, start);
        run.clear();
        written.with_context(|| format!("writing {path}"))
    };
    for (at, version) in state.sectors(DISK) {
        let place = at.sector * SECTOR;
        if !extent.contains(&place) {
            continue;
        }
        let offset = place - extent.start;
        if start + run.len() as u64 != offset || run.len() >= RUN_BYTES_MAX {
            put(&mut run, start)?;
            start = offset;
        }
        let mut sector = [0; SECTOR as usize];
        read(timeline.recording, at, version.content, 0, &mut sector).context("reading the recording")?;
        run.extend_from_slice(&sector);
    }
    put(&mut run, start)
}

/// What must never go back, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Highest {
    numbers: BTreeMap<String, u64>,
    floor: Option<payload::Version>,
}

/// I8: the updater's files are whole, nothing in them went back below `durable`, and the floor is one of `versions`.
///
/// Returns what they hold, for the states that come later.
pub fn monotone(found: &Findings, durable: &Highest, versions: &[String]) -> Result<Highest, String> {
    let mut highest = durable.clone();
    let mut see = |what: String, number: u64| {
        let before = highest.numbers.entry(what.clone()).or_insert(number);
        if number < *before {
            return Err(format!("{what} went back from {before} to {number}"));
        }
        *before = number;
        Ok(())
    };
    for (name, text) in &found.metadata {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("{name} is not whole: {error}"))?;
        let version = value["signed"]["version"].as_u64().ok_or_else(|| format!("{name} has no version"))?;
        see(format!("the version of {name}"), version)?;
    }
    let Some(text) = &found.state else {
        return if durable.floor.is_some() { Err("state.json is gone".into()) } else { Ok(highest) };
    };
    let value: Value = serde_json::from_str(text).map_err(|error| format!("state.json is not whole: {error}"))?;
    see("the rollback index".into(), value["rollback-index"].as_u64().unwrap_or(0))?;
    see("the number of the next event".into(), value["next-event"].as_u64().unwrap_or(0))?;
    if let Some(floor) = value["floor"].as_str() {
        if !versions.iter().any(|version| version == floor) {
            return Err(format!("the floor is {floor}, which never ran here"));
        }
        let floor: payload::Version = floor.parse().map_err(|_| format!("the floor {floor:?} is no version"))?;
        if highest.floor.as_ref().is_some_and(|before| floor < *before) {
            return Err(format!("the floor went back to {floor}"));
        }
        highest.floor = Some(floor);
    } else if highest.floor.is_some() {
        return Err("the floor is gone".into());
    }
    Ok(highest)
}

/// I11: the file system is whole and the owner's files hold what they held.
#[must_use]
pub fn owner_kept(found: &Findings, content: &str) -> Option<String> {
    if let Some(problem) = &found.fsck {
        return Some(problem.clone());
    }
    let lost = found.owner.iter().find(|(_, text)| text.as_deref() != Some(content));
    lost.map(|(file, text)| format!("{file} holds {text:?}"))
}

/// How far the updater thinks it is, for classes.
#[must_use]
pub fn phase(found: &Findings) -> String {
    let value = found.state.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default();
    match &value["phase"] {
        Value::String(name) => name.clone(),
        Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
        _ => "none".into(),
    }
}

/// Makes sure that the programs this needs are here.
pub fn tools() -> anyhow::Result<()> {
    for program in ["e2fsck", "debugfs"] {
        ensure!(Cmd::new(program).arg("-V").transcript().is_ok(), "{program} is missing; install it with: apt-get install e2fsprogs");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(state: Option<&str>, timestamp: Option<&str>) -> Findings {
        let metadata = timestamp.map(|text| ("timestamp.json".to_owned(), text.to_owned())).into_iter().collect();
        Findings { state: state.map(str::to_owned), metadata, ..Findings::default() }
    }

    const VERSION_5: Option<&str> = Some(r#"{"signed":{"version":5}}"#);

    #[test]
    fn what_was_durable_never_goes_back() {
        let versions = ["1.0.0".to_owned(), "1.0.1".to_owned()];
        let state = r#"{"rollback-index":3,"next-event":7,"floor":"1.0.1"}"#;
        let durable = monotone(&found(Some(state), VERSION_5), &Highest::default(), &versions).unwrap();
        assert!(monotone(&found(Some(state), VERSION_5), &durable, &versions).is_ok());
        let table = [
            (None, VERSION_5, "state.json is gone"),
            (Some(""), VERSION_5, "state.json is not whole"),
            (Some(r#"{"rollback-index":2,"next-event":7,"floor":"1.0.1"}"#), VERSION_5, "rollback index went back"),
            (Some(r#"{"rollback-index":3,"next-event":6,"floor":"1.0.1"}"#), VERSION_5, "next event went back"),
            (Some(r#"{"rollback-index":3,"next-event":7,"floor":"1.0.0"}"#), VERSION_5, "floor went back"),
            (Some(r#"{"rollback-index":3,"next-event":7}"#), VERSION_5, "floor is gone"),
            (Some(r#"{"rollback-index":3,"next-event":7,"floor":"9.0.0"}"#), VERSION_5, "never ran here"),
            (Some(state), Some(r#"{"signed":{"version":4}}"#), "timestamp.json went back"),
            (Some(state), Some("{"), "timestamp.json is not whole"),
            (Some(state), Some("{}"), "timestamp.json has no version"),
        ];
        for (state, timestamp, expected) in table {
            let problem = monotone(&found(state, timestamp), &durable, &versions).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        assert!(monotone(&found(None, None), &Highest::default(), &versions).is_ok(), "a machine that never asked for an update");
    }

    #[test]
    fn the_owners_files_are_there_and_the_file_system_is_whole() {
        let with = |text: Option<&str>, fsck: Option<&str>| Findings {
            owner: BTreeMap::from([("/f".to_owned(), text.map(str::to_owned))]),
            fsck: fsck.map(str::to_owned),
            ..Findings::default()
        };
        assert_eq!(owner_kept(&with(Some("kept\n"), None), "kept\n"), None);
        for bad in [with(Some(""), None), with(None, None), with(Some("kept\n"), Some("inode 5"))] {
            assert!(owner_kept(&bad, "kept\n").is_some());
        }
    }
}
