//! A reader that was taken over says anything; the witness believes what keys signed.

use serde_json::json;
use trust::{Error, KeyId, Role, Signature, Statement, Witness};

use crate::support::*;

fn trusted(repo: &Repo) -> Vec<u8> {
    repo.newcomer().root
}

fn statement(role: Role, file: &[u8]) -> Statement {
    Statement::of(role, file).unwrap()
}

#[test]
fn an_honest_reader_is_believed() {
    let mut repo = Repo::new();
    let mut witness = Witness::new(&trusted(&repo)).unwrap();
    for key in [11, 12, 13] {
        repo.rotate(Role::Targets, key);
        let version = repo.root["version"].as_u64().unwrap();
        let kept = witness.root(&statement(Role::Root, &repo.files[&format!("{version}.root.json")])).unwrap();
        // What is kept opens like the original and leads on.
        witness = Witness::new(&kept).unwrap();
    }
    repo.release();
    let targets = witness.targets(&statement(Role::Targets, &repo.files["targets.json"]), time(NOW)).unwrap();
    assert!(targets.find(TARGET).unwrap().check(CONTENT).is_ok());
}

#[test]
fn roots_that_the_one_before_does_not_vouch_for_are_refused() {
    let mut repo = Repo::new();
    let first = trusted(&repo);
    repo.rotate(Role::Targets, 11);
    let good = statement(Role::Root, &repo.files["2.root.json"]);
    let stolen = statement(Role::Root, &bytes(&sign(&repo.root, &[66])));
    let skipped = {
        let mut signed = repo.root.clone();
        signed["version"] = json!(3);
        statement(Role::Root, &bytes(&sign(&signed, &[1])))
    };
    let targets = statement(Role::Targets, &repo.files["targets.json"]);
    let changed = |at: usize| {
        let mut statement = good.clone();
        statement.signed[at] ^= 1;
        statement
    };
    let many = Statement { signatures: vec![good.signatures[0].clone(); 1000], ..good.clone() };
    let nobody = Statement { signatures: Vec::new(), ..good.clone() };
    let renamed = Statement { signatures: vec![(KeyId::from_hex(&id(66)).unwrap(), good.signatures[0].1)], ..good.clone() };
    let garbled = Statement { signatures: vec![(good.signatures[0].0.clone(), Signature::from_bytes([7; 64]))], ..good.clone() };
    let behind = Statement { signed: [&good.signed[..], b" "].concat(), ..good.clone() };
    let last = good.signed.len() - 1;
    let table = [stolen, skipped, targets, changed(0), changed(last), many, nobody, renamed, garbled, behind];
    for (number, lie) in table.iter().enumerate() {
        let mut witness = Witness::new(&first).unwrap();
        assert!(witness.root(lie).is_err(), "lie {number}");
        assert!(witness.root(&good).is_ok(), "lie {number} left a trace");
        assert!(witness.root(&good).is_err(), "the same step twice");
    }
}

#[test]
fn bytes_that_nobody_signed_are_not_even_read() {
    let witness = Witness::new(&trusted(&Repo::new())).unwrap();
    let deep = "[".repeat(1_000_000);
    let lie = Statement { signed: deep.into_bytes(), signatures: Vec::new() };
    assert!(matches!(witness.targets(&lie, time(NOW)), Err(Error::Signatures { .. })), "the first complaint is the signature");
}

#[test]
fn targets_are_the_offline_keys_word_and_have_a_date() {
    let repo = Repo::new();
    let witness = Witness::new(&trusted(&repo)).unwrap();
    let good = statement(Role::Targets, &repo.files["targets.json"]);
    assert!(matches!(witness.targets(&good, time(LATER)), Err(Error::Expired { .. })));
    for key in [1, 3, 4, 66] {
        let lie = statement(Role::Targets, &bytes(&sign(&repo.targets, &[key])));
        assert!(matches!(witness.targets(&lie, time(NOW)), Err(Error::Signatures { .. })), "key {key}");
    }
    let other = statement(Role::Snapshot, &repo.files["snapshot.json"]);
    assert!(witness.targets(&other, time(NOW)).is_err());
}
