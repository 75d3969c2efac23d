//! Firmware, boot loader and kernel: which slot a machine starts with what is on its disk, and whether that works.

use std::path::{Path, PathBuf};

use payload::{PartName, Version};

use super::disk::{ESP, PARTITIONS, STATE, VARIABLES};
use super::image::{Blob, Image, SECTOR_BYTES};
use super::story::{Nature, RELEASES, Scenario, Story, release, release_of};
use crate::boot::{EfiVariables, Loader};
use crate::daemon::host::Slot;
use crate::machine::Persisted;
use crate::machine::persisted::BootCount;
use crate::stage::Places;

/// systemd-boot's variables, and EDK II's count of boots, as efivarfs names them.
pub(super) const ONE_SHOT: &str = "LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
const DEFAULT: &str = "LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
const COUNT: &str = "MTC-eb704011-1402-11d3-8e77-00a0c969723b";
/// Attributes of a variable that survives a reboot.
const ATTRIBUTES: [u8; 4] = [7, 0, 0, 0];
/// Starts in a row that end in a panic before the machine counts as lost.
const PANICS_MAX: usize = 3;

pub(super) fn variable(name: &str) -> PathBuf {
    Path::new(VARIABLES).join(name)
}

pub(super) fn encoded(text: &str) -> Vec<u8> {
    ATTRIBUTES.into_iter().chain(text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes)).collect()
}

fn decoded(bytes: &[u8]) -> String {
    let units = bytes[4..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    String::from_utf16_lossy(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>())
}

pub(super) fn places() -> Places {
    Places { partitions: PARTITIONS.into(), esp: ESP.into() }
}

pub(super) fn conf() -> PathBuf {
    Path::new(ESP).join("loader/loader.conf")
}

pub(super) fn loader(disk: &super::disk::TwinDisk) -> Loader {
    let disk: std::sync::Arc<dyn crate::disk::Disk> = std::sync::Arc::new(disk.clone());
    Loader { disk: disk.clone(), conf: conf(), variables: EfiVariables::at(disk, VARIABLES.as_ref()) }
}

/// Everything on the disk that belongs to a slot.
pub(super) fn objects(slot: Slot) -> [PathBuf; 4] {
    let letter = slot.letter();
    let entry = places().entry(slot);
    let addon = PathBuf::from(format!("{}.extra.d/slot.addon.efi", entry.display()));
    [Path::new(PARTITIONS).join(format!("root-{letter}")), Path::new(PARTITIONS).join(format!("root-{letter}-verity")), entry, addon]
}

fn install(image: &mut Image, slot: Slot, index: usize) {
    let [root, tree, entry, _] = objects(slot);
    let parts = &RELEASES[index].parts;
    for (path, part) in [(root, PartName::Root), (tree, PartName::Verity)] {
        let mut content = parts[&part].clone();
        // A partition is larger than what it holds.
        content.resize(content.len() + 4096, 0x55);
        image.put(path, content);
    }
    image.put(entry, parts[&PartName::Uki].clone());
}

/// The machine at the beginning of a scenario, after it was last shut down in an orderly manner.
pub(super) fn installed(scenario: &Scenario) -> Image {
    let mut image = Image::default();
    install(&mut image, Slot::A, 0);
    let version = |index: usize| RELEASES[index].release.version.clone();
    let boot_count = scenario.counts.then(|| BootCount { boot_id: "boot-before".to_owned(), count: 0, proven: 2 });
    let mut persisted = Persisted { boot_count, ..crate::machine::test_support::settled("1.0.0") };
    if scenario.updated {
        install(&mut image, Slot::B, 1);
        persisted.floor = Some(version(1));
        persisted.committed = Some(Slot::B);
        persisted.slot_b = Some(version(1));
    } else {
        // Stale bytes, and no entry: a new machine.
        for path in &objects(Slot::B)[..2] {
            image.put(path, vec![0xaa; 4 * 4096]);
        }
    }
    for slot in [Slot::A, Slot::B] {
        image.put(&objects(slot)[3], b"addon".to_vec());
    }
    let default = if scenario.updated { Slot::B } else { Slot::A }.entry();
    image.put(conf(), format!("timeout 0\ndefault {default}\neditor no\n").into_bytes());
    image.put(Path::new(STATE).join("state.json"), serde_json::to_vec_pretty(&persisted).unwrap());
    image.variables.insert(variable(DEFAULT).into(), Blob::new(encoded(&default)));
    image
}

/// What a slot's entry is good for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// There is none, or none that a boot loader would list.
    Unlisted,
    /// It and the slot are this release.
    Whole(Version),
    /// A boot loader lists it, and it cannot work.
    Broken(String),
}

