//! The entries of a FAT directory, with long names.

/// A directory is never longer than this, in bytes (65536 entries of 32 bytes).
pub(super) const BYTES_MAX: u64 = 65536 * 32;

const ENTRY_BYTES: usize = 32;
const ATTRIBUTE_FOLDER: u8 = 0x10;
const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_LONG_NAME: u8 = 0x0f;
const DELETED: u8 = 0xe5;
/// Marks the part of a long name that comes first on disk and last in the name.
const LAST_PART: u8 = 0x40;
/// A long name has at most 20 parts of 13 characters.
const PARTS_MAX: u8 = 20;

/// A file or a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path from the root, with `/` between names.
    pub path: String,
    /// A folder.
    pub is_folder: bool,
    /// Length in bytes; zero for folders.
    pub size: u64,
    pub(super) first_cluster: u32,
}

/// Parses the content of a directory; `.`, `..` and the volume label are left out.
pub(super) fn parse(content: &[u8]) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    let mut long = LongName::default();
    for raw in content.chunks_exact(ENTRY_BYTES) {
        match (raw[0], raw[11] & 0x3f) {
            (0, _) => break,
            (DELETED, _) => long = LongName::default(),
            (_, ATTRIBUTE_LONG_NAME) => long.push(raw)?,
            (_, attributes) => {
                let name = std::mem::take(&mut long).finish(&raw[..11])?;
                if attributes & ATTRIBUTE_LABEL == 0 && raw[0] != b'.' {
                    entries.push(entry(raw, name)?);
                }
            }
        }
    }
    Ok(entries)
}

fn entry(raw: &[u8], long_name: Option<String>) -> Result<Entry, String> {
    let path = long_name.unwrap_or_else(|| short_name(raw));
    if path.is_empty() || path.contains(['/', '\\', '\0']) || path == "." || path == ".." {
        return Err(format!("the name {path:?} is not possible"));
    }
    let size = u32::from_le_bytes([raw[28], raw[29], raw[30], raw[31]]);
    let first_cluster = u32::from_le_bytes([raw[26], raw[27], raw[20], raw[21]]);
    Ok(Entry { path, is_folder: raw[11] & ATTRIBUTE_FOLDER != 0, size: u64::from(size), first_cluster })
}

/// The 8.3 name; bits of byte 12 say which half is written in lower case.
fn short_name(raw: &[u8]) -> String {
    let half = |bytes: &[u8], lower: bool| {
        let text: String = bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{fffd}' }).collect();
        let text = text.trim_end_matches(' ');
        if lower { text.to_ascii_lowercase() } else { text.to_owned() }
    };
    let (stem, extension) = (half(&raw[..8], raw[12] & 0x08 != 0), half(&raw[8..11], raw[12] & 0x10 != 0));
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}

/// The parts of a long name seen so far, the last one first.
#[derive(Debug, Default)]
struct LongName {
    parts: Vec<[u16; 13]>,
    expected: u8,
    checksum: u8,
}

impl LongName {
    fn push(&mut self, raw: &[u8]) -> Result<(), String> {
        let order = raw[0];
        if order & LAST_PART != 0 {
            *self = Self { parts: Vec::new(), expected: order & !LAST_PART, checksum: raw[13] };
        }
        let number = order & !LAST_PART;
        if number == 0 || number > PARTS_MAX || number != self.expected || raw[13] != self.checksum {
            return Err("the parts of a long name do not belong together".into());
        }
        self.expected -= 1;
        let mut part = [0; 13];
        let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
        for (unit, at) in part.iter_mut().zip(places) {
            *unit = u16::from_le_bytes([raw[at], raw[at + 1]]);
        }
        self.parts.push(part);
        Ok(())
    }

    /// The long name of the entry whose short name follows, if it has one.
    fn finish(self, short: &[u8]) -> Result<Option<String>, String> {
        if self.parts.is_empty() {
            return Ok(None);
        }
        let checksum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if self.expected != 0 || checksum != self.checksum {
            return Err("a long name does not belong to its short name".into());
        }
        let units = self.parts.iter().rev().flatten().copied().take_while(|unit| *unit != 0);
        let name: Result<String, _> = char::decode_utf16(units).collect();
        name.map(Some).map_err(|_| "a long name is not UTF-16".into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn short(name: &[u8; 11], attributes: u8, lower: u8) -> Vec<u8> {
        let mut raw = vec![0; 32];
        raw[..11].copy_from_slice(name);
        raw[11] = attributes;
        raw[12] = lower;
        raw[26] = 5;
        raw[28] = 9;
        raw
    }

    #[test]
    fn short_names_and_what_is_skipped() {
        let content = [
            short(b"ESP        ", 0x08, 0),
            short(b".          ", 0x10, 0),
            short(b"..         ", 0x10, 0),
            short(b"\xe5LD     TXT", 0x20, 0),
            short(b"BOOTX64 EFI", 0x20, 0),
            short(b"LOADER     ", 0x10, 0x08),
            short(b"A       B  ", 0x20, 0x10),
            vec![0; 32],
            short(b"BEHIND     ", 0x20, 0),
        ];
        let entries = parse(&content.concat()).unwrap();
        let names: Vec<_> = entries.iter().map(|entry| (entry.path.as_str(), entry.is_folder)).collect();
        assert_eq!(names, [("BOOTX64.EFI", false), ("loader", true), ("A.b", false)]);
        assert_eq!((entries[0].size, entries[0].first_cluster), (9, 5));
    }

    #[test]
    fn long_names_must_be_whole() {
        let mut part = vec![0xff; 32];
        let text: Vec<u8> = "a.b\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        part[1..9].copy_from_slice(&text);
        part[0] = 0x41;
        part[11] = 0x0f;
        let name = *b"A~1     B  ";
        part[13] = name.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let with = |at: usize, value: u8| {
            let mut bad = part.clone();
            bad[at] = value;
            [bad, short(&name, 0x20, 0)].concat()
        };
        assert_eq!(parse(&with(0, 0x41)).unwrap()[0].path, "a.b");
        for (at, value) in [(0, 0x42), (0, 0x01), (0, 0x40), (0, 0x7f), (13, 0), (1, b'/'), (2, 0xd8)] {
            assert!(parse(&with(at, value)).is_err(), "{at} {value:#x}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(content in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&content);
        }
    }
}
