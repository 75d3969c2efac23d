//! Where a program's log goes.
//!
//! | standard error is | an event becomes |
//! | --- | --- |
//! | the journal, and its socket can be reached | an entry with fields, see below |
//! | the journal, and its socket cannot be reached | a line with the priority in front that journald takes off again |
//! | anything else | a line for people |
//!
//! In the journal, the field `message_id` of an event is `MESSAGE_ID`, and any other field `name` is `SLIPWAY_NAME`, so that
//! `journalctl SLIPWAY_VERSION=1.2.3` finds what concerns a version. All but the id also stand in the text, for people.

mod entry;
mod journal;

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

use journal::Journal;

/// Starts the log. The environment variable `variable` filters, e.g. `debug`; without it, `usual` does.
pub fn init(variable: &str, usual: &str) {
    let filter = EnvFilter::try_from_env(variable).unwrap_or_else(|_| usual.into());
    if is_journal() {
        tracing_subscriber::registry().with(filter).with(Journal::open(journal::SOCKET.as_ref())).init();
    } else {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    }
}

/// As [`init`], with one JSON object per line wherever it goes: for whoever collects logs without a journal.
pub fn init_json(variable: &str, usual: &str) {
    let filter = EnvFilter::try_from_env(variable).unwrap_or_else(|_| usual.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).json().init();
}

/// Whether standard error is the stream that systemd gave this process: the variable alone says nothing, children inherit it.
#[must_use]
pub fn is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() else { return false };
    let Ok(metadata) = std::fs::File::from(stderr).metadata() else { return false };
    stream.to_str() == Some(&format!("{}:{}", metadata.dev(), metadata.ino()))
}
