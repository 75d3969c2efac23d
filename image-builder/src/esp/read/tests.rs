use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::esp::write::{self, Content, EspFile, EspSpec, tests::PROGRAMS};
use crate::test_support::tools;

struct Esp(tempfile::TempDir);

impl Esp {
    fn new() -> Option<Self> {
        let tools = tools(PROGRAMS)?;
        let dir = tempfile::tempdir().unwrap();
        let kernel: Vec<u8> = (0..1_000_000_u32).map(|n| (n / 7) as u8).collect();
        let files = [
            EspFile { path: "EFI/Linux/slipway-a.efi", content: Content::Bytes(&kernel) },
            EspFile { path: "EFI/Linux/slipway-a.efi.extra.d/slot.addon.efi", content: Content::Bytes(b"addon") },
            EspFile { path: "EFI/BOOT/BOOTX64.EFI", content: Content::Bytes(&[1; 4096]) },
            EspFile { path: "loader/loader.conf", content: Content::Bytes(b"timeout 0\n") },
            EspFile { path: "loader/empty", content: Content::Bytes(b"") },
        ];
        let spec = EspSpec { size_bytes: 300 << 20, volume_id: 0x1234_abcd, unix_time: 1_700_000_000, files: &files };
        write::write(&tools, &spec, &dir.path().join("esp")).unwrap();
        Some(Self(dir))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("esp")
    }

    fn open(&self) -> Result<Fat, FatError> {
        let whole = Extent::open(&self.path()).unwrap();
        Fat::open(&whole.slice("esp", 0, whole.len()).unwrap())
    }

    fn patch(&self, at: u64, bytes: &[u8]) {
        File::options().write(true).open(self.path()).unwrap().write_all_at(bytes, at).unwrap();
    }
}

#[test]
fn what_mtools_wrote_is_read() {
    let Some(esp) = Esp::new() else { return };
    let fat = esp.open().unwrap();
    let mut files: Vec<_> = fat.list().unwrap().into_iter().map(|entry| (entry.path, entry.size)).collect();
    files.sort();
    let expected = [
        ("EFI", 0),
        ("EFI/BOOT", 0),
        ("EFI/BOOT/BOOTX64.EFI", 4096),
        ("EFI/Linux", 0),
        ("EFI/Linux/slipway-a.efi", 1_000_000),
        ("EFI/Linux/slipway-a.efi.extra.d", 0),
        ("EFI/Linux/slipway-a.efi.extra.d/slot.addon.efi", 5),
        ("loader", 0),
        ("loader/empty", 0),
        ("loader/loader.conf", 10),
    ];
    assert_eq!(files, expected.map(|(path, size)| (path.to_owned(), size)));
    let kernel = fat.read("efi/LINUX/slipway-a.efi").unwrap();
    assert!(kernel.iter().enumerate().all(|(n, byte)| *byte == (n / 7) as u8));
    assert_eq!(fat.read("loader/loader.conf").unwrap(), b"timeout 0\n");
    assert_eq!(fat.read("loader/empty").unwrap(), b"");
    assert_eq!(fat.read("loader/none").unwrap_err().to_string(), "esp has no file loader/none");
    assert!(fat.read("loader").is_err(), "a folder is not a file");
    assert_eq!(fat.volume_id(), 0x1234_abcd);
    assert_eq!(fat.first_nonzero_unused().unwrap(), None);
    esp.patch(200 << 20, &[1]);
    assert_eq!(fat.first_nonzero_unused().unwrap(), Some(200 << 20));
}

#[test]
fn damage_is_named() {
    let table: &[(u64, &[u8], &str)] = &[
        (510, &[0], "esp holds no FAT32 file system: its first sector has no signature"),
        (13, &[3], "esp holds no FAT32 file system: its sector or cluster size makes no sense"),
        (11, &[0, 0], "esp holds no FAT32 file system: its sector or cluster size makes no sense"),
        (22, &[1], "esp holds no FAT32 file system: it is FAT12 or FAT16, or something else"),
        (32, &[0xff; 4], "esp: damaged FAT32: boot sector: it is longer than its partition"),
        (36, &[0xff; 4], "esp: damaged FAT32: boot sector: no room for data"),
        (36, &[1, 0, 0, 0], "esp: damaged FAT32: boot sector: its numbers contradict each other"),
        (16, &[0], "esp: damaged FAT32: boot sector: its numbers contradict each other"),
        (100, &[1], "esp: damaged FAT32: the boot sector and its backup differ"),
        (32 * 512 + 9, &[0x77], "esp: damaged FAT32: the two allocation tables differ at byte 9"),
    ];
    for (at, bytes, expected) in table {
        let Some(esp) = Esp::new() else { return };
        esp.patch(*at, bytes);
        assert_eq!(esp.open().unwrap_err().to_string(), *expected);
    }
}

#[test]
fn chains_that_loop_or_leave_the_disk_end() {
    let Some(esp) = Esp::new() else { return };
    let mut fat = esp.open().unwrap();
    let root = fat.root_cluster as usize;
    let file = fat.list().unwrap().into_iter().find(|entry| entry.size == 1_000_000).unwrap();
    fat.table[root] = fat.root_cluster;
    assert_eq!(fat.list().unwrap_err().to_string(), "esp: damaged FAT32: /: its chain of clusters does not end");
    fat.table[root] = END_OF_CHAIN;
    fat.table[file.first_cluster as usize] = 0;
    assert!(fat.read_entry(&file).unwrap_err().to_string().ends_with("cluster 0 does not exist"));
    fat.table[file.first_cluster as usize] = 0x0f00_0000;
    assert!(fat.read_entry(&file).unwrap_err().to_string().ends_with("cluster 251658240 does not exist"));
    fat.table[file.first_cluster as usize] = END_OF_CHAIN;
    assert!(fat.read_entry(&file).unwrap_err().to_string().ends_with("its clusters end before its 1000000 bytes"));
    // A loop inside a file is bounded by the file's size.
    fat.table[file.first_cluster as usize] = file.first_cluster;
    assert_eq!(fat.read_entry(&file).unwrap().len(), 1_000_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn garbage_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 512..4096), plausible in any::<bool>()) {
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        if plausible {
            bytes[11..17].copy_from_slice(&[0, 2, 1, 1, 0, 2]);
            bytes[17..24].fill(0);
            bytes[82..87].copy_from_slice(b"FAT32");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        if let Ok(fat) = Fat::open(&Extent::open(file.path()).unwrap()) {
            let _ = fat.list();
        }
    }
}
