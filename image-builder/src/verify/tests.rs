use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::*;
use crate::disk::layout::{self, PartitionSpec};
use crate::erofs::make::tests::{erofs_tools, tar_of};
use crate::esp::{Content, EspFile, EspSpec, Fat, expected};
use crate::extent::Extent;
use crate::manifest::{FORMAT, Manifest, PATH_IN_ROOT};
use crate::sign::tests::key_pair;
use crate::slot::Slot;
use crate::test_support::tools;
use crate::uki::{Uki, addon};
use crate::verity;

const BOOT_FILES: &str = "usr/lib/systemd/boot/efi";

/// A small but real image: real stubs, real tools, a tiny root; only kernel and initrd are made up.
pub(crate) struct Image {
    dir: tempfile::TempDir,
    pub(crate) certificate: SigningCertificate,
}

impl Image {
    pub(crate) fn new() -> Option<Self> {
        Self::with(&[], |_, content| content)
    }

    /// An image with `extra` unsigned files and contents changed (before they are packed) by `change`.
    fn with(extra: &[(&str, &[u8])], change: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> Option<Self> {
        let needs = [&["usr/bin/osslsigncode"][..], crate::esp::write::tests::PROGRAMS].concat();
        let tools = tools(&needs).and(erofs_tools())?;
        let stubs = ["linuxx64.efi.stub", "addonx64.efi.stub", "systemd-bootx64.efi"].map(|name| format!("{BOOT_FILES}/{name}"));
        crate::test_support::tools(&stubs.each_ref().map(String::as_str))?;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (key, cert) = key_pair(dir.path(), "Owner")?;
        let read = |name: &str| std::fs::read(tools.file(name)).unwrap();

        let json = serde_json::to_vec(&manifest()).unwrap();
        let packed = zstd::encode_all(&json[..], 3).unwrap();
        let noise: Vec<u8> = (0..2_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        std::fs::write(path("tar"), tar_of(&[(&PATH_IN_ROOT[1..], &packed), ("usr/bin/noise", &noise)])).unwrap();
        crate::erofs::make(&tools, &path("tar"), &path("root"), "zstd,level=3", 65536, layout::erofs_uuid("1.0.0"), 1).unwrap();
        let root_hash =
            verity::format(&path("root"), &path("verity"), &layout::verity_salt("1.0.0"), layout::verity_uuid("1.0.0")).unwrap();

        let cmdline = format!("ro roothash={root_hash} panic=5");
        let uki = Uki {
            osrel: b"ID=slipway\nIMAGE_VERSION=1.0.0\n",
            cmdline: &cmdline,
            uname: "6.12",
            initrd: &[1; 70_000],
            linux: &[2; 9000],
            sbat: None,
        };
        let sign = |name: &str, unsigned: Vec<u8>| {
            std::fs::write(path("unsigned"), change(name, unsigned)).unwrap();
            crate::sign::sign_pe(&tools, &key, &cert, 1_700_000_000, &path("unsigned"), &path(name)).unwrap();
            std::fs::read(path(name)).unwrap()
        };
        let loader = sign("loader", read(&stubs[2]));
        let uki = sign("uki", uki.assemble(&read(&stubs[0])).unwrap());
        let addons = Slot::ALL.map(|slot| sign(&format!("addon-{slot}"), addon(&read(&stubs[1]), &slot.addon_cmdline()).unwrap()));
        let conf = change(expected::LOADER_CONF, Slot::A.loader_conf().into_bytes());
        let paths = [Slot::A.uki_path(), Slot::A.addon_path(), Slot::B.addon_path()];
        let mut files = vec![
            (expected::FALLBACK_LOADER, &loader[..]),
            (expected::LOADER, &loader),
            (&paths[0], &uki),
            (&paths[1], &addons[0]),
            (&paths[2], &addons[1]),
            (expected::LOADER_CONF, &conf),
            (expected::ENTRIES_SREL, expected::ENTRIES_SREL_CONTENT),
        ];
        files.extend(extra);
        let files: Vec<_> = files.iter().map(|(path, content)| EspFile { path, content: Content::Bytes(content) }).collect();
        let spec = EspSpec { size_bytes: layout::ESP_BYTES, volume_id: 7, unix_time: 1_700_000_000, files: &files };
        crate::esp::write::write(&tools, &spec, &path("esp")).unwrap();
        let parts = crate::disk::Parts { esp: &path("esp"), root: &path("root"), verity: &path("verity"), oem: None, state: None };
        crate::disk::image::write(&parts, "1.0.0", &path("disk"), None).unwrap();
        Some(Self { certificate: SigningCertificate::load(&cert).unwrap(), dir })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn verify(&self) -> Verdict {
        verify(&self.path(), &self.certificate, &Progress::silent()).unwrap()
    }

    fn len(&self, part: &str) -> u64 {
        std::fs::metadata(self.dir.path().join(part)).unwrap().len()
    }

    pub(crate) fn flip(&self, at: u64) {
        let file = File::options().read(true).write(true).open(self.path()).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        byte[0] ^= 0x04;
        file.write_all_at(&byte, at).unwrap();
    }

    /// Where `needle` lies on the ESP, from the start of the image.
    fn on_esp(&self, needle: &[u8]) -> u64 {
        let esp = std::fs::read(self.dir.path().join("esp")).unwrap();
        let at = esp.windows(needle.len()).position(|window| window == needle);
        PartitionSpec::named("esp").unwrap().start_bytes() + at.unwrap() as u64
    }
}

fn manifest() -> Manifest {
    let package = crate::manifest::Package {
        name: "base-files".into(),
        version: "13".into(),
        arch: "amd64".into(),
        source: "base-files".into(),
        source_version: "13".into(),
        sha256: "00".repeat(32),
        licence: "NOASSERTION".into(),
        reason: crate::manifest::Reason::Essential,
    };
    Manifest {
        format: FORMAT,
        image_id: "slipway".into(),
        variant: "vm".into(),
        version: "1.0.0".into(),
        arch: "amd64".into(),
        kernel: "6.12".into(),
        kernel_config: Default::default(),
        cmdline: "ro panic=5".into(),
        packages: vec![package],
        files: Vec::new(),
        units: Vec::new(),
    }
}

#[test]
fn a_good_image_has_no_findings() {
    let Some(image) = Image::new() else { return };
    let verdict = image.verify();
    assert_eq!(verdict.findings, []);
    assert_eq!(verdict.version.as_deref(), Some("1.0.0"));
    assert_eq!(verdict.notes, ["root-b: empty", "root-b-verity: empty", "oem: empty", "state: empty"]);
    assert!(
        verdict.checked.iter().any(|line| line == "esp: file system readable, 5 files signed by `Owner`, no others that matter"),
        "{verdict:#?}"
    );
}

#[test]
fn one_flipped_byte_is_found_and_its_place_named() {
    let Some(image) = Image::new() else { return };
    let start = |label: &str| PartitionSpec::named(label).unwrap().start_bytes();
    let end = layout::image_bytes();
    let esp_table = start("esp") + 32 * 512 + 8;
    let loader_twin = image.on_esp(b"MZ");
    let table: Vec<(&str, u64, &str)> = vec![
        ("boot code of the MBR", 100, "partition table, protective MBR"),
        ("signature of the primary header", 512, "partition table"),
        ("primary header", 512 + 60, "partition table"),
        ("reserved part of the primary header's sector", 512 + 200, "partition table, primary header"),
        ("primary entries", 1024 + 40, "partition table"),
        ("before the first partition", 40 * 512, "partition table, unused space before the first partition"),
        ("behind the last partition", end - (1 << 20), "partition table, unused space behind the last partition"),
        ("backup entries", end - 33 * 512 + 7, "partition table"),
        ("backup header", end - 512 + 70, "partition table"),
        ("boot sector of the ESP", start("esp") + 36, "esp"),
        ("volume number of the ESP", start("esp") + 67, "esp"),
        ("allocation table", esp_table, "esp"),
        ("a name in a folder", image.on_esp(&long_name("slipway-a.efi")), "esp: EFI/Linux/slipway-a.efi.extra.d/slot.addon.efi"),
        ("loader", loader_twin + 5000, "esp: EFI/BOOT/BOOTX64.EFI"),
        ("PE header of the loader", loader_twin + 0x3c, "esp: EFI/BOOT/BOOTX64.EFI"),
        ("command line", image.on_esp(b"roothash=") + 20, "esp: EFI/Linux/slipway-a.efi"),
        ("initrd", image.on_esp(&[1; 512]) + 60_000, "esp: EFI/Linux/slipway-a.efi"),
        ("kernel", image.on_esp(&[2; 512]) + 8000, "esp: EFI/Linux/slipway-a.efi"),
        ("os-release", image.on_esp(b"IMAGE_VERSION=1.0.0") + 15, "esp: EFI/Linux/slipway-a.efi"),
        ("addon of a", image.on_esp(b"PARTLABEL=root-a ") + 15, "esp: EFI/Linux/slipway-a.efi.extra.d/slot.addon.efi"),
        ("addon of b", image.on_esp(b"PARTLABEL=root-b ") + 15, "esp: EFI/Linux/slipway-b.efi.extra.d/slot.addon.efi"),
        ("loader.conf", image.on_esp(b"timeout 0") + 8, "esp: loader/loader.conf"),
        ("entries.srel", image.on_esp(b"type1\n") + 4, "esp: loader/entries.srel"),
        ("first block of the root", start("root-a") + 1024, "root-a"),
        ("last byte of the root", start("root-a") + image.len("root") - 1, "root-a"),
        ("first byte behind the root", start("root-a") + image.len("root"), "root-a"),
        ("last byte of the root partition", start("root-a") + layout::ROOT_BYTES - 1, "root-a"),
        ("superblock of the tree", start("root-a-verity"), "root-a-verity"),
        ("UUID of the tree", start("root-a-verity") + 20, "root-a-verity"),
        ("salt of the tree", start("root-a-verity") + 90, "root-a-verity"),
        ("top of the tree", start("root-a-verity") + 4096, "root-a-verity"),
        ("bottom of the tree", start("root-a-verity") + image.len("verity") - 1, "root-a-verity"),
        ("behind the tree", start("root-a-verity") + image.len("verity"), "root-a-verity"),
        ("last byte of the tree's partition", start("root-a-verity") + layout::VERITY_BYTES - 1, "root-a-verity"),
    ];
    for (what, at, place) in table {
        image.flip(at);
        let verdict = image.verify();
        image.flip(at);
        assert!(verdict.findings.iter().any(|finding| finding.place == place), "{what} (byte {at}): {verdict:#?}");
    }
    assert!(image.verify().is_good());
}

/// A piece of a name as FAT stores long names.
fn long_name(text: &str) -> Vec<u8> {
    text.encode_utf16().take(5).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn bytes_that_nothing_uses_are_only_noted() {
    let Some(image) = Image::new() else { return };
    for (label, offset, note) in [
        ("root-b", 12345, "root-b: not empty (first at byte 12345); nothing signs it"),
        ("state", 0, "state: not empty (first at byte 0); nothing signs it"),
        ("esp", 900 << 20, "esp: unused space is not zero, first at byte 943718400 (harmless: no file uses it)"),
    ] {
        let at = PartitionSpec::named(label).unwrap().start_bytes() + offset;
        image.flip(at);
        let verdict = image.verify();
        image.flip(at);
        assert!(verdict.is_good() && verdict.notes.iter().any(|line| line == note), "{verdict:#?}");
    }
}

#[test]
fn files_that_do_not_belong_on_the_esp_are_found() {
    let extra: &[(&str, &[u8])] = &[
        ("loader/entries/other.conf", b"linux /other"),
        ("loader/credentials/root.cred", b"x"),
        ("EFI/Linux/slipway-a.efi.extra.d/more.addon.efi", b"x"),
        ("loader/keys/auto/db.auth", b"fine"),
        // The addon of slot b is signed, but not a kernel.
        ("EFI/Linux/slipway-b.efi", b"unsigned"),
    ];
    let Some(image) = Image::with(extra, |_, content| content) else { return };
    let mut places: Vec<_> = image.verify().findings.into_iter().map(|finding| finding.place).collect();
    places.sort();
    let mut expected: Vec<_> = extra.iter().map(|(path, _)| format!("esp: {path}")).filter(|path| !path.ends_with("db.auth")).collect();
    expected.sort();
    assert_eq!(places, expected);
}

#[test]
fn signed_files_in_the_wrong_place_are_found() {
    // Both addons open slot b: signed, and still wrong for slot a.
    let swap = |name: &str, content: Vec<u8>| match name {
        "addon-a" => {
            let text = Slot::A.addon_cmdline();
            let at = content.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
            let mut content = content;
            content[at..at + text.len()].copy_from_slice(Slot::B.addon_cmdline().as_bytes());
            content
        }
        expected::LOADER_CONF => b"timeout 0\ndefault slipway-a.efi\neditor yes\n".to_vec(),
        _ => content,
    };
    let Some(image) = Image::with(&[], swap) else { return };
    let findings = image.verify().findings;
    let problem =
        |place: &str| findings.iter().find(|finding| finding.place == place).map(|finding| finding.problem.as_str()).unwrap_or_default();
    assert!(
        problem(&format!("esp: {}", Slot::A.addon_path())).starts_with("it opens other partitions than those of slot a: "),
        "{findings:#?}"
    );
    assert!(problem("esp: loader/loader.conf").contains("is not one of ours"), "{findings:#?}");
    assert_eq!(findings.len(), 2);
}

#[test]
fn another_owners_image_is_refused() {
    let (Some(image), Some(other)) = (Image::new(), Image::new()) else { return };
    let verdict = verify(&image.path(), &other.certificate, &Progress::silent()).unwrap();
    assert_eq!(verdict.findings.len(), 5, "{verdict:#?}");
    assert!(verdict.findings.iter().all(|finding| finding.problem.starts_with("it is signed by another certificate: `Owner`")));
}

#[test]
fn what_cannot_be_checked_is_an_error_and_not_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_, cert)) = key_pair(dir.path(), "Owner") else { return };
    let certificate = SigningCertificate::load(&cert).unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, [0; 65536]).unwrap();
    for path in [file, dir.path().join("absent")] {
        assert!(matches!(verify(&path, &certificate, &Progress::silent()), Err(VerifyError::Disk(_))));
    }
}

#[test]
fn the_test_images_esp_is_what_the_reader_expects() {
    let Some(image) = Image::new() else { return };
    let fat = Fat::open(&Extent::open(&image.dir.path().join("esp")).unwrap()).unwrap();
    let paths: Vec<_> = fat.list().unwrap().into_iter().filter(|entry| !entry.is_folder).map(|entry| entry.path).collect();
    assert!(expected::required().iter().all(|path| paths.contains(path)), "{paths:?}");
}
