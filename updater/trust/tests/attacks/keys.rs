//! T03 and T09: key ids, key types, schemes, thresholds.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use trust::{Error, KeyError, KeySigner, PublicKey, Role, Root, Signer, canonical};

use crate::support::{Repo, bytes, id, key, set_role, sign, signature};

/// Serves a first root after `change`, well signed by key 1.
fn with_root(change: impl FnOnce(&mut Value)) -> Repo {
    let mut repo = Repo::new();
    change(&mut repo.root);
    repo.put_root(&[1]);
    repo
}

/// Lists `object` under its right id for `role`, instead of what was there.
fn list(root: &mut Value, role: Role, object: Value) -> String {
    let id = hex::encode(Sha256::digest(canonical::to_vec(&object).unwrap()));
    root["keys"][&id] = object;
    root["roles"][role.name()]["keyids"] = json!([id]);
    id
}

#[test]
fn t03_one_key_under_two_ids_counts_once() {
    // A key object may have more members; with them the same key has another, equally right id.
    let mut object = key(2).public_key().to_object();
    object["note"] = json!("the same key again");
    let mut second = String::new();
    let mut repo = with_root(|root| {
        second = list(root, Role::Targets, object);
        root["roles"]["targets"] = json!({"keyids": [id(2), second], "threshold": 1});
    });
    // Threshold 1: either id will do.
    assert!(repo.run(repo.newcomer()).outcome.is_ok());
    // Threshold 2 with this one key cannot be met, and the root says so before anybody signs.
    repo.root["roles"]["targets"]["threshold"] = json!(2);
    repo.put_root(&[1]);
    assert_eq!(repo.refusal(), Error::Unmeetable { root_version: 1, role: Role::Targets, threshold: 2, keys: 1 });
    // With a third key it could be met; the two ids of the first alone do not.
    set_role(&mut repo.root, Role::Timestamp, 1, &[4]);
    repo.root["keys"][id(22)] = key(22).public_key().to_object();
    repo.root["roles"]["targets"] = json!({"keyids": [id(2), second, id(22)], "threshold": 2});
    repo.put_root(&[1]);
    let signed = repo.targets.clone();
    let mut again = signature(&signed, 2);
    again["keyid"] = json!(second);
    let file = bytes(&json!({"signed": signed, "signatures": [signature(&signed, 2), again]}));
    repo.snapshot["meta"]["targets.json"] = crate::support::entry(&json!(1), &file);
    repo.relink_snapshot();
    repo.files.insert("targets.json".to_owned(), file);
    let error = repo.refusal();
    assert!(matches!(&error, Error::Signatures { needed: 2, good, .. } if good.len() == 1), "{error}");
}

#[test]
fn a_key_under_a_foreign_id() {
    for wrong in [id(99), "root".to_owned(), String::new(), id(2).to_uppercase(), "00".repeat(32)] {
        let repo = with_root(|root| {
            let object = root["keys"].as_object_mut().unwrap().remove(&id(2)).unwrap();
            root["keys"][&wrong] = object;
            root["roles"]["targets"]["keyids"] = json!([wrong]);
        });
        let error = repo.refusal();
        assert!(matches!(&error, Error::KeyId { listed, computed } if *listed == wrong && computed.as_str() == id(2)), "{error}");
    }
}

#[test]
fn t09_other_algorithms_count_for_nothing() {
    let public = hex::encode(key(2).public_key().as_bytes());
    let cases = [
        json!({"keytype": "none", "scheme": "none", "keyval": {"public": public}}),
        json!({"keytype": "ed25519", "scheme": "none", "keyval": {"public": public}}),
        json!({"keytype": "ed25519", "scheme": "rsassa-pss-sha256", "keyval": {"public": public}}),
        json!({"keytype": "rsa", "scheme": "ed25519", "keyval": {"public": public}}),
        json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": public}}),
        json!({"keytype": "ED25519", "scheme": "ed25519", "keyval": {"public": public}}),
        json!({"keytype": "ed25519", "scheme": "ed25519ph", "keyval": {"public": public}}),
        json!({"keytype": ["ed25519"], "scheme": "ed25519", "keyval": {"public": public}}),
        json!({"keytype": "ed25519", "keyval": {"public": public}}),
        json!({}),
        json!(null),
    ];
    for object in cases {
        let repo = with_root(|root| _ = list(root, Role::Targets, object.clone()));
        let error = repo.refusal();
        assert_eq!(error, Error::Unmeetable { root_version: 1, role: Role::Targets, threshold: 1, keys: 0 }, "{object}");
    }
}

#[test]
fn t09_keys_of_other_types_beside_ours_are_allowed() {
    let object = json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": "-----BEGIN PUBLIC KEY-----"}});
    let mut repo = with_root(|root| {
        let other = list(root, Role::Targets, object);
        root["roles"]["targets"]["keyids"] = json!([other, id(2)]);
    });
    assert!(repo.run(repo.newcomer()).outcome.is_ok());
    repo.root["roles"]["targets"]["threshold"] = json!(2);
    repo.put_root(&[1]);
    assert_eq!(repo.refusal(), Error::Unmeetable { root_version: 1, role: Role::Targets, threshold: 2, keys: 1 });
}

