//! We read what tough's editor writes and signs.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use tough::editor::RepositoryEditor;
use tough::key_source::{KeySource, LocalKeySource};
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::Key;
use tough::schema::{Role as _, RoleKeys, RoleType, Root, Signature, Signed, Target};
use tough::sign::{Sign, parse_keypair};
use trust::{Role, Signer};

use crate::readers::{Disk, NEVER};
use crate::support::{key, time};

const CONTENT: &[u8] = b"made with tough";

/// Key `n` as tough reads it from a file.
fn pkcs8(n: u8) -> Vec<u8> {
    SigningKey::from_bytes(&[n; 32]).to_pkcs8_der().unwrap().as_bytes().to_vec()
}

fn key_file(dir: &Path, n: u8) -> Box<dyn KeySource> {
    let path = dir.join(format!("{n}.der"));
    fs::write(&path, pkcs8(n)).unwrap();
    Box::new(LocalKeySource { path })
}

fn tough_key(n: u8) -> Key {
    parse_keypair(&pkcs8(n)).unwrap().tuf_key()
}

/// A root of tough's types, in tough's spelling, signed over tough's canonical form.
fn root(version: u64, consistent_snapshot: bool, roles: &[(RoleType, u64, &[u8])], signers: &[u8]) -> Vec<u8> {
    let mut keys: HashMap<Decoded<Hex>, Key> = HashMap::new();
    let mut listed = HashMap::new();
    for (role, threshold, numbers) in roles {
        let ids: Vec<_> = numbers.iter().map(|&n| tough_key(n).key_id().unwrap()).collect();
        keys.extend(ids.iter().cloned().zip(numbers.iter().map(|&n| tough_key(n))));
        listed.insert(*role, RoleKeys { keyids: ids, threshold: NonZeroU64::new(*threshold).unwrap(), _extra: HashMap::new() });
    }
    let version = NonZeroU64::new(version).unwrap();
    let spec_version = "1.0.0".to_owned();
    let signed = Root { spec_version, consistent_snapshot, version, expires: time(NEVER), keys, roles: listed, _extra: HashMap::new() };
    let message = signed.canonical_form().unwrap();
    let sign = |n: &u8| {
        let sig = key(*n).sign(&message).unwrap().to_bytes().to_vec();
        Signature { keyid: tough_key(*n).key_id().unwrap(), sig: sig.into() }
    };
    let signatures = signers.iter().map(sign).collect();
    serde_json::to_vec_pretty(&Signed { signed, signatures }).unwrap()
}

/// Has tough's editor publish `name` under the newest of `roots`, signed with keys `signers`.
async fn published(roots: &[Vec<u8>], name: &str, signers: &[u8]) -> Disk {
    let scratch = tempfile::tempdir().unwrap();
    let root_path = scratch.path().join("root.json");
    fs::write(&root_path, roots.last().unwrap()).unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, CONTENT).unwrap();
    let mut target = Target::from_path(&file).await.unwrap();
    target.custom = HashMap::from([("who".to_owned(), "tough".into())]);
    // Fractions of a second in `expires` are tough's habit.
    let expires = "2100-01-01T00:00:00.123456789Z".parse().unwrap();
    let mut editor = RepositoryEditor::new(&root_path).await.unwrap();
    let version = |n| NonZeroU64::new(n).unwrap();
    editor.targets_version(version(7)).unwrap().targets_expires(expires).unwrap();
    editor.snapshot_version(version(8)).snapshot_expires(expires).timestamp_version(version(1_800_000_000)).timestamp_expires(expires);
    editor.add_target(name, target.clone()).unwrap();
    let sources: Vec<_> = signers.iter().map(|&n| key_file(scratch.path(), n)).collect();
    editor.sign(&sources).await.unwrap().write(scratch.path().join("metadata")).await.unwrap();
    let mut metadata = BTreeMap::new();
    for entry in fs::read_dir(scratch.path().join("metadata")).unwrap() {
        let entry = entry.unwrap();
        metadata.insert(entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    }
    metadata.extend(roots.iter().zip(1..).map(|(root, version)| (format!("{version}.root.json"), root.clone())));
    let consistent = metadata.contains_key("8.snapshot.json");
    let sha256 = hex::encode(target.hashes.sha256.as_ref() as &[u8]);
    let path = if consistent { format!("{sha256}.{name}") } else { name.to_owned() };
    Disk::new(&metadata, &BTreeMap::from([(path, CONTENT.to_vec())]))
}

