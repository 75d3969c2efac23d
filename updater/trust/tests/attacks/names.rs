//! T16, T17, T19: targets that are not for us, things nobody asked for, and names that want to be elsewhere.

use serde_json::{Value, json};
use trust::{Error, Role, TargetName};

use crate::support::{CONTENT, Repo, TARGET, entry, sign};

const SAFE: [&str; 9] = [
    "a",
    "release.json",
    "slipway-vm-1.2.3-amd64/root.erofs.zst",
    "a/b/c/d",
    "A-Z_0~9+x@y=z",
    ".hidden",
    "..a",
    "a..b",
    "console/nullable.txt",
];

const UNSAFE: [&str; 40] = [
    "",
    "/",
    ".",
    "..",
    "./",
    "../",
    "../a",
    "a/..",
    "a/../b",
    "a/./b",
    "./a",
    "/a",
    "/etc/passwd",
    "//a",
    "a//b",
    "a/",
    "a\\b",
    "..\\a",
    "C:\\a",
    "C:/a",
    "a:b",
    "a\0",
    "\0",
    "a b",
    "a\nb",
    "a\tb",
    "%2e%2e/a",
    "a%2fb",
    "a%00",
    "a?b",
    "a#b",
    "a*b",
    "a;b",
    "a&b",
    "ä",
    "a\u{202e}b",
    "con",
    "a/NUL.txt",
    "aux.",
    "a.",
];

#[test]
fn t19_names() {
    for name in SAFE {
        assert!(TargetName::new(name).is_ok(), "{name:?}");
    }
    for name in UNSAFE {
        let error = TargetName::new(name).unwrap_err();
        assert!(matches!(error, Error::Name { .. }), "{name:?}");
        assert!(!error.to_string().contains(['\0', '\n', '\u{202e}']), "nothing raw reaches a terminal: {error:?}");
    }
    assert!(TargetName::new(&"a".repeat(512)).is_ok());
    assert!(TargetName::new(&"a".repeat(513)).is_err());
}

#[test]
fn t19_one_unsafe_name_spoils_a_signed_file() {
    for name in UNSAFE {
        let mut repo = Repo::new();
        repo.targets["targets"][name] = repo.targets["targets"][TARGET].clone();
        repo.relink();
        let run = repo.run(repo.newcomer());
        assert_eq!(run.trusted.targets, None, "{name:?}");
        // Keys outside ASCII are refused by the reader already.
        assert!(matches!(run.refused(), Error::Name { .. } | Error::Json { .. }), "{name:?}");
    }
}

#[test]
fn t16_only_exactly_what_was_asked_for_is_found() {
    let mut repo = Repo::new();
    repo.targets["targets"]["slipway-metal-1.0.0-arm64/release.json"] = repo.targets["targets"][TARGET].clone();
    repo.relink();
    let targets = repo.run(repo.newcomer()).outcome.unwrap();
    assert!(targets.find(TARGET).is_some());
    for other in [
        "slipway-vm-1.0.0-arm64/release.json",
        "SLIPWAY-VM-1.0.0-AMD64/release.json",
        "release.json",
        "slipway-vm-1.0.0-amd64",
        "",
        "slipway-vm-1.0.0-amd64/../slipway-vm-1.0.0-amd64/release.json",
    ] {
        assert!(targets.find(other).is_none(), "{other}");
    }
    assert_eq!(targets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["slipway-metal-1.0.0-arm64/release.json", TARGET]);
    assert_eq!((targets.len(), targets.is_empty()), (2, false));
}

#[test]
fn t16_custom_is_handed_on_as_signed() {
    let custom =
        json!({"app-id": "{00000000-0000-0000-0000-000000000000}", "version": "1.0.0", "arch": "amd64", "x": [1, null, {"y": true}]});
    let mut repo = Repo::new();
    repo.targets["targets"][TARGET]["custom"] = custom.clone();
    repo.relink();
    let targets = repo.run(repo.newcomer()).outcome.unwrap();
    assert_eq!(targets.find(TARGET).unwrap().custom, custom);
    for bad in [json!("text"), json!([]), json!(1)] {
        repo.targets["targets"][TARGET]["custom"] = bad;
        repo.relink();
        assert!(matches!(repo.refusal(), Error::Malformed { role: Role::Targets, .. }));
    }
}

