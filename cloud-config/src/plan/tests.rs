//! What a key becomes, and what is refused although every single value is fine.

use super::*;
use crate::model::Rule;
use crate::run::{Input, Prepared, prepare};

fn prepared(document: &str, metadata: &Metadata, units: Option<ImageUnits>) -> Prepared {
    let input = Input {
        documents: vec![("a.yaml".to_owned(), format!("#cloud-config\n{document}").into_bytes())],
        metadata: metadata.clone(),
        network_files: Vec::new(),
    };
    prepare(&input, units, false)
}

fn lines(document: &str) -> Vec<String> {
    let prepared = prepared(document, &Metadata::default(), Some(ImageUnits::default()));
    let plan = prepared.plan.unwrap_or_else(|| panic!("{document}: {:?}", prepared.problems));
    plan.effects.iter().map(ToString::to_string).chain(plan.notes.into_iter().map(|note| format!("note: {}", note.text))).collect()
}

fn check(document: &str, expected: &[&str]) {
    let found = lines(document);
    let mut rest = found.iter();
    for line in expected {
        assert!(rest.any(|found| found.starts_with(line)), "{document}\nwithout, or not in this order: {line}\n{found:#?}");
    }
}

#[test]
fn units_of_coreos_have_successors() {
    for (old, new) in [("etcd2.service", "etcd.service"), ("update-engine.service", "updater.service"), ("sshd.service", "ssh.service")] {
        check(
            &format!("coreos: {{units: [{{name: {old}, command: start}}]}}"),
            &[&format!("start {new}"), &format!("note: {old} is called {new} here")],
        );
    }
    let own = "coreos: {units: [{name: etcd2.service, command: start, content: \"[Service]\\nExecStart=/bin/true\"}]}";
    check(own, &["file /etc/systemd/system/etcd2.service", "start etcd2.service"]);
}

#[test]
fn keys_of_other_sites_come_last_each_once_and_with_their_address() {
    let document = "users:\n  - name: ada\n    ssh_import_id: [gh:ada, gh:Grace]\n    coreos_ssh_import_github: grace\n    \
        coreos_ssh_import_github_users: [hopper]\n    coreos_ssh_import_url: https://keys.internal/ada\n\
        coreos: {units: [{name: docker.service, command: start}]}";
    let found = lines(document);
    let imports: Vec<&str> = found.iter().map(String::as_str).skip_while(|line| *line != "start docker.service").skip(1).collect();
    assert_eq!(
        imports,
        [
            "keys of ada (github-ada) from https://github.com/ada.keys",
            "keys of ada (github-grace) from https://github.com/Grace.keys",
            "keys of ada (github-hopper) from https://api.github.com/users/hopper/keys?per_page=100",
            "keys of ada (cloud-config-import) from https://keys.internal/ada",
        ]
    );
}

#[test]
fn keys_are_fetched_from_few_addresses() {
    let document = |number: usize| {
        let ids: String = (0..number).map(|number| format!("gh:u{number}, ")).collect();
        format!("users: [{{name: ada, ssh_import_id: [{ids}]}}]")
    };
    assert!(prepared(&document(32), &Metadata::default(), None).plan.is_some());
    let refused = prepared(&document(33), &Metadata::default(), None);
    assert!(refused.plan.is_none());
    assert_eq!(refused.problems.last().map(|problem| problem.rule), Some(Rule::TooLarge));
}

#[test]
fn units_the_image_lacks_are_named_and_the_rest_is_planned() {
    check(
        "coreos: {units: [{name: fleet.service, command: start}, {name: flanneld.service, enable: true}, {name: docker.service, command: restart}]}",
        &["not available: fleet.service (start)", "not available: flanneld.service (enable)", "restart docker.service"],
    );
}

#[test]
fn mask_wins_over_content_and_runtime_goes_to_run() {
    check("coreos: {units: [{name: a.service, mask: true, content: x}]}", &["mask a.service", "note: a.service is masked"]);
    check("coreos: {units: [{name: a.service, mask: true, runtime: true}]}", &["mask a.service (until reboot)"]);
    check("coreos: {units: [{name: docker.service, runtime: true, command: start}]}", &["unmask docker.service", "start docker.service"]);
    check(
        "coreos: {units: [{name: 10-a.network, runtime: yes, content: x}]}",
        &["file /run/systemd/network/10-a.network", "restart systemd-networkd.service if"],
    );
}

#[test]
fn jobs_come_after_everything_they_may_need() {
    let document = "coreos: {units: [{name: docker.service, command: start}]}\nwrite_files: [{path: /etc/a, content: x}]\nbootcmd: [echo]\nruncmd: [echo]\nusers: [{name: ada}]";
    check(
        document,
        &["user ada", "file /etc/a", "daemon-reload", "run bootcmd", "start docker.service", "start cloud-config-runcmd.service (once)"],
    );
}

