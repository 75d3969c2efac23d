//! The publisher's side refuses what clients would refuse, and signs nobody else's work.

use serde_json::{Value, json};
use trust::repository::{self, RootDraft, TargetsDraft};
use trust::{Error, PublicKey, Role, Root, SignError, Signature, Signer, Target};

use crate::support::{LATER, Repo, TARGET, bytes, id, key, set_role, sign, time};

fn public(n: u8) -> PublicKey {
    key(n).public_key()
}

/// Root: two of 31, 32, 33. The others: 2, 3, 4.
fn draft() -> RootDraft {
    RootDraft::new(time(LATER))
        .role(Role::Root, 2, [31, 32, 33].map(public))
        .role(Role::Targets, 1, [public(2)])
        .role(Role::Snapshot, 1, [public(3)])
        .role(Role::Timestamp, 1, [public(4)])
}

fn root() -> (Vec<u8>, Root) {
    let bytes = draft().sign(&[&key(31), &key(33)]).unwrap();
    let root = Root::open(&bytes).unwrap();
    (bytes, root)
}

#[test]
fn two_of_three_holders_make_a_root() {
    let (bytes, root) = root();
    assert_eq!((root.version, root.expires, root.consistent_snapshot), (1, time(LATER), false));
    assert_eq!((root.role(Role::Root).threshold, root.role(Role::Root).keys.len()), (2, 3));
    assert_eq!(bytes, draft().sign(&[&key(33), &key(31), &key(2)]).unwrap(), "the order and other keys do not matter");
    assert_eq!(bytes.last(), Some(&b'\n'));
    for (what, signers) in [("one", vec![31]), ("one twice", vec![31, 31]), ("one and a stranger", vec![31, 99]), ("none", vec![])] {
        let keys: Vec<_> = signers.into_iter().map(key).collect();
        let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
        let error = draft().sign(&signers).unwrap_err();
        assert!(
            matches!(&error, Error::MissingSigners { role: Role::Root, needed: 2, accepted, .. } if accepted.len() == 3),
            "{what}: {error}"
        );
        assert!(error.to_string().contains(&id(32)), "{error}");
    }
}

#[test]
fn a_root_that_clients_would_refuse_is_not_written() {
    let signers: [&dyn Signer; 2] = [&key(31), &key(32)];
    assert!(matches!(RootDraft::new(time(LATER)).sign(&signers), Err(Error::Malformed { .. })), "no roles");
    assert!(matches!(draft().role(Role::Targets, 2, [public(2)]).sign(&signers), Err(Error::Unmeetable { role: Role::Targets, .. })));
    assert!(matches!(draft().role(Role::Targets, 2, [public(2), public(2)]).sign(&signers), Err(Error::Unmeetable { .. })));
    assert!(matches!(draft().role(Role::Targets, 0, [public(2)]).sign(&signers), Err(Error::Malformed { .. })));
    assert!(matches!(draft().role(Role::Targets, 1, []).sign(&signers), Err(Error::Unmeetable { .. })));
}

#[test]
fn a_rotation_needs_both_sides() {
    let (first, root) = root();
    let next = || RootDraft::after(&first, time(LATER)).unwrap().role(Role::Root, 2, [33, 34, 35].map(public));
    assert_eq!(next().version(), 2);
    assert!(
        matches!(next().sign(&[&key(34), &key(35)]), Err(Error::MissingSigners { accepted, .. }) if accepted.iter().any(|id| *id == public(31).id()))
    );
    assert!(
        matches!(next().sign(&[&key(31), &key(32)]), Err(Error::MissingSigners { accepted, .. }) if accepted.iter().any(|id| *id == public(35).id()))
    );
    let second = next().sign(&[&key(31), &key(33), &key(34)]).unwrap();
    assert_eq!(repository::check_next_root(&root, &second).unwrap().version, 2);
    // The usual case: an online key changes, the root keys sign as before.
    let third = RootDraft::after(&second, time(LATER)).unwrap().replace_key(Role::Timestamp, &public(4), public(40)).unwrap();
    let third = third.sign(&[&key(33), &key(35)]).unwrap();
    let third = Root::open(&third).unwrap();
    assert!(third.role(Role::Timestamp).keys.contains_key(&public(40).id()));
    assert_eq!(third.role(Role::Timestamp).keys.len(), 1);
    let missing = RootDraft::after(&second, time(LATER)).unwrap().replace_key(Role::Timestamp, &public(99), public(40));
    assert!(matches!(missing, Err(Error::Edit(_))));
    assert!(repository::check_next_root(&third, &second).is_err());
}