pub(super) fn entry(image: &Image, slot: Slot) -> Entry {
    let [root, tree, path, _] = objects(slot);
    let Some(uki) = image.get(&path) else { return Entry::Unlisted };
    let Some(found) = release_of(uki) else {
        // A loader lists what begins like a program.
        let begun = uki.len().min(SECTOR_BYTES);
        let listed = begun > 0 && RELEASES.iter().any(|release| release.parts[&PartName::Uki][..begun] == uki[..begun]);
        return if listed { Entry::Broken(format!("{} is torn", path.display())) } else { Entry::Unlisted };
    };
    let version = &found.release.version;
    for (path, part) in [(root, PartName::Root), (tree, PartName::Verity)] {
        if !image.get(&path).is_some_and(|content| content.starts_with(&found.parts[&part])) {
            return Entry::Broken(format!("{} is not that of {version}, whose entry slot {slot} has", path.display()));
        }
    }
    Entry::Whole(version.clone())
}

/// The entry that systemd-boot starts by itself: one-shot variable, default variable, `loader.conf`, anything.
fn chosen(image: &Image) -> Option<Slot> {
    let named = |name: &str| image.variables.get(variable(name).as_path()).map(|blob| decoded(blob.bytes()));
    let conf = image.get(&conf()).map(String::from_utf8_lossy);
    let line = conf.as_ref().and_then(|text| text.lines().filter_map(|line| line.strip_prefix("default ")).next_back()).map(str::to_owned);
    let wishes = [named(ONE_SHOT), named(DEFAULT), line].into_iter().flatten();
    let listed = |slot: &Slot| entry(image, *slot) != Entry::Unlisted;
    let slots = [Slot::A, Slot::B];
    wishes.filter_map(|wish| slots.into_iter().find(|slot| slot.entry() == wish)).find(listed).or_else(|| slots.into_iter().find(listed))
}

/// Switches the machine on. Answers with the slot in which a daemon starts, or with why none does.
pub(super) fn power_on(image: &mut Image, story: &mut Story, scenario: &Scenario) -> Result<(Slot, Version), String> {
    for _ in 0..PANICS_MAX {
        story.boots += 1;
        if scenario.counts {
            let count = [&ATTRIBUTES[..], &story.boots.to_le_bytes()].concat();
            image.variables.insert(variable(COUNT).into(), Blob::new(count));
        }
        let slot = chosen(image).ok_or("nothing on the disk can be started")?;
        let once = image.variables.remove(variable(ONE_SHOT).as_path()).is_some();
        let version = match entry(image, slot) {
            Entry::Whole(version) => version,
            Entry::Broken(why) => return Err(format!("slot {slot} is started, but {why}")),
            Entry::Unlisted => return Err(format!("slot {slot} is started without an entry")),
        };
        if story.failed.contains(&version) {
            return Err(format!("{version} failed here and is started again"));
        }
        let index = RELEASES.iter().position(|release| release.release.version == version).unwrap_or_default();
        story.tried.insert(version.clone());
        if scenario.natures[index] != Nature::Panics {
            return Ok((slot, version));
        }
        if !once {
            return Err(format!("{version} panics and is the default"));
        }
        story.failed.insert(version);
    }
    Err("it panics for ever".to_owned())
}

/// Rules that hold on every disk at every moment.
pub(super) fn check(image: &Image) -> Result<(), String> {
    let mut versions = Vec::new();
    for slot in [Slot::A, Slot::B] {
        match entry(image, slot) {
            Entry::Unlisted => {}
            Entry::Whole(version) => versions.push(version),
            Entry::Broken(why) => return Err(format!("an entry that cannot work: {why}")),
        }
    }
    match versions.as_slice() {
        [] => return Err("no slot can be started".to_owned()),
        [a, b] if a == b => return Err(format!("both slots hold {a}")),
        _ => {}
    }
    let state = image.get(&Path::new(STATE).join("state.json")).ok_or("state.json is gone")?;
    let persisted: Persisted = serde_json::from_slice(state).map_err(|error| format!("state.json cannot be read: {error}"))?;
    if persisted.floor.as_ref().and_then(release).is_none() {
        return Err(format!("the floor is {:?}", persisted.floor));
    }
    leftovers(image)
}

/// Files that may be there, whatever happened: nothing is made under ever new names.
fn leftovers(image: &Image) -> Result<(), String> {
    let temporary = |path: PathBuf| [path.with_added_extension("new"), path];
    let mut known: Vec<PathBuf> = [Slot::A, Slot::B].into_iter().flat_map(objects).collect();
    known.extend([Slot::A, Slot::B].into_iter().flat_map(|slot| temporary(places().entry(slot))));
    known.extend(temporary(conf()));
    for name in ["state.json", "trial-a", "trial-b", "failed-before"] {
        known.extend(temporary(Path::new(STATE).join(name)));
    }
    known.extend([Slot::A, Slot::B].map(|slot| places().entry(slot).with_added_extension("old")));
    // What FAT makes of half an entry; only repairing the file system takes it away, and nothing starts it.
    known.extend(["EFI", "NEW", "OLD"].map(|end| places().entries().join(format!("SLIPWA~1.{end}"))));
    match image.names.keys().find(|name| !known.iter().any(|known| known.as_path() == &***name)) {
        Some(stranger) => Err(format!("{} was left behind", stranger.display())),
        None => Ok(()),
    }
}