#[test]
fn secrets_make_drop_ins_private() {
    check("coreos: {fleet: {etcd_password: hush}}", &["file /run/systemd/system/fleet.service.d/20-cloudinit.conf 0600"]);
    check("coreos: {fleet: {metadata: a=b}}", &["file /run/systemd/system/fleet.service.d/20-cloudinit.conf 0644"]);
    check(
        "proxy: {http: \"http://u:p@proxy.example.org:3128\"}",
        &["file /etc/systemd/system.conf.d/90-cloud-config-proxy.conf 0600", "note: the proxy has a password"],
    );
}

#[test]
fn files_that_are_deferred_come_last() {
    check("write_files: [{path: /etc/b, content: x, defer: true}, {path: /etc/a, content: x}]", &["file /etc/a", "file /etc/b"]);
}

#[test]
fn a_window_needs_both_ends_and_a_length_the_updater_takes() {
    for half in ["window_start: \"04:00\"", "window_length: 1h"] {
        check(&format!("coreos: {{locksmith: {{{half}}}}}"), &["note: a window needs both"]);
    }
    check("coreos: {locksmith: {window_start: \"04:00\", window_length: 5s}}", &["note: a window lasts from one minute"]);
}

#[test]
fn an_unknown_address_is_an_error_and_not_an_empty_text() {
    let document = "coreos: {etcd: {addr: $private_ipv4:4001}}";
    let found = prepared(document, &Metadata::default(), None);
    assert!(found.plan.is_none());
    assert_eq!(
        found.problems.iter().find(|problem| problem.severity == crate::model::Severity::Error).map(|problem| problem.rule),
        Some(Rule::UnknownAddress)
    );
    let known = Metadata { private_ipv4: Some("10.0.0.5".parse().unwrap()), ..Metadata::default() };
    assert!(prepared(document, &known, None).plan.is_some());
}

#[test]
fn the_hash_is_of_what_is_done_and_not_of_where_it_is_written() {
    let hash = |document: &str| prepared(document, &Metadata::default(), None).plan.unwrap().hash();
    assert_eq!(hash("hostname: a"), hash("\n# moved\nhostname: a"));
    assert_ne!(hash("hostname: a"), hash("hostname: b"));
    assert_ne!(hash("write_files: [{path: /a, content: x}]"), hash("write_files: [{path: /a, content: y}]"));
}

#[test]
fn the_rescue_is_what_the_platform_says_and_nothing_that_could_break() {
    let key = |text: &str| [("k".to_owned(), text.to_owned())].into();
    let metadata =
        Metadata { hostname: Some("node1.example.org".to_owned()), ssh_authorized_keys: key("ssh-ed25519 A a"), ..Metadata::default() };
    let words = |metadata: &Metadata| rescue(metadata).effects.iter().map(ToString::to_string).collect::<Vec<_>>();
    let found = words(&metadata);
    assert!(found[0] == "hostname node1" && found[1].starts_with("keys of core (metadata)"), "{found:?}");
    let broken =
        Metadata { hostname: Some("bad name\n".to_owned()), ssh_authorized_keys: key("ssh-rsa A\nssh-rsa B"), ..Metadata::default() };
    assert_eq!(words(&broken), Vec::<String>::new());
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_the_names_and_texts_the_plan_is_the_same_twice(
            names in proptest::collection::vec("[a-z]{1,8}", 1..6),
            text in "[ -~]{0,60}",
            mode in 0u32..0o1000,
        ) {
            let quoted = serde_json::to_string(&text).unwrap();
            let files: String = names.iter().map(|name| format!("  - {{path: /etc/{name}, permissions: \"{mode:04o}\", content: {quoted}}}\n")).collect();
            let units: String = names.iter().map(|name| format!("    - {{name: {name}.service, content: {quoted}, command: start}}\n")).collect();
            let document = format!("write_files:\n{files}coreos:\n  units:\n{units}");
            let once = prepared(&document, &Metadata::default(), None);
            let twice = prepared(&document, &Metadata::default(), None);
            prop_assert_eq!(serde_json::to_string(&once.plan).unwrap(), serde_json::to_string(&twice.plan).unwrap());
        }
    }
}

