//! Whatever goes wrong: the active slot is untouched, and the passive one is bootable only when it holds the release.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use payload::{FRAME_BYTES, PartName, Version};
use tokio::sync::Mutex;

use super::testing::{Fault, Faults, Faulty, Memory, Tamper, TestRelease, active, holds, machine};
use super::{DiskSlot, Places, stage};
use crate::daemon::host::{Failure, FailureKind, Slot};

const NEVER: usize = usize::MAX;

async fn attempt(
    places: &Places,
    release: &TestRelease,
    faults: Faults,
    tamper: Option<Tamper>,
    frames: &mut Memory<'_>,
) -> Result<(), Failure> {
    let inner = DiskSlot::new(crate::disk::linux(), places.clone(), Slot::A, Slot::B).unwrap();
    let lease = Arc::new(Mutex::new(())).lock_owned().await;
    stage(Box::new(Faulty { inner, faults, tamper }), lease, &release.release, frames, |_, _| {}).await
}

fn bootable(places: &Places) -> bool {
    places.entry(Slot::B).exists()
}

#[tokio::test]
async fn a_release_gets_into_the_slot() {
    let dir = tempfile::tempdir().unwrap();
    let places = machine(dir.path());
    let before = active(&places);
    let release = TestRelease::new(Version::new(1, 2, 3), 1);
    let told = std::cell::RefCell::new(Vec::new());
    let inner = DiskSlot::new(crate::disk::linux(), places.clone(), Slot::A, Slot::B).unwrap();
    let lease = Arc::new(Mutex::new(())).lock_owned().await;
    let mut frames = Memory::new(&release);
    stage(Box::new(inner), lease, &release.release, &mut frames, |done, all| told.borrow_mut().push((done, all))).await.unwrap();
    assert!(holds(&places, &release));
    assert_eq!(active(&places), before);
    assert_eq!(frames.sent, 2 + 1 + 1);
    let told = told.into_inner();
    assert!(told.is_sorted() && told.last().is_some_and(|(done, all)| done == all), "{told:?}");
    let names: Vec<_> = std::fs::read_dir(places.entries()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no temporary file stays: {names:?}");
}

#[tokio::test]
async fn what_is_there_is_not_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let places = machine(dir.path());
    let release = TestRelease::new(Version::new(1, 2, 3), 1);
    attempt(&places, &release, Faults::new(Fault::Fails, NEVER), None, &mut Memory::new(&release)).await.unwrap();
    let mut again = Memory::new(&release);
    attempt(&places, &release, Faults::new(Fault::Fails, NEVER), None, &mut again).await.unwrap();
    assert_eq!(again.sent, 1, "only the UKI, which was taken away first");
    assert!(holds(&places, &release));
}

#[tokio::test]
async fn every_access_may_fail_once_and_the_next_attempt_completes() {
    let release = TestRelease::new(Version::new(1, 2, 3), 1);
    for fault in [Fault::Fails, Fault::Dies, Fault::Full] {
        let mut failed = 0;
        for at in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let places = machine(dir.path());
            let before = active(&places);
            let faults = Faults::new(fault, at);
            let outcome = attempt(&places, &release, faults.clone(), None, &mut Memory::new(&release)).await;
            assert_eq!(active(&places), before, "{fault:?} {at}");
            let reached = faults.count.load(Ordering::SeqCst) > at;
            match outcome {
                Ok(()) => assert!(holds(&places, &release), "{fault:?} {at}"),
                Err(failure) => {
                    failed += 1;
                    // Only the very first step, taking the old entry away, may leave an entry: the old slot's, still complete.
                    assert!(!bootable(&places) || at == 0, "{fault:?} {at}: {failure}");
                    assert!(matches!(failure.kind, FailureKind::Disk | FailureKind::Space | FailureKind::ReadBack), "{failure:?}");
                    let mut rest = Memory::new(&release);
                    attempt(&places, &release, Faults::new(Fault::Fails, NEVER), None, &mut rest).await.unwrap();
                    assert!(holds(&places, &release), "{fault:?} {at}: resumed");
                    assert_eq!(active(&places), before);
                }
            }
            if !reached {
                break;
            }
        }
        assert!(failed > 15, "{fault:?}: {failed} failures");
    }
}

