//! What a state means: everything the next power-on goes by.

use std::collections::BTreeMap;

use image_builder::slot::Slot;

use super::efi_vars::Choices;
use super::gpt::Tables;
use super::loader::{self, Reason};

/// A boot entry as the loader would start it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// File name in lower case.
    pub name: String,
    /// What the signed file says, or what is wrong with it.
    pub uki: Result<Uki, String>,
    /// The slot that the signed addon beside it opens, or what is wrong with that.
    pub opens: Result<Slot, String>,
    /// Whether every byte of that slot is what the entry's root hash demands.
    pub slot_verifies: bool,
}

/// A signed UKI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uki {
    /// SHA-256, in hex.
    pub digest: String,
    /// Version of the OS.
    pub version: String,
    /// Root hash, in hex.
    pub root_hash: String,
}

impl Entry {
    /// Whether it leads to a working OS, and to which version.
    pub fn boots(&self) -> Result<&str, String> {
        let uki = self.uki.as_ref().map_err(|problem| format!("{}: {problem}", self.name))?;
        let slot = self.opens.as_ref().map_err(|problem| format!("{}: {problem}", self.name))?;
        if !self.slot_verifies {
            return Err(format!("{} opens slot {slot}, which does not hold its root", self.name));
        }
        Ok(&uki.version)
    }
}

/// The ESP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Esp {
    /// Why it cannot be read at all.
    pub unreadable: Option<String>,
    /// Faults that a person or a later write would suffer from.
    pub faults: Vec<String>,
    /// Faults of temporary files alone, which the next update throws away.
    pub temporary_faults: Vec<String>,
    /// Harmless faults.
    pub tolerated: Vec<(&'static str, usize)>,
    /// Boot entries in the loader's order: the newest version first.
    pub entries: Vec<Entry>,
    /// Content of `loader.conf`; nothing when it is not there.
    pub loader_conf: Option<String>,
    /// Digest of every loader.
    pub loaders: BTreeMap<String, String>,
    /// All other files with their sizes.
    pub others: Vec<(String, u64)>,
}

/// Everything.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Both partition tables.
    pub tables: Tables,
    /// The ESP.
    pub esp: Esp,
    /// The firmware's variables, or why they cannot be read.
    pub choices: Result<Choices, String>,
}

impl Facts {
    /// What the next boot starts, and the one after it.
    #[must_use]
    pub fn next_boots(&self) -> [Option<(&Entry, Reason)>; 2] {
        let names: Vec<String> = self.esp.entries.iter().map(|entry| entry.name.clone()).collect();
        let choices = self.choices.clone().unwrap_or_default();
        let conf = self.esp.loader_conf.as_deref().unwrap_or_default();
        [loader::select(&names, &choices, conf), loader::select_next(&names, &choices, conf)].map(|selected| {
            let (name, reason) = selected?;
            Some((self.esp.entries.iter().find(|entry| entry.name == name)?, reason))
        })
    }

    /// The vector that says which states are alike.
    #[must_use]
    pub fn class(&self) -> String {
        let entries: Vec<String> = self
            .esp
            .entries
            .iter()
            .map(|entry| {
                let (what, verdict) = match &entry.uki {
                    Ok(uki) => (
                        format!("{} {}", uki.version, &uki.digest[..uki.digest.len().min(8)]),
                        if entry.slot_verifies { "whole" } else { "broken" },
                    ),
                    Err(_) => ("damaged".into(), "unused"),
                };
                format!("{} = {what}, slot {verdict}", entry.name)
            })
            .collect();
        let temporary = match self.esp.others.iter().any(|(path, _)| is_temporary(path)) {
            true if self.esp.temporary_faults.is_empty() => "a temporary file",
            true => "a damaged temporary file",
            false => "no temporary file",
        };
        let choices = match &self.choices {
            Ok(choices) => {
                let word = |choice: &Option<String>| choice.clone().unwrap_or_else(|| "unset".into());
                format!("default {}, once {}", word(&choices.default), word(&choices.one_shot))
            }
            Err(_) => "unreadable".into(),
        };
        let conf =
            self.esp.loader_conf.as_deref().and_then(|conf| conf.lines().find_map(|line| line.strip_prefix("default "))).unwrap_or("none");
        format!("tables: {}; entries: {}; {temporary}; loader.conf: {conf}; firmware: {choices}", self.tables.word(), entries.join(", "))
    }
}

/// Whether a path is that of a file that the updater has not given its name yet.
#[must_use]
pub fn is_temporary(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".new") || name.ends_with(".old") || name.starts_with(".new-")
}