/// The configuration that `cluster-agent` is given.
fn cluster_toml(document: &str) -> String {
    let plan = prepared(document, &Metadata::default(), None).plan.unwrap_or_else(|| panic!("{document}"));
    let text = plan.effects.iter().find_map(|effect| match &effect.action {
        Action::File { path, content: content::Content::Inline { bytes, .. }, .. } if path.as_str().ends_with("/50-cloud-config.toml") => {
            Some(String::from_utf8(bytes.to_vec()).unwrap())
        }
        _ => None,
    });
    text.unwrap_or_else(|| panic!("{document}: no configuration of the cluster"))
}

#[test]
fn one_document_makes_hosts_a_cluster() {
    let document = "coreos:\n  cluster: {discovery: \"https://updates.example.com/discovery/abc\", replace_after: 10m, tls: auto, \
        secret: correct horse battery, snapshots: {every: 6h, keep: 8}, metadata: {frontend: \"true\"}}\n  swarm: {managers: 3, labels: {zone: a}}\n  \
        update: {reboot-strategy: etcd-lock}\n  turns: {group: web, max: 1}\n";
    let expected = "[etcd]\ndiscovery = \"https://updates.example.com/discovery/abc\"\nreplace-after = \"10m\"\n\
        secret-file = \"/etc/slipway/cluster.secret\"\ntls = \"auto\"\n[snapshot]\nevery = \"6h\"\nkeep = 8\n[swarm]\nmanagers = 3\n\
        [swarm.labels]\nzone = \"a\"\n[turns]\ngroup = \"web\"\nmax = 1\n[metadata]\nfrontend = \"true\"\n";
    assert_eq!(cluster_toml(document), expected);
    check(
        document,
        &[
            "file /etc/slipway/cluster.secret 0600",
            "file /etc/slipway/cluster.toml.d/50-cloud-config.toml 0644",
            "try-restart cluster-agent.service if",
            "start cluster-agent.service",
        ],
    );
    assert!(!lines(document).iter().any(|line| line.contains("battery")), "the secret is shown");
}

#[test]
fn documents_of_2015_say_it_under_etcd2() {
    let document = "coreos:\n  etcd2:\n    name: n1\n    discovery: https://updates.example.com/discovery/abc\n    \
        initial-advertise-peer-urls: http://10.0.0.5:2380\n    heartbeat_interval: 300\n  fleet: {metadata: \"role=web, disk=ssd\"}\n  \
        units: [{name: etcd2.service, command: start}]\n";
    let expected = "[etcd]\ndiscovery = \"https://updates.example.com/discovery/abc\"\nname = \"n1\"\naddress = \"10.0.0.5\"\n\
        [metadata]\ndisk = \"ssd\"\nrole = \"web\"\n";
    assert_eq!(cluster_toml(document), expected);
    check(
        document,
        &["start cluster-agent.service", "note: etcd2.service is called", "note: etcd.service is started by cluster-agent.service"],
    );
    // Like the agent's configuration it is there after a boot that finds no document.
    check(document, &["file /etc/systemd/system/etcd.service.d/20-cloudinit.conf 0644"]);
    assert!(!lines(document).iter().any(|line| line.starts_with("start etcd.service")), "etcd would start alone");
}

#[test]
fn without_a_cluster_etcd_is_the_users_own() {
    for document in ["coreos: {etcd2: {name: n1}, units: [{name: etcd2.service, command: start}]}", "coreos: {update: {group: beta}}"] {
        assert!(!lines(document).iter().any(|line| line.contains("cluster")), "{document}");
    }
    check("coreos: {etcd2: {name: n1}}", &["file /run/systemd/system/etcd.service.d/20-cloudinit.conf"]);
    check("coreos: {swarm: {}}", &["start cluster-agent.service"]);
    check("coreos: {turns: {lock: fleet-lock, url: \"http://10.0.0.1\"}}", &["start cluster-agent.service"]);
}

#[test]
fn what_a_cluster_cannot_be_is_refused() {
    for (document, says) in [
        ("cluster: {tls: auto}", "there is none"),
        ("cluster: {tls: auto, secret: short}", "at least 16"),
        ("cluster: {tls: files, ca_file: /etc/ca.pem}", "takes `ca_file`"),
        ("cluster: {discovery: \"http://a/b\", initial_cluster: \"n=http://a:2380\"}", "either found"),
        ("swarm: {managers: 2}", "odd number"),
        ("turns: {lock: fleet-lock}", "the `url`"),
        ("swarm: {managers: 0}", "1 to 1000"),
        ("cluster: {replace_after: soon}", "time span"),
        ("cluster: {role: boss}", "one of `auto`, `client`"),
    ] {
        let prepared = prepared(&format!("coreos: {{{document}}}"), &Metadata::default(), None);
        assert!(prepared.problems.iter().any(|problem| problem.message.contains(says)), "{document}: {:?}", prepared.problems);
        assert!(prepared.plan.is_none(), "{document}");
    }
}
