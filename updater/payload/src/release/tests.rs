use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::test_data;

fn value() -> Value {
    serde_json::from_slice(&test_data::release().to_json()).unwrap()
}

fn parse(value: &Value) -> Result<Release, ReleaseError> {
    Release::parse(&serde_json::to_vec(value).unwrap())
}

/// The good release with the value at `pointer` replaced.
fn with(pointer: &str, new: Value) -> Result<Release, ReleaseError> {
    let mut json = value();
    match json.pointer_mut(pointer) {
        Some(place) => *place = new,
        None => {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            json.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.into(), new);
        }
    }
    parse(&json)
}

#[test]
fn what_is_written_is_read() {
    let release = test_data::release();
    let json = release.to_json();
    assert_eq!(Release::parse(&json).unwrap(), release);
    assert_eq!(Release::parse(&json).unwrap().to_json(), json);
    assert_eq!(release.folder(), "slipway-vm-1.2.3-amd64");
    assert_eq!(release.part(PartName::Uki).unwrap().size, 100);
    assert_eq!(release.part(PartName::Root).unwrap().known_ways().next().unwrap().file, "root.erofs.zst");
}

#[test]
fn the_format_is_kebab_case_json() {
    let json = value();
    assert_eq!(json["app-id"], crate::app_id("slipway", "vm"));
    assert_eq!(json["parts"][0]["name"], "root");
    assert_eq!(json["parts"][2]["ways"][0]["kind"], "full");
    assert_eq!(json["parts"][2]["ways"][0]["file"], "slipway.efi.zst");
    assert_eq!(json["parts"][0]["ways"][0]["stored-frames"].as_array().unwrap().len(), 2);
    assert_eq!(json["minimum-version"], "1.0.0");
    assert!(test_data::release().to_json().ends_with(b"}\n"));
}

#[test]
fn optional_fields_may_be_left_out() {
    let mut json = value();
    for field in ["minimum-version", "rollback-index", "notes"] {
        json.as_object_mut().unwrap().remove(field).unwrap();
    }
    let release = parse(&json).unwrap();
    assert_eq!((release.minimum_version, release.rollback_index, &*release.notes), (None, 0, ""));
    for field in ["format", "app-id", "name", "variant", "version", "arch", "root-hash", "parts"] {
        let mut json = value();
        json.as_object_mut().unwrap().remove(field).unwrap();
        assert!(matches!(parse(&json), Err(ReleaseError::Json(_))), "{field}");
    }
}

/// T17: what nobody asked for is ignored or refused, never done.
#[test]
fn extraneous_components_are_ignored_or_refused() {
    for pointer in ["/postinstall", "/parts/0/postinstall", "/parts/0/ways/0/exec"] {
        assert_eq!(with(pointer, json!("/bin/sh -c reboot")).unwrap(), test_data::release(), "{pointer}");
    }
    let mut json = value();
    let mut part = json["parts"][2].clone();
    part["name"] = json!("firmware");
    json["parts"].as_array_mut().unwrap().push(part);
    assert!(matches!(parse(&json), Err(ReleaseError::Json(_))));
    let mut json = value();
    let part = json["parts"][2].clone();
    json["parts"].as_array_mut().unwrap().push(part);
    assert_eq!(parse(&json), Err(ReleaseError::PartCount { part: PartName::Uki, count: 2 }));
    let mut json = value();
    json["parts"].as_array_mut().unwrap().remove(1);
    assert_eq!(parse(&json), Err(ReleaseError::PartCount { part: PartName::Verity, count: 0 }));
}

#[test]
fn ways_of_the_future_are_passed_over() {
    let mut json = value();
    let full = json["parts"][0]["ways"][0].clone();
    let delta = json!({"kind": "delta", "from": "1.2.2", "file": "../../etc/passwd", "size": -1});
    json["parts"][0]["ways"] = json!([delta, full]);
    let release = parse(&json).unwrap();
    let part = release.part(PartName::Root).unwrap();
    assert_eq!((&part.ways[0], part.known_ways().count()), (&Way::Unknown, 1));
    assert_eq!(Release::parse(&release.to_json()).unwrap(), release);
    json["parts"][0]["ways"] = json!([delta]);
    assert_eq!(parse(&json), Err(ReleaseError::NoWay(PartName::Root)));
    json["parts"][0]["ways"] = json!([]);
    assert_eq!(parse(&json), Err(ReleaseError::NoWay(PartName::Root)));
    json["parts"][0]["ways"] = Value::Array(vec![delta; MAX_WAYS + 1]);
    assert_eq!(parse(&json), Err(ReleaseError::WayCount { part: PartName::Root, count: MAX_WAYS + 1 }));
}

