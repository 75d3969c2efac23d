//! Appends sections to a systemd stub: a UKI from the boot stub, an addon from the addon stub.
//!
//! The stub is cut at the end of its last section and loses its COFF symbol table: bytes behind the sections would make signing
//! tools disagree about the digest. New sections go to the next page-aligned address, which is what `ukify` does too.

use super::pe::{self, Pe, PeError, SECTION_HEADER_BYTES};

/// Alignment of sections in memory that systemd-stub and the firmware's loader agree on, in bytes.
const PAGE_BYTES: u32 = 4096;
/// `IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ`.
const READ_ONLY_DATA: u32 = 0x4000_0040;
/// Offset of `NumberOfSections` in the COFF header, which begins with `PE\0\0`.
const COFF_SECTION_COUNT: usize = 6;
/// Offset of `PointerToSymbolTable` and, right behind it, `NumberOfSymbols`.
const COFF_SYMBOLS: usize = 12;

/// Why no UKI came out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// The stub is not a PE file.
    #[error("reading the stub: {0}")]
    Stub(#[from] PeError),
    /// The stub cannot be extended safely.
    #[error("the stub cannot take sections: {0}")]
    Unsuitable(&'static str),
    /// The stub's header has no room for more entries of the section table.
    #[error("the stub's headers have room for {room} more sections, {wanted} are needed")]
    NoHeaderRoom {
        /// Entries that still fit.
        room: usize,
        /// Entries to add.
        wanted: usize,
    },
    /// The stub has that section already.
    #[error("the stub already has a section {0}")]
    Duplicate(&'static str),
    /// A section without content boots nothing.
    #[error("section {0} is empty")]
    Empty(&'static str),
    /// PE addresses have 32 bits.
    #[error("section {0} does not fit the 4 GiB of a PE file")]
    TooLarge(&'static str),
}

/// The parts of a unified kernel image.
#[derive(Debug, Clone, Copy)]
pub struct Uki<'a> {
    /// Content of os-release, shown in boot menus.
    pub osrel: &'a [u8],
    /// Kernel command line, without a newline at its end.
    pub cmdline: &'a str,
    /// Kernel release, e.g. `6.12.0-cloud-amd64`.
    pub uname: &'a str,
    /// The initrd, compressed as the kernel likes it.
    pub initrd: &'a [u8],
    /// The kernel: itself a PE file (bzImage with EFI stub).
    pub linux: &'a [u8],
    /// Revocation data for shim; only for stubs that carry none.
    pub sbat: Option<&'a [u8]>,
}

impl Uki<'_> {
    /// The unsigned UKI, made from systemd's `linuxx64.efi.stub`.
    pub fn assemble(&self, stub: &[u8]) -> Result<Vec<u8>, AssembleError> {
        let mut sections = vec![
            (".osrel", self.osrel),
            (".cmdline", self.cmdline.as_bytes()),
            (".uname", self.uname.as_bytes()),
            (".initrd", self.initrd),
            // Last, so that the kernel may grow in memory without meeting another section.
            (".linux", self.linux),
        ];
        if let Some(sbat) = self.sbat {
            sections.insert(0, (".sbat", sbat));
        }
        append(stub, &sections)
    }
}

/// An unsigned addon that adds `cmdline` to that of the UKI beside it, made from systemd's `addonx64.efi.stub`.
pub fn addon(stub: &[u8], cmdline: &str) -> Result<Vec<u8>, AssembleError> {
    append(stub, &[(".cmdline", cmdline.as_bytes())])
}

/// Appends `sections` to `stub`, in their order.
fn append(stub: &[u8], sections: &[(&'static str, &[u8])]) -> Result<Vec<u8>, AssembleError> {
    let pe = Pe::parse(stub)?;
    let file_alignment = pe.optional_u32(pe::OPT_FILE_ALIGNMENT);
    let (mut address, end) = check(&pe, file_alignment, sections)?;
    let mut out = stub[..end].to_vec();
    for (index, (name, content)) in sections.iter().enumerate() {
        let too_large = || AssembleError::TooLarge(name);
        pad(&mut out, file_alignment as usize);
        let raw_offset = u32::try_from(out.len()).map_err(|_| too_large())?;
        out.extend_from_slice(content);
        pad(&mut out, file_alignment as usize);
        let raw_size = u32::try_from(out.len()).map_err(|_| too_large())? - raw_offset;
        let size = u32::try_from(content.len()).map_err(|_| too_large())?;
        let at = pe.section_table_offset() + (pe.sections().len() + index) * SECTION_HEADER_BYTES;
        out[at..at + SECTION_HEADER_BYTES].copy_from_slice(&header(name, size, address, raw_size, raw_offset));
        address = address.checked_add(size).and_then(|end| end.checked_next_multiple_of(PAGE_BYTES)).ok_or_else(too_large)?;
    }
    let count = (pe.sections().len() + sections.len()) as u16;
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(pe.coff_offset() + COFF_SECTION_COUNT, &count.to_le_bytes());
    put(pe.coff_offset() + COFF_SYMBOLS, &[0; 8]);
    put(pe.optional_offset() + pe::OPT_SIZE_OF_IMAGE, &address.to_le_bytes());
    put(pe.optional_offset() + pe::OPT_CHECKSUM, &[0; 4]);
    Ok(out)
}

/// Everything that must hold before the first byte is written; gives the next free address and the end of the last section.
fn check(pe: &Pe<'_>, file_alignment: u32, sections: &[(&'static str, &[u8])]) -> Result<(u32, usize), AssembleError> {
    if !file_alignment.is_power_of_two() || file_alignment > PAGE_BYTES || pe.optional_u32(pe::OPT_SECTION_ALIGNMENT) > PAGE_BYTES {
        return Err(AssembleError::Unsuitable("its alignment is not a power of two up to 4096"));
    }
    if pe.certificate_table()?.is_some() {
        return Err(AssembleError::Unsuitable("it is signed"));
    }
    let used = pe.section_table_offset() + pe.sections().len() * SECTION_HEADER_BYTES;
    let room = (pe.headers_bytes() as usize - used) / SECTION_HEADER_BYTES;
    if room < sections.len() {
        return Err(AssembleError::NoHeaderRoom { room, wanted: sections.len() });
    }
    for (name, content) in sections {
        if content.is_empty() {
            return Err(AssembleError::Empty(name));
        }
        if pe.sections().iter().any(|section| section.name == *name) {
            return Err(AssembleError::Duplicate(name));
        }
    }
    let mut address = 0;
    let mut end = pe.headers_bytes() as usize;
    for section in pe.sections() {
        if section.virtual_address < address || section.raw().start < end {
            return Err(AssembleError::Unsuitable("its sections do not follow each other"));
        }
        address = section.virtual_address.checked_add(section.virtual_size).ok_or(AssembleError::Unsuitable("its addresses overflow"))?;
        end = section.raw().end;
    }
    let address = address.checked_next_multiple_of(PAGE_BYTES).ok_or(AssembleError::Unsuitable("its addresses overflow"))?;
    Ok((address, end))
}

fn header(name: &str, size: u32, address: u32, raw_size: u32, raw_offset: u32) -> [u8; SECTION_HEADER_BYTES] {
    let mut header = [0; SECTION_HEADER_BYTES];
    header[..name.len()].copy_from_slice(name.as_bytes());
    for (at, value) in [(8, size), (12, address), (16, raw_size), (20, raw_offset), (36, READ_ONLY_DATA)] {
        header[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    header
}

fn pad(out: &mut Vec<u8>, alignment: usize) {
    out.resize(out.len().next_multiple_of(alignment), 0);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::test_support::tools;

    const STUBS: [&str; 2] = ["usr/lib/systemd/boot/efi/linuxx64.efi.stub", "usr/lib/systemd/boot/efi/addonx64.efi.stub"];

    /// A PE32+ file of the stub's shape: two sections, room for more, a symbol table behind the last section.
    pub(crate) fn tiny_stub() -> Vec<u8> {
        let mut stub = vec![0; 0x400];
        let mut put = |at: usize, bytes: &[u8]| stub[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(0x3c, &0x40_u32.to_le_bytes());
        put(0x40, b"PE\0\0\x64\x86\x02\0");
        put(0x4c, &0x800_u32.to_le_bytes());
        put(0x50, &1_u32.to_le_bytes());
        put(0x54, &0xf0_u16.to_le_bytes());
        put(0x58, &0x20b_u16.to_le_bytes());
        for (at, value) in [(32, 4096), (36, 512), (56, 0x3000), (60, 0x400), (64, 0xdead), (108, 16)] {
            put(0x58 + at, &u32::to_le_bytes(value));
        }
        put(0x148, &header(".text", 5, 0x1000, 0x200, 0x400));
        put(0x148 + 40, &header(".sdmagic", 14, 0x2000, 0x200, 0x600));
        stub.extend(b"code!");
        stub.resize(0x600, 0);
        stub.extend(b"#### fake ####");
        stub.resize(0x800, 0);
        stub.extend(b"symbol table");
        stub
    }

    fn uki() -> Uki<'static> {
        Uki { osrel: b"ID=slipway\n", cmdline: "ro roothash=00", uname: "6.12.0", initrd: &[7; 9000], linux: b"MZ kernel", sbat: None }
    }

    fn check_sections(bytes: &[u8], stub_sections: usize, expected: &[(&str, &[u8])]) {
        let pe = Pe::parse(bytes).unwrap();
        let added = &pe.sections()[stub_sections..];
        assert_eq!(
            added.iter().map(|section| section.name.as_str()).collect::<Vec<_>>(),
            expected.iter().map(|(name, _)| *name).collect::<Vec<_>>()
        );
        let mut raw_end = pe.headers_bytes() as usize;
        let mut address = 0;
        for section in pe.sections() {
            assert_eq!(section.raw().start, raw_end, "no gap before {}", section.name);
            assert!(section.virtual_address >= address && section.virtual_address % 4096 == 0);
            raw_end = section.raw().end;
            address = section.virtual_address + section.virtual_size;
        }
        assert_eq!(raw_end, bytes.len(), "nothing behind the last section");
        assert_eq!(pe.optional_u32(pe::OPT_SIZE_OF_IMAGE), address.next_multiple_of(4096));
        for (name, content) in expected {
            assert_eq!(pe.section(name), Some(*content), "{name}");
        }
    }

    #[test]
    fn a_uki_carries_its_parts_in_order() {
        let bytes = uki().assemble(&tiny_stub()).unwrap();
        let parts: &[(&str, &[u8])] = &[
            (".osrel", b"ID=slipway\n"),
            (".cmdline", b"ro roothash=00"),
            (".uname", b"6.12.0"),
            (".initrd", &[7; 9000]),
            (".linux", b"MZ kernel"),
        ];
        check_sections(&bytes, 2, parts);
        assert_eq!(bytes[0x4c..0x54], [0; 8], "no symbol table");
        assert_eq!(bytes[0x58 + 64..0x58 + 68], [0; 4], "no stale checksum");
    }

    #[test]
    fn systemds_own_stubs_are_suitable() {
        let Some(tools) = tools(&STUBS) else { return };
        let stub = std::fs::read(tools.file(STUBS[0])).unwrap();
        let count = Pe::parse(&stub).unwrap().sections().len();
        check_sections(
            &uki().assemble(&stub).unwrap(),
            count,
            &[
                (".osrel", b"ID=slipway\n"),
                (".cmdline", b"ro roothash=00"),
                (".uname", b"6.12.0"),
                (".initrd", &[7; 9000]),
                (".linux", b"MZ kernel"),
            ],
        );
        let sbat = Uki { sbat: Some(b"sbat,1\n"), ..uki() };
        assert_eq!(sbat.assemble(&stub), Err(AssembleError::Duplicate(".sbat")));
        let stub = std::fs::read(tools.file(STUBS[1])).unwrap();
        let count = Pe::parse(&stub).unwrap().sections().len();
        check_sections(&addon(&stub, "slot=a").unwrap(), count, &[(".cmdline", b"slot=a")]);
    }

    #[test]
    fn refuses_what_would_not_boot() {
        let stub = tiny_stub();
        let with = |at: usize, value: u32| {
            let mut bad = stub.clone();
            bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
            bad
        };
        let unsuitable = |why| Err(AssembleError::Unsuitable(why));
        assert_eq!(Uki { linux: b"", ..uki() }.assemble(&stub), Err(AssembleError::Empty(".linux")));
        assert_eq!(addon(&stub, ""), Err(AssembleError::Empty(".cmdline")));
        assert_eq!(addon(&addon(&stub, "x").unwrap(), "y"), Err(AssembleError::Duplicate(".cmdline")));
        assert_eq!(uki().assemble(&with(0x58 + 60, 0x1a0)), Err(AssembleError::NoHeaderRoom { room: 0, wanted: 5 }));
        assert_eq!(addon(&with(0x58 + 36, 0), "x"), unsuitable("its alignment is not a power of two up to 4096"));
        assert_eq!(addon(&with(0x58 + 36, 8192), "x"), unsuitable("its alignment is not a power of two up to 4096"));
        assert_eq!(addon(&with(0x148 + 40 + 12, 0x500), "x"), unsuitable("its sections do not follow each other"));
        assert_eq!(addon(&with(0x148 + 40 + 12, u32::MAX), "x"), unsuitable("its addresses overflow"));
        assert_eq!(addon(&with(0x58 + 112 + 36, 16), "x"), unsuitable("it is signed"));
        assert!(matches!(addon(b"MZ", "x"), Err(AssembleError::Stub(_))));
    }
}