#[test]
fn holders_far_apart_sign_one_after_the_other() {
    let (first, root) = root();
    let next = RootDraft::after(&first, time(LATER)).unwrap().role(Role::Root, 2, [33, 34, 35].map(public));
    let one = next.sign_partly(&[&key(33)]).unwrap();
    assert!(repository::check_next_root(&root, &one).is_err());
    let two = repository::cosign_root(&one, Some(&root), &[&key(31), &key(99)]).unwrap();
    assert!(repository::check_next_root(&root, &two).is_err());
    let three = repository::cosign_root(&two, Some(&root), &[&key(35)]).unwrap();
    assert_eq!(repository::check_next_root(&root, &three).unwrap().version, 2);
    assert_eq!(three, next.sign(&[&key(31), &key(33), &key(35)]).unwrap(), "the same file as at one table");
    // Any other file as well.
    let root_with_two = {
        let bytes = draft().role(Role::Targets, 2, [public(21), public(22)]).sign(&[&key(31), &key(32)]).unwrap();
        Root::open(&bytes).unwrap()
    };
    let (_, plain) = self::root();
    let file = TargetsDraft::new(time(LATER)).sign(&plain, &[&key(2)]).unwrap();
    let file = repository::cosign(Role::Targets, &file, &root_with_two, &[&key(21)]).unwrap();
    assert!(repository::check(Role::Targets, &file, &root_with_two).is_err());
    let file = repository::cosign(Role::Targets, &file, &root_with_two, &[&key(22)]).unwrap();
    assert!(repository::check(Role::Targets, &file, &root_with_two).is_ok());
    assert!(repository::check(Role::Targets, &file, &plain).is_ok(), "earlier signatures stay");
}

#[test]
fn a_successor_keeps_what_it_does_not_know() {
    let mut repo = Repo::new();
    repo.root["x-owner"] = json!({"mail": "ops"});
    let mut odd = public(2).to_object();
    odd["x-place"] = json!("safe");
    let odd_id = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(trust::canonical::to_vec(&odd).unwrap()));
    repo.root["keys"][&odd_id] = odd.clone();
    repo.root["roles"]["targets"]["keyids"] = json!([odd_id]);
    repo.put_root(&[1]);
    let next = RootDraft::after(&repo.files["1.root.json"], time(LATER)).unwrap().sign(&[&key(1)]).unwrap();
    let next: Value = serde_json::from_slice(&next).unwrap();
    assert_eq!(next["signed"]["x-owner"], json!({"mail": "ops"}));
    assert_eq!(next["signed"]["keys"][&odd_id], odd, "a key keeps its id");
    assert_eq!(next["signed"]["keys"].as_object().unwrap().len(), 4, "keys of no role are left out");

    let (_, root) = root();
    let mut signed = Repo::new().targets;
    signed["delegations"] = json!({"keys": {}, "roles": []});
    signed["targets"][TARGET]["x-note"] = json!("kept");
    let mut draft = TargetsDraft::after(&bytes(&sign(&signed, &[2])), &root, time(LATER)).unwrap();
    assert_eq!(draft.version(), 2);
    draft.add("new", &Target::of(b"new")).unwrap();
    let file: Value = serde_json::from_slice(&draft.sign(&root, &[&key(2)]).unwrap()).unwrap();
    assert_eq!(file["signed"]["delegations"], signed["delegations"]);
    assert_eq!(file["signed"]["targets"][TARGET], signed["targets"][TARGET]);
    assert_eq!(file["signed"]["targets"]["new"]["length"], 3);
}

