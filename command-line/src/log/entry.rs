//! An event, as an entry in the journal's native protocol and as lines of text.
//!
//! The protocol is systemd's "Native Journal Protocol": `NAME=value\n`, or for values of several lines `NAME\n`, the length as 64
//! bits, little endian, the value, `\n`.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// The field of an event that becomes `MESSAGE_ID`.
const MESSAGE_ID: &str = "message_id";
/// What stands in front of every other field.
const PREFIX: &str = "SLIPWAY_";
/// Longest name of a field that journald takes, in bytes.
const NAME_MAX_BYTES: usize = 64;

/// What an event says.
#[derive(Debug, Default)]
pub(super) struct Entry {
    priority: u8,
    /// The message, then `name=value` for each field.
    text: String,
    fields: Vec<(String, String)>,
}

impl Entry {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut entry = Self { priority: priority(*event.metadata().level()), ..Self::default() };
        event.record(&mut entry);
        entry
    }

    /// One datagram.
    pub(super) fn native(&self, identifier: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, "MESSAGE", &self.text);
        put(&mut bytes, "PRIORITY", &self.priority.to_string());
        put(&mut bytes, "SYSLOG_IDENTIFIER", identifier);
        for (name, value) in &self.fields {
            put(&mut bytes, name, value);
        }
        bytes
    }

    /// `<N>text`, as sd-daemon(3) describes; each line of a message is a line of the journal.
    pub(super) fn lines(&self) -> String {
        self.text.lines().fold(String::new(), |mut lines, line| {
            let _ = writeln!(lines, "<{}>{line}", self.priority);
            lines
        })
    }

    fn take(&mut self, name: &str, shown: &str, value: String) {
        match name {
            "message" => self.text.insert_str(0, &value),
            MESSAGE_ID => self.fields.push(("MESSAGE_ID".to_owned(), value)),
            _ => {
                // A field that only repeats the message is for machines.
                if !self.text.starts_with(&value) || value.is_empty() {
                    let _ = write!(self.text, " {name}={shown}");
                }
                let mut upper = format!("{PREFIX}{}", name.to_ascii_uppercase());
                upper.retain(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
                upper.truncate(NAME_MAX_BYTES);
                self.fields.push((upper, value));
            }
        }
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), &format!("{value:?}"), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        self.take(field.name(), &value.clone(), value);
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend((value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend(value.as_bytes());
    bytes.push(b'\n');
}
