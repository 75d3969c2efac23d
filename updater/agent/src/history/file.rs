//! `history.jsonl` and its predecessor.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::Entry;

/// Size at which the file becomes `history.1.jsonl`, in bytes: years of updates.
const ROTATE_BYTES: u64 = 256 * 1024;
/// Most of one file that is read back, in bytes; a file cannot have grown more by one line.
const READ_BYTES_MAX: u64 = ROTATE_BYTES + 64 * 1024;

/// The history of a machine.
#[derive(Debug, Clone)]
pub struct History {
    path: PathBuf,
    previous: PathBuf,
}

impl History {
    /// The history in `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("history.jsonl"), previous: folder.join("history.1.jsonl") }
    }

    /// Appends one line. It is not forced to disk: the state is what counts after a power cut, the history is for people.
    pub fn append(&self, entry: &Entry) -> io::Result<()> {
        if std::fs::metadata(&self.path).is_ok_and(|data| data.len() >= ROTATE_BYTES) {
            std::fs::rename(&self.path, &self.previous)?;
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        // One write, so that a line is there or not, with a line end before it if a power cut left half of one.
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        if !ends_a_line(&self.path) {
            line.insert(0, b'\n');
        }
        file.write_all(&line)
    }

    /// The last `count` entries, oldest first. Lines that are no entries are passed over.
    pub fn last(&self, count: usize) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for path in [&self.previous, &self.path] {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let mut bytes = Vec::new();
            file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
            entries.extend(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
        }
        let surplus = entries.len().saturating_sub(count);
        entries.drain(..surplus);
        Ok(entries)
    }
}

fn ends_a_line(path: &Path) -> bool {
    use std::io::{Seek, SeekFrom};
    let last_byte = || -> io::Result<Option<u8>> {
        let mut file = File::open(path)?;
        if file.seek(SeekFrom::End(0))? == 0 {
            return Ok(None);
        }
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok(Some(byte[0]))
    };
    matches!(last_byte(), Ok(None | Some(b'\n')))
}

#[cfg(test)]
mod tests {
    use super::super::What;
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry {
            at: "2026-11-21T08:00:00Z".parse().unwrap(),
            what: What::Staged,
            version: Some("1.2.3".parse().unwrap()),
            text: text.to_owned(),
        }
    }

    fn texts(history: &History, count: usize) -> Vec<String> {
        history.last(count).unwrap().into_iter().map(|entry| entry.text).collect()
    }

    #[test]
    fn what_was_appended_is_read_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path());
        assert_eq!(texts(&history, 9), Vec::<String>::new());
        for text in ["one", "two", "three"] {
            history.append(&entry(text)).unwrap();
        }
        assert_eq!(texts(&history, 2), ["two", "three"]);
    }

    #[test]
    fn half_a_line_and_nonsense_cost_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path());
        history.append(&entry("one")).unwrap();
        let mut file = OpenOptions::new().append(true).open(dir.path().join("history.jsonl")).unwrap();
        file.write_all(b"{\"at\":\"2026-\n\xff\xfe\n{\"at\":").unwrap();
        history.append(&entry("two")).unwrap();
        assert_eq!(texts(&history, 9), ["one", "two"]);
    }

    #[test]
    fn a_full_file_is_rotated_once() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::new(dir.path());
        let long = "x".repeat(ROTATE_BYTES as usize / 4);
        for _ in 0..12 {
            history.append(&entry(&long)).unwrap();
        }
        let size = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().len();
        assert!(size("history.jsonl") + size("history.1.jsonl") < 3 * ROTATE_BYTES);
        assert!(history.last(100).unwrap().len() >= 4);
    }
}
