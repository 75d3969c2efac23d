//! The variables in a firmware's flash, as they would be read at the next power-on.
//!
//! Follows the layout of EDK2's variable driver (`MdeModulePkg/Include/Guid/VariableFormat.h`): a variable is written behind the
//! others and becomes the valid one by clearing bits of its state; of two copies the added one counts, and one in transition counts
//! when there is no other.

use super::bytes::{u16_at, u32_at, u64_at};

const VARIABLE_START: u16 = 0x55aa;
const HEADER: usize = 60;
/// Offset of the volume's signature and of its header's length.
const AT_SIGNATURE: usize = 40;
const AT_HEADER_LEN: usize = 48;
const STORE_HEADER: usize = 28;
const STORE_FORMATTED: u8 = 0x5a;
const STORE_HEALTHY: u8 = 0xfe;
/// The store of variables with authentication headers, as OVMF has it.
const STORE_GUID: [u8; 16] = [0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92];
/// Vendor of systemd-boot's variables: 4a67b082-0a4c-41cf-b6c7-440b29bb8c4f.
pub(super) const LOADER_GUID: [u8; 16] = [0x82, 0xb0, 0x67, 0x4a, 0x4c, 0x0a, 0xcf, 0x41, 0xb6, 0xc7, 0x44, 0x0b, 0x29, 0xbb, 0x8c, 0x4f];

const ADDED: u8 = 0x3f;
const IN_TRANSITION: u8 = 0x3e;
const NON_VOLATILE: u32 = 1;

/// What the loader finds.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Choices {
    /// `LoaderEntryOneShot`.
    pub one_shot: Option<String>,
    /// `LoaderEntryDefault`.
    pub default: Option<String>,
}

/// Reads the loader's variables; the error says why the store cannot be read.
pub fn read(flash: &[u8]) -> Result<Choices, String> {
    if flash.get(AT_SIGNATURE..AT_SIGNATURE + 4) != Some(b"_FVH") {
        return Err("the flash holds no firmware volume".into());
    }
    let store = usize::from(u16_at(flash, AT_HEADER_LEN));
    let header = flash.get(store..store + STORE_HEADER).ok_or("the volume has no room for variables")?;
    if header[..16] != STORE_GUID || header[20] != STORE_FORMATTED || header[21] != STORE_HEALTHY {
        return Err("the variable store's header is not whole".into());
    }
    let end = (store + u32_at(header, 16) as usize).min(flash.len());
    let mut at = (store + STORE_HEADER).next_multiple_of(4);
    let mut choices = [(ENTRY_ONE_SHOT, Found::default()), (ENTRY_DEFAULT, Found::default())];
    while at + HEADER <= end && u16_at(flash, at) == VARIABLE_START {
        let (name_bytes, data_bytes) = (u32_at(flash, at + 36) as usize, u32_at(flash, at + 40) as usize);
        // An interrupted write of a header leaves sizes of all ones; firmware skips just the header then.
        let sane = name_bytes != usize::try_from(u32::MAX).unwrap_or(0) && data_bytes != usize::try_from(u32::MAX).unwrap_or(0);
        let (name_bytes, data_bytes) = if sane { (name_bytes, data_bytes) } else { (0, 0) };
        let (name_at, data_at) = (at + HEADER, at + HEADER + name_bytes);
        let Some(data) = flash.get(data_at..data_at.saturating_add(data_bytes)).filter(|_| data_at <= end) else { break };
        let kept = u32_at(flash, at + 4) & NON_VOLATILE != 0;
        if kept && flash[at + 44..at + 60] == LOADER_GUID {
            let name = text(&flash[name_at..data_at]);
            if let Some((_, found)) = choices.iter_mut().find(|(wanted, _)| *wanted == name) {
                found.see(flash[at + 2], text(data));
            }
        }
        at = (data_at + data_bytes).next_multiple_of(4);
    }
    let [(_, one_shot), (_, default)] = choices;
    Ok(Choices { one_shot: one_shot.value(), default: default.value() })
}

const ENTRY_ONE_SHOT: &str = "LoaderEntryOneShot";
const ENTRY_DEFAULT: &str = "LoaderEntryDefault";

