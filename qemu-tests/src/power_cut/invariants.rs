//! What must hold in every state. Each rule is a function that says what is wrong, so that each can be seen to fail.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::gpt::Partition;

/// Space that temporary files may take on the ESP, in bytes: one boot entry.
const TEMPORARY_BYTES_MAX: u64 = 64 << 20;
/// How many of them there may be.
const TEMPORARY_MAX: usize = 2;

/// What is right for a recording.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Versions that may run.
    pub versions: Vec<String>,
    /// The partitions as they are before the update.
    pub partitions: Vec<Partition>,
    /// The loaders, by path, with their digests.
    pub loaders: BTreeMap<String, String>,
}

/// A rule of one state: nothing, or what is wrong.
pub type Rule = fn(&Facts, &Expected) -> Option<String>;

/// The rules that need no machine and no log.
pub const RULES: &[(&str, &str, Rule)] = &[
    ("I1", "at least one partition table is whole, both agree, and no partition moves", tables),
    ("I2", "the entry that is started, and the one after it, leads to a whole OS of a permitted version", someone_boots),
    ("I5", "every entry belongs to a slot that holds its root, no version has two entries, no name carries a counter", entries),
    ("I7", "the ESP's file system hurts nobody: no shared clusters, no half names, no cut chains, loader.conf is whole", file_system),
    ("I10", "loaders are unchanged, and temporary files are few and small", leftovers),
];

/// All rules on one state: the rule's name and what is wrong.
#[must_use]
pub fn broken(facts: &Facts, expected: &Expected) -> Vec<(&'static str, String)> {
    RULES.iter().filter_map(|(name, _, rule)| rule(facts, expected).map(|problem| (*name, problem))).collect()
}

/// I1.
pub fn tables(facts: &Facts, expected: &Expected) -> Option<String> {
    let tables = &facts.tables;
    if let (Some(one), Some(two)) = (&tables.primary, &tables.backup)
        && one != two
    {
        return Some("the two partition tables differ".into());
    }
    match tables.partitions() {
        None => Some("no partition table is whole".into()),
        Some(partitions) if partitions != expected.partitions => Some("the partitions are not those from before the update".into()),
        Some(_) => None,
    }
}

/// I2.
pub fn someone_boots(facts: &Facts, expected: &Expected) -> Option<String> {
    if let Some(problem) = &facts.esp.unreadable {
        return Some(format!("the ESP cannot be read: {problem}"));
    }
    if let Err(problem) = &facts.choices {
        return Some(format!("the firmware's variables cannot be read: {problem}"));
    }
    for (when, chosen) in ["the next boot", "the boot after it"].into_iter().zip(facts.next_boots()) {
        let Some((entry, reason)) = chosen else { return Some(format!("{when} has nothing to start")) };
        match entry.boots() {
            Err(problem) => return Some(format!("{when} ends in a dead entry ({reason:?}): {problem}")),
            Ok(version) if !expected.versions.iter().any(|permitted| permitted == version) => {
                return Some(format!("{when} starts {version}, which nobody asked for"));
            }
            Ok(_) => {}
        }
    }
    None
}

/// I5.
pub fn entries(facts: &Facts, _: &Expected) -> Option<String> {
    let mut versions = Vec::new();
    for entry in &facts.esp.entries {
        if !["slipway-a.efi", "slipway-b.efi"].contains(&entry.name.as_str()) {
            return Some(format!("there is an entry {}", entry.name));
        }
        let version = match entry.boots() {
            Ok(version) => version,
            Err(problem) => return Some(problem),
        };
        if entry.opens.as_ref().is_ok_and(|slot| slot.entry() != entry.name) {
            return Some(format!("{} opens the other slot", entry.name));
        }
        if versions.contains(&version) {
            return Some(format!("two entries are of version {version}"));
        }
        versions.push(version);
    }
    None
}

/// I7.
pub fn file_system(facts: &Facts, _: &Expected) -> Option<String> {
    let names_an_entry = |conf: &String| conf.lines().any(|line| line.starts_with("default slipway-"));
    match &facts.esp.loader_conf {
        _ if !facts.esp.faults.is_empty() => facts.esp.faults.first().cloned(),
        None => Some("/loader/loader.conf is not there".into()),
        Some(conf) if !names_an_entry(conf) => Some(format!("/loader/loader.conf names no entry: {conf:?}")),
        Some(_) => None,
    }
}

/// I10.
pub fn leftovers(facts: &Facts, expected: &Expected) -> Option<String> {
    if facts.esp.loaders != expected.loaders {
        return Some("a boot loader is not what it was".into());
    }
    let temporary = || facts.esp.others.iter().filter(|(path, _)| !EXPECTED_FILES.contains(&path.as_str()));
    let (count, bytes) = (temporary().count(), temporary().map(|(_, size)| size).sum::<u64>());
    let bootable = temporary().find(|(path, _)| path.ends_with(".efi"));
    match bootable {
        Some((path, _)) => Some(format!("/{path} does not belong there and ends like a boot entry")),
        None if count > TEMPORARY_MAX || bytes > TEMPORARY_BYTES_MAX => Some(format!("{count} temporary files take {bytes} bytes")),
        None => None,
    }
}

/// Files of the ESP beside loaders and entries.
const EXPECTED_FILES: &[&str] = &[
    "loader/loader.conf",
    "loader/entries.srel",
    "efi/linux/slipway-a.efi.extra.d/slot.addon.efi",
    "efi/linux/slipway-b.efi.extra.d/slot.addon.efi",
    "loader/random-seed",
];

#[cfg(test)]
mod tests;
