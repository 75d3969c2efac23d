//! Headers and sections of a PE32+ file: bounds-checked, never panics, whatever the bytes are.
//!
//! Follows the PE/COFF specification (Microsoft, "PE Format"); only the fields that we use are read.

use std::ops::Range;

/// Length of a section's entry in the section table, in bytes.
pub const SECTION_HEADER_BYTES: usize = 40;
/// The highest number of sections we accept: the specification's own limit for images.
const SECTIONS_MAX: usize = 96;

/// Offset of the PE header's offset in the DOS header.
const AT_LFANEW: usize = 0x3c;
/// Length of the COFF file header including the `PE\0\0` signature.
const COFF_BYTES: usize = 24;
/// Magic number of the optional header of PE32+.
const PE32_PLUS: u16 = 0x20b;
/// Offsets in the optional header of PE32+.
pub(super) const OPT_SECTION_ALIGNMENT: usize = 32;
pub(super) const OPT_FILE_ALIGNMENT: usize = 36;
pub(super) const OPT_SIZE_OF_IMAGE: usize = 56;
pub(super) const OPT_SIZE_OF_HEADERS: usize = 60;
pub(super) const OPT_CHECKSUM: usize = 64;
const OPT_DIRECTORY_COUNT: usize = 108;
const OPT_DIRECTORIES: usize = 112;
/// Index of the certificate table among the data directories.
const SECURITY_DIRECTORY: usize = 4;

/// Why bytes are not a PE file that we can work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeError {
    /// A signature or magic number is wrong.
    #[error("not a PE32+ file: {0}")]
    NotPe(&'static str),
    /// A structure reaches beyond the end of the file.
    #[error("truncated PE file: {0} reaches beyond its end")]
    Truncated(String),
    /// A number makes no sense.
    #[error("damaged PE file: {0}")]
    Damaged(String),
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Name, at most eight bytes, e.g. `.linux`.
    pub name: String,
    /// Length in memory, in bytes; for UKI sections the length of the content.
    pub virtual_size: u32,
    /// Address in memory, relative to the image's base.
    pub virtual_address: u32,
    /// Length in the file, in bytes, a multiple of the file alignment.
    pub raw_size: u32,
    /// Offset in the file, in bytes.
    pub raw_offset: u32,
    /// `IMAGE_SCN_*` flags.
    pub characteristics: u32,
}

impl Section {
    /// Where the content lies in the file: the padding up to the file alignment is left out.
    #[must_use]
    pub fn content(&self) -> Range<usize> {
        let start = self.raw_offset as usize;
        start..start + self.raw_size.min(self.virtual_size) as usize
    }

    /// Where the content and its padding lie in the file.
    #[must_use]
    pub fn raw(&self) -> Range<usize> {
        let start = self.raw_offset as usize;
        start..start + self.raw_size as usize
    }
}

/// A parsed PE32+ file; every range it gives lies inside its bytes.
#[derive(Debug, Clone)]
pub struct Pe<'a> {
    data: &'a [u8],
    coff: usize,
    optional: usize,
    section_table: usize,
    sections: Vec<Section>,
}

impl<'a> Pe<'a> {
    /// Reads the headers.
    pub fn parse(data: &'a [u8]) -> Result<Self, PeError> {
        if data.get(..2) != Some(b"MZ") {
            return Err(PeError::NotPe("it does not begin with `MZ`"));
        }
        let coff = u32_at(data, AT_LFANEW, "DOS header")? as usize;
        let header = slice(data, coff, COFF_BYTES, "COFF header")?;
        if header[..4] != *b"PE\0\0" {
            return Err(PeError::NotPe("the PE signature is missing"));
        }
        let count = usize::from(u16::from_le_bytes([header[6], header[7]]));
        let optional_bytes = usize::from(u16::from_le_bytes([header[20], header[21]]));
        if count > SECTIONS_MAX {
            return Err(PeError::Damaged(format!("{count} sections, more than {SECTIONS_MAX}")));
        }
        let optional = coff + COFF_BYTES;
        let header = slice(data, optional, optional_bytes, "optional header")?;
        if optional_bytes < OPT_DIRECTORIES || header[..2] != PE32_PLUS.to_le_bytes() {
            return Err(PeError::NotPe("the optional header is not PE32+"));
        }
        let section_table = optional + optional_bytes;
        let table = slice(data, section_table, count * SECTION_HEADER_BYTES, "section table")?;
        let sections = table.chunks_exact(SECTION_HEADER_BYTES).map(|entry| section(data, entry)).collect::<Result<_, _>>()?;
        let pe = Self { data, coff, optional, section_table, sections };
        if pe.directory_offset(SECURITY_DIRECTORY).is_some_and(|at| at + 8 > section_table) {
            return Err(PeError::Damaged("the data directories reach into the section table".into()));
        }
        if (pe.headers_bytes() as usize) < section_table + table.len() {
            return Err(PeError::Damaged("the section table reaches beyond the headers".into()));
        }
        slice(data, 0, pe.headers_bytes() as usize, "headers")?;
        pe.certificate_table()?;
        Ok(pe)
    }