#[derive(Default)]
struct Found {
    added: Option<String>,
    in_transition: Option<String>,
}

impl Found {
    fn see(&mut self, state: u8, value: String) {
        match state {
            ADDED => self.added = Some(value),
            IN_TRANSITION => self.in_transition = Some(value),
            _ => {}
        }
    }

    fn value(self) -> Option<String> {
        self.added.or(self.in_transition)
    }
}

fn text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|letter| letter.unwrap_or('\u{fffd}')).collect()
}

/// Length of the volume in bytes, for those who make one.
#[must_use]
pub fn volume_bytes(flash: &[u8]) -> u64 {
    u64_at(flash, 32)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A flash with these variables: name, state, value.
    pub(in crate::power_cut) fn flash(variables: &[(&str, u8, &str)]) -> Vec<u8> {
        let mut flash = vec![0; 72];
        flash[AT_SIGNATURE..AT_SIGNATURE + 4].copy_from_slice(b"_FVH");
        flash[AT_HEADER_LEN] = 72;
        flash.extend(STORE_GUID);
        flash.extend(4096_u32.to_le_bytes());
        flash.extend([STORE_FORMATTED, STORE_HEALTHY, 0, 0, 0, 0, 0, 0]);
        for (name, state, value) in variables {
            flash.resize(flash.len().next_multiple_of(4), 0xff);
            let utf16 = |text: &str| text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
            let (name, value) = (utf16(name), utf16(value));
            flash.extend([0xaa, 0x55, *state, 0, 7, 0, 0, 0]);
            flash.extend([0; 28]);
            flash.extend((name.len() as u32).to_le_bytes());
            flash.extend((value.len() as u32).to_le_bytes());
            flash.extend(LOADER_GUID);
            flash.extend(name);
            flash.extend(value);
        }
        flash.resize(8192, 0xff);
        flash
    }

    #[test]
    fn the_valid_copy_counts() {
        type Case<'a> = (&'a [(&'a str, u8, &'a str)], Option<&'a str>);
        let table: &[Case<'_>] = &[
            (&[], None),
            (&[(ENTRY_DEFAULT, ADDED, "a.efi")], Some("a.efi")),
            (&[(ENTRY_DEFAULT, 0x3c, "a.efi"), (ENTRY_DEFAULT, ADDED, "b.efi")], Some("b.efi")),
            (&[(ENTRY_DEFAULT, IN_TRANSITION, "a.efi"), (ENTRY_DEFAULT, 0x7f, "b.efi")], Some("a.efi")),
            (&[(ENTRY_DEFAULT, IN_TRANSITION, "a.efi"), (ENTRY_DEFAULT, ADDED, "b.efi")], Some("b.efi")),
            (&[(ENTRY_DEFAULT, 0x3c, "a.efi"), ("Other", ADDED, "b.efi")], None),
        ];
        for (variables, expected) in table {
            assert_eq!(read(&flash(variables)).unwrap().default.as_deref(), *expected, "{variables:?}");
        }
        let both = read(&flash(&[(ENTRY_ONE_SHOT, ADDED, "b.efi"), (ENTRY_DEFAULT, ADDED, "a.efi")])).unwrap();
        assert_eq!((both.one_shot.as_deref(), both.default.as_deref()), (Some("b.efi"), Some("a.efi")));
    }

    #[test]
    fn a_store_that_is_not_whole_is_told() {
        let good = flash(&[]);
        for at in [AT_SIGNATURE, 72, 72 + 20, 72 + 21] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(read(&bad).is_err(), "{at}");
        }
        assert!(read(&[]).is_err());
    }

    #[test]
    fn a_header_that_was_cut_off_hides_nothing_behind_it() {
        let mut bytes = flash(&[("X", 0xff, ""), (ENTRY_DEFAULT, ADDED, "a.efi")]);
        let at = 72 + STORE_HEADER;
        // Erased flash is all ones; of the first header only the mark was written.
        bytes[at + 2..at + HEADER].fill(0xff);
        let behind = read(&bytes);
        assert_eq!(behind.unwrap().default, None, "what follows is found by sizes alone, as in firmware");
    }
}
