//! One table of damage; both readers must refuse each, and accept what is only unusual.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trust::{Role, Trusted};

use crate::readers::{Disk, NEVER};
use crate::support::{CONTENT, Repo, TARGET, bump, bytes, id, key, set_role, sign, signature};
use trust::Signer;

type Files = BTreeMap<String, Vec<u8>>;

/// Root 1, rotated to root 2 with new root and targets keys (10 and 20).
fn base() -> Repo {
    let mut repo = Repo::new().until(NEVER);
    repo.next_root(&[1, 10], |root| {
        set_role(root, Role::Root, 1, &[10]);
        set_role(root, Role::Targets, 1, &[20]);
    });
    repo.signers.insert(Role::Root, vec![10]);
    repo.signers.insert(Role::Targets, vec![20]);
    repo.relink();
    repo
}

fn contents() -> Files {
    BTreeMap::from([(TARGET.to_owned(), CONTENT.to_vec())])
}

/// Changes a served file as JSON, without mending what lists it.
fn edit(repo: &mut Repo, path: &str, change: impl FnOnce(&mut Value)) {
    let mut file: Value = serde_json::from_slice(&repo.files[path]).unwrap();
    change(&mut file);
    repo.files.insert(path.to_owned(), bytes(&file));
}

fn respell(repo: &mut Repo, path: &str, from: &str, to: &str) {
    let text = String::from_utf8(repo.files[path].clone()).unwrap();
    assert!(text.contains(from), "{text}");
    repo.files.insert(path.to_owned(), text.replacen(from, to, 1).into_bytes());
}

/// Replaces root 2 by one with another content, well signed by both sides.
fn root_2(repo: &mut Repo, change: impl FnOnce(&mut Value)) {
    change(&mut repo.root);
    repo.files.insert("2.root.json".to_owned(), bytes(&sign(&repo.root, &[1, 10])));
}

fn without_hashes(repo: &mut Repo) {
    repo.snapshot["meta"]["targets.json"] = json!({"version": 1});
    repo.relink_snapshot();
    repo.timestamp["meta"]["snapshot.json"] = json!({"version": 1});
    repo.relink_timestamp();
}

fn expire(repo: &mut Repo, role: Role) {
    repo.signed(role)["expires"] = json!("2020-01-01T00:00:00Z");
    repo.relink();
}

