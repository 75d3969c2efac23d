//! What reaches an operator's terminal when a hostile file is refused.

use serde_json::{Value, json};
use trust::Role;

use crate::support::{Repo, TARGET, bytes, set_role, sign};

#[test]
fn foreign_text_is_short_and_cannot_steer_a_terminal() {
    let ascii = format!("\u{1b}]0;owned\u{7}\r\n{}", "x".repeat(50_000));
    check(&ascii);
    check(&format!("\u{202e}{ascii}"));
}

fn check(nasty: &str) {
    let cases: [(&str, fn(&mut Repo, &str)); 9] = [
        ("type", |repo, nasty| repo.timestamp["_type"] = json!(nasty)),
        ("spec_version", |repo, nasty| repo.timestamp["spec_version"] = json!(nasty)),
        ("expires", |repo, nasty| repo.timestamp["expires"] = json!(nasty)),
        ("meta", |repo, nasty| repo.timestamp["meta"] = json!(nasty)),
        ("length", |repo, nasty| repo.timestamp["meta"]["snapshot.json"]["length"] = json!(nasty)),
        ("member", |repo, nasty| {
            repo.timestamp[nasty] = json!(1);
            repo.timestamp[nasty.to_uppercase()] = json!(1);
        }),
        ("target", |repo, nasty| repo.targets["targets"][nasty] = repo.targets["targets"][TARGET].clone()),
        ("custom", |repo, nasty| repo.targets["targets"][TARGET]["custom"] = json!(nasty)),
        ("key id", |repo, nasty| {
            repo.next_root(&[1], |root| {
                let key = root["keys"].as_object().unwrap().values().next().unwrap().clone();
                root["keys"][nasty] = key;
            });
        }),
    ];
    for (what, change) in cases {
        let mut repo = Repo::new();
        change(&mut repo, nasty);
        let file = bytes(&sign(&repo.targets, &[2]));
        repo.snapshot["meta"]["targets.json"] = crate::support::entry(&json!(1), &file);
        repo.files.insert("targets.json".to_owned(), file);
        let file = bytes(&sign(&repo.snapshot, &[3]));
        if what == "target" || what == "custom" {
            repo.timestamp["meta"]["snapshot.json"] = crate::support::entry(&json!(1), &file);
        }
        repo.files.insert("snapshot.json".to_owned(), file);
        repo.relink_timestamp();
        let text = repo.refusal().to_string();
        assert!(text.len() < 3000, "{what}: {} bytes", text.len());
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{what}: {text:?}");
    }
    // Of a signature's key id as well.
    let mut repo = Repo::new();
    let mut file: Value = serde_json::from_slice(&repo.files["timestamp.json"]).unwrap();
    let entry = json!({"keyid": nasty, "sig": ""});
    file["signatures"] = json!([entry, entry]);
    repo.files.insert("timestamp.json".to_owned(), bytes(&file));
    let text = repo.refusal().to_string();
    assert!(text.len() < 3000 && !text.contains(char::is_control), "{text:?}");
}

#[test]
fn every_refusal_says_what_to_do() {
    let mut expired = Repo::new();
    expired.timestamp["expires"] = json!("2020-01-01T00:00:00Z");
    expired.relink_timestamp();
    let mut unmet = Repo::new();
    set_role(&mut unmet.root, Role::Targets, 2, &[2]);
    unmet.put_root(&[1]);
    let mut missing = Repo::new();
    missing.files.remove("timestamp.json");
    let mut stranger = Repo::new();
    stranger.signers.insert(Role::Timestamp, vec![99]);
    stranger.relink();
    for (repo, advice, kind) in [
        (expired, "publish newly signed timestamp metadata", "expired"),
        (unmet, "add keys or lower the threshold", "wrong-key"),
        (missing, "correct the repository's address", "missing"),
        (stranger, "publish it signed by more of these keys", "wrong-key"),
    ] {
        let error = repo.refusal();
        assert!(error.to_string().contains(advice), "{error}");
        assert_eq!(error.kind().name(), kind);
    }
}