#[test]
fn ways_keep_their_order() {
    let mut json = value();
    let mut other = json["parts"][0]["ways"][0].clone();
    other["file"] = json!("another.zst");
    json["parts"][0]["ways"].as_array_mut().unwrap().insert(0, other);
    let release = parse(&json).unwrap();
    let files: Vec<&str> = release.part(PartName::Root).unwrap().known_ways().map(|full| &*full.file).collect();
    assert_eq!(files, ["another.zst", "root.erofs.zst"]);
    let all: Vec<&str> = release.files().map(|full| &*full.file).collect();
    assert_eq!(all, ["another.zst", "root.erofs.zst", "root.verity.zst", "slipway.efi.zst"]);
}

/// T19: no name of a file leads out of the release's folder, or to another file in it.
#[test]
fn file_names_are_plain() {
    let wrong = [
        "",
        ".",
        "..",
        "../root.zst",
        "/etc/shadow",
        "a/b",
        "a\\b",
        "a\0b",
        "%2e%2e%2fa",
        "con",
        "NUL.zst",
        ".hidden",
        "-rf",
        "a b",
        "a\u{202e}b",
        "http://x/y",
    ];
    for name in wrong {
        assert!(matches!(with("/parts/0/ways/0/file", json!(name)), Err(ReleaseError::FileName { part: PartName::Root, .. })), "{name:?}");
    }
    for name in ["slipway.efi.zst", "SLIPWAY.EFI.ZST", "release.json", "Release.JSON"] {
        assert!(matches!(with("/parts/0/ways/0/file", json!(name)), Err(ReleaseError::SameFile(_))), "{name:?}");
    }
}

/// T18, and the limits: every number that does not fit is refused by name.
#[test]
fn sizes_that_do_not_add_up_are_refused() {
    use ReleaseError::*;
    let root = PartName::Root;
    assert_eq!(with("/parts/0/size", json!(0)), Err(PartSize { part: root, bytes: 0 }));
    assert_eq!(with("/parts/0/size", json!(PART_MAX_BYTES + 1)), Err(PartSize { part: root, bytes: PART_MAX_BYTES + 1 }));
    assert_eq!(with("/parts/0/size", json!(u64::MAX)), Err(PartSize { part: root, bytes: u64::MAX }));
    assert_eq!(with("/parts/0/size", json!(4096)), Err(FrameCount { part: root, count: 2, expected: 1 }));
    assert_eq!(with("/parts/0/size", json!(PART_MAX_BYTES)), Err(FrameCount { part: root, count: 2, expected: 2048 }));
    assert_eq!(with("/parts/0/size", json!(crate::FRAME_BYTES + 1)), Err(RootSize(crate::FRAME_BYTES as u64 + 1)));
    assert!(matches!(with("/parts/0/size", json!(crate::FRAME_BYTES + 4096 * 200)), Err(VeritySize { .. })));
    assert!(matches!(with("/parts/1/size", json!(4096)), Err(VeritySize { bytes: 4096, .. })));
    assert_eq!(with("/parts/0/frames", json!([])), Err(FrameCount { part: root, count: 0, expected: 2 }));
    assert!(matches!(with("/parts/0/ways/0/size", json!(1)), Err(StoredSize { bytes: 1, .. })));
    assert!(matches!(with("/parts/0/ways/0/stored-frames", json!([1])), Err(StoredFrameCount { count: 1, expected: 2, .. })));
    assert!(matches!(with("/parts/0/ways/0/stored-frames/1", json!(0)), Err(StoredFrameSize { index: 1, bytes: 0, .. })));
    let long = STORED_FRAME_MAX_BYTES + 1;
    assert!(matches!(with("/parts/0/ways/0/stored-frames/0", json!(long)), Err(StoredFrameSize { index: 0, .. })));
    for wrong in [json!(-1), json!(1.5), json!("1"), json!(1e30), json!(null)] {
        assert!(matches!(with("/parts/0/size", wrong.clone()), Err(Json(_))), "{wrong}");
    }
}

