//! The journal's socket.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::entry::Entry;

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends events to journald, and to `otherwise` what it does not take: the log must not depend on one more thing that works.
#[derive(Debug)]
pub(super) struct Journal<W = fn() -> std::io::Stderr> {
    socket: Option<UnixDatagram>,
    identifier: String,
    otherwise: W,
}

impl Journal {
    /// The journal behind `socket`.
    pub(super) fn open(socket: &Path) -> Self {
        Self::with(socket, std::io::stderr)
    }
}

impl<O: Write, W: Fn() -> O> Journal<W> {
    fn with(path: &Path, otherwise: W) -> Self {
        let socket = UnixDatagram::unbound().and_then(|socket| socket.connect(path).map(|()| socket)).ok();
        let program = std::env::current_exe().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Self { socket, identifier: program.unwrap_or_else(|| "slipway".to_owned()), otherwise }
    }

    fn send(&self, entry: &Entry) -> bool {
        // An entry that is too large for a datagram fails as well, and goes the other way.
        self.socket.as_ref().is_some_and(|socket| socket.send(&entry.native(&self.identifier)).is_ok())
    }
}

impl<S: Subscriber, O: Write, W: Fn() -> O + 'static> Layer<S> for Journal<W> {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let entry = Entry::of(event);
        if !self.send(&entry) {
            // Nobody is left to be told when this fails too.
            let _ = (self.otherwise)().write_all(entry.lines().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Buffer {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// Runs `talk` with a log that goes to `socket`; what went to standard error instead.
    fn logged(socket: &Path, talk: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let otherwise = buffer.clone();
        let journal = Journal::with(socket, move || otherwise.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), talk);
        buffer.text()
    }

    /// A journald that reads as the protocol is written.
    fn read(datagram: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let mut rest = datagram;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'=' || *byte == b'\n').unwrap();
            let name = String::from_utf8(rest[..end].to_vec()).unwrap();
            let value = if rest[end] == b'=' {
                let (value, after) = rest[end + 1..].split_at(rest[end + 1..].iter().position(|byte| *byte == b'\n').unwrap());
                rest = &after[1..];
                value
            } else {
                let (length, after) = rest[end + 1..].split_first_chunk::<8>().unwrap();
                let (value, after) = after.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
                assert_eq!(after[0], b'\n');
                rest = &after[1..];
                value
            };
            fields.insert(name, String::from_utf8(value.to_vec()).unwrap());
        }
        fields
    }

    fn talk() {
        tracing::info!(message_id = "0123456789abcdef0123456789abcdef", version = "1.2.3", boots = 2, "staged");
        tracing::error!(cause = "one\nPRIORITY=0\ntwo", "first\nsecond");
    }

    #[test]
    fn fields_arrive_as_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        assert_eq!(logged(&path, talk), "");
        let receive = || {
            let mut bytes = vec![0; 4096];
            let length = journald.recv(&mut bytes).unwrap();
            read(&bytes[..length])
        };
        let staged = receive();
        let expected = [
            ("MESSAGE", "staged version=\"1.2.3\" boots=2"),
            ("MESSAGE_ID", "0123456789abcdef0123456789abcdef"),
            ("PRIORITY", "6"),
            ("SLIPWAY_BOOTS", "2"),
            ("SLIPWAY_VERSION", "1.2.3"),
        ];
        for (name, value) in expected {
            assert_eq!(staged.get(name).map(String::as_str), Some(value), "{staged:?}");
        }
        assert!(!staged["SYSLOG_IDENTIFIER"].is_empty());
        let failed = receive();
        assert_eq!((failed["PRIORITY"].as_str(), failed["SLIPWAY_CAUSE"].as_str()), ("3", "one\nPRIORITY=0\ntwo"), "no field is forged");
    }

    #[test]
    fn without_a_journal_every_line_has_its_priority() {
        let dir = tempfile::tempdir().unwrap();
        let text = logged(&dir.path().join("missing"), talk);
        let expected = "<6>staged version=\"1.2.3\" boots=2\n<3>first\n<3>second cause=\"one\\nPRIORITY=0\\ntwo\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_journal_that_goes_away_or_an_entry_that_is_too_large_loses_no_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let text = logged(&path, || {
            let large = "x".repeat(16 * 1024 * 1024);
            tracing::warn!("{large}");
            drop(journald);
            tracing::warn!("after");
        });
        assert!(text.starts_with("<4>xxx") && text.ends_with("x\n<4>after\n"), "{} bytes", text.len());
    }
}
