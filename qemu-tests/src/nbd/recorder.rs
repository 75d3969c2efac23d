//! What was asked of several disks and when it was answered, in one order.
//!
//! A recording is a folder: `events.jsonl` with one [`Event`] per line in the order they happened, and `data` with the bytes of
//! all writes one after the other. Whoever waits for an answer before the next request has both in the file in that order; what
//! is asked before an earlier answer went out stands before that answer.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::wire::{Op, Request};

/// File with the events.
pub const EVENTS: &str = "events.jsonl";
/// File with the bytes that were written.
pub const DATA: &str = "data";

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A disk was asked for a change or a flush.
    Submit {
        /// Number of the request, unique over all disks.
        id: u64,
        /// Index of the disk.
        disk: usize,
        /// What was asked.
        op: Op,
        /// Whether it must be durable when it is answered.
        fua: bool,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
        /// Where the bytes of a write begin in `data`.
        data: u64,
    },
    /// The request with this number was answered with success.
    Complete(u64),
    /// The request with this number was refused; it changed nothing.
    Refuse(u64),
    /// The test says how far it is.
    Mark(String),
}

/// Writes a recording; clones write to the same one.
#[derive(Debug, Clone)]
pub struct Recorder {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    events: BufWriter<File>,
    data: BufWriter<File>,
    data_bytes: u64,
    next: u64,
}

impl Recorder {
    /// Begins a recording in `folder`, which is made.
    pub fn create(folder: &Utf8Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {folder}"))?;
        let create = |name: &str| File::create(folder.join(name)).with_context(|| format!("creating {}", folder.join(name)));
        let inner = Inner { events: BufWriter::new(create(EVENTS)?), data: BufWriter::new(create(DATA)?), data_bytes: 0, next: 0 };
        Ok(Self { inner: Arc::new(Mutex::new(inner)) })
    }

    /// Notes a request for a change or a flush; the number is for [`Recorder::answered`].
    pub fn submitted(&self, disk: usize, request: &Request, bytes: &[u8]) -> std::io::Result<u64> {
        let mut inner = self.lock();
        let (id, data) = (inner.next, inner.data_bytes);
        inner.next += 1;
        inner.data.write_all(bytes)?;
        inner.data_bytes += bytes.len() as u64;
        let Request { op, fua, offset, len, .. } = *request;
        inner.note(&Event::Submit { id, disk, op, fua, offset, len: len.into(), data })?;
        Ok(id)
    }

    /// Notes that a request is about to be answered.
    pub fn answered(&self, id: u64, success: bool) -> std::io::Result<()> {
        self.lock().note(&if success { Event::Complete(id) } else { Event::Refuse(id) })
    }

    /// Notes how far the test is.
    pub fn mark(&self, name: &str) -> anyhow::Result<()> {
        self.lock().note(&Event::Mark(name.to_owned())).context("writing the recording")
    }

    /// Makes sure that everything is in the files.
    pub fn finish(&self) -> anyhow::Result<()> {
        let mut inner = self.lock();
        inner.events.flush().and_then(|()| inner.data.flush()).context("finishing the recording")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn note(&mut self, event: &Event) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.events, event)?;
        self.events.write_all(b"\n")
    }
}