#[test]
fn nobody_signs_an_intruders_work() {
    let (_, root) = root();
    let evil = bytes(&sign(&Repo::new().targets, &[99]));
    assert!(matches!(TargetsDraft::after(&evil, &root, time(LATER)), Err(Error::Signatures { role: Role::Targets, .. })));
    assert!(matches!(repository::snapshot(&root, &evil, 1, time(LATER), &[&key(3)]), Err(Error::Signatures { role: Role::Targets, .. })));
    let targets = TargetsDraft::new(time(LATER)).sign(&root, &[&key(2)]).unwrap();
    let snapshot = repository::snapshot(&root, &targets, 1, time(LATER), &[&key(3)]).unwrap();
    let evil = bytes(&sign(&serde_json::from_slice::<Value>(&snapshot).unwrap()["signed"], &[99]));
    assert!(matches!(repository::timestamp(&root, &evil, 1, time(LATER), &[&key(4)]), Err(Error::Signatures { role: Role::Snapshot, .. })));
    assert!(matches!(repository::timestamp(&root, &targets, 1, time(LATER), &[&key(4)]), Err(Error::WrongType { .. })));
}

#[test]
fn the_wrong_key_ring_says_what_is_missing() {
    let (_, root) = root();
    let targets = TargetsDraft::new(time(LATER));
    let error = targets.sign(&root, &[&key(3), &key(4)]).unwrap_err();
    assert_eq!(error, Error::MissingSigners { role: Role::Targets, needed: 1, accepted: vec![public(2).id()], signed: vec![] });
    assert!(error.to_string().contains("needs 1 signatures"), "{error}");
    let targets = targets.sign(&root, &[&key(2)]).unwrap();
    assert!(matches!(
        repository::snapshot(&root, &targets, 1, time(LATER), &[&key(4)]),
        Err(Error::MissingSigners { role: Role::Snapshot, .. })
    ));
}

#[test]
fn names_and_notes_are_checked_when_written() {
    let mut draft = TargetsDraft::new(time(LATER));
    for name in ["../x", "/x", "a b", "", "a\\b", "a%2fb", "a/../b"] {
        assert!(matches!(draft.add(name, &Target::of(b"")), Err(Error::Name { .. })), "{name}");
    }
    assert!(matches!(draft.add("x", &Target::of(b"").with_custom(json!(1))), Err(Error::Edit(_))));
    // A float cannot be signed, capitals alone do not tell two names apart, and neither comes to a client.
    let (_, root) = root();
    draft.add("x", &Target::of(b"").with_custom(json!({"f": 1.5}))).unwrap();
    assert!(matches!(draft.sign(&root, &[&key(2)]), Err(Error::Json { .. })));
    draft.add("x", &Target::of(b"")).unwrap();
    draft.add("X", &Target::of(b"")).unwrap();
    assert!(matches!(draft.sign(&root, &[&key(2)]), Err(Error::Json { .. })));
}

#[test]
fn adding_and_removing() {
    let (_, root) = root();
    let mut draft = TargetsDraft::new(time(LATER));
    for name in ["v1/a", "v1/b", "v1.1/a", "v2/a"] {
        draft.add(name, &Target::of(name.as_bytes())).unwrap();
    }
    draft.add("v2/a", &Target::of(b"replaced")).unwrap();
    assert!(draft.remove("v1.1/a") && !draft.remove("v1.1/a"));
    assert_eq!(draft.remove_folder("v1/"), 2);
    assert_eq!(draft.remove_folder("v1"), 0);
    assert_eq!(draft.names().collect::<Vec<_>>(), ["v2/a"]);
    let file: Value = serde_json::from_slice(&draft.sign(&root, &[&key(2)]).unwrap()).unwrap();
    assert_eq!(file["signed"]["targets"]["v2/a"]["length"], 8);
}

