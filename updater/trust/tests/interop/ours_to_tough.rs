//! tough reads what we write.

use std::collections::BTreeMap;

use serde_json::json;
use trust::repository::{self, RootDraft, TargetsDraft};
use trust::{Role, Root, Signer, Target};

use crate::readers::{Disk, NEVER};
use crate::support::{key, time};

const NAME: &str = "slipway-vm-1.2.3-amd64/release.json";
const CONTENT: &[u8] = b"{\"version\": \"1.2.3\"}";

/// Signs a release under the newest of `roots`, with keys 2, 3, 4 shifted by `shift`, and lays everything out as a server would.
fn published(roots: &[Vec<u8>], name: &str, shift: u8) -> Disk {
    let root = Root::open(roots.last().unwrap()).unwrap();
    let mut targets = TargetsDraft::new(time(NEVER));
    let custom = json!({"app-id": "{0000}", "version": "1.2.3", "words": ["é \"quoted\" \\ back", {"deep": -1}]});
    let target = Target::of(CONTENT).with_custom(custom);
    targets.add(name, &target).unwrap();
    let targets = targets.sign(&root, &[&key(2 + shift), &key(12 + shift)]).unwrap();
    let snapshot = repository::snapshot(&root, &targets, 5, time(NEVER), &[&key(3 + shift)]).unwrap();
    let timestamp = repository::timestamp(&root, &snapshot, 6, time(NEVER), &[&key(4 + shift)]).unwrap();
    let prefix = |version: u32| if root.consistent_snapshot { format!("{version}.") } else { String::new() };
    let mut metadata = BTreeMap::from([
        (format!("{}targets.json", prefix(1)), targets),
        (format!("{}snapshot.json", prefix(5)), snapshot),
        ("timestamp.json".to_owned(), timestamp),
    ]);
    metadata.extend(roots.iter().zip(1..).map(|(root, version)| (format!("{version}.root.json"), root.clone())));
    let path = target.path(&trust::TargetName::new(name).unwrap(), root.consistent_snapshot);
    Disk::new(&metadata, &BTreeMap::from([(path, CONTENT.to_vec())]))
}

/// Root: two of 1, 31, 32. Targets: two of 2, 12. The online roles: 3 and 4.
fn first_root(consistent_snapshot: bool) -> Vec<u8> {
    let keys = |numbers: &[u8]| numbers.iter().map(|&n| key(n).public_key()).collect::<Vec<_>>();
    let draft = RootDraft::new(time(NEVER)).consistent_snapshot(consistent_snapshot);
    let draft = draft.role(Role::Root, 2, keys(&[1, 31, 32])).role(Role::Targets, 2, keys(&[2, 12]));
    let draft = draft.role(Role::Snapshot, 1, keys(&[3])).role(Role::Timestamp, 1, keys(&[4]));
    draft.sign(&[&key(1), &key(31)]).unwrap()
}

#[tokio::test]
async fn a_plain_repository() {
    let disk = published(&[first_root(false)], NAME, 0);
    assert_eq!(disk.tough(NAME).await.as_deref(), Ok(CONTENT));
    assert_eq!(disk.ours(NAME).as_deref(), Ok(CONTENT));
    assert!(disk.tough("slipway-vm-9.9.9-amd64/release.json").await.is_err());
}

#[tokio::test]
async fn consistent_snapshots() {
    // In a folder tough puts the digest before the folder, where the specification has it before the file; so no folder here.
    let disk = published(&[first_root(true)], "release.json", 0);
    assert_eq!(disk.tough("release.json").await.as_deref(), Ok(CONTENT));
    assert_eq!(disk.ours("release.json").as_deref(), Ok(CONTENT));
}

#[tokio::test]
async fn a_rotated_chain_of_roots() {
    let keys = |numbers: &[u8]| numbers.iter().map(|&n| key(n).public_key()).collect::<Vec<_>>();
    let first = first_root(false);
    // Another set of root keys, then another set of everything, then only a new date.
    let second = RootDraft::after(&first, time(NEVER)).unwrap().role(Role::Root, 1, keys(&[33]));
    let second = second.sign(&[&key(31), &key(32), &key(33)]).unwrap();
    let third = RootDraft::after(&second, time(NEVER)).unwrap();
    let third = third.role(Role::Root, 1, keys(&[34])).role(Role::Targets, 1, keys(&[102]));
    let third = third.role(Role::Snapshot, 1, keys(&[103])).role(Role::Timestamp, 1, keys(&[104]));
    let third = third.sign(&[&key(33), &key(34)]).unwrap();
    let fourth = RootDraft::after(&third, time(NEVER)).unwrap().sign(&[&key(34)]).unwrap();
    let disk = published(&[first, second, third, fourth], NAME, 100);
    assert_eq!(disk.tough(NAME).await.as_deref(), Ok(CONTENT));
    assert_eq!(disk.ours(NAME).as_deref(), Ok(CONTENT));
}

#[tokio::test]
async fn fifty_rotations() {
    let mut roots = vec![first_root(false)];
    for n in 150..200 {
        let draft = RootDraft::after(roots.last().unwrap(), time(NEVER)).unwrap().role(Role::Root, 1, [key(n).public_key()]);
        roots.push(draft.sign(&[&key(1), &key(32), &key(n - 1), &key(n)]).unwrap());
    }
    let disk = published(&roots, NAME, 0);
    assert_eq!(disk.tough(NAME).await.as_deref(), Ok(CONTENT));
    assert_eq!(disk.ours(NAME).as_deref(), Ok(CONTENT));
}
