//! The crash model itself: which disks a power cut leaves.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::super::disk::{Fault, Power, TwinDisk};
use super::super::image::{COMBINATIONS_MAX, Image, SECTOR_BYTES};
use super::super::story::Story;
use super::UPDATE;
use crate::disk::{Disk, replace};

fn disk(files: &[(&str, &[u8])]) -> TwinDisk {
    let mut image = Image::default();
    files.iter().for_each(|(path, bytes)| image.put(*path, bytes.to_vec()));
    TwinDisk(Arc::new(Mutex::new(Power::on(image, Story::of(&UPDATE)))))
}

/// What the disks that survive look like, each as `name=content` of those files that begin with `folder`.
fn survivors(disk: &TwinDisk, folder: &str) -> BTreeSet<String> {
    let power = disk.power();
    let look = |image: Image| {
        let files = image.names.keys().filter(|name| name.starts_with(folder));
        let shown = files.map(|name| {
            let content = String::from_utf8_lossy(image.get(name).unwrap()).into_owned();
            format!("{}={content}", name.file_name().unwrap().display())
        });
        shown.collect::<Vec<_>>().join(" ")
    };
    power.durable.survivors(&power.pending, 1).into_iter().map(look).collect()
}

fn write(disk: &TwinDisk, path: &str, bytes: &[u8], sync: bool) {
    let mut file = disk.create(path.as_ref()).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    if sync {
        file.sync().unwrap();
    }
}

#[test]
fn a_write_may_be_torn_between_sectors_only() {
    let disk = disk(&[("/state/f", b"")]);
    let bytes = [[b'1'; SECTOR_BYTES], [b'2'; SECTOR_BYTES], [b'3'; SECTOR_BYTES]].concat();
    write(&disk, "/state/f", &bytes, false);
    let power = disk.power();
    let left = power.durable.survivors(&power.pending, 1);
    let digests: BTreeSet<Vec<u8>> = left.iter().map(|image| image.get(Path::new("/state/f")).unwrap().to_vec()).collect();
    assert!(digests.contains(&bytes) && digests.contains(&b""[..]) && digests.contains(&bytes[..2 * SECTOR_BYTES]));
    assert!(digests.iter().all(|content| content.len().is_multiple_of(SECTOR_BYTES)));
    assert_eq!(digests.len(), 6, "nothing, all, two beginnings, two ends");
}

#[test]
fn a_journal_is_cut_at_its_end() {
    let disk = disk(&[("/state/a", b"old")]);
    write(&disk, "/state/b", b"new", true);
    disk.rename("/state/b".as_ref(), "/state/a".as_ref()).unwrap();
    write(&disk, "/state/c", b"", true);
    let expected = ["a=old", "a=old b=new", "a=new", "a=new c="].map(str::to_owned);
    assert_eq!(survivors(&disk, "/state"), BTreeSet::from(expected));
    disk.sync("/state".as_ref()).unwrap();
    assert_eq!(survivors(&disk, "/state"), BTreeSet::from(["a=new c=".to_owned()]));
}

#[test]
fn a_name_without_its_content_is_an_empty_file() {
    let disk = disk(&[("/state/a", b"old")]);
    write(&disk, "/state/b", b"new", false);
    disk.rename("/state/b".as_ref(), "/state/a".as_ref()).unwrap();
    disk.sync("/state".as_ref()).unwrap();
    assert_eq!(survivors(&disk, "/state"), BTreeSet::from(["a=".to_owned(), "a=new".to_owned()]));
}

#[test]
fn a_rename_on_fat_may_leave_either_name_both_none_half_or_an_empty_one() {
    let disk = disk(&[("/boot/EFI/Linux/x.efi.new", b"uki")]);
    let (from, to) = ("/boot/EFI/Linux/x.efi.new", "/boot/EFI/Linux/x.efi");
    disk.rename(from.as_ref(), to.as_ref()).unwrap();
    let expected = [
        "",
        "x.efi.new=uki",
        "x.efi=uki",
        "x.efi=uki x.efi.new=uki",
        "x.efi=",
        "x.efi= x.efi.new=uki",
        "SLIPWA~1.EFI=uki",
        "SLIPWA~1.EFI=uki x.efi.new=uki",
    ];
    assert_eq!(survivors(&disk, "/boot"), BTreeSet::from(expected.map(str::to_owned)));
    // The folder alone is not enough, as on Linux.
    disk.sync("/boot/EFI/Linux".as_ref()).unwrap();
    assert_eq!(survivors(&disk, "/boot"), BTreeSet::from(["x.efi=", "x.efi=uki"].map(str::to_owned)));
    disk.sync(to.as_ref()).unwrap();
    assert_eq!(survivors(&disk, "/boot"), BTreeSet::from(["x.efi=uki".to_owned()]));
}

#[test]
fn a_removal_on_fat_may_leave_the_name_of_half_a_file() {
    let disk = disk(&[("/boot/EFI/Linux/x.efi", b"kernel"), ("/boot/EFI/Linux/y.efi", b"other")]);
    disk.remove("/boot/EFI/Linux/x.efi".as_ref()).unwrap();
    let expected = ["y.efi=other", "x.efi=kernel y.efi=other", "x.efi=ker y.efi=other"].map(str::to_owned);
    assert_eq!(survivors(&disk, "/boot"), BTreeSet::from(expected));
    // Another file takes the table of clusters along, and not the name.
    disk.sync("/boot/EFI/Linux/y.efi".as_ref()).unwrap();
    let expected = ["y.efi=other", "x.efi=ker y.efi=other"].map(str::to_owned);
    assert_eq!(survivors(&disk, "/boot"), BTreeSet::from(expected));
    disk.sync("/boot/EFI/Linux".as_ref()).unwrap();
    assert_eq!(survivors(&disk, "/boot"), BTreeSet::from(["y.efi=other".to_owned()]));
}

#[test]
fn the_file_before_its_folder_is_enough_on_fat() {
    let disk = disk(&[("/boot/loader/loader.conf", b"old")]);
    replace(&disk, "/boot/loader/loader.conf".as_ref(), b"new").unwrap();
    assert_eq!(survivors(&disk, "/boot"), BTreeSet::from(["loader.conf=new".to_owned()]));
}

#[test]
fn too_much_that_is_pending_is_sampled() {
    let disk = disk(&[]);
    for number in 0..40 {
        write(&disk, &format!("/boot/{number}"), b"x", false);
    }
    let power = disk.power();
    let left = power.durable.survivors(&power.pending, 1).len();
    assert!((2 * 80..4 * COMBINATIONS_MAX).contains(&left), "{left}");
}

#[test]
fn an_access_that_is_to_fail_fails_once() {
    let disk = disk(&[("/state/a", b"old")]);
    disk.power().fault = Some((1, Fault::Short));
    assert!(replace(&disk, "/state/a".as_ref(), b"new").is_err(), "half of the content, and no more space");
    assert_eq!(disk.read("/state/a".as_ref(), 9).unwrap(), b"old");
    assert!(!disk.exists("/state/a.new".as_ref()).unwrap());
    replace(&disk, "/state/a".as_ref(), b"new").unwrap();
    disk.power().off = true;
    assert!(replace(&disk, "/state/a".as_ref(), b"newer").is_err(), "nothing works without power");
    assert_eq!(survivors(&disk, "/state"), BTreeSet::from(["a=new".to_owned()]));
}
