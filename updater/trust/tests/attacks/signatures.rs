//! T01, T02, T03, T05: who has signed, and what.

use serde_json::{Value, json};
use trust::{Error, Kind, Role};

use crate::support::{Repo, bytes, id, set_role, sign, signature};

/// Replaces the file of each role in turn by a version of it with changed signatures; the parents list the changed file.
fn check(what: &str, change: impl Fn(&mut Value), expected: impl Fn(&Error) -> bool) {
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        let mut repo = Repo::new();
        serve(&mut repo, role, &change);
        let run = repo.run(repo.newcomer());
        assert_eq!(run.trusted.get(role), None, "{what}: {role} must not be kept");
        let error = run.refused();
        assert!(expected(&error), "{what}, {role}: {error}");
    }
    let mut repo = Repo::new();
    repo.next_root(&[1], |_| ());
    let mut file = serde_json::from_slice(&repo.files["2.root.json"]).unwrap();
    change(&mut file);
    repo.files.insert("2.root.json".to_owned(), bytes(&file));
    let run = repo.run(repo.newcomer());
    assert_eq!(run.trusted.root, repo.files["1.root.json"], "{what}: the old root stays");
    let error = run.refused();
    assert!(expected(&error), "{what}, root: {error}");
}

/// Puts a changed file in its place and mends the list above it.
fn serve(repo: &mut Repo, role: Role, change: impl Fn(&mut Value)) {
    let path = role.file_name();
    let mut file: Value = serde_json::from_slice(&repo.files[&path]).unwrap();
    change(&mut file);
    let file = bytes(&file);
    match role {
        Role::Targets => {
            repo.snapshot["meta"]["targets.json"] = crate::support::entry(&json!(1), &file);
            repo.relink_snapshot();
        }
        Role::Snapshot => {
            repo.timestamp["meta"]["snapshot.json"] = crate::support::entry(&json!(1), &file);
            repo.relink_timestamp();
        }
        Role::Timestamp | Role::Root => {}
    }
    repo.files.insert(path, file);
}

const fn unsigned(error: &Error) -> bool {
    matches!(error, Error::Signatures { needed: 1, good, .. } if good.is_empty())
}

#[test]
fn t01_no_signature_or_a_mangled_one() {
    check("no signatures", |file| file["signatures"] = json!([]), unsigned);
    let resize = |change: fn(&str) -> String| {
        move |file: &mut Value| {
            let sig = file["signatures"][0]["sig"].as_str().unwrap();
            file["signatures"][0]["sig"] = change(sig).into();
        }
    };
    let cases: [(&str, fn(&str) -> String); 9] = [
        ("empty", |_| String::new()),
        ("63 bytes", |sig| sig[2..].to_owned()),
        ("65 bytes", |sig| format!("{sig}00")),
        ("half a byte less", |sig| sig[1..].to_owned()),
        ("twice", |sig| sig.repeat(2)),
        ("not hex", |sig| format!("zz{}", &sig[2..])),
        ("spaces", |sig| format!(" {sig}")),
        ("zeros", |sig| "0".repeat(sig.len())),
        ("last bit", |sig| {
            let last = if sig.ends_with('0') { '1' } else { '0' };
            format!("{}{last}", &sig[..127])
        }),
    ];
    for (what, change) in cases {
        check(what, resize(change), unsigned);
    }
    for (what, entry) in
        [("no sig", json!({"keyid": id(1)})), ("no key id", json!({"sig": "00"})), ("a list", json!([])), ("a null", json!(null))]
    {
        check(what, |file| file["signatures"] = json!([entry]), |error| matches!(error, Error::Malformed { .. }));
    }
    check(
        "signatures missing",
        |file| _ = file.as_object_mut().unwrap().remove("signatures"),
        |error| matches!(error, Error::Malformed { .. }),
    );
    check("signed missing", |file| _ = file.as_object_mut().unwrap().remove("signed"), |error| matches!(error, Error::Malformed { .. }));
    check(
        "too many",
        |file| file["signatures"] = (0..65).map(|n| json!({"keyid": n.to_string(), "sig": ""})).collect(),
        |error| matches!(error, Error::Malformed { .. }),
    );
}

#[test]
fn t02_an_unknown_key() {
    check("unknown key", |file| *file = sign(&file["signed"], &[99]), unsigned);
    // The bytes of a stranger's signature under the name of a good key.
    check(
        "borrowed name",
        |file| {
            let name = file["signatures"][0]["keyid"].clone();
            *file = sign(&file["signed"], &[99]);
            file["signatures"][0]["keyid"] = name;
        },
        unsigned,
    );
}

#[test]
fn t02_a_key_of_another_role() {
    for (role, stranger) in [(Role::Targets, 3), (Role::Targets, 4), (Role::Targets, 1), (Role::Snapshot, 4), (Role::Timestamp, 3)] {
        let mut repo = Repo::new();
        repo.signers.insert(role, vec![stranger]);
        repo.relink();
        let error = repo.refusal();
        assert!(unsigned(&error), "{role} signed by key {stranger}: {error}");
        assert!(error.to_string().contains(&id(match role {
            Role::Targets => 2,
            Role::Snapshot => 3,
            _ => 4,
        })));
    }
}

