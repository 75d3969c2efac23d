//! `loader/loader.conf`: only its `default` line is ours.

use std::io;
use std::path::Path;

use crate::disk::{self, Disk};

/// Largest `loader.conf` that is edited, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// The entry named by `default`; the last line counts, as for the boot loader.
#[must_use]
pub(super) fn default_entry(text: &str) -> Option<&str> {
    text.lines().filter_map(value).next_back()
}

fn value(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    (words.next() == Some("default")).then(|| words.next()).flatten()
}

/// The text with `entry` as its only default, every other line untouched.
#[must_use]
pub(super) fn with_default(text: &str, entry: &str) -> String {
    let ours = format!("default {entry}");
    let mut placed = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.split_ascii_whitespace().next() != Some("default") {
            lines.push(line);
        } else if !placed {
            lines.push(&ours);
            placed = true;
        }
    }
    if !placed {
        lines.push(&ours);
    }
    lines.join("\n") + "\n"
}

/// Makes `entry` the default in the file and reads it back.
pub(super) fn set_default(disk: &dyn Disk, path: &Path, entry: &str) -> io::Result<()> {
    let before = read(disk, path)?;
    if default_entry(&before) == Some(entry) && with_default(&before, entry) == before {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        disk.make_folder(folder)?;
    }
    disk::replace_small(disk, path, with_default(&before, entry).as_bytes())?;
    match default_entry(&read(disk, path)?) {
        Some(now) if now == entry => Ok(()),
        now => Err(io::Error::other(format!("it says {now:?} after {entry:?} was written"))),
    }
}

/// The file's text; one that is missing is empty.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> io::Result<String> {
    match disk.read(path, MAX_BYTES + 1) {
        Ok(bytes) if bytes.len() as u64 > MAX_BYTES => Err(io::Error::other("too large for a loader.conf")),
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Linux;
    use std::fs;

    #[test]
    fn only_the_default_line_changes() {
        let cases = [
            (
                "timeout 0\ndefault slipway-a.efi\neditor no\nauto-entries no\n",
                "timeout 0\ndefault slipway-b.efi\neditor no\nauto-entries no\n",
            ),
            ("", "default slipway-b.efi\n"),
            ("timeout 3", "timeout 3\ndefault slipway-b.efi\n"),
            ("# default x\n  default\tx\ndefault y\nrest\n", "# default x\ndefault slipway-b.efi\nrest\n"),
            ("defaults x\n", "defaults x\ndefault slipway-b.efi\n"),
        ];
        for (before, after) in cases {
            assert_eq!(with_default(before, "slipway-b.efi"), after);
            assert_eq!(default_entry(after), Some("slipway-b.efi"));
        }
        assert_eq!(default_entry("default\n#default x\n"), None);
    }

    #[test]
    fn the_file_is_replaced_and_left_alone_when_right() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loader/loader.conf");
        set_default(&Linux, &path, "slipway-a.efi").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "default slipway-a.efi\n");
        let modified = path.metadata().unwrap().modified().unwrap();
        set_default(&Linux, &path, "slipway-a.efi").unwrap();
        assert_eq!(path.metadata().unwrap().modified().unwrap(), modified);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("loader.conf")).unwrap();
        assert!(set_default(&Linux, &dir.path().join("loader.conf"), "slipway-a.efi").is_err());
        let large = dir.path().join("large");
        fs::write(&large, vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
        assert!(set_default(&Linux, &large, "slipway-a.efi").is_err());
    }
}
