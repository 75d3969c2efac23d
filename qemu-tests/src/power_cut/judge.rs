//! Finds the [`Facts`] of a state. What was looked at once is remembered by its content, so most states cost little.

use std::collections::HashMap;
use std::io;

use image_builder::contents;
use image_builder::sign::{SigningCertificate, authenticode};
use image_builder::slot::Slot;
use image_builder::uki::Pe;
use payload::verity::{Blocks, RootHash};
use sha2::{Digest, Sha256};

use super::efi_vars::{self, Choices};
use super::facts::{Entry, Esp, Facts, Uki, is_temporary};
use super::fat::{self, Fat};
use super::gpt::Tables;
use super::machine::{DISK, VARIABLES};
use super::place::{Map, Place, extent};
use super::sector::SECTOR;
use super::state::State;

/// The folder of the entries, in lower case.
const ENTRIES: &str = "efi/linux/";
/// Where loaders are.
const LOADERS: [&str; 2] = ["efi/boot/bootx64.efi", "efi/systemd/systemd-bootx64.efi"];
const LOADER_CONF: &str = "loader/loader.conf";

/// What is known of a UKI.
type UkiVerdict = Result<(Uki, RootHash), String>;

/// Looks at states.
pub struct Judge {
    certificate: SigningCertificate,
    tables: HashMap<u128, Tables>,
    variables: HashMap<u128, Result<Choices, String>>,
    esps: HashMap<(u128, u128), Shelf>,
    structures: HashMap<u128, Result<Fat, String>>,
    files: HashMap<[u8; 32], String>,
    ukis: HashMap<String, UkiVerdict>,
    addons: HashMap<String, Result<Slot, String>>,
    slots: HashMap<(Slot, u128, String), bool>,
}

/// An ESP whose entries were not compared with the slots yet.
#[derive(Clone)]
struct Shelf {
    esp: Esp,
    hashes: Vec<Option<RootHash>>,
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Judge({} file systems, {} UKIs, {} slots)", self.esps.len(), self.ukis.len(), self.slots.len())
    }
}

impl Judge {
    /// One that believes signatures of `certificate`.
    #[must_use]
    pub fn new(certificate: SigningCertificate) -> Self {
        Self {
            certificate,
            tables: HashMap::new(),
            variables: HashMap::new(),
            esps: HashMap::new(),
            structures: HashMap::new(),
            files: HashMap::new(),
            ukis: HashMap::new(),
            addons: HashMap::new(),
            slots: HashMap::new(),
        }
    }

    /// How many UKIs with different content were seen, and how many contents of slots were verified.
    #[must_use]
    pub fn seen(&self) -> (usize, usize) {
        (self.ukis.len(), self.slots.len())
    }

    /// What `state` means.
    pub fn facts(&mut self, state: &State<'_>, map: &Map) -> io::Result<Facts> {
        let tables = match self.tables.get(&state.print(Place::Table)) {
            Some(tables) => tables.clone(),
            None => {
                let tables = Tables::read(&state.disk("the disk", DISK))?;
                self.tables.insert(state.print(Place::Table), tables.clone());
                tables
            }
        };
        let choices = match self.variables.get(&state.print(Place::Variables)) {
            Some(choices) => choices.clone(),
            None => {
                let flash = state.disk("the firmware's flash", VARIABLES);
                let mut bytes = vec![0; flash.len() as usize];
                flash.read_at(0, &mut bytes)?;
                let choices = efi_vars::read(&bytes);
                self.variables.insert(state.print(Place::Variables), choices.clone());
                choices
            }
        };
        Ok(Facts { tables, esp: self.esp(state, map)?, choices })
    }

    fn esp(&mut self, state: &State<'_>, map: &Map) -> io::Result<Esp> {
        let key = (state.print(Place::Esp), state.print(Place::EspBulk));
        let Shelf { mut esp, hashes } = match self.esps.get(&key) {
            Some(shelf) => shelf.clone(),
            None => {
                let shelf = self.shelf(state, map)?;
                self.esps.insert(key, shelf.clone());
                shelf
            }
        };
        for (entry, hash) in esp.entries.iter_mut().zip(hashes) {
            if let (Ok(slot), Some(hash)) = (&entry.opens, hash) {
                entry.slot_verifies = self.slot(state, *slot, &hash)?;
            }
        }
        Ok(esp)
    }

    fn slot(&mut self, state: &State<'_>, slot: Slot, hash: &RootHash) -> io::Result<bool> {
        let key = (slot, state.print(slot.into()), hash.to_string());
        if let Some(verdict) = self.slots.get(&key) {
            return Ok(*verdict);
        }
        let data = state.view("the root", DISK, extent(slot.root_label()));
        let tree = state.view("the hash tree", DISK, extent(slot.verity_label()));
        let verdict = payload::verity::verify(&data, &tree, hash).is_ok();
        self.slots.insert(key, verdict);
        Ok(verdict)
    }