#[test]
fn t17_unknown_members_are_signed_for_and_ignored() {
    let mut repo = Repo::new();
    for role in Role::ALL {
        repo.signed(role)["x-postinstall"] = json!({"run": "rm -rf /"});
    }
    repo.root["roles"]["mirrors"] = json!({"keyids": [], "threshold": 1});
    repo.root["roles"]["root"]["x-note"] = json!(1);
    repo.targets["targets"][TARGET]["postinstall"] = json!("evil.sh");
    repo.targets["targets"][TARGET]["hashes"]["sha3"] = json!("00");
    repo.put_root(&[1]);
    repo.relink();
    repo.timestamp["meta"]["extra.json"] = json!({"version": 1});
    repo.relink_timestamp();
    let run = repo.run(repo.newcomer());
    assert_eq!(run.asked, ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"], "nothing more is fetched");
    let targets = run.outcome.unwrap();
    assert!(targets.find(TARGET).unwrap().check(CONTENT).is_ok());
    // They are part of what is signed.
    let mut file: Value = serde_json::from_slice(&repo.files["timestamp.json"]).unwrap();
    file["signed"]["x-postinstall"]["run"] = json!("true");
    repo.files.insert("timestamp.json".to_owned(), crate::support::bytes(&file));
    assert!(matches!(repo.refusal(), Error::Signatures { .. }));
}

#[test]
fn t17_delegations_are_ignored() {
    let mut repo = Repo::new();
    repo.targets["delegations"] =
        json!({"keys": {}, "roles": [{"name": "evil", "keyids": [], "threshold": 0, "terminating": true, "paths": ["*"]}]});
    let mut delegated = repo.targets.clone();
    delegated["targets"] = json!({"evil": repo.targets["targets"][TARGET].clone()});
    let file = crate::support::bytes(&sign(&delegated, &[99]));
    repo.snapshot["meta"]["evil.json"] = entry(&json!(1), &file);
    repo.files.insert("evil.json".to_owned(), file);
    repo.relink();
    let run = repo.run(repo.newcomer());
    assert_eq!(run.asked.last().unwrap(), "targets.json");
    let targets = run.outcome.unwrap();
    assert!(targets.find(TARGET).is_some());
    assert!(targets.find("evil").is_none());
}

#[test]
fn targets_that_make_no_sense() {
    let cases: [(&str, fn(&mut Value)); 9] = [
        ("no length", |target| _ = target.as_object_mut().unwrap().remove("length")),
        ("negative length", |target| target["length"] = json!(-1)),
        ("text length", |target| target["length"] = json!("19")),
        ("no hashes", |target| _ = target.as_object_mut().unwrap().remove("hashes")),
        ("empty hashes", |target| target["hashes"] = json!({})),
        ("weak hashes only", |target| target["hashes"] = json!({"md5": "00", "sha1": "00"})),
        ("short sha256", |target| target["hashes"]["sha256"] = json!("00")),
        ("number as sha256", |target| target["hashes"]["sha256"] = json!(0)),
        ("not an object", |target| *target = json!("x")),
    ];
    for (what, change) in cases {
        let mut repo = Repo::new();
        change(&mut repo.targets["targets"][TARGET]);
        repo.relink();
        assert!(matches!(repo.refusal(), Error::Malformed { role: Role::Targets, .. }), "{what}");
    }
    for bad in [json!(null), json!([]), json!("x")] {
        let mut repo = Repo::new();
        repo.targets["targets"] = bad;
        repo.relink();
        assert!(matches!(repo.refusal(), Error::Malformed { .. }));
    }
}
