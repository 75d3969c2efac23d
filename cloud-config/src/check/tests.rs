use std::path::Path;

use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::model::value::{Mode, RebootStrategy};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHGqNXFZTM3pUvNYlVsGnMSOFzWN4FtzGPQvJRLLGiTw me@laptop";

const SAMPLES: [&str; 6] = ["coreos-2015.yaml", "modern.yaml", "scripts.mime", "bad/values.yaml", "bad/lints.yaml", "bad/types.yaml"];

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name)).unwrap()
}

fn check_text(text: &str) -> Checked {
    any(format!("#cloud-config\n{text}").as_bytes())
}

fn good(text: &str) -> Config {
    let checked = check_text(text);
    assert_eq!(checked.problems, [], "{text}");
    checked.config.unwrap()
}

fn rules(checked: &Checked) -> Vec<(&'static str, usize)> {
    checked.problems.iter().map(|problem| (problem.rule.id(), problem.place.line)).collect()
}

fn shown(checked: &Checked) -> String {
    checked.problems.iter().map(|problem| show(problem) + "\n\n").collect()
}

#[test]
fn the_sample_of_2015_is_usable() {
    let checked = any(&sample("coreos-2015.yaml"));
    assert_eq!(checked.count(Severity::Error), 0, "{}", shown(&checked));
    insta::assert_snapshot!("coreos_2015", shown(&checked));
    let coreos = checked.config.unwrap().coreos.unwrap().value;
    let etcd = coreos.etcd.unwrap();
    assert_eq!(etcd.get("peer_addr").map(|setting| setting.reveal()), Some("$private_ipv4:7001"));
    let host = &coreos.units[2];
    assert_eq!(host.runtime.as_ref().map(|runtime| runtime.value), Some(false));
    assert!(host.content.as_ref().unwrap().ends_with("X-Conflicts=host@*.service\n"));
}

#[test]
fn its_addresses_have_to_be_known_when_it_is_used() {
    let options = Options { metadata: Some(Metadata::default()), ..Options::default() };
    let bytes = sample("coreos-2015.yaml");
    let checked = sources(&[("user-data", &bytes)], &options);
    let missing: Vec<_> = rules(&checked).into_iter().filter(|(rule, _)| *rule == "unknown-address").collect();
    assert_eq!(missing, [("unknown-address", 8), ("unknown-address", 9)]);
    assert_eq!(checked.config, None);

    let known = Metadata { private_ipv4: Some([10, 0, 0, 5].into()), ..Metadata::default() };
    let checked = sources(&[("user-data", &bytes)], &Options { metadata: Some(known), ..Options::default() });
    let etcd = checked.config.unwrap().coreos.unwrap().value.etcd.unwrap();
    let addr = etcd.get("addr").unwrap();
    assert_eq!((addr.reveal(), addr.place.line, addr.place.column, addr.place.width), ("10.0.0.5:4001", 8, 11, 18));
}

#[test]
fn a_modern_document_has_nothing_to_complain_about() {
    let checked = any(&sample("modern.yaml"));
    assert_eq!(checked.problems, []);
    let config = checked.config.unwrap();
    assert_eq!(config.users[0].groups.iter().map(|group| group.as_str()).collect::<Vec<_>>(), ["docker", "ops"]);
    assert_eq!(config.coreos.unwrap().value.update.unwrap().reboot_strategy.as_ref().unwrap().value, RebootStrategy::Off);
    assert_eq!(config.write_files[0].permissions.as_ref().unwrap().value, Mode::DEFAULT);
}

#[test]
fn every_mistake_is_found_at_once_and_shown_with_its_line() {
    for name in ["keys", "types", "values", "lints", "yaml", "duplicates", "incomplete", "missing"] {
        let checked = any(&sample(&format!("bad/{name}.yaml")));
        insta::assert_snapshot!(format!("bad_{name}"), shown(&checked));
        assert_eq!(checked.config.is_some(), checked.count(Severity::Error) == 0);
    }
}

#[test]
fn unknown_keys_are_forgiven_only_where_asked() {
    let bytes = b"#cloud-config\nhostnmae: a\nhostname: b\n";
    assert_eq!(any(bytes).count(Severity::Error), 1);
    let checked = sources(&[("x", bytes)], &Options { lenient: true, ..Options::default() });
    assert_eq!((checked.count(Severity::Error), checked.count(Severity::Warning)), (0, 1));
    assert_eq!(checked.config.unwrap().hostname.unwrap().as_str(), "b");
}

#[test]
fn text_stays_text_and_yes_means_yes() {
    let config = good(
        "hostname: \"off\"\nwrite_files:\n  - {path: /etc/a, permissions: 0644, append: yes}\n  - {path: /etc/b, permissions: \"0600\", defer: Off}\n",
    );
    assert_eq!(config.hostname.unwrap().as_str(), "off");
    let modes: Vec<_> = config.write_files.iter().map(|file| file.permissions.as_ref().unwrap().bits()).collect();
    assert_eq!(modes, [0o644, 0o600]);
    assert!(config.write_files[0].appends());
}