#[test]
fn t09_bad_ed25519_keys() {
    let public = |text: &str| json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": text}});
    let cases = [
        (public(""), KeyError::Hex),
        (public("zz"), KeyError::Hex),
        (public(&"00".repeat(31)), KeyError::Hex),
        (public(&"00".repeat(33)), KeyError::Hex),
        (json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {}}), KeyError::Hex),
        (json!({"keytype": "ed25519", "scheme": "ed25519"}), KeyError::Hex),
        (public(&format!("01{}", "00".repeat(31))), KeyError::Weak),
        (public(&"00".repeat(32)), KeyError::Weak),
        (public(&format!("02{}", "00".repeat(31))), KeyError::Encoding),
    ];
    for (object, expected) in cases {
        let repo = with_root(|root| _ = list(root, Role::Targets, object.clone()));
        let error = repo.refusal();
        assert!(matches!(&error, Error::Key { reason, .. } if *reason == expected), "{object}: {error}");
    }
}

#[test]
fn roots_that_make_no_sense() {
    let cases: [(&str, fn(&mut Value)); 13] = [
        ("threshold 0", |root| root["roles"]["targets"]["threshold"] = json!(0)),
        ("threshold below 0", |root| root["roles"]["targets"]["threshold"] = json!(-1)),
        ("threshold text", |root| root["roles"]["targets"]["threshold"] = json!("1")),
        ("threshold too high", |root| root["roles"]["snapshot"]["threshold"] = json!(2)),
        ("threshold absurd", |root| root["roles"]["snapshot"]["threshold"] = json!(u64::MAX)),
        ("key id twice", |root| root["roles"]["targets"] = json!({"keyids": [id(2), id(2)], "threshold": 2})),
        ("key id unknown", |root| root["roles"]["targets"]["keyids"] = json!([id(77)])),
        ("no keys for a role", |root| root["roles"]["timestamp"]["keyids"] = json!([])),
        ("role missing", |root| _ = root["roles"].as_object_mut().unwrap().remove("timestamp")),
        ("roles missing", |root| _ = root.as_object_mut().unwrap().remove("roles")),
        ("keys missing", |root| _ = root.as_object_mut().unwrap().remove("keys")),
        ("consistent_snapshot text", |root| root["consistent_snapshot"] = json!("false")),
        ("too many keys", |root| (0..130).for_each(|n| set_role(root, Role::Snapshot, 1, &[n]))),
    ];
    for (what, change) in cases {
        let first = with_root(change);
        assert!(Root::open(&first.files["1.root.json"]).is_err(), "{what}: as the first root");
        let mut second = Repo::new();
        second.next_root(&[1], change);
        let run = second.run(second.newcomer());
        assert_eq!(run.trusted.root, second.files["1.root.json"], "{what}");
        assert!(run.outcome.is_err(), "{what}: as the second root");
    }
}

#[test]
fn the_first_root_must_be_signed_by_itself() {
    let mut repo = Repo::new();
    repo.put_root(&[99]);
    assert!(matches!(repo.refusal(), Error::Signatures { role: Role::Root, .. }));
    for bytes in [&b""[..], b"{}", b"not json", &repo.files["targets.json"]] {
        assert!(Root::open(bytes).is_err());
    }
}

#[test]
fn pem_round_trip_and_refusals() {
    // The same key in both forms, as openssl writes them.
    let private =
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n-----END PRIVATE KEY-----\n";
    let signer = KeySigner::from_pem(private).unwrap();
    assert_eq!(signer.public_key(), key(1).public_key());
    let pem = key(1).public_key().to_pem();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA"), "{pem}");
    assert_eq!(PublicKey::from_pem(&pem).unwrap(), key(1).public_key());
    assert_eq!(PublicKey::from_pem(&format!("\n{pem}\n\n")).unwrap(), key(1).public_key());
    let p256 = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n";
    for text in ["", "hello", private, p256, &pem.replace("PUBLIC KEY", "CERTIFICATE"), &pem[..pem.len() / 2]] {
        assert!(matches!(PublicKey::from_pem(text), Err(KeyError::Pem(_))), "{text}");
    }
    assert!(matches!(KeySigner::from_pem(&pem), Err(KeyError::PrivatePem(_))));
    assert!(!format!("{:?}", key(1)).contains("0101"), "a secret must not show");
}

#[test]
fn a_key_id_is_the_hash_of_the_canonical_key_object() {
    let public = key(1).public_key();
    let text = format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#, hex::encode(public.as_bytes()));
    assert_eq!(public.id().as_str(), hex::encode(Sha256::digest(text)));
    assert_eq!(sign(&json!({}), &[1])["signatures"][0]["keyid"], public.id().as_str());
}
