//! What this machine is and which slot it runs from, from the files that say so.

use std::io;
use std::path::{Path, PathBuf};

use crate::daemon::host::{Booted, Failure, FailureKind, Firmware, Slot};

/// Longest file read here, in bytes: all of them are far smaller.
const MAX_BYTES: u64 = 64 * 1024;

/// Where the facts are.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Root of the paths below; `/` on a machine.
    pub root: PathBuf,
}

impl Default for Facts {
    fn default() -> Self {
        Self { root: "/".into() }
    }
}

impl Facts {
    fn read(&self, path: &str) -> Result<String, Failure> {
        let path = self.root.join(path);
        let failed = |error: io::Error| Failure::new(FailureKind::Internal, format!("reading {}: {error}", path.display()));
        read_bounded(&path).map_err(failed)
    }

    /// All that the daemon has to know at its start, but for what the firmware knows.
    pub fn booted(&self) -> Result<Booted, Failure> {
        let unclear = |text: String| Failure::new(FailureKind::Internal, text);
        let slot = booted_slot(&self.read("proc/cmdline")?).map_err(unclear)?;
        let release = OsRelease::parse(&self.read("etc/os-release").or_else(|_| self.read("usr/lib/os-release"))?);
        let image = release.get("IMAGE_ID").or_else(|| release.get("ID"));
        let image = image.ok_or_else(|| unclear("os-release has neither IMAGE_ID nor ID; this is not an image of Slipway".to_owned()))?;
        let version = release.get("IMAGE_VERSION").ok_or_else(|| unclear("os-release has no IMAGE_VERSION".to_owned()))?;
        let version = version.parse().map_err(|error| unclear(format!("os-release: IMAGE_VERSION: {error}")))?;
        Ok(Booted {
            slot,
            boot_id: self.read("proc/sys/kernel/random/boot_id")?.trim().to_owned(),
            version,
            arch: arch().to_owned(),
            machine_id: self.read("etc/machine-id")?.trim().to_owned(),
            app_id: payload::app_id(image, release.get("VARIANT_ID").unwrap_or_default()),
            firmware: Firmware::default(),
        })
    }

    /// Seconds since 1970 at which the running image was made: the clock cannot be earlier. Zero when unknown.
    #[must_use]
    pub fn image_time(&self) -> i64 {
        use std::os::unix::fs::MetadataExt;
        self.root.join("usr/lib/os-release").metadata().map_or(0, |metadata| metadata.mtime())
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Debian's name of the architecture.
#[must_use]
pub fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The slot on a kernel command line. Anything but one clear answer is refused: writing to the wrong slot is the end of the machine.
pub fn booted_slot(cmdline: &str) -> Result<Slot, String> {
    let mut found: Option<Slot> = None;
    for word in cmdline.split_ascii_whitespace() {
        let Some(letter) = word.strip_prefix("slot=") else { continue };
        let slot = match letter {
            "a" => Slot::A,
            "b" => Slot::B,
            _ => return Err(format!("the kernel command line says `{word}`; expected slot=a or slot=b")),
        };
        if found.is_some_and(|earlier| earlier != slot) {
            return Err("the kernel command line names both slots; which one this machine runs from is unclear".to_owned());
        }
        found = Some(slot);
    }
    found.ok_or_else(|| "the kernel command line has no slot=; this machine was not booted by a slot of Slipway".to_owned())
}

/// The fields of an os-release file.
#[derive(Debug, Default)]
pub struct OsRelease(Vec<(String, String)>);

impl OsRelease {
    /// Reads what os-release(5) describes; lines that are none of it are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let fields = text.lines().filter_map(|line| {
            let (name, value) = line.trim().split_once('=')?;
            if name.is_empty() || name.starts_with('#') {
                return None;
            }
            Some((name.to_owned(), unquote(value)))
        });
        Self(fields.collect())
    }

    /// A field; the last one counts, as in a shell.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Removes one pair of quotes, and inside double quotes the backslashes before special characters.
fn unquote(value: &str) -> String {
    if let Some(inner) = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let mut plain = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_slot_is_read_or_refused() {
        assert_eq!(booted_slot("ro slot=a roothash=00\n"), Ok(Slot::A));
        assert_eq!(booted_slot("slot=b ro slot=b"), Ok(Slot::B));
        for wrong in ["", "ro quiet", "slot=", "slot=c", "slot=A", "slot=a slot=b", "myslot=a", "slot=ab", "slot=a slot=c", "slota"] {
            assert!(booted_slot(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn os_release_is_read_as_a_shell_would() {
        let release = OsRelease::parse("# c\nID=slipway\nNAME=\"A \\\"B\\\" \\$C\"\nX='y z'\n\nBAD LINE\n=v\nID=other\nEMPTY=\n");
        assert_eq!(release.get("ID"), Some("other"));
        assert_eq!(release.get("NAME"), Some("A \"B\" $C"));
        assert_eq!(release.get("X"), Some("y z"));
        assert_eq!((release.get("EMPTY"), release.get("NONE")), (None, None));
    }

    fn machine(os_release: &str, cmdline: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("proc/cmdline", cmdline),
            ("proc/sys/kernel/random/boot_id", "0a0a0a0a-1111-2222-3333-444444444444\n"),
            ("etc/machine-id", "00112233445566778899aabbccddeeff\n"),
            ("usr/lib/os-release", os_release),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn a_machine_knows_itself() {
        let dir = machine("ID=debian\nIMAGE_ID=slipway\nIMAGE_VERSION=1.2.3\nVARIANT_ID=vm\n", "slot=b");
        let facts = Facts { root: dir.path().to_owned() };
        let booted = facts.booted().unwrap();
        assert_eq!((booted.slot, booted.version.to_string()), (Slot::B, "1.2.3".to_owned()));
        assert_eq!(booted.app_id, payload::app_id("slipway", "vm"));
        assert_eq!(booted.boot_id, "0a0a0a0a-1111-2222-3333-444444444444");
        assert_eq!(booted.machine_id, "00112233445566778899aabbccddeeff");
        assert!(facts.image_time() > 0);
    }

    #[test]
    fn a_machine_that_does_not_know_itself_says_so() {
        let cases = [
            ("ID=slipway\nIMAGE_VERSION=1.2.3", "quiet"),
            ("ID=slipway", "slot=a"),
            ("IMAGE_VERSION=1.2.3", "slot=a"),
            ("ID=s\nIMAGE_VERSION=one", "slot=a"),
        ];
        for (os_release, cmdline) in cases {
            let dir = machine(os_release, cmdline);
            assert!(Facts { root: dir.path().to_owned() }.booted().is_err(), "{os_release} {cmdline}");
        }
    }
}