#[test]
fn t02_a_revoked_key() {
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        let mut repo = Repo::new();
        let old = repo.signers[&role].clone();
        repo.rotate(role, 20);
        repo.signers.insert(role, old);
        repo.release();
        let run = repo.run(repo.newcomer());
        assert_eq!(run.trusted.root, repo.files["2.root.json"], "the new root is kept");
        let error = run.refused();
        assert!(unsigned(&error) && error.kind() == Kind::WrongKey, "{role}: {error}");
        assert!(error.to_string().contains("trusted root (version 2)"), "{error}");
    }
}

/// A targets role with keys 21, 22, 23, two of which have to sign.
fn two_of_three(signatures: impl Fn(&Value) -> Vec<Value>) -> Repo {
    let mut repo = Repo::new();
    set_role(&mut repo.root, Role::Targets, 2, &[21, 22, 23]);
    repo.put_root(&[1]);
    serve(&mut repo, Role::Targets, |file| file["signatures"] = signatures(&file["signed"]).into());
    repo
}

#[test]
fn t03_two_of_three() {
    let bad = |signed: &Value, n| {
        let mut bad = signature(signed, n);
        bad["sig"] = "00".repeat(64).into();
        bad
    };
    type Signatures = Box<dyn Fn(&Value) -> Vec<Value>>;
    let good: [(&str, Signatures); 5] = [
        ("two", Box::new(|s| vec![signature(s, 21), signature(s, 23)])),
        ("all", Box::new(|s| vec![signature(s, 23), signature(s, 22), signature(s, 21)])),
        ("two and a bad one", Box::new(move |s| vec![bad(s, 21), signature(s, 22), signature(s, 23)])),
        ("two and a stranger", Box::new(|s| vec![signature(s, 99), signature(s, 22), signature(s, 23)])),
        ("two and an empty one", Box::new(|s| vec![json!({"keyid": id(21), "sig": ""}), signature(s, 22), signature(s, 23)])),
    ];
    for (what, signatures) in good {
        let repo = two_of_three(signatures);
        assert!(repo.run(repo.newcomer()).outcome.is_ok(), "{what}");
    }
    let short: [(&str, Signatures, usize); 4] = [
        ("one", Box::new(|s| vec![signature(s, 21)]), 1),
        ("one and a bad one", Box::new(move |s| vec![signature(s, 21), bad(s, 22)]), 1),
        ("one and a stranger", Box::new(|s| vec![signature(s, 21), signature(s, 99)]), 1),
        ("one and the root's", Box::new(|s| vec![signature(s, 21), signature(s, 1)]), 1),
    ];
    for (what, signatures, count) in short {
        let error = two_of_three(signatures).refusal();
        assert!(
            matches!(&error, Error::Signatures { needed: 2, good, accepted, .. } if good.len() == count && accepted.len() == 3),
            "{what}: {error}"
        );
        assert!(error.to_string().contains("1 of the 2 keys"), "{error}");
    }
}

#[test]
fn t03_the_same_key_twice() {
    let error = two_of_three(|signed| vec![signature(signed, 21), signature(signed, 21)]).refusal();
    assert_eq!(error, Error::DuplicateSignature { role: Role::Targets, key_id: id(21) });
}

#[test]
fn t05_one_role_stands_in_for_another() {
    // One key for all roles, so that only the type tells the files apart.
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        for other in Role::ALL {
            if other == role {
                continue;
            }
            let mut repo = Repo::new();
            for any in Role::ALL {
                set_role(&mut repo.root, any, 1, &[1]);
                repo.signers.insert(any, vec![1]);
            }
            repo.put_root(&[1]);
            repo.relink();
            let foreign = repo.files.get(&other.file_name()).unwrap_or(&repo.files["1.root.json"]).clone();
            serve(&mut repo, role, |file| *file = serde_json::from_slice(&foreign).unwrap());
            assert_eq!(repo.refusal(), Error::WrongType { role, found: other.name().to_owned() });
        }
    }
}

#[test]
fn t05_other_signed_things_are_no_metadata() {
    // A release key may sign other things as well, such as a cloud-config; such a signature must not be usable here.
    for foreign in [
        json!({"_type": "cloud-config", "hostname": "x"}),
        json!({"hostname": "x"}),
        json!({}),
        json!({"_type": 5}),
        json!({"_type": "Targets"}),
    ] {
        let mut repo = Repo::new();
        serve(&mut repo, Role::Targets, |file| *file = sign(&foreign, &[2]));
        let error = repo.refusal();
        assert!(matches!(error, Error::WrongType { role: Role::Targets, .. }), "{error}");
    }
}