#[tokio::test]
async fn a_bit_that_flips_after_writing_is_found() {
    let release = TestRelease::new(Version::new(1, 2, 3), 1);
    let cases = [(PartName::Root, "root-b"), (PartName::Verity, "root-b-verity"), (PartName::Uki, "")];
    for (part, file) in cases {
        let length = release.parts[&part].len() as u64;
        for place in [0, length / 2, length - 1] {
            let dir = tempfile::tempdir().unwrap();
            let places = machine(dir.path());
            let path = if file.is_empty() { places.entries().join("slipway-b.efi.new") } else { places.partitions.join(file) };
            let tamper: Tamper = Arc::new(move |now| {
                if now == part {
                    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
                    let mut byte = [0];
                    file.read_exact_at(&mut byte, place).unwrap();
                    file.write_all_at(&[byte[0] ^ 0x10], place).unwrap();
                }
            });
            let outcome = attempt(&places, &release, Faults::new(Fault::Fails, NEVER), Some(tamper), &mut Memory::new(&release)).await;
            let failure = outcome.unwrap_err();
            assert_eq!(failure.kind, FailureKind::ReadBack, "{part:?} {place}: {failure}");
            assert!(!bootable(&places));
        }
    }
}

#[tokio::test]
async fn parts_of_two_releases_do_not_become_one() {
    let (right, other) = (TestRelease::new(Version::new(1, 2, 3), 1), TestRelease::new(Version::new(1, 2, 4), 2));
    let dir = tempfile::tempdir().unwrap();
    let places = machine(dir.path());
    let failure = attempt(&places, &right, Faults::new(Fault::Fails, NEVER), None, &mut Memory::new(&other)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Digest, "a mirror that serves another version under this name");
    assert!(!bootable(&places));
    // A description that mixes: the root hash of one release with the root of another.
    let mut mixed = TestRelease::new(Version::new(1, 2, 3), 1);
    mixed.release.root_hash = other.release.root_hash;
    let failure = attempt(&places, &mixed, Faults::new(Fault::Fails, NEVER), None, &mut Memory::new(&right)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::ReadBack, "{failure}");
    assert!(!bootable(&places));
}

#[tokio::test]
async fn a_lying_place_is_left_for_another() {
    let release = TestRelease::new(Version::new(1, 2, 3), 1);
    let dir = tempfile::tempdir().unwrap();
    let places = machine(dir.path());
    let mut frames = Memory::new(&release);
    (frames.places, frames.liars) = (vec![0, 1], [0].into());
    attempt(&places, &release, Faults::new(Fault::Fails, NEVER), None, &mut frames).await.unwrap();
    assert!(holds(&places, &release) && frames.places == [1]);
    let mut frames = Memory::new(&release);
    (frames.places, frames.liars) = (vec![0, 1], [0, 1].into());
    let failure = attempt(&places, &release, Faults::new(Fault::Fails, NEVER), None, &mut frames).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Digest);
    assert!(!bootable(&places));
}

#[tokio::test]
async fn a_slot_that_is_too_small_gone_or_the_active_one_is_refused() {
    let release = TestRelease::new(Version::new(1, 2, 3), 1);
    let dir = tempfile::tempdir().unwrap();
    let places = machine(dir.path());
    assert!(DiskSlot::new(crate::disk::linux(), places.clone(), Slot::A, Slot::A).is_err(), "the active slot");
    std::fs::write(places.partitions.join("root-b"), vec![0; FRAME_BYTES]).unwrap();
    let failure = attempt(&places, &release, Faults::new(Fault::Fails, NEVER), None, &mut Memory::new(&release)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Space, "{failure}");
    assert!(!bootable(&places));
    std::fs::remove_file(places.partitions.join("root-b-verity")).unwrap();
    assert!(DiskSlot::new(crate::disk::linux(), places.clone(), Slot::A, Slot::B).is_err(), "a vanished partition");
    // A partition of the same name on another disk: here, a link into another folder.
    let elsewhere = dir.path().join("other-disk");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("root-b-verity"), vec![0; FRAME_BYTES]).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("root-b-verity"), places.partitions.join("root-b-verity")).unwrap();
    let error = DiskSlot::new(crate::disk::linux(), places, Slot::A, Slot::B).unwrap_err().to_string();
    assert!(error.contains("is not on the disk of"), "{error}");
}