#[test]
fn versions_count_up() {
    let (first, root) = root();
    let targets = TargetsDraft::new(time(LATER)).sign(&root, &[&key(2)]).unwrap();
    let snapshot = repository::snapshot(&root, &targets, 41, time(LATER), &[&key(3)]).unwrap();
    assert_eq!(repository::next_version(Role::Snapshot, None), Ok(1));
    assert_eq!(repository::next_version(Role::Snapshot, Some(&snapshot)), Ok(42));
    assert_eq!(repository::next_version(Role::Root, Some(&first)), Ok(2));
    assert!(repository::next_version(Role::Timestamp, Some(&snapshot)).is_err());
    for version in [0, trust::limits::MAX_VERSION + 1] {
        assert!(repository::snapshot(&root, &targets, version, time(LATER), &[&key(3)]).is_err());
    }
    let mut draft = TargetsDraft::after(&targets, &root, time(LATER)).unwrap();
    draft.set_version(trust::limits::MAX_VERSION);
    let last = draft.sign(&root, &[&key(2)]).unwrap();
    assert!(matches!(TargetsDraft::after(&last, &root, time(LATER)), Err(Error::VersionTooHigh { .. })));
    assert!(matches!(repository::next_version(Role::Targets, Some(&last)), Err(Error::VersionTooHigh { .. })));
}

/// Hardware on a bad day.
struct Broken(Result<[u8; 64], &'static str>);

impl Signer for Broken {
    fn public_key(&self) -> PublicKey {
        public(2)
    }

    fn sign(&self, _: &[u8]) -> Result<Signature, SignError> {
        self.0.map(Signature::from_bytes).map_err(SignError::new)
    }
}

#[test]
fn a_signer_that_fails_or_lies() {
    let (_, root) = root();
    for (signer, word) in [(Broken(Err("no token in slot 0")), "no token in slot 0"), (Broken(Ok([0; 64])), "not a signature of this key")]
    {
        let error = TargetsDraft::new(time(LATER)).sign(&root, &[&signer]).unwrap_err();
        assert!(matches!(&error, Error::Signing { role: Role::Targets, .. }));
        assert!(error.to_string().contains(word) && error.to_string().contains(&id(2)), "{error}");
    }
}

#[test]
fn a_root_of_thresholds_is_refreshed() {
    // The publisher's files and the client, together, over a rotation of everything.
    let (first, root) = root();
    let mut repo = Repo::new();
    repo.files.clear();
    let publish = |repo: &mut Repo, root: &Root, keys: [u8; 3], version: u64| {
        let mut draft = TargetsDraft::new(time(LATER));
        draft.set_version(version);
        draft.add(TARGET, &Target::of(b"x")).unwrap();
        let targets = draft.sign(root, &[&key(keys[0])]).unwrap();
        let snapshot = repository::snapshot(root, &targets, version, time(LATER), &[&key(keys[1])]).unwrap();
        let timestamp = repository::timestamp(root, &snapshot, version, time(LATER), &[&key(keys[2])]).unwrap();
        repo.files.insert("targets.json".to_owned(), targets);
        repo.files.insert("snapshot.json".to_owned(), snapshot);
        repo.files.insert("timestamp.json".to_owned(), timestamp);
    };
    repo.files.insert("1.root.json".to_owned(), first.clone());
    publish(&mut repo, &root, [2, 3, 4], 1);
    let trusted = repo.regular();
    let mut draft = RootDraft::after(&first, time(LATER)).unwrap();
    for (role, key) in [(Role::Root, 51), (Role::Targets, 52), (Role::Snapshot, 53), (Role::Timestamp, 54)] {
        draft = draft.role(role, 1, [public(key)]);
    }
    let second = draft.sign(&[&key(31), &key(32), &key(51)]).unwrap();
    let root = Root::open(&second).unwrap();
    repo.files.insert("2.root.json".to_owned(), second);
    publish(&mut repo, &root, [52, 53, 54], 2);
    assert_eq!(repo.run(trusted).outcome.unwrap().version, 2);
    let mut unrelated = Repo::new();
    set_role(&mut unrelated.root, Role::Root, 1, &[77]);
    assert!(unrelated.run(repo.regular()).outcome.is_err());
}
