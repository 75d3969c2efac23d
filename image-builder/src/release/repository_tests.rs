use std::collections::BTreeMap;

use trust::{Answer, Refresh, Trusted};

use super::*;
use crate::keys::ReleaseKey;
use crate::release::pack::{Notes, pack};
use crate::release::root::{self, Change, ROOT_DAYS};

/// A publisher with keys, a build and a repository, without Secure Boot.
struct Publisher {
    dir: tempfile::TempDir,
}

impl Publisher {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["keys/private", "keys/public", "build"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let publisher = Self { dir };
        for role in crate::keys::RELEASE_ROLES {
            ReleaseKey::generate(role).unwrap().stage(&publisher.keys()).unwrap().replace(&publisher.keys(), role).unwrap();
        }
        root::init(&publisher.keys(), ROOT_DAYS, now()).unwrap();
        publisher
    }

    fn keys(&self) -> PathBuf {
        self.dir.path().join("keys")
    }

    fn repository(&self) -> PathBuf {
        self.dir.path().join("repository")
    }

    /// A build whose parts hold `content`.
    fn build(&self, version: &str, content: u8) -> PathBuf {
        let dir = self.dir.path().join("build");
        let parts: Vec<_> = ["root.erofs", "root.verity", "slipway.efi"]
            .map(|name| {
                let bytes = vec![content; 4096];
                fs::write(dir.join(name), &bytes).unwrap();
                json!({ "name": name, "size": bytes.len(), "sha256": hex::encode(Sha256::digest(&bytes)) })
            })
            .into();
        let text =
            json!({ "id": "slipway", "variant": "vm", "version": version, "arch": "amd64", "root-hash": "ab".repeat(32), "parts": parts });
        fs::write(dir.join("release.json"), text.to_string()).unwrap();
        dir
    }

    fn release(&self, version: &str, content: u8) -> anyhow::Result<Signed> {
        let build = self.build(version, content);
        let (release, _) = pack(&build, &self.repository().join(TARGETS), &Notes::default(), &crate::progress::Progress::silent())?;
        sign(&self.repository(), &self.keys(), &[release], Validity::default(), now())
    }

    /// What a host believes that trusts `root` and reads the repository at `time`.
    fn host(&self, root: &[u8], time: Timestamp) -> Result<BTreeMap<String, Target>, trust::Error> {
        let mut refresh = Refresh::new(Trusted::new(root.to_vec()), time)?;
        while let Some(want) = refresh.want() {
            let file = fs::read(self.repository().join(METADATA).join(&want.path)).ok();
            refresh.supply(file.map_or(Answer::Missing, Answer::Bytes))?;
        }
        let targets = refresh.finish()?;
        Ok(targets.iter().map(|(name, target)| (name.to_string(), target.clone())).collect())
    }

    fn first_root(&self) -> Vec<u8> {
        fs::read(self.keys().join("public/1.root.json")).unwrap()
    }
}

use sha2::{Digest, Sha256};

fn now() -> Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

fn days(count: i64) -> Timestamp {
    expires(now(), count).unwrap()
}

#[test]
fn hosts_find_every_file_of_every_release() {
    let publisher = Publisher::new();
    publisher.release("1.0.0", 1).unwrap();
    let signed = publisher.release("1.0.1", 2).unwrap();
    assert_eq!((signed.root, signed.targets, signed.timestamp, signed.files), (1, 2, Some(2), 8));
    let targets = publisher.host(&publisher.first_root(), days(1)).unwrap();
    for (name, target) in &targets {
        let bytes = fs::read(publisher.repository().join(TARGETS).join(name)).unwrap();
        assert!(target.check(&bytes).is_ok(), "{name}");
    }
    let release = &targets["slipway-vm-1.0.1-amd64/release.json"];
    assert_eq!(release.custom["version"], "1.0.1");
    assert_eq!(release.custom["app-id"], payload::app_id("slipway", "vm"));
}

#[test]
fn a_version_is_never_used_twice() {
    let publisher = Publisher::new();
    publisher.release("1.0.0", 1).unwrap();
    publisher.release("1.0.0", 1).unwrap();
    let error = publisher.release("1.0.0", 2).unwrap_err().to_string();
    assert!(error.contains("never used twice"), "{error}");
    assert!(publisher.host(&publisher.first_root(), days(1)).is_ok(), "the refused release has spoilt the repository");
}

