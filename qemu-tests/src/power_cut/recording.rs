//! A recording, read back.

use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::{Context, ensure};
use camino::Utf8Path;
use sha2::{Digest, Sha256};

use super::machine::{About, FIRST_VARIABLES};
use super::source::Source;
use crate::nbd::recorder::{DATA, EVENTS, Event};

/// More events than this are no recording of ours.
const EVENTS_MAX: usize = 5_000_000;

/// One disk as it was before the first event.
#[derive(Debug)]
pub struct Base {
    /// Its content.
    pub source: Source,
    /// Its size in bytes.
    pub bytes: u64,
}

/// All that is needed to make every state of both disks.
#[derive(Debug)]
pub struct Recording {
    /// The disks, by number.
    pub bases: Vec<Base>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// The bytes of all writes.
    pub data: Source,
    /// SHA-256 of the events.
    pub digest: String,
    /// What it is a recording of.
    pub about: About,
}

impl Recording {
    /// Reads the one in `folder`.
    pub fn read(folder: &Utf8Path) -> anyhow::Result<Self> {
        let about = About::read(folder)?;
        let open = |path: &Utf8Path| {
            let file = File::open(path).with_context(|| format!("opening {path}"))?;
            Source::file(file).with_context(|| format!("looking at {path}"))
        };
        let variables = std::fs::read(folder.join(FIRST_VARIABLES)).context("reading the first variables")?;
        let bases = vec![
            Base { source: open(&about.image)?, bytes: about.disk_bytes },
            Base { bytes: variables.len() as u64, source: Source::Memory(variables) },
        ];
        let path = folder.join(EVENTS);
        let file = File::open(&path).with_context(|| format!("opening {path}"))?;
        let (mut events, mut digest) = (Vec::new(), Sha256::new());
        for (index, line) in BufReader::new(file).lines().enumerate() {
            let line = line.with_context(|| format!("reading {path}"))?;
            digest.update(line.as_bytes());
            ensure!(index < EVENTS_MAX, "{path} has more than {EVENTS_MAX} lines");
            events.push(serde_json::from_str(&line).with_context(|| format!("{path}, line {}", index + 1))?);
        }
        Ok(Self { bases, events, data: open(&folder.join(DATA))?, digest: hex::encode(digest.finalize()), about })
    }
}
