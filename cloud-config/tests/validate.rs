//! The command line: what it prints where, and how it exits.

use assert_cmd::Command;

fn sample(name: &str) -> String {
    format!("{}/tests/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn run(arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let output = Command::cargo_bin("cloud-config").expect("it was built").args(arguments).write_stdin(stdin).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (output.status.code().expect("it exits"), text(output.stdout), text(output.stderr))
}

#[test]
fn the_exit_status_tells_clean_from_warnings_from_errors() {
    let (modern, old, bad) = (sample("modern.yaml"), sample("coreos-2015.yaml"), sample("bad/keys.yaml"));
    let table: [(&[&str], i32); 8] = [
        (&["validate", &modern], 0),
        (&["validate", "--strict", &modern], 0),
        (&["validate", &old], 0),
        (&["validate", "--strict", &old], 1),
        (&["validate", &bad], 2),
        (&["validate", "--strict", &bad], 2),
        (&["validate", &modern, &bad], 2),
        (&["validate", "/does/not/exist"], 1),
    ];
    for (arguments, status) in table {
        assert_eq!(run(arguments, "").0, status, "{arguments:?}");
    }
}

#[test]
fn standard_input_is_a_document() {
    let (status, stdout, stderr) = run(&["validate", "-"], "#cloud-config\nhostname: [a]\n");
    assert_eq!(status, 2);
    assert!(stdout.contains("--> (standard input):2:11"), "{stdout}");
    assert!(stderr.contains("not usable: 1 error, 0 warnings"), "{stderr}");
}

#[test]
fn json_has_one_entry_per_problem() {
    let (status, stdout, _) = run(&["validate", "--json", "-"], "#cloud-config\nhostnmae: a\nruncmd:\n");
    assert_eq!(status, 2);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let expected = serde_json::json!({ "entries": [
        { "kind": "error", "file": "(standard input)", "line": 2, "column": 1, "rule": "unknown-key", "message": "the key `hostnmae` is not known here", "hint": "did you mean `hostname`?" },
        { "kind": "warning", "file": "(standard input)", "line": 3, "column": 1, "rule": "empty-value", "message": "`runcmd` has no value and counts as not written", "hint": "give it a value, or remove the line" },
    ]});
    assert_eq!(json, expected);
    let (status, stdout, _) = run(&["validate", "--json", "-"], "#cloud-config\n");
    assert_eq!((status, stdout.as_str()), (0, "{\n  \"entries\": []\n}\n"));
}

#[test]
fn units_of_another_image_can_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("units");
    std::fs::write(&list, "mine.service\n").unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("usr/lib/systemd/system")).unwrap();
    std::fs::write(root.join("usr/lib/systemd/system/mine.service"), "").unwrap();
    let text = "#cloud-config\ncoreos: {units: [{name: mine.service, command: start}]}\n";
    assert_eq!(run(&["validate", "--strict", "-"], text).0, 1);
    for units in [&list, &root] {
        assert_eq!(run(&["validate", "--strict", "--image-units", units.to_str().unwrap(), "-"], text).0, 0);
    }
}

#[test]
fn substitute_fills_in_addresses_or_says_which_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = folder.path().join("meta.json");
    std::fs::write(&metadata, r#"{"private_ipv4": "10.0.0.5"}"#).unwrap();
    let arguments = ["substitute", "-", "--metadata", metadata.to_str().unwrap()];
    assert_eq!(run(&arguments, "a: $private_ipv4"), (0, "a: 10.0.0.5".to_owned(), String::new()));
    let (status, stdout, stderr) = run(&arguments, "a: $private_ipv4\nb: $public_ipv4\n");
    assert_eq!((status, stdout.as_str()), (2, ""));
    assert!(stderr.contains("(standard input):2: `$public_ipv4`") && stderr.contains("help: "), "{stderr}");
}

#[test]
fn the_schema_is_json() {
    let (status, stdout, _) = run(&["schema"], "");
    assert_eq!(status, 0);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["$schema"], "https://json-schema.org/draft/2020-12/schema");
}
