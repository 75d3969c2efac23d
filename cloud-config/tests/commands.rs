//! `plan` and `apply` as a person calls them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use assert_cmd::Command;

const GOOD: &str = "#cloud-config\nhostname: node1\nwrite_files:\n  - path: /etc/secret\n    permissions: 0600\n    content: hunter2\n";
const BAD: &str = "#cloud-config\nhostname: node1\nhostnam: node2\n";
const KEYS: &str = r#"{"instance_id":"i-1","ssh_authorized_keys":{"a":"ssh-ed25519 AAAA platform"}}"#;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(document: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/etc")).unwrap();
        std::fs::write(dir.path().join("root/etc/passwd"), "core:x:1000:1000::/home/core:/bin/sh\n").unwrap();
        std::fs::write(dir.path().join("node.yaml"), document).unwrap();
        std::fs::write(dir.path().join("meta.json"), KEYS).unwrap();
        Self { dir }
    }

    fn call(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = Command::cargo_bin("cloud-config").unwrap();
        let output = command.args(args).current_dir(self.dir.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn root(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn report(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.root("run/slipway/cloud-config.json")).unwrap()).unwrap()
    }
}

fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

#[test]
fn a_plan_shows_effects_with_their_lines_and_no_secrets() {
    let place = Place::new(GOOD);
    let (code, out, err) = place.call(&["plan", "node.yaml"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("hostname node1  [node.yaml:2]") && out.contains("/etc/secret 0600 root:root 7 bytes"), "{out}");
    assert!(!out.contains("hunter2"));
    let (_, json, _) = place.call(&["plan", "node.yaml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(out.ends_with(&format!("plan hash {}\n", json["hash"].as_str().unwrap())), "{out}");
}

#[test]
fn a_plan_for_a_root_says_what_would_change() {
    let place = Place::new(GOOD);
    let (_, before, _) = place.call(&["plan", "node.yaml", "--root", "root"]);
    assert!(before.starts_with("create        hostname node1"), "{before}");
    assert!(!exists(&place.root("etc/hostname")), "looking changes nothing");
    assert_eq!(place.call(&["apply", "node.yaml", "--root", "root"]).0, 0);
    let (_, after, _) = place.call(&["plan", "node.yaml", "--root", "root"]);
    assert!(after.starts_with("same          hostname node1"), "{after}");
}

#[test]
fn a_document_with_errors_is_refused_and_the_platforms_keys_are_placed() {
    let place = Place::new(BAD);
    let (code, out, err) = place.call(&["plan", "node.yaml"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("node.yaml:3:1"), "{err}");
    let (code, out, _) = place.call(&["apply", "node.yaml", "--root", "root", "--metadata", "meta.json"]);
    assert_eq!(code, 2);
    assert!(out.contains("REFUSED") && out.contains("node.yaml:3:1"), "{out}");
    assert!(!exists(&place.root("etc/hostname")), "none of it is done");
    let keys = std::fs::read_to_string(place.root("home/core/.ssh/authorized_keys")).unwrap();
    assert!(keys.contains("platform"));
    let report = place.report();
    assert_eq!((&report["verdict"], &report["problems"][0]["line"]), (&"refused".into(), &3.into()));
}

#[test]
fn what_ends_in_the_journal_shows_no_line_of_the_document() {
    let place = Place::new("#cloud-config\nusers:\n  - {name: ada, passwrd: hunter2}\n");
    let (code, out, err) = place.call(&["apply", "node.yaml", "--root", "root"]);
    assert_eq!(code, 2);
    assert!(err.contains("node.yaml:3:") && !err.contains("hunter2") && !out.contains("hunter2"), "{out}{err}");
    assert!(!place.report().to_string().contains("hunter2"));
}

#[test]
fn a_step_that_fails_is_named_with_its_line_and_the_rest_is_taken_back() {
    let place = Place::new(GOOD);
    std::fs::create_dir(place.root("etc/secret")).unwrap();
    let (code, out, _) = place.call(&["apply", "node.yaml", "--root", "root", "--metadata", "meta.json"]);
    assert_eq!(code, 1);
    assert!(out.contains("FAILED") && out.contains("node.yaml:4: file /etc/secret") && out.contains("is a directory"), "{out}");
    assert!(!exists(&place.root("etc/hostname")), "taken back");
    assert!(exists(&place.root("home/core/.ssh/authorized_keys")), "the platform's keys stay");
    assert_eq!(place.report()["verdict"], "failed");
}

#[test]
fn another_plan_than_the_expected_one_is_not_carried_out() {
    let place = Place::new(GOOD);
    let (_, json, _) = place.call(&["plan", "node.yaml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let hash = json["hash"].as_str().unwrap();
    std::fs::write(place.dir.path().join("node.yaml"), GOOD.replace("node1", "node2")).unwrap();
    let (code, out, _) = place.call(&["apply", "node.yaml", "--root", "root", "--expect-plan", hash]);
    assert_eq!(code, 2);
    assert!(out.contains("nothing was done") && !exists(&place.root("etc/hostname")), "{out}");
    std::fs::write(place.dir.path().join("node.yaml"), GOOD).unwrap();
    assert_eq!(place.call(&["apply", "node.yaml", "--root", "root", "--expect-plan", hash]).0, 0);
}

#[test]
fn what_cannot_be_read_is_reported() {
    let place = Place::new(GOOD);
    let (code, out, _) = place.call(&["apply", "gone.yaml", "--root", "root"]);
    assert_eq!(code, 1);
    assert!(out.contains("FAILED gone.yaml") && out.contains("opening gone.yaml"), "{out}");
    assert_eq!(place.report()["verdict"], "failed");
}

#[test]
fn addresses_nobody_else_names_come_from_the_hosts_environment() {
    let place = Place::new("#cloud-config\nwrite_files: [{path: /etc/a, content: $private_ipv4 $public_ipv4}]\n");
    std::fs::write(place.root("etc/environment"), "COREOS_PRIVATE_IPV4=10.0.0.9\nCOREOS_PUBLIC_IPV4=192.0.2.9\n").unwrap();
    std::fs::write(place.dir.path().join("meta.json"), r#"{"private_ipv4": "10.0.0.5"}"#).unwrap();
    assert_eq!(place.call(&["plan", "node.yaml"]).0, 2, "without a root there is no host");
    assert_eq!(place.call(&["plan", "node.yaml", "--root", "root"]).0, 0);
    assert_eq!(place.call(&["apply", "node.yaml", "--root", "root", "--metadata", "meta.json"]).0, 0);
    assert_eq!(std::fs::read_to_string(place.root("etc/a")).unwrap(), "10.0.0.5 192.0.2.9", "the platform's word counts more");
    std::fs::write(place.root("etc/environment"), "COREOS_PRIVATE_IPV4=soon\n").unwrap();
    assert_eq!(place.call(&["apply", "node.yaml", "--root", "root"]).0, 2, "not an address");
}

#[test]
fn a_plan_for_a_root_shows_the_address_of_keys_and_does_not_ask_there() {
    let place = Place::new("#cloud-config\nusers: [{name: core, coreos_ssh_import_url: \"https://keys.invalid/core\"}]\n");
    let (code, out, _) = place.call(&["plan", "node.yaml", "--root", "root"]);
    assert_eq!(code, 0);
    assert!(out.contains("skip          keys of core (cloud-config-import) from https://keys.invalid/core"), "{out}");
}