#[test]
fn hyphens_and_underscores_are_the_same_key() {
    for key in ["ssh-authorized-keys", "ssh_authorized_keys", "ssh-authorized_keys"] {
        assert_eq!(good(&format!("{key}: [{KEY}]\n")).ssh_authorized_keys.len(), 1);
    }
    assert_eq!(rules(&check_text("write-files: []\nwrite_files: []\n")), [("duplicate-key", 3)]);
}

#[test]
fn documents_add_up_and_later_ones_win() {
    let base = b"#cloud-config\nhostname: a\nsysctl: {vm.swappiness: 1, kernel.panic: 1}\nruncmd: [one]\nusers:\n  - {name: x, uid: 5, shell: /bin/sh}\n\
                 write_files:\n  - {path: /etc/a, content: base, owner: root}\ncoreos:\n  units:\n    - {name: docker.service, command: start}\n";
    let host = b"#cloud-config\nhostname: b\nsysctl: {vm.swappiness: 2}\nruncmd: [two]\nusers:\n  - {name: x, shell: /bin/bash}\n\
                 write_files:\n  - {path: /etc/a, content: host}\n  - {path: /etc/a, content: more, append: true}\ncoreos:\n  units:\n    - {name: docker.service, enable: true}\n";
    let checked = sources(&[("base", base), ("host", host)], &Options::default());
    assert_eq!(checked.problems, []);
    let config = checked.config.unwrap();
    assert_eq!(format!("{:?}", config.hostname.unwrap().place), "host:2:11");
    assert_eq!((config.sysctl["vm.swappiness"].value.as_str(), config.sysctl["kernel.panic"].value.as_str()), ("2", "1"));
    assert_eq!(config.runcmd.iter().map(|command| command.place.to_string()).collect::<Vec<_>>(), ["base:4:10", "host:4:10"]);
    let user = &config.users[0];
    assert_eq!((config.users.len(), user.uid.as_ref().unwrap().value, user.shell.as_ref().unwrap().as_str()), (1, 5, "/bin/bash"));
    let files: Vec<_> = config.write_files.iter().map(|file| (file.decoded().unwrap().unwrap(), file.owner.is_some())).collect();
    assert_eq!(files, [(b"host".to_vec(), false), (b"more".to_vec(), false)]);
    let units = &config.coreos.unwrap().value.units;
    assert_eq!((units.len(), units[0].command.is_some(), units[0].enable.is_some()), (1, true, true));
}

#[test]
fn parts_of_a_mime_document_are_merged_and_scripts_kept() {
    let checked = any(&sample("scripts.mime"));
    assert_eq!(checked.problems, []);
    let config = checked.config.unwrap();
    assert_eq!(config.hostname.as_ref().unwrap().as_str(), "second");
    assert_eq!(config.hostname.unwrap().place.to_string(), "user-data:20:11");
    assert_eq!(config.write_files.len(), 2);
    assert_eq!(checked.scripts.len(), 1);
    assert!(checked.scripts[0].starts_with("#!/bin/sh\n"));
    assert_eq!(checked.scripts[0].place.line, 14);
}

#[test]
fn several_ways_to_say_it() {
    let config = good(
        "groups: [a, {b: [core]}, {name: c, gid: 70}]\nkernel_modules: [br_netfilter, {name: x, options: a=1}]\nmounts:\n  - [/dev/vdb1, /data, ext4, \"noatime,nofail\", 0, 2]\n  - {device: LABEL=x, path: /x}\nusers:\n  - {name: u, sudo: false, groups: [a, b]}\ndisk_setup:\n  /dev/vdb: {layout: true}\n  /dev/vdc: {layout: [50, [50, 82]]}\nswap: {size: 1G}\n",
    );
    assert_eq!(
        config.groups.iter().map(|group| (group.name.as_str(), group.members.len())).collect::<Vec<_>>(),
        [("a", 0), ("b", 1), ("c", 0)]
    );
    assert_eq!(config.mounts[0].options.len(), 2);
    assert_eq!(config.mounts[1].device.value, "LABEL=x");
    assert_eq!(config.disk_setup["/dev/vdc"].layout[1].kind, Some(0x82));
    assert!(config.users[0].sudo.is_empty());
}