#[test]
fn a_build_that_was_changed_afterwards_is_refused() {
    let publisher = Publisher::new();
    let build = publisher.build("1.0.0", 1);
    fs::write(build.join("root.erofs"), b"something else").unwrap();
    let error = pack(&build, &publisher.repository().join(TARGETS), &Notes::default(), &crate::progress::Progress::silent()).unwrap_err();
    assert!(error.to_string().contains("not what the build left"), "{error}");
    assert_eq!(fs::read_dir(publisher.repository().join(TARGETS)).unwrap().count(), 0, "something is left of it");
}

#[test]
fn a_release_must_be_one_that_somebody_can_take() {
    let publisher = Publisher::new();
    let build = publisher.build("1.0.0", 1);
    let notes = Notes { minimum_version: Some("1.0.0".parse().unwrap()), ..Notes::default() };
    let silent = crate::progress::Progress::silent();
    let error = pack(&build, &publisher.repository(), &notes, &silent).unwrap_err().to_string();
    assert!(error.contains("no host could take it"), "{error}");
    let build = publisher.build("2026.11", 1);
    assert!(pack(&build, &publisher.repository(), &Notes::default(), &silent).is_err(), "a version without an order");
}

#[test]
fn metadata_expires_and_is_renewed() {
    let publisher = Publisher::new();
    publisher.release("1.0.0", 1).unwrap();
    assert!(publisher.host(&publisher.first_root(), days(31)).is_err(), "the timestamp never expires");
    sign(&publisher.repository(), &publisher.keys(), &[], Validity::default(), days(30)).unwrap();
    assert_eq!(publisher.host(&publisher.first_root(), days(31)).unwrap().len(), 4);
}

#[test]
fn hosts_follow_rotations_of_every_role() {
    let publisher = Publisher::new();
    publisher.release("1.0.0", 1).unwrap();
    for role in Role::ALL {
        let change = Change { renew: vec![role], ..Change::default() };
        root::rotate(&publisher.keys(), &change, ROOT_DAYS, now()).unwrap();
        sign(&publisher.repository(), &publisher.keys(), &[], Validity::default(), now()).unwrap();
        assert_eq!(publisher.host(&publisher.first_root(), days(1)).unwrap().len(), 4, "after renewing {role}");
    }
    assert_eq!(root::roots(&publisher.keys()).unwrap().len(), 5);
    assert!(publisher.keys().join("private/retired/root.1.pem").exists());
}

#[test]
fn another_threshold_needs_another_signature() {
    let publisher = Publisher::new();
    let second = publisher.dir.path().join("second.pub.pem");
    fs::write(&second, &ReleaseKey::generate("targets").unwrap().public_pem).unwrap();
    let change = Change { add: vec![(Role::Targets, second)], thresholds: vec![(Role::Targets, 2)], ..Change::default() };
    root::rotate(&publisher.keys(), &change, ROOT_DAYS, now()).unwrap();
    let error = format!("{:#}", publisher.release("1.0.0", 1).unwrap_err());
    assert!(error.contains("targets"), "{error}");
}

#[test]
fn a_rotation_that_cannot_work_changes_nothing() {
    let publisher = Publisher::new();
    let before = fs::read_dir(publisher.keys().join("private")).unwrap().count();
    for change in [
        Change { thresholds: vec![(Role::Root, 2)], renew: vec![Role::Targets], ..Change::default() },
        Change { remove: vec!["ff".repeat(32)], ..Change::default() },
    ] {
        assert!(root::rotate(&publisher.keys(), &change, ROOT_DAYS, now()).is_err());
        assert_eq!(fs::read_dir(publisher.keys().join("private")).unwrap().count(), before);
        assert_eq!(root::roots(&publisher.keys()).unwrap().len(), 1);
    }
}

#[test]
fn keys_of_the_online_roles_may_be_elsewhere() {
    let publisher = Publisher::new();
    publisher.release("1.0.0", 1).unwrap();
    fs::remove_file(publisher.keys().join("private/timestamp.pem")).unwrap();
    assert_eq!(publisher.release("1.0.1", 2).unwrap().timestamp, None);
}

#[test]
fn another_owners_repository_is_not_continued() {
    let (ours, theirs) = (Publisher::new(), Publisher::new());
    theirs.release("1.0.0", 1).unwrap();
    let error = sign(&theirs.repository(), &ours.keys(), &[], Validity::default(), now()).unwrap_err().to_string();
    assert!(error.contains("another owner"), "{error}");
}
