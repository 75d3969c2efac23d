//! Small, wilful damage to PE files, to see who notices.
//!
//! Offsets are those of the PE format, "Optional Header Data Directories" and "Section Table".

use anyhow::{Context, ensure};

const PE_OFFSET_AT: usize = 0x3c;
const COFF_HEADER: usize = 24;
const PE32_PLUS: u16 = 0x20b;
/// The certificate table is the fifth data directory; in PE32+ the directories begin 112 bytes into the optional header.
const CERTIFICATE_TABLE_AT: usize = 112 + 4 * 8;
const SECTION_HEADER: usize = 40;

/// `file` without its Authenticode signatures.
pub fn strip_signature(file: &[u8]) -> anyhow::Result<Vec<u8>> {
    let entry = optional_header(file)? + CERTIFICATE_TABLE_AT;
    let at = u32_at(file, entry)? as usize;
    ensure!(at != 0, "the file is not signed");
    ensure!(at <= file.len(), "the certificate table lies outside the file");
    let mut stripped = file[..at].to_vec();
    stripped[entry..entry + 8].fill(0);
    Ok(stripped)
}

/// Flips one bit in the middle of a section.
pub fn flip_bit_in(file: &mut [u8], section: &str) -> anyhow::Result<()> {
    let (start, size) = section_range(file, section)?;
    let byte = file.get_mut(start + size / 2).context("the section lies outside the file")?;
    *byte ^= 1;
    Ok(())
}

/// Puts other words of the same length into a section.
pub fn replace_in(file: &mut [u8], section: &str, words: &[u8], others: &[u8]) -> anyhow::Result<()> {
    ensure!(words.len() == others.len(), "only words of the same length fit");
    let (start, size) = section_range(file, section)?;
    let content = file.get_mut(start..start + size).context("the section lies outside the file")?;
    let at = content.windows(words.len()).position(|some| some == words);
    let at = at.with_context(|| format!("{section} does not hold {:?}", String::from_utf8_lossy(words)))?;
    content[at..at + others.len()].copy_from_slice(others);
    Ok(())
}

/// Where the content of a section is: offset in the file and meaningful size.
fn section_range(file: &[u8], name: &str) -> anyhow::Result<(usize, usize)> {
    let optional = optional_header(file)?;
    let count = u16_at(file, optional - COFF_HEADER + 6)?;
    let table = optional + usize::from(u16_at(file, optional - COFF_HEADER + 20)?);
    for index in 0..usize::from(count) {
        let header = table + index * SECTION_HEADER;
        let stored = file.get(header..header + 8).context("the section table lies outside the file")?;
        if stored.split(|byte| *byte == 0).next() == Some(name.as_bytes()) {
            return Ok((u32_at(file, header + 20)? as usize, u32_at(file, header + 8)? as usize));
        }
    }
    anyhow::bail!("the file has no section {name}")
}

fn optional_header(file: &[u8]) -> anyhow::Result<usize> {
    let pe = u32_at(file, PE_OFFSET_AT)? as usize;
    ensure!(file.get(pe..pe + 4) == Some(b"PE\0\0"), "not a PE file");
    ensure!(u16_at(file, pe + COFF_HEADER)? == PE32_PLUS, "not a 64-bit PE file");
    Ok(pe + COFF_HEADER)
}

fn u16_at(file: &[u8], at: usize) -> anyhow::Result<u16> {
    let bytes = file.get(at..at + 2).context("the file is cut")?;
    Ok(u16::from_le_bytes(bytes.try_into().context("two bytes")?))
}

fn u32_at(file: &[u8], at: usize) -> anyhow::Result<u32> {
    let bytes = file.get(at..at + 4).context("the file is cut")?;
    Ok(u32::from_le_bytes(bytes.try_into().context("four bytes")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE32+ file with one section `.cmdline` of 16 bytes at 512 and a signature at 1024.
    fn signed() -> Vec<u8> {
        let mut file = vec![0; 1100];
        file[PE_OFFSET_AT] = 0x40;
        file[0x40..0x44].copy_from_slice(b"PE\0\0");
        file[0x46] = 1;
        file[0x54] = 240;
        file[0x58..0x5a].copy_from_slice(&PE32_PLUS.to_le_bytes());
        let directory = 0x58 + CERTIFICATE_TABLE_AT;
        file[directory..directory + 4].copy_from_slice(&1024_u32.to_le_bytes());
        file[directory + 4] = 76;
        let header = 0x58 + 240;
        file[header..header + 8].copy_from_slice(b".cmdline");
        file[header + 8] = 16;
        file[header + 20..header + 24].copy_from_slice(&512_u32.to_le_bytes());
        file[512..528].fill(b'x');
        file
    }

    #[test]
    fn a_signature_is_removed_with_its_directory_entry() {
        let stripped = strip_signature(&signed()).unwrap();
        assert_eq!(stripped.len(), 1024);
        assert!(strip_signature(&stripped).is_err());
        assert!(strip_signature(b"MZ").is_err());
    }

    #[test]
    fn one_bit_of_a_section_is_flipped() {
        let mut file = signed();
        flip_bit_in(&mut file, ".cmdline").unwrap();
        assert_eq!(file[520], b'y');
        assert!(flip_bit_in(&mut file, ".linux").is_err());
    }

    #[test]
    fn words_are_replaced_by_as_many_where_they_are() {
        let mut file = signed();
        file[514..520].copy_from_slice(b"slot=a");
        replace_in(&mut file, ".cmdline", b"slot=a", b"evil=1").unwrap();
        assert_eq!(&file[512..522], b"xxevil=1xx");
        for (section, words, others) in [(".cmdline", "slot=a", "evil=1"), (".cmdline", "x", "yy"), (".linux", "x", "y")] {
            assert!(replace_in(&mut file, section, words.as_bytes(), others.as_bytes()).is_err(), "{section} {words} {others}");
        }
    }
}
