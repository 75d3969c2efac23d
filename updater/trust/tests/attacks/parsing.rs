//! T06: texts that two readers read in two ways. The signature is good in each case; the spelling is not.

use trust::canonical::JsonError;
use trust::{Error, Role, Root};

use crate::support::{Repo, key};
use trust::Signer;

/// Replaces the first `from` in the served timestamp.
fn respelled(from: &str, to: &str) -> Repo {
    let mut repo = Repo::new();
    let text = String::from_utf8(repo.files["timestamp.json"].clone()).unwrap();
    assert!(text.contains(from), "{text}");
    repo.files.insert("timestamp.json".to_owned(), text.replacen(from, to, 1).into_bytes());
    repo
}

fn check(what: &str, repo: &Repo, expected: &JsonError) {
    let run = repo.run(repo.newcomer());
    assert_eq!(run.trusted.timestamp, None, "{what}");
    assert_eq!(run.refused(), Error::Json { role: Role::Timestamp, reason: expected.clone() }, "{what}");
}

#[test]
fn t06_repeated_and_look_alike_keys() {
    let twice = |key: &str| JsonError::DuplicateKey(key.to_owned());
    let case = |key: &str| JsonError::KeyDiffersByCase(key.to_owned());
    let cases = [
        ("version twice", "\"version\":1}", "\"version\":1,\"version\":2}", twice("version")),
        ("the same value twice", "\"version\":1}", "\"version\":1,\"version\":1}", twice("version")),
        ("an escaped twin", "\"version\":1}", "\"version\":1,\"\\u0076ersion\":2}", twice("version")),
        ("other capitals", "\"version\":1}", "\"version\":1,\"Version\":2}", case("Version")),
        ("a Cyrillic е", "\"version\":1}", "\"version\":1,\"vеrsion\":2}", JsonError::KeyNotAscii("vеrsion".to_owned())),
        ("signed twice", "\"signed\":", "\"signed\":{},\"signed\":", twice("signed")),
        ("signatures twice", "{\"signatures\":", "{\"signatures\":[],\"signatures\":", twice("signatures")),
        ("Signed", "{\"signatures\":", "{\"Signed\":{},\"signatures\":", case("signed")),
        ("deep inside", "\"sha256\":", "\"sha256\":\"00\",\"sha256\":", twice("sha256")),
        ("key id twice", "\"keyid\":", "\"keyid\":\"\",\"keyid\":", twice("keyid")),
    ];
    for (what, from, to, expected) in cases {
        check(what, &respelled(from, to), &expected);
    }
}

#[test]
fn t06_around_the_value() {
    let good = Repo::new();
    let file = good.files["timestamp.json"].clone();
    let cases: [(&str, Vec<u8>, JsonError); 5] = [
        ("byte order mark", [b"\xef\xbb\xbf", &file[..]].concat(), JsonError::ByteOrderMark),
        ("a second value", [&file[..], b"{}"].concat(), JsonError::Trailing),
        ("the file twice", file.repeat(2), JsonError::Trailing),
        ("a NUL", [&file[..], b"\0"].concat(), JsonError::Trailing),
        ("a comment", [&file[..], b"// ok"].concat(), JsonError::Trailing),
    ];
    for (what, bytes, expected) in cases {
        let mut repo = good.clone();
        repo.files.insert("timestamp.json".to_owned(), bytes);
        check(what, &repo, &expected);
    }
    for bytes in [&b""[..], b"\xff\xfe{\0}\0", b"[]", b"null", b"0", &file[..file.len() - 1], &file[1..]] {
        let mut repo = good.clone();
        repo.files.insert("timestamp.json".to_owned(), bytes.to_vec());
        assert!(matches!(repo.refusal(), Error::Json { .. } | Error::Malformed { .. }), "{bytes:?}");
    }
}

#[test]
fn t06_numbers() {
    for spelling in ["1.0", "1e0", "1.5", "0.1e1", "-0", "18446744073709551616"] {
        let repo = respelled("\"version\":1}", &format!("\"version\":{spelling}}}"));
        check(spelling, &repo, &JsonError::NotAnInteger);
    }
    for spelling in ["01", "1E400", "+1", "0x1", "1_0", "NaN", "Infinity", ".5", "1."] {
        let repo = respelled("\"version\":1}", &format!("\"version\":{spelling}}}"));
        assert!(matches!(repo.refusal(), Error::Json { reason: JsonError::Syntax(_), .. }), "{spelling}");
    }
}

#[test]
fn t06_depth() {
    let deep = |levels: usize| format!("\"version\":1,\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    check("deep", &respelled("\"version\":1}", &deep(100)), &JsonError::TooDeep);
    // Deep enough to kill a reader without a limit.
    let mut repo = Repo::new();
    repo.files.insert("timestamp.json".to_owned(), "[".repeat(60_000).into_bytes());
    check("very deep", &repo, &JsonError::TooDeep);
}

#[test]
fn spelling_that_means_the_same_is_fine() {
    // White space, order of members and escapes are not signed: only the canonical form is.
    let repo = Repo::new();
    let mut pretty = repo.clone();
    for path in ["1.root.json", "timestamp.json"] {
        let value: serde_json::Value = serde_json::from_slice(&repo.files[path]).unwrap();
        pretty.files.insert(path.to_owned(), serde_json::to_vec_pretty(&value).unwrap());
    }
    assert!(pretty.run(pretty.newcomer()).outcome.is_ok());
    let escaped = respelled("\"_type\":\"timestamp\"", "\"\\u005ftype\":\"\\u0074imestamp\"");
    assert!(escaped.run(escaped.newcomer()).outcome.is_ok());
}

#[test]
fn a_signature_covers_the_canonical_form_and_nothing_else() {
    // Signed over the compact file text instead: what a naive signer would do.
    let mut repo = Repo::new();
    let text = format!(
        "{{\"version\":1,\"_type\":\"timestamp\",\"spec_version\":\"1.0.31\",\"expires\":\"2027-02-01T00:00:00Z\",\"meta\":{}}}",
        repo.timestamp["meta"]
    );
    let sig = hex::encode(key(4).sign(text.as_bytes()).unwrap().to_bytes());
    let file = format!("{{\"signed\":{text},\"signatures\":[{{\"keyid\":\"{}\",\"sig\":\"{sig}\"}}]}}", crate::support::id(4));
    repo.files.insert("timestamp.json".to_owned(), file.into_bytes());
    assert!(matches!(repo.refusal(), Error::Signatures { .. }));
    assert!(Root::open(&repo.files["1.root.json"]).is_ok());
}
