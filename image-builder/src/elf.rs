//! What a program needs to run: its interpreter and its shared libraries.

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind};

/// What an ELF file asks of the dynamic loader.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// `PT_INTERP`, the dynamic loader.
    pub interpreter: Option<String>,
    /// `DT_NEEDED` names.
    pub libraries: Vec<String>,
    /// `DT_RUNPATH` (or the older `DT_RPATH`) directories, `$ORIGIN` not expanded.
    pub search: Vec<String>,
}

/// Reads the needs of a 64-bit ELF file; nothing for what is not ELF or not well-formed.
#[must_use]
pub fn needs(bytes: &[u8]) -> Option<Needs> {
    if FileKind::parse(bytes).ok()? != FileKind::Elf64 {
        return None;
    }
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let mut needs = Needs::default();
    for segment in segments {
        if segment.p_type(endian) == PT_INTERP {
            let path = segment.data(endian, bytes).ok()?;
            needs.interpreter = Some(String::from_utf8_lossy(path).trim_end_matches('\0').to_owned());
        }
    }
    let sections = header.sections(endian, bytes).ok()?;
    let Some((dynamic, link)) = sections.dynamic(endian, bytes).ok()? else { return Some(needs) };
    let strings = sections.strings(endian, bytes, link).ok()?;
    for entry in dynamic {
        let tag = entry.tag(endian);
        if ![DT_NEEDED, DT_RUNPATH, DT_RPATH].contains(&tag) {
            continue;
        }
        let text = String::from_utf8_lossy(entry.string(endian, strings).ok()?).into_owned();
        if tag == DT_NEEDED {
            needs.libraries.push(text);
        } else {
            needs.search.extend(text.split(':').map(str::to_owned));
        }
    }
    Some(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_test_program_needs_the_c_library() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = needs(&bytes).unwrap();
        assert!(needs.libraries.iter().any(|name| name.starts_with("libc.so")), "{needs:?}");
        assert!(needs.interpreter.unwrap().contains("ld-linux"));
    }

    #[test]
    fn what_is_not_elf_needs_nothing() {
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0garbage"] {
            assert_eq!(needs(bytes), None);
        }
    }
}