#[test]
fn settings_for_programs_are_passed_on_as_they_are() {
    let config = good(
        "docker:\n  daemon:\n    log-driver: journald\n    live-restore: true\n    max-concurrent-downloads: 3\n    registry-mirrors: [\"https://m.internal\"]\n    x: null\n    y: on\n",
    );
    let daemon = config.docker.unwrap().value.daemon;
    let json: serde_json::Map<String, serde_json::Value> = daemon.into_iter().map(|(key, value)| (key, value.value.0)).collect();
    let expected = serde_json::json!({ "log-driver": "journald", "live-restore": true, "max-concurrent-downloads": 3, "registry-mirrors": ["https://m.internal"], "x": null, "y": "on" });
    assert_eq!(serde_json::Value::from(json), expected);
}

#[test]
fn secrets_are_in_no_debug_output() {
    let text = "users: [{name: a, passwd: $6$topsecret$hash}]\ncoreos: {locksmith: {etcd_password: topsecret}}\nwrite_files: [{path: /etc/a, content: topsecret}]\n";
    let checked = check_text(text);
    assert!(!format!("{:?}", checked.config).contains("topsecret"));
    let plain = check_text("users: [{name: a, passwd: topsecret}]\ndocker: {registries: {r: {username: u, password: topsecret}}}\n");
    assert_eq!(rules(&plain), [("plain-secret", 2), ("plain-secret", 3)]);
    assert!(!shown(&plain).contains("topsecret"), "{}", shown(&plain));
}

#[test]
fn a_unit_is_started_by_what_names_it() {
    let placed = "    - name: a.service\n      content: x\n";
    let table = [
        ("", 1),
        ("    - {name: a.timer, enable: true, content: \"[Install]\"}\n", 0),
        ("    - {name: b.service, command: start, content: \"Wants=a.service\"}\n", 0),
        ("    - {name: b.service, command: start, content: \"After=a.service\"}\n", 1),
    ];
    for (other, count) in table {
        let checked = check_text(&format!("coreos:\n  units:\n{placed}{other}"));
        assert_eq!(rules(&checked).iter().filter(|(rule, _)| *rule == "unit-not-started").count(), count, "{other}");
    }
}

#[test]
fn addresses_of_etcd_have_a_scheme() {
    let table = [
        ("discovery: https://discovery.internal/1", 0),
        ("discovery: discovery.internal/1", 1),
        ("discovery: https://", 1),
        ("listen_client_urls: \"http://0.0.0.0:2379,https://$private_ipv4:2379\"", 0),
        ("listen_client_urls: \"http://0.0.0.0:2379,10.0.0.1:2379\"", 1),
        ("name: node", 0),
    ];
    for (line, errors) in table {
        for section in ["etcd", "etcd2"] {
            assert_eq!(check_text(&format!("coreos: {{{section}: {{{line}}}}}\n")).count(Severity::Error), errors, "{line}");
        }
    }
}

#[test]
fn the_default_account_of_cloud_init_is_no_mistake() {
    let checked = check_text("users: [default, {name: a}]\n");
    assert_eq!(rules(&checked), [("ignored-key", 2)]);
    assert_eq!(checked.config.unwrap().users.len(), 1);
    assert_eq!(rules(&check_text("users: [other]\n")), [("wrong-type", 2)]);
}

#[test]
fn large_user_data_is_noted() {
    let text = format!("write_files: [{{path: /etc/a, content: {}}}]\n", "x".repeat(SMALL_USER_DATA_BYTES));
    assert_eq!(rules(&check_text(&text)), [("user-data-size", 1)]);
}