const REFUSED: [(&str, fn(&mut Repo, &mut Files)); 47] = [
    ("timestamp: no signature", |repo, _| edit(repo, "timestamp.json", |file| file["signatures"] = json!([]))),
    ("timestamp: a stranger's signature", |repo, _| edit(repo, "timestamp.json", |file| *file = sign(&file["signed"], &[99]))),
    ("timestamp: the snapshot's key", |repo, _| edit(repo, "timestamp.json", |file| *file = sign(&file["signed"], &[3]))),
    ("timestamp: a borrowed key id", |repo, _| {
        edit(repo, "timestamp.json", |file| {
            *file = sign(&file["signed"], &[99]);
            file["signatures"][0]["keyid"] = json!(id(4));
        });
    }),
    ("timestamp: a flipped bit in the signature", |repo, _| {
        edit(repo, "timestamp.json", |file| {
            let sig = file["signatures"][0]["sig"].as_str().unwrap().to_owned();
            let last = if sig.ends_with('0') { "1" } else { "0" };
            file["signatures"][0]["sig"] = json!(format!("{}{last}", &sig[..127]));
        });
    }),
    ("timestamp: a short signature", |repo, _| {
        edit(repo, "timestamp.json", |file| file["signatures"][0]["sig"] = json!("00".repeat(63)));
    }),
    ("timestamp: the same signature twice", |repo, _| {
        edit(repo, "timestamp.json", |file| file["signatures"] = json!([file["signatures"][0], file["signatures"][0]]));
    }),
    ("timestamp: a changed version", |repo, _| edit(repo, "timestamp.json", |file| file["signed"]["version"] = json!(2))),
    ("timestamp: a changed date", |repo, _| edit(repo, "timestamp.json", |file| file["signed"]["expires"] = json!("2101-01-01T00:00:00Z"))),
    ("timestamp: an added member", |repo, _| edit(repo, "timestamp.json", |file| file["signed"]["x"] = json!(1))),
    ("timestamp: expired", |repo, _| expire(repo, Role::Timestamp)),
    ("timestamp: version twice", |repo, _| respell(repo, "timestamp.json", "\"version\":1}", "\"version\":1,\"version\":1}")),
    ("timestamp: a float", |repo, _| respell(repo, "timestamp.json", "\"version\":1}", "\"version\":1.0}")),
    ("timestamp: trailing data", |repo, _| repo.files.get_mut("timestamp.json").unwrap().extend(b"{}")),
    ("timestamp: a byte order mark", |repo, _| _ = repo.files.get_mut("timestamp.json").unwrap().splice(0..0, *b"\xef\xbb\xbf")),
    ("timestamp: cut off", |repo, _| _ = repo.files.get_mut("timestamp.json").unwrap().pop()),
    ("timestamp: empty", |repo, _| repo.files.get_mut("timestamp.json").unwrap().clear()),
    ("timestamp: missing", |repo, _| _ = repo.files.remove("timestamp.json")),
    ("timestamp: version 0", |repo, _| {
        repo.timestamp["version"] = json!(0);
        repo.relink_timestamp();
    }),
    ("timestamp: no snapshot in it", |repo, _| {
        repo.timestamp["meta"] = json!({});
        repo.relink_timestamp();
    }),
    ("timestamp: a snapshot stands in", |repo, _| {
        set_role(&mut repo.root, Role::Timestamp, 1, &[3]);
        let root = repo.root.clone();
        root_2(repo, |new| *new = root);
        repo.files.insert("timestamp.json".to_owned(), repo.files["snapshot.json"].clone());
    }),
    ("snapshot: missing", |repo, _| _ = repo.files.remove("snapshot.json")),
    ("snapshot: another spelling than listed", |repo, _| repo.files.get_mut("snapshot.json").unwrap().insert(0, b' ')),
    ("snapshot: a stranger's signature", |repo, _| {
        repo.signers.insert(Role::Snapshot, vec![99]);
        repo.relink();
    }),
    ("snapshot: expired", |repo, _| expire(repo, Role::Snapshot)),
    ("snapshot: another version than listed", |repo, _| {
        repo.timestamp["meta"]["snapshot.json"]["version"] = json!(2);
        repo.relink_timestamp();
    }),
    ("snapshot: no targets in it", |repo, _| {
        repo.snapshot["meta"] = json!({});
        repo.relink_snapshot();
    }),
    ("snapshot: changed, and no hashes listed", |repo, _| {
        without_hashes(repo);
        edit(repo, "snapshot.json", |file| file["signed"]["version"] = json!(2));
    }),
    ("targets: missing", |repo, _| _ = repo.files.remove("targets.json")),
    ("targets: the old key", |repo, _| {
        repo.signers.insert(Role::Targets, vec![2]);
        repo.relink();
    }),
    ("targets: expired", |repo, _| expire(repo, Role::Targets)),
    ("targets: another digest for the file, and no hashes listed", |repo, _| {
        without_hashes(repo);
        edit(repo, "targets.json", |file| file["signed"]["targets"][TARGET]["hashes"]["sha256"] = json!("00".repeat(32)));
    }),
    ("targets: an added file, and no hashes listed", |repo, _| {
        without_hashes(repo);
        edit(repo, "targets.json", |file| file["signed"]["targets"]["evil"] = file["signed"]["targets"][TARGET].clone());
    }),
    ("targets: another version than listed, and no hashes", |repo, _| {
        without_hashes(repo);
        bump(&mut repo.targets);
        let file = bytes(&sign(&repo.targets, &[20]));
        repo.files.insert("targets.json".to_owned(), file);
    }),
    ("targets: one signature where two are needed", |repo, _| {
        root_2(repo, |root| set_role(root, Role::Targets, 2, &[20, 21]));
    }),
    ("targets: one key signs as two", |repo, _| {
        root_2(repo, |root| set_role(root, Role::Targets, 2, &[20, 21]));
        without_hashes(repo);
        edit(repo, "targets.json", |file| {
            let mut again = signature(&file["signed"], 20);
            again["keyid"] = json!(id(21));
            file["signatures"].as_array_mut().unwrap().push(again);
        });
    }),
    ("root 2: the new key only", |repo, _| edit(repo, "2.root.json", |file| *file = sign(&file["signed"], &[10]))),
    ("root 2: the old key only", |repo, _| edit(repo, "2.root.json", |file| *file = sign(&file["signed"], &[1]))),
    ("root 2: version 3", |repo, _| root_2(repo, |root| root["version"] = json!(3))),
    ("root 2: version 1", |repo, _| root_2(repo, |root| root["version"] = json!(1))),
    ("root 2: a key under a foreign id", |repo, _| {
        root_2(repo, |root| {
            root["keys"][id(98)] = key(20).public_key().to_object();
            root["roles"]["targets"]["keyids"] = json!([id(98)]);
        });
    }),
    ("root 2: threshold 0", |repo, _| root_2(repo, |root| root["roles"]["targets"]["threshold"] = json!(0))),
    ("root 2: expired", |repo, _| root_2(repo, |root| root["expires"] = json!("2020-01-01T00:00:00Z"))),
    ("root 2: missing, so its keys are unknown", |repo, _| _ = repo.files.remove("2.root.json")),
    ("the file: cut off", |_, contents| _ = contents.get_mut(TARGET).unwrap().pop()),
    ("the file: a flipped bit", |_, contents| contents.get_mut(TARGET).unwrap()[0] ^= 1),
    ("the file: missing", |_, contents| _ = contents.remove(TARGET)),
];