    fn shelf(&mut self, state: &State<'_>, map: &Map) -> io::Result<Shelf> {
        let partition = state.view("the ESP", DISK, extent("esp"));
        let read = match self.structures.get(&state.print(Place::Esp)) {
            Some(read) => read.clone(),
            None => {
                let read = Fat::read(&partition)?;
                self.structures.insert(state.print(Place::Esp), read.clone());
                read
            }
        };
        let fat = match read {
            Ok(fat) => fat,
            Err(problem) => return Ok(Shelf { esp: Esp { unreadable: Some(problem), ..Esp::default() }, hashes: Vec::new() }),
        };
        let (temporary, faults): (Vec<_>, Vec<_>) = fat.faults.iter().partition(|fault| is_temporary(&fault.path) && !fault.shared);
        let told = |faults: Vec<&fat::Fault>| faults.iter().map(|fault| format!("/{}: {}", fault.path, fault.problem)).collect();
        let (temporary_faults, faults) = (told(temporary), told(faults));
        let mut esp = Esp { faults, temporary_faults, tolerated: fat.tolerated.clone(), ..Esp::default() };
        let mut shelves = Vec::new();
        for file in fat.entries.iter().filter(|entry| !entry.is_folder) {
            let entry_name = file.path.strip_prefix(ENTRIES).filter(|name| !name.contains('/') && name.ends_with(".efi"));
            if let Some(name) = entry_name {
                let uki = match self.file(state, map, &fat, file)? {
                    Some(digest) => self.uki(&partition, &fat, file, &digest)?,
                    None => Err("its clusters are not whole".into()),
                };
                let opens = self.addon(state, map, &fat, &partition, name)?;
                let (uki, hash) = uki.map_or_else(|problem| (Err(problem), None), |(uki, hash)| (Ok(uki), Some(hash)));
                shelves.push((Entry { name: name.to_owned(), uki, opens, slot_verifies: false }, hash));
            } else if LOADERS.contains(&file.path.as_str()) {
                let digest = self.file(state, map, &fat, file)?.unwrap_or_else(|| "damaged".into());
                esp.loaders.insert(file.path.clone(), digest);
            } else {
                if file.path == LOADER_CONF {
                    let content = fat.content(&partition, file)?.unwrap_or_default();
                    esp.loader_conf = Some(String::from_utf8_lossy(&content).into_owned());
                }
                esp.others.push((file.path.clone(), file.size));
            }
        }
        // The newest version is first in the loader's list.
        let version = |entry: &Entry| entry.uki.as_ref().ok().and_then(|uki| uki.version.parse::<payload::Version>().ok());
        shelves.sort_by_key(|(entry, _)| (std::cmp::Reverse(version(entry)), entry.name.clone()));
        let hashes;
        (esp.entries, hashes) = shelves.into_iter().unzip();
        Ok(Shelf { esp, hashes })
    }

    /// The digest of a file; nothing when it is not whole.
    fn file(&mut self, state: &State<'_>, map: &Map, fat: &Fat, file: &fat::Entry) -> io::Result<Option<String>> {
        if file.fault.is_some() {
            return Ok(None);
        }
        let partition = state.view("the ESP", DISK, extent("esp"));
        // Where it lies, what of it was written in long pieces, and the content of its sectors that were not.
        let mut key = Sha256::new().chain_update(file.size.to_le_bytes()).chain_update(state.print(Place::EspBulk).to_le_bytes());
        let mut sector = [0; SECTOR as usize];
        for run in file.chain.chunk_by(|one, two| one.checked_add(1) == Some(*two)) {
            key.update(run[0].to_le_bytes());
            key.update((run.len() as u64).to_le_bytes());
            let start = fat.geometry.place(run[0]);
            for at in map.small_within(start..start + run.len() as u64 * fat.geometry.cluster) {
                partition.read_at(at, &mut sector)?;
                key.update(at.to_le_bytes());
                key.update(sector);
            }
        }
        let key: [u8; 32] = key.finalize().into();
        if let Some(digest) = self.files.get(&key) {
            return Ok(Some(digest.clone()));
        }
        let Some(content) = fat.content(&partition, file)? else { return Ok(None) };
        let digest = hex::encode(Sha256::digest(&content));
        self.files.insert(key, digest.clone());
        Ok(Some(digest))
    }

    fn uki(&mut self, partition: &impl Blocks, fat: &Fat, file: &fat::Entry, digest: &str) -> io::Result<UkiVerdict> {
        if let Some(verdict) = self.ukis.get(digest) {
            return Ok(verdict.clone());
        }
        let content = fat.content(partition, file)?.unwrap_or_default();
        let verdict = self.inspect_uki(&content, digest);
        self.ukis.insert(digest.to_owned(), verdict.clone());
        Ok(verdict)
    }

    fn inspect_uki(&self, content: &[u8], digest: &str) -> UkiVerdict {
        let pe = Pe::parse(content).map_err(|error| error.to_string())?;
        authenticode::verify(&pe, &self.certificate).map_err(|error| error.to_string())?;
        let facts = contents::uki(&pe).map_err(|error| error.to_string())?;
        let uki = Uki { digest: digest.to_owned(), version: facts.version, root_hash: facts.root_hash.to_string() };
        Ok((uki, facts.root_hash))
    }

    fn addon(&mut self, state: &State<'_>, map: &Map, fat: &Fat, partition: &impl Blocks, entry: &str) -> io::Result<Result<Slot, String>> {
        let path = format!("{ENTRIES}{entry}.extra.d/slot.addon.efi");
        let Some(file) = fat.file(&path) else { return Ok(Err("there is no addon beside it".into())) };
        let Some(digest) = self.file(state, map, fat, file)? else { return Ok(Err("its addon is not whole".into())) };
        if let Some(verdict) = self.addons.get(&digest) {
            return Ok(verdict.clone());
        }
        let content = fat.content(partition, file)?.unwrap_or_default();
        let verdict = self.inspect_addon(&content);
        self.addons.insert(digest, verdict.clone());
        Ok(verdict)
    }

    fn inspect_addon(&self, content: &[u8]) -> Result<Slot, String> {
        let pe = Pe::parse(content).map_err(|error| error.to_string())?;
        authenticode::verify(&pe, &self.certificate).map_err(|error| error.to_string())?;
        let cmdline = contents::text(&pe, ".cmdline").map_err(|error| error.to_string())?;
        Slot::ALL.into_iter().find(|slot| slot.addon_cmdline() == cmdline).ok_or_else(|| format!("its addon says {cmdline:?}"))
    }
}
