//! EFI variables of the boot loader, through efivarfs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Disk};

/// Vendor GUID of systemd-boot's variables (its Boot Loader Interface).
const VENDOR: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Non-volatile, and accessible to boot services and to the running system.
const ATTRIBUTES: u32 = 7;
/// Longest value read, in bytes.
const MAX_BYTES: u64 = 4096;

/// A folder of EFI variables.
#[derive(Debug, Clone)]
pub struct EfiVariables {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl Default for EfiVariables {
    fn default() -> Self {
        Self::at(disk::linux(), "/sys/firmware/efi/efivars".as_ref())
    }
}

impl EfiVariables {
    /// The variables that `disk` has below `folder`.
    #[must_use]
    pub fn at(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        Self { disk, folder: folder.to_owned() }
    }

    /// Whether this machine has EFI variables at all.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.disk.names(&self.folder).is_ok_and(|names| !names.is_empty())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}-{VENDOR}"))
    }

    /// The text of a variable of the boot loader; `None` when it is not set.
    pub fn text(&self, name: &str) -> io::Result<Option<String>> {
        Ok(self.bytes(name, VENDOR)?.map(|bytes| decode(&bytes)))
    }

    /// The content of anybody's variable, without its attributes; `None` when it is not set.
    pub fn bytes(&self, name: &str, vendor: &str) -> io::Result<Option<Vec<u8>>> {
        match self.disk.read(&self.folder.join(format!("{name}-{vendor}")), MAX_BYTES) {
            Ok(bytes) => Ok(bytes.get(4..).map(<[u8]>::to_vec)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a variable and reads it back.
    pub fn set_text(&self, name: &str, text: &str) -> io::Result<()> {
        // Writing what is there already would only wear out the flash.
        if self.text(name)?.as_deref() == Some(text) {
            return Ok(());
        }
        let mut bytes = ATTRIBUTES.to_le_bytes().to_vec();
        bytes.extend(encode(text));
        self.disk.set_variable(&self.path(name), &bytes)?;
        match self.text(name)? {
            Some(now) if now == text => Ok(()),
            now => Err(io::Error::other(format!("the firmware says {now:?} after {text:?} was written"))),
        }
    }

    /// Removes a variable; that it is not set is fine.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match self.disk.remove_variable(&self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// UTF-16, little endian, NUL-terminated.
fn encode(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn decode(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|&unit| unit != 0);
    char::decode_utf16(units).map(|character| character.unwrap_or('\u{fffd}')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_variable_is_attributes_and_utf16_with_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let variables = EfiVariables::at(disk::linux(), dir.path());
        assert!(!variables.exist());
        assert_eq!(variables.text("LoaderEntryDefault").unwrap(), None);
        variables.set_text("LoaderEntryDefault", "b.efi").unwrap();
        let path = dir.path().join("LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
        assert_eq!(fs::read(path).unwrap(), b"\x07\0\0\0b\0.\0e\0f\0i\0\0\0");
        assert_eq!(variables.text("LoaderEntryDefault").unwrap().as_deref(), Some("b.efi"));
        variables.set_text("LoaderEntryDefault", "b.efi").unwrap();
        assert!(variables.exist());
        variables.remove("LoaderEntryDefault").unwrap();
        variables.remove("LoaderEntryDefault").unwrap();
        assert_eq!(variables.text("LoaderEntryDefault").unwrap(), None);
    }

    #[test]
    fn odd_bytes_are_no_reason_to_panic() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("Short", &b"\x07\0"[..]), ("Odd", b"\x07\0\0\0a\0b"), ("Lone", b"\x07\0\0\0\0\xd8")] {
            fs::write(dir.path().join(format!("{name}-{VENDOR}")), bytes).unwrap();
        }
        let variables = EfiVariables::at(disk::linux(), dir.path());
        assert_eq!(variables.text("Short").unwrap(), None);
        assert_eq!(variables.text("Odd").unwrap().as_deref(), Some("a"));
        assert_eq!(variables.text("Lone").unwrap().as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn a_firmware_that_does_not_take_it_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        // A regular file keeps the longer old value's end, as no firmware would: the decoded text still differs or not by content.
        fs::create_dir(dir.path().join(format!("LoaderEntryDefault-{VENDOR}"))).unwrap();
        assert!(EfiVariables::at(disk::linux(), dir.path()).set_text("LoaderEntryDefault", "a.efi").is_err());
    }
}