    /// The file's bytes.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// All sections, in the order of the table.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Content of the first section called `name`.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&'a [u8]> {
        let section = self.sections.iter().find(|section| section.name == name)?;
        Some(&self.data[section.content()])
    }

    /// Where the certificate table (the signatures) lies; `None` for an unsigned file.
    pub fn certificate_table(&self) -> Result<Option<Range<usize>>, PeError> {
        let Some(at) = self.directory_offset(SECURITY_DIRECTORY) else { return Ok(None) };
        // The one directory whose address is a file offset.
        let start = u32_at(self.data, at, "certificate directory")? as usize;
        let size = u32_at(self.data, at + 4, "certificate directory")? as usize;
        if size == 0 {
            return Ok(None);
        }
        slice(self.data, start, size, "certificate table")?;
        Ok(Some(start..start + size))
    }

    /// Offset of the certificate table's directory entry, if the file has room for one.
    #[must_use]
    pub fn security_directory(&self) -> Option<usize> {
        self.directory_offset(SECURITY_DIRECTORY)
    }

    /// Offset of the `CheckSum` field.
    #[must_use]
    pub fn checksum_offset(&self) -> usize {
        self.optional + OPT_CHECKSUM
    }

    /// Length of all headers with padding (`SizeOfHeaders`), in bytes.
    #[must_use]
    pub fn headers_bytes(&self) -> u32 {
        self.optional_u32(OPT_SIZE_OF_HEADERS)
    }

    /// Offset of the COFF header (`PE\0\0`).
    pub(super) fn coff_offset(&self) -> usize {
        self.coff
    }

    pub(super) fn optional_offset(&self) -> usize {
        self.optional
    }

    pub(super) fn section_table_offset(&self) -> usize {
        self.section_table
    }

    /// A 32-bit field of the optional header; `at` is one of the `OPT_` constants, all below the length checked on parsing.
    pub(super) fn optional_u32(&self, at: usize) -> u32 {
        u32_at(self.data, self.optional + at, "optional header").unwrap_or_default()
    }

    fn directory_offset(&self, index: usize) -> Option<usize> {
        let count = self.optional_u32(OPT_DIRECTORY_COUNT) as usize;
        (index < count).then(|| self.optional + OPT_DIRECTORIES + 8 * index)
    }
}

fn section(data: &[u8], entry: &[u8]) -> Result<Section, PeError> {
    let field = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
    let name_bytes = entry[..8].split(|byte| *byte == 0).next().unwrap_or_default();
    let section = Section {
        name: String::from_utf8_lossy(name_bytes).into_owned(),
        virtual_size: field(8),
        virtual_address: field(12),
        raw_size: field(16),
        raw_offset: field(20),
        characteristics: field(36),
    };
    slice(data, section.raw_offset as usize, section.raw_size as usize, &format!("section {}", section.name))?;
    Ok(section)
}

fn slice<'a>(data: &'a [u8], start: usize, len: usize, what: &str) -> Result<&'a [u8], PeError> {
    let range = start.checked_add(len).and_then(|end| data.get(start..end));
    range.ok_or_else(|| PeError::Truncated(what.to_owned()))
}

fn u32_at(data: &[u8], at: usize, what: &str) -> Result<u32, PeError> {
    let bytes = slice(data, at, 4, what)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::uki::assemble::tests::tiny_stub;

    fn touch_everything(data: &[u8]) {
        let Ok(pe) = Pe::parse(data) else { return };
        for section in pe.sections() {
            let _ = (&data[section.content()], &data[section.raw()], pe.section(&section.name));
        }
        let _ = pe.certificate_table().map(|range| range.map(|range| data[range].len()));
    }

    #[test]
    fn reads_sections() {
        let stub = tiny_stub();
        let pe = Pe::parse(&stub).unwrap();
        let names: Vec<_> = pe.sections().iter().map(|section| section.name.as_str()).collect();
        assert_eq!(names, [".text", ".sdmagic"]);
        assert_eq!(pe.section(".sdmagic"), Some(&b"#### fake ####"[..]));
        assert_eq!((pe.section(".linux"), pe.certificate_table()), (None, Ok(None)));
    }

    #[test]
    fn refuses_what_is_not_pe() {
        let good = tiny_stub();
        let with = |at: usize, bytes: &[u8]| {
            let mut bad = good.clone();
            bad[at..at + bytes.len()].copy_from_slice(bytes);
            bad
        };
        let table = [
            (Vec::new(), "not a PE32+ file: it does not begin with `MZ`"),
            (b"MZ".to_vec(), "truncated PE file: DOS header reaches beyond its end"),
            (with(0, b"ZM"), "not a PE32+ file: it does not begin with `MZ`"),
            (with(0x3c, &u32::MAX.to_le_bytes()), "truncated PE file: COFF header reaches beyond its end"),
            (with(0x40, b"PX"), "not a PE32+ file: the PE signature is missing"),
            (with(0x46, &97_u16.to_le_bytes()), "damaged PE file: 97 sections, more than 96"),
            (with(0x58, &0x10b_u16.to_le_bytes()), "not a PE32+ file: the optional header is not PE32+"),
            (good[..0x200].to_vec(), "truncated PE file: section .text reaches beyond its end"),
        ];
        for (bytes, expected) in table {
            assert_eq!(Pe::parse(&bytes).unwrap_err().to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut data in proptest::collection::vec(any::<u8>(), 0..2048), magic in any::<bool>()) {
            if magic && data.len() > 0x80 {
                data[..2].copy_from_slice(b"MZ");
                data[0x3c..0x40].copy_from_slice(&0x40_u32.to_le_bytes());
                data[0x40..0x44].copy_from_slice(b"PE\0\0");
            }
            touch_everything(&data);
        }

        #[test]
        fn mutated_stubs_never_panic(changes in proptest::collection::vec((0_usize..0x200, any::<u8>()), 1..8), cut in 0_usize..1200) {
            let mut data = tiny_stub();
            for (at, value) in changes {
                data[at] = value;
            }
            data.truncate(data.len().saturating_sub(cut));
            touch_everything(&data);
        }
    }
}
