use std::time::{Duration, SystemTime};

use super::*;

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Some(dir.path())).unwrap();
    (dir, store)
}

fn put(store: &Store, content: &str, sha256: &str) -> Result<PathBuf, StoreError> {
    let temp = store.dir().join("tmp/download");
    fs::write(&temp, content).unwrap();
    store.insert_blob(&temp, sha256)
}

fn age(path: &Path, hours: u64) {
    let then = fs::metadata(path).unwrap().modified().unwrap() - Duration::from_secs(hours * 3600);
    File::open(path).unwrap().set_modified(then).unwrap();
}

fn finish(store: &Store, name: &str, key: &str, content: &str) -> StepDir {
    let step = store.begin_step(name, key).unwrap();
    fs::write(step.dir().join("result"), content).unwrap();
    step.commit().unwrap()
}

fn is_done(store: &Store, name: &str, key: &str) -> bool {
    matches!(store.step(name, key).unwrap(), StepState::Done(_))
}

#[test]
fn the_place_follows_the_environment() {
    type Vars<'a> = &'a [(&'a str, &'a str)];
    let table: [(Vars<'_>, Option<&str>); 6] = [
        (&[("SLIPWAY_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], Some("/c")),
        (&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], Some("/x/slipway")),
        (&[("HOME", "/h")], Some("/h/.cache/slipway")),
        (&[("SLIPWAY_CACHE", ""), ("HOME", "/h")], Some("/h/.cache/slipway")),
        (&[("HOME", "")], None),
        (&[], None),
    ];
    for (vars, place) in table {
        let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value));
        assert_eq!(default_dir(var), place.map(PathBuf::from), "{vars:?}");
    }
}

#[test]
fn a_blob_is_found_by_its_hash() {
    let (_dir, store) = store();
    assert_eq!(store.blob(HELLO), None);
    let path = put(&store, "hello", HELLO).unwrap();
    assert_eq!(store.blob(HELLO), Some(path.clone()));
    assert_eq!(put(&store, "hello", HELLO).unwrap(), path);
}

#[test]
fn a_blob_with_another_hash_is_refused() {
    let (_dir, store) = store();
    assert!(matches!(put(&store, "hallo", HELLO), Err(StoreError::Mismatch { .. })));
    assert_eq!(store.blob(HELLO), None);
}

#[test]
fn names_that_leave_the_store_are_refused() {
    let (_dir, store) = store();
    for name in ["", "..", "../x", "/etc", "a/b", ".hidden", "a b", "a\0b"] {
        assert!(matches!(store.step(name, "k"), Err(StoreError::Name { .. })), "{name:?}");
        assert!(matches!(store.begin_step("n", name), Err(StoreError::Name { .. })), "{name:?}");
        assert_eq!(store.blob(name), None);
    }
}

#[test]
fn a_step_exists_only_after_its_commit() {
    let (_dir, store) = store();
    let step = store.begin_step("root", "k1").unwrap();
    fs::write(step.dir().join("result"), "one").unwrap();
    assert!(!is_done(&store, "root", "k1"));
    let done = step.commit().unwrap();
    assert_eq!(fs::read_to_string(done.join("result")).unwrap(), "one");
    assert!(is_done(&store, "root", "k1"));
    assert!(!is_done(&store, "root", "k2"));
}

#[test]
fn a_dropped_step_leaves_nothing() {
    let (_dir, store) = store();
    let step = store.begin_step("root", "k1").unwrap();
    fs::write(step.dir().join("result"), "half").unwrap();
    drop(step);
    assert!(!is_done(&store, "root", "k1"));
    assert_eq!(fs::read_dir(store.dir().join("tmp")).unwrap().count(), 0);
}

#[test]
fn the_builder_that_loses_a_race_uses_the_winners_result() {
    let (_dir, store) = store();
    let slow = store.begin_step("root", "k1").unwrap();
    fs::write(slow.dir().join("result"), "slow").unwrap();
    finish(&store, "root", "k1", "fast");
    let used = slow.commit().unwrap();
    assert_eq!(fs::read_to_string(used.join("result")).unwrap(), "fast");
    assert_eq!(fs::read_dir(store.dir().join("tmp")).unwrap().count(), 0);
}

#[test]
fn many_builders_at_once_agree() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for key in 0..20 {
                    let key = format!("k{key}");
                    finish(store, "root", &key, &writer.to_string());
                    let StepState::Done(dir) = store.step("root", &key).unwrap() else { panic!("{key} vanished") };
                    assert_eq!(fs::read(dir.join("result")).unwrap().len(), 1);
                }
            });
        }
    });
}

#[test]
fn gc_keeps_the_last_used_of_every_step() {
    let (_dir, store) = store();
    for (key, hours) in [("k1", 5), ("k2", 4), ("k3", 3)] {
        age(&finish(&store, "root", key, "x"), hours);
    }
    finish(&store, "uki", "k1", "x");
    assert!(is_done(&store, "root", "k1"), "this is a use and makes it the newest");
    let report = store.gc(2).unwrap();
    assert_eq!(report.removed, [store.dir().join("steps/root/k2")]);
    assert!(is_done(&store, "root", "k1") && is_done(&store, "root", "k3") && is_done(&store, "uki", "k1"));
}

#[test]
fn gc_leaves_what_is_in_use() {
    let (_dir, store) = store();
    let used = finish(&store, "root", "k1", "x");
    let working = store.begin_step("root", "k2").unwrap();
    age(&used, 1000);
    age(working.dir(), 1000);
    assert_eq!(store.gc(0).unwrap(), GcReport::default());
    drop(used);
    assert_eq!(store.gc(0).unwrap().removed.len(), 1);
    assert!(!is_done(&store, "root", "k1"));
    working.commit().unwrap();
    assert!(is_done(&store, "root", "k2"));
}

#[test]
fn gc_drops_leftovers_and_long_unused_blobs() {
    let (_dir, store) = store();
    let leftover = store.temp_dir().unwrap().keep();
    let fresh = store.temp_dir().unwrap();
    let blob = put(&store, "hello", HELLO).unwrap();
    age(&leftover, 2);
    age(&blob, 91 * 24);
    let report = store.gc(KEEP_STEPS).unwrap();
    assert_eq!(report.removed, [leftover, blob]);
    assert!(fresh.path().exists());
    put(&store, "hello", HELLO).unwrap();
    age(&store.blob_path(HELLO).unwrap(), 91 * 24);
    assert!(store.blob(HELLO).is_some(), "this is a use");
    assert_eq!(store.gc(KEEP_STEPS).unwrap(), GcReport::default());
}

#[test]
fn a_clock_set_back_does_not_empty_the_store() {
    let (_dir, store) = store();
    let blob = put(&store, "hello", HELLO).unwrap();
    let future = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000_000_000);
    File::open(&blob).unwrap().set_modified(future).unwrap();
    assert_eq!(store.gc(0).unwrap(), GcReport::default());
}
