use std::fs;

use super::super::resolve::resolve_with_tools;
use super::super::test_archive::TestArchive;
use super::*;

fn locked(archive: &TestArchive) -> Lock {
    let recipe = archive.recipe("\"tini\", \"openssh-server\"", "");
    resolve_with_tools(&recipe, &archive.store, &archive.options(), &archive.progress, &["mtools"]).unwrap()
}

fn fetch_all(archive: &TestArchive, lock: &Lock) -> Result<Fetched, FetchError> {
    fetch(lock, &archive.store, &archive.options(), &archive.progress)
}

#[test]
fn packages_come_once_and_are_then_used_without_the_archive() {
    let archive = TestArchive::new();
    let lock = locked(&archive);
    let fetched = fetch_all(&archive, &lock).unwrap();
    // libc6 is in the image and in the tools: one download.
    assert_eq!(fetched.packages, lock.packages.len() + 1);
    for part in ["debian", "security"] {
        fs::rename(archive.path(part), archive.path(&format!("{part}-away"))).unwrap();
    }
    let nowhere = ArchiveOptions { keyring: Some(archive.path("nowhere")), ..ArchiveOptions::default() };
    assert_eq!(fetch(&lock, &archive.store, &nowhere, &archive.progress).unwrap(), Fetched::default());
    let files = verify_blobs(&lock, &archive.store, &archive.progress).unwrap();
    assert_eq!(files.len(), fetched.packages);
    assert!(files.values().all(|path| fs::symlink_metadata(path).unwrap().is_file()), "bytes of our own, no links into the archive");
    assert_eq!(fs::read_dir(archive.store.dir().join("tmp")).unwrap().count(), 0, "nothing stays behind");
}

#[test]
fn a_copy_address_works_too() {
    let archive = TestArchive::new();
    let lock = locked(&archive);
    let mut options = archive.options();
    options.mirror = options.mirror.map(|address| address.replace("file:", "copy:"));
    assert!(fetch(&lock, &archive.store, &options, &archive.progress).unwrap().packages > 0);
    verify_blobs(&lock, &archive.store, &archive.progress).unwrap();
}

#[test]
fn a_package_with_other_bytes_is_refused_and_the_others_are_kept() {
    let archive = TestArchive::new();
    let lock = locked(&archive);
    let deb = archive.deb("debian", "tini");
    let mut bytes = fs::read(&deb).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&deb, bytes).unwrap();
    let error = fetch_all(&archive, &lock).unwrap_err();
    assert!(matches!(&error, FetchError::Mismatch { package, .. } if package == "tini 1.0+deb13~1"), "{error}");
    let present = lock.packages.iter().filter(|package| archive.store.blob(&package.sha256).is_some());
    let present: Vec<&str> = present.map(|package| package.name.as_str()).collect();
    assert!(!present.contains(&"tini") && present.contains(&"bash"), "{present:?}");
}

#[test]
fn a_package_of_another_size_is_refused() {
    let archive = TestArchive::new();
    let lock = locked(&archive);
    fs::write(archive.deb("debian", "bash"), "short").unwrap();
    let error = fetch_all(&archive, &lock).unwrap_err();
    assert!(matches!(&error, FetchError::Mismatch { package, .. } if package.starts_with("bash ")), "{error}");
}

#[test]
fn packages_that_are_gone_are_all_named_with_the_next_step() {
    let archive = TestArchive::new();
    let lock = locked(&archive);
    fs::remove_file(archive.deb("debian", "tini")).unwrap();
    fs::remove_file(archive.deb("security", "openssh-server")).unwrap();
    let error = fetch_all(&archive, &lock).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the archive no longer serves 2 packages that the lock names: openssh-server 1.0+deb13~1, tini 1.0+deb13~1; \
         make the lock anew with: image-builder lock --refresh RECIPE"
    );
    assert!(matches!(error, FetchError::Gone { .. }));
}

#[test]
fn a_server_that_is_away_does_not_make_the_lock_stale() {
    let archive = TestArchive::new();
    let lock = locked(&archive);
    fs::remove_file(archive.deb("security", "openssh-server")).unwrap();
    let options = ArchiveOptions { mirror: Some("http://127.0.0.1:9/debian".to_owned()), ..archive.options() };
    let error = fetch(&lock, &archive.store, &options, &archive.progress).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
}

#[test]
fn a_package_changed_in_the_cache_is_noticed() {
    let archive = TestArchive::new();
    let lock = locked(&archive);
    fetch_all(&archive, &lock).unwrap();
    let path = archive.store.blob(&lock.packages[0].sha256).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = verify_blobs(&lock, &archive.store, &archive.progress).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{} 1.0+deb13~1 in the cache has been changed: {}", lock.packages[0].name, path.display())),
        "{error}"
    );
    assert!(error.ends_with("delete that file and run this again"), "{error}");
}

#[test]
fn a_package_that_was_never_fetched_is_not_verified() {
    let archive = TestArchive::new();
    let error = verify_blobs(&locked(&archive), &archive.store, &archive.progress).unwrap_err();
    assert!(matches!(error, FetchError::Absent { .. }), "{error}");
}

#[test]
fn complaints_are_told_apart_by_their_address() {
    let stderr = "E: Failed to fetch http://m/a.deb  404  Not Found [IP: 1]\nE: Failed to fetch http://m/b.deb  Could not connect to m\nE: Download Failed\n";
    assert_eq!(complaint(stderr, "http://m/a.deb"), "404  Not Found [IP: 1]");
    assert_eq!(complaint(stderr, "http://m/b.deb"), "Could not connect to m");
    assert_eq!(complaint("E: Method died\n", "http://m/b.deb"), "E: Method died");
    assert_eq!(complaint("", "http://m/b.deb"), "apt gives no reason");
}