const ROLES: [(RoleType, u64, &[u8]); 4] =
    [(RoleType::Root, 1, &[1]), (RoleType::Targets, 1, &[2]), (RoleType::Snapshot, 1, &[3]), (RoleType::Timestamp, 1, &[4])];

async fn check(disk: &Disk, name: &str) {
    assert_eq!(disk.tough(name).await.as_deref(), Ok(CONTENT));
    assert_eq!(disk.ours(name).as_deref(), Ok(CONTENT));
}

#[test]
fn keys_have_the_same_ids() {
    for n in 1..50 {
        assert_eq!(hex::encode(tough_key(n).key_id().unwrap()), key(n).public_key().id().as_str());
    }
}

#[tokio::test]
async fn a_plain_repository() {
    let disk = published(&[root(1, false, &ROLES, &[1])], "folder/file.txt", &[2, 3, 4]).await;
    check(&disk, "folder/file.txt").await;
}

#[tokio::test]
async fn consistent_snapshots() {
    let disk = published(&[root(1, true, &ROLES, &[1])], "file.txt", &[2, 3, 4]).await;
    check(&disk, "file.txt").await;
}

#[tokio::test]
async fn thresholds() {
    let roles = [(RoleType::Root, 2, &[1, 31, 32][..]), (RoleType::Targets, 2, &[2, 12, 22]), ROLES[2], (RoleType::Timestamp, 1, &[4, 14])];
    let disk = published(&[root(1, false, &roles, &[31, 32])], "file.txt", &[22, 2, 3, 14]).await;
    check(&disk, "file.txt").await;
}

#[tokio::test]
async fn a_rotated_chain_of_roots() {
    let first = root(1, false, &ROLES, &[1]);
    let other_root = [(RoleType::Root, 1, &[31][..]), ROLES[1], ROLES[2], ROLES[3]];
    let all_new =
        [(RoleType::Root, 1, &[31][..]), (RoleType::Targets, 1, &[42]), (RoleType::Snapshot, 1, &[43]), (RoleType::Timestamp, 1, &[44])];
    let roots = [first, root(2, false, &other_root, &[1, 31]), root(3, false, &all_new, &[31])];
    let disk = published(&roots, "file.txt", &[42, 43, 44]).await;
    check(&disk, "file.txt").await;
}

#[tokio::test]
async fn our_drafts_go_on_from_toughs_files() {
    let roots = [root(1, false, &ROLES, &[1])];
    let disk = published(&roots, "file.txt", &[2, 3, 4]).await;
    let metadata = |name: &str| fs::read(disk.path("metadata").join(name)).unwrap();
    let never = time(NEVER);
    let second = trust::repository::RootDraft::after(&roots[0], never).unwrap().role(Role::Targets, 1, [key(52).public_key()]);
    let second = second.sign(&[&key(1)]).unwrap();
    let (old, new) = (trust::Root::open(&roots[0]).unwrap(), trust::Root::open(&second).unwrap());
    let mut targets = trust::repository::TargetsDraft::after(&metadata("targets.json"), &old, never).unwrap();
    assert_eq!(targets.version(), 8);
    targets.add("another.txt", &trust::Target::of(b"ours")).unwrap();
    let targets = targets.sign(&new, &[&key(52)]).unwrap();
    let next = |role| trust::repository::next_version(role, Some(&metadata(&role.file_name()))).unwrap();
    let snapshot = trust::repository::snapshot(&new, &targets, next(Role::Snapshot), never, &[&key(3)]).unwrap();
    let timestamp = trust::repository::timestamp(&new, &snapshot, next(Role::Timestamp), never, &[&key(4)]).unwrap();
    let files = [
        ("1.root.json", roots[0].clone()),
        ("2.root.json", second),
        ("targets.json", targets),
        ("snapshot.json", snapshot),
        ("timestamp.json", timestamp),
    ];
    let files = files.map(|(name, bytes)| (name.to_owned(), bytes)).into();
    let contents = [("file.txt", CONTENT), ("another.txt", &b"ours"[..])].map(|(name, content)| (name.to_owned(), content.to_vec())).into();
    disk.serve(&files, &contents);
    check(&disk, "file.txt").await;
    assert_eq!(disk.tough("another.txt").await.as_deref(), Ok(&b"ours"[..]));
    assert_eq!(disk.ours("another.txt").as_deref(), Ok(&b"ours"[..]));
}