#[test]
fn texts_that_do_not_belong_are_refused() {
    let long = "a".repeat(65);
    for field in ["/name", "/variant", "/arch"] {
        for wrong in ["", "A", "a/b", "..", "a..b", "-a", ".a", "a b", "a\n", "é", "\u{1b}[2J", &long] {
            assert!(matches!(with(field, json!(wrong)), Err(ReleaseError::Word { .. })), "{field} {wrong:?}");
        }
    }
    for wrong in ["", "slipway", "{E96281A6-D1AF-4BDE-9A0A-97B76E56DC57}", "e96281a6-d1af-4bde-9a0a-97b76e56dc57"] {
        assert!(matches!(with("/app-id", json!(wrong)), Err(ReleaseError::AppId(_))), "{wrong}");
    }
    for wrong in ["\u{1b}[31m", "a\0", "\r", &"x".repeat(NOTES_MAX_BYTES + 1)] {
        assert_eq!(with("/notes", json!(wrong)), Err(ReleaseError::Notes));
    }
    for wrong in ["1.2", "1.2.3+x", "", "latest"] {
        assert!(matches!(with("/version", json!(wrong)), Err(ReleaseError::Json(_))), "{wrong}");
    }
    assert!(matches!(with("/root-hash", json!("00")), Err(ReleaseError::Json(_))));
    assert!(matches!(with("/minimum-version", json!("1.2.4")), Err(ReleaseError::Minimum { .. })));
    assert!(with("/minimum-version", json!("1.2.3")).is_ok());
}

#[test]
fn another_format_is_named_before_anything_else() {
    assert_eq!(Release::parse(br#"{"format": 2, "everything": "else is new"}"#), Err(ReleaseError::Format(2)));
    assert_eq!(with("/format", json!(0)), Err(ReleaseError::Format(0)));
}

/// T06: what two parsers could read differently is refused.
#[test]
fn ambiguous_json_is_refused() {
    let text = String::from_utf8(test_data::release().to_json()).unwrap();
    let twice = text.replacen("\"arch\"", "\"arch\": \"arm64\", \"arch\"", 1);
    let nested = text.replacen("\"file\"", "\"file\": \"other\", \"file\"", 1);
    let escaped = text.replacen("\"arch\"", "\"\\u0061rch\": \"arm64\", \"arch\"", 1);
    let cases = [
        twice,
        nested,
        escaped,
        format!("\u{feff}{text}"),
        format!("{text}{{}}"),
        format!("{text}\0"),
        text[..text.len() - 3].to_owned(),
        format!("[{text}]"),
    ];
    for case in cases {
        assert!(matches!(Release::parse(case.as_bytes()), Err(ReleaseError::Json(_))), "{}", &case[..60]);
    }
    for bytes in [&b""[..], b"null", b"[]", b"\xff\xfe{\0}\0", &b"[".repeat(100_000)] {
        assert!(matches!(Release::parse(bytes), Err(ReleaseError::Json(_))));
    }
    let deep = text.replacen('{', &format!("{{\"future\": {}1{}, ", "[".repeat(50_000), "]".repeat(50_000)), 1);
    // What is ignored may be as deep as it likes: it costs no stack.
    assert_eq!(Release::parse(deep.as_bytes()).unwrap(), test_data::release());
    let deep = text.replacen("\"vm\"", &"[".repeat(100_000), 1);
    assert!(matches!(Release::parse(deep.as_bytes()), Err(ReleaseError::Json(_))));
}

#[test]
fn a_file_that_is_too_long_is_not_looked_at() {
    let mut json = test_data::release().to_json();
    json.resize(Release::MAX_BYTES, b' ');
    assert!(Release::parse(&json).is_ok());
    json.push(b' ');
    assert_eq!(Release::parse(&json), Err(ReleaseError::Long(Release::MAX_BYTES + 1)));
}

#[test]
fn the_largest_release_fits_the_limit() {
    let mut release = test_data::release();
    for part in &mut release.parts {
        part.frames = vec![part.frames[0]; MAX_FRAMES / 2];
        let Way::Full(full) = &mut part.ways[0] else { unreachable!() };
        full.stored_frames = vec![STORED_FRAME_MAX_BYTES; MAX_FRAMES / 2];
    }
    let bytes = release.to_json().len();
    assert!(bytes < Release::MAX_BYTES, "{bytes}");
}

#[test]
fn messages_are_short_and_clean() {
    let error = with("/version", json!(format!("\u{1b}[2J{}", "x".repeat(1000)))).unwrap_err().to_string();
    assert!(error.len() < 500 && !error.contains('\u{1b}'), "{error}");
    let error = with("/parts/0/ways/0/kind", json!("\u{1b}\u{7}".repeat(1000))).unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error}");
}

/// The invariant of the fuzz target `release_json`: no panic, and whatever is accepted is accepted again as it is written.
fn invariant(bytes: &[u8]) {
    if let Ok(release) = Release::parse(bytes) {
        assert_eq!(Release::parse(&release.to_json()).as_ref(), Ok(&release));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        invariant(&bytes);
    }

    #[test]
    fn damaged_releases_do_no_harm(at: prop::sample::Index, byte: u8, cut: Option<prop::sample::Index>) {
        static GOOD: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| test_data::release().to_json());
        let mut bytes = GOOD.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        invariant(&bytes);
    }
}