#[tokio::test]
async fn both_refuse() {
    for (what, corrupt) in REFUSED {
        let (mut repo, mut contents) = (base(), contents());
        corrupt(&mut repo, &mut contents);
        let disk = Disk::new(&repo.files, &contents);
        let (theirs, ours) = (disk.tough(TARGET).await, disk.ours(TARGET));
        assert!(theirs.is_err(), "{what}: tough accepts");
        assert!(ours.is_err(), "{what}: we accept");
    }
}

const ACCEPTED: [(&str, fn(&mut Repo, &mut Files)); 8] = [
    ("as it is", |_, _| ()),
    ("unknown members", |repo, _| {
        for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
            repo.signed(role)["x-note"] = json!({"a": [1, null, "é"]});
        }
        repo.targets["targets"][TARGET]["x-note"] = json!(1);
        repo.relink();
    }),
    ("a bad signature beside a good one", |repo, _| {
        edit(repo, "timestamp.json", |file| file["signatures"].as_array_mut().unwrap().push(json!({"keyid": id(98), "sig": "00"})));
    }),
    ("a stranger's signature beside a good one", |repo, _| {
        edit(repo, "timestamp.json", |file| *file = sign(&file["signed"], &[99, 4]));
    }),
    ("another spelling of the timestamp", |repo, _| {
        let file: Value = serde_json::from_slice(&repo.files["timestamp.json"]).unwrap();
        repo.files.insert("timestamp.json".to_owned(), serde_json::to_vec_pretty(&file).unwrap());
    }),
    ("no hashes and lengths listed", |repo, _| without_hashes(repo)),
    ("an expired root on the way", |repo, _| {
        repo.next_root(&[10], |root| root["expires"] = json!("2020-01-01T00:00:00Z"));
        repo.next_root(&[10], |root| root["expires"] = json!(NEVER));
    }),
    ("leftovers in the folder", |repo, contents| {
        repo.files.insert("9.root.json".to_owned(), b"?".to_vec());
        contents.insert("leftover".to_owned(), b"?".to_vec());
    }),
];

#[tokio::test]
async fn both_accept() {
    for (what, change) in ACCEPTED {
        let (mut repo, mut contents) = (base(), contents());
        change(&mut repo, &mut contents);
        let disk = Disk::new(&repo.files, &contents);
        assert_eq!(disk.tough(TARGET).await.as_deref(), Ok(CONTENT), "tough: {what}");
        assert_eq!(disk.ours(TARGET).as_deref(), Ok(CONTENT), "we: {what}");
    }
}

#[tokio::test]
async fn both_refuse_to_go_back() {
    let older = base();
    let mut newer = older.clone();
    newer.release();
    let mut older_targets = newer.clone();
    for role in [Role::Snapshot, Role::Timestamp] {
        bump(older_targets.signed(role));
    }
    older_targets.targets["version"] = json!(1);
    older_targets.relink();
    for (what, evil) in [("everything", &older), ("targets", &older_targets)] {
        let disk = Disk::new(&newer.files, &contents());
        assert!(disk.tough(TARGET).await.is_ok());
        let (kept, outcome) = disk.ours_from(Trusted::new(disk.first_root.clone()), TARGET);
        assert!(outcome.is_ok());
        disk.serve(&evil.files, &contents());
        assert!(disk.tough(TARGET).await.is_err(), "{what}: tough accepts");
        assert!(disk.ours_from(kept, TARGET).1.is_err(), "{what}: we accept");
    }
}

#[tokio::test]
async fn both_recover_from_fast_forward() {
    let honest = base();
    let mut evil = honest.clone();
    for role in [Role::Snapshot, Role::Timestamp] {
        evil.signed(role)["version"] = json!(1_000_000);
    }
    evil.relink();
    let disk = Disk::new(&evil.files, &contents());
    assert!(disk.tough(TARGET).await.is_ok());
    let (kept, outcome) = disk.ours_from(Trusted::new(disk.first_root.clone()), TARGET);
    assert!(outcome.is_ok());
    let mut healed = honest;
    healed.rotate(Role::Snapshot, 53);
    healed.rotate(Role::Timestamp, 54);
    healed.release();
    disk.serve(&healed.files, &contents());
    assert_eq!(disk.tough(TARGET).await.as_deref(), Ok(CONTENT));
    assert_eq!(disk.ours_from(kept, TARGET).1.as_deref(), Ok(CONTENT));
}