#[test]
fn what_cannot_be_read_at_all_is_a_problem_too() {
    assert_eq!(rules(&any(b"hello")), [("unknown-format", 1)]);
    assert_eq!(rules(&any(b"\x1f\x8b")), [("undecodable", 1)]);
    assert_eq!(rules(&any(br#"{"ignition": {"version": "3.0.0"}}"#)), [("foreign-part", 1)]);
    assert_eq!(any(b"").config, Some(Config::default()));
}

#[test]
fn a_file_that_is_wrong_throughout_is_cut_short_and_refused() {
    let warnings = "ssh_authorized_keys:\n".to_owned() + &"  - mine\n".repeat(1000);
    let checked = check_text(&format!("{warnings}hostnmae: a\n"));
    let counts = (checked.count(Severity::Error), checked.count(Severity::Warning));
    assert_eq!((counts, checked.config), ((1, crate::model::MAX_PROBLEMS), None));
    let keys: String = (0..1000).map(|number| format!("k{number}: 1\n")).collect();
    assert_eq!(check_text(&keys).problems.len(), crate::model::MAX_PROBLEMS);
}

/// Documents that are almost right: keys of the dialect with values of any kind.
fn almost_right() -> impl Strategy<Value = String> {
    let keys = crate::model::schema::all_names();
    let value = prop_oneof![
        Just("x"),
        Just("[a, {b: c}]"),
        Just("{a: 1}"),
        Just("0x1F"),
        Just("no"),
        Just("~"),
        Just("|\n      text"),
        Just("$private_ipv4"),
        Just("/é")
    ];
    prop::collection::vec((prop::sample::select(keys), 0..4usize, value, any_bool()), 0..24).prop_map(|lines| {
        lines.into_iter().fold("#cloud-config\n".to_owned(), |text, (key, depth, value, dash)| {
            text + &"  ".repeat(depth) + if dash { "- " } else { "" } + key + ": " + value + "\n"
        })
    })
}

fn any_bool() -> impl Strategy<Value = bool> {
    prop::bool::ANY
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(prop::num::u8::ANY, 0..200)) {
        let _ = any(&bytes);
        let _ = any(&[b"#cloud-config\n".as_slice(), &bytes].concat());
    }

    #[test]
    fn no_damaged_sample_makes_it_panic(which in 0..SAMPLES.len(), cuts in prop::collection::vec((0.0..1.0f64, 0..12usize, "[ \\n:\\-\\[{}&*|'\"$#é=]{0,3}"), 1..6)) {
        let mut text = String::from_utf8(sample(SAMPLES[which])).unwrap();
        for (at, length, with) in cuts {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let start = (at * text.len() as f64) as usize;
            let start = (0..=start).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let end = (start + length..).find(|at| *at >= text.len() || text.is_char_boundary(*at)).unwrap().min(text.len());
            text.replace_range(start..end, &with);
        }
        let metadata = Metadata { private_ipv4: Some([10, 0, 0, 5].into()), public_ipv6: "::1".parse().ok(), ..Metadata::default() };
        for metadata in [None, Some(metadata)] {
            let checked = sources(&[("user-data", text.as_bytes())], &Options { metadata, ..Options::default() });
            for problem in &checked.problems {
                prop_assert!(problem.place.line <= text.lines().count() + 1);
                prop_assert!(!show(problem).is_empty());
            }
        }
    }

    #[test]
    fn no_almost_right_document_makes_it_panic(text in almost_right()) {
        let checked = any(text.as_bytes());
        for problem in &checked.problems {
            prop_assert!(problem.place.line >= 1 && problem.place.line <= text.lines().count() + 1);
            prop_assert!(!show(problem).is_empty());
        }
        prop_assert_eq!(checked.config.is_some(), checked.count(Severity::Error) == 0);
    }
}

#[test]
fn a_rule_that_sudo_might_not_read_is_an_error_at_its_line() {
    let checked = check_text("users:\n  - name: ada\n    sudo:\n      - ALL=(ALL) ALL\n      - ALL=(ALL ALL\n");
    assert_eq!(rules(&checked), [("sudo-rule", 6)]);
    assert!(checked.config.is_none());
    let hint = checked.problems[0].hint.as_deref().unwrap();
    assert!(hint.contains("NOPASSWD:ALL"), "{hint}");
    for sudo in ["\"ALL=ALL\\n#include /etc/x\"", "ALL=(ALL) NOPASWD:ALL", "[\"#include /etc/x\"]", "yes", "Defaults"] {
        let checked = check_text(&format!("users: [{{name: ada, sudo: {sudo}}}]"));
        assert_eq!(rules(&checked), [("sudo-rule", 2)], "{sudo}");
    }
    for sudo in ["no", "[]", "ALL=(ALL) NOPASSWD:ALL", "[\"ALL=(ALL) ALL\", \"ALL=(root) /usr/bin/id\"]"] {
        good(&format!("users: [{{name: ada, ssh_authorized_keys: [{KEY}], sudo: {sudo}}}]"));
    }
}

#[test]
fn a_user_that_sudo_takes_for_something_else_has_no_rule() {
    for name in ["ALL", "Defaults", "sudoedit"] {
        assert_eq!(rules(&check_text(&format!("users: [{{name: {name}, sudo: ALL=ALL}}]"))), [("sudo-rule", 2)], "{name}");
        good(&format!("users: [{{name: {name}}}]"));
    }
}

#[test]
fn imports_of_coreos_work_and_have_a_newer_key() {
    let old = "users: [{name: ada, coreos_ssh_import_github: ada, coreos_ssh_import_github_users: [grace]}]";
    let checked = check_text(old);
    assert_eq!(rules(&checked), [("deprecated-key", 2), ("deprecated-key", 2)]);
    assert!(checked.config.is_some());
    good("users: [{name: ada, ssh_import_id: [gh:ada], coreos_ssh_import_url: \"https://keys.internal/ada\"}]");
    for wrong in ["ssh_import_id: [ada]", "ssh_import_id: [lp:ada]", "coreos_ssh_import_github: a/b", "coreos_ssh_import_url: http://a/"] {
        assert_eq!(rules(&check_text(&format!("users: [{{name: ada, {wrong}}}]"))), [("invalid-value", 2)], "{wrong}");
    }
}
