use std::path::Path;
use std::time::Duration;

use super::*;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The configuration of files given as path and text.
fn loaded(files: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(root.path(), path, text);
    }
    load(root.path())
}

const LOCAL: &str = "etc/slipway/updater.toml";
const COREOS: &str = "etc/coreos/update.conf";

fn local(text: &str) -> Loaded {
    loaded(&[(LOCAL, text)]).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn problem(text: &str) -> String {
    loaded(&[(LOCAL, text)]).expect_err(text).to_string()
}

#[test]
fn without_files_the_defaults_hold() {
    let loaded = loaded(&[]).unwrap();
    assert_eq!(loaded.settings, Settings::default());
    assert!(loaded.settings.access.server.is_empty() && loaded.origins.is_empty());
}

#[test]
fn every_key_arrives() {
    let loaded = local(
        r#"
        server = "https://updates.example.org/"
        group = "canary"
        enabled = false
        mirrors = ["http://mirror.example.org/slipway/"]
        proxy = "http://proxy.example.org:3128"
        ca-file = "/etc/ssl/ours.pem"
        bandwidth-limit = 1_000_000
        pin = "1.2.3"
        app-id = "e96281a6-d1af-4bde-9a0a-97b76e56dc57"
        [check]
        interval = "10s"
        jitter = "0s"
        first = "1s"
        [reboot]
        strategy = "window"
        timezone = "Europe/Berlin"
        wait-for-users = "1m"
        [[reboot.window]]
        days = ["Sat", "sunday"]
        start = "02:30"
        length = "1h 30m"
        [health]
        deadline = "2m"
        services = ["docker.service", "web@1.service"]
        "#,
    );
    let settings = &loaded.settings;
    assert_eq!(settings.access.server, "https://updates.example.org");
    assert_eq!(settings.access.metadata_url, "https://updates.example.org/tuf");
    assert_eq!(settings.access.mirrors, ["http://mirror.example.org/slipway"]);
    assert_eq!(settings.access.bandwidth_limit, Some(1_000_000));
    assert_eq!(settings.app_id.as_deref(), Some("{e96281a6-d1af-4bde-9a0a-97b76e56dc57}"));
    assert_eq!((settings.check.interval, settings.check.interval_is_set), (Duration::from_secs(10), true));
    assert_eq!(settings.reboot.windows.list.len(), 2);
    assert_eq!(settings.health.services.len(), 2);
    assert_eq!(loaded.origins["reboot.strategy"], Origin { file: "/etc/slipway/updater.toml".to_owned(), line: 16 });
    assert!(!settings.enabled);
}

#[test]
fn later_files_win_and_each_value_knows_its_file() {
    let loaded = loaded(&[
        ("usr/lib/slipway/updater.toml", "server = \"https://vendor.example\"\ngroup = \"vendor\"\npin = \"1.0.0\"\n"),
        (COREOS, "GROUP=coreos\nSERVER=https://coreos.example/v1/update/\n"),
        (LOCAL, "group = \"local\"\n"),
        ("etc/slipway/updater.toml.d/20-b.toml", "group = \"b\"\npin = \"\"\n"),
        ("etc/slipway/updater.toml.d/10-a.toml", "group = \"a\"\nenabled = false\n"),
        ("etc/slipway/updater.toml.d/notes.txt", "this is not read"),
    ])
    .unwrap();
    assert_eq!(loaded.settings.group, "b");
    assert_eq!(loaded.settings.access.server, "https://coreos.example");
    assert_eq!(loaded.settings.pin, None);
    let file = |key| loaded.origins[key].file.as_str();
    assert_eq!(file("group"), "/etc/slipway/updater.toml.d/20-b.toml");
    assert_eq!(file("enabled"), "/etc/slipway/updater.toml.d/10-a.toml");
    assert_eq!(file("server"), "/etc/coreos/update.conf");
}

#[test]
fn a_mistyped_key_shows_its_place_and_the_right_one() {
    insta::assert_snapshot!(problem("group = \"a\"\nservr = \"https://x\"\n"), @r#"
    unknown key `servr` at the top
      --> /etc/slipway/updater.toml:2:1
       |
    2  | servr = "https://x"
       | ^^^^^ did you mean `server`?
    "#);
}

#[test]
fn every_problem_of_every_file_is_reported() {
    let error = loaded(&[(LOCAL, "enabled = 1\n[reboot]\nstrategy = \"imediate\"\n"), (COREOS, "REBOOT_STRATEGY=rebot\n")]).unwrap_err();
    insta::assert_snapshot!(error.to_string(), @r#"
    "rebot" is not right for REBOOT_STRATEGY
      --> /etc/coreos/update.conf:1:1
       |
    1  | REBOOT_STRATEGY=rebot
       | ^^^^^^^^^^^^^^^^^^^^^ did you mean `reboot`? known are: reboot, off, etcd-lock, fleet-lock, best-effort

    error: `enabled` must be true or false
      --> /etc/slipway/updater.toml:1:11
       |
    1  | enabled = 1
       |           ^ this is a whole number

    error: "imediate" is not right for `strategy`
      --> /etc/slipway/updater.toml:3:12
       |
    3  | strategy = "imediate"
       |            ^^^^^^^^^^ did you mean "immediate"? known are: immediate, window, etcd-lock, fleet-lock, best-effort, off
    "#);
}

#[test]
fn wrong_values_are_refused() {
    let table = [
        ("server = \"updates.example.org\"", "expected a URL"),
        ("server = \"https://a b\"", "expected a URL"),
        ("server = \"ftp://a\"", "expected a URL"),
        ("server = 5", "must be a string"),
        ("mirrors = \"https://a\"", "must be a list of strings"),
        ("proxy = \"proxy:3128\"", "expected a URL"),
        ("ca-file = \"ours.pem\"", "expected an absolute path"),
        ("bandwidth-limit = 10", "expected 1024 or more"),
        ("bandwidth-limit = -1", "expected 1024 or more"),
        ("pin = \"latest\"", "expected a version"),
        ("group = \"a b\"", "expected up to 64"),
        ("group = \"\"", "expected up to 64"),
        ("app-id = \"slipway\"", "expected a UUID"),
        ("[check]\ninterval = \"0s\"", "expected a duration"),
        ("[check]\ninterval = 45", "must be a string"),
        ("[check]\ninterval = \"-5m\"", "expected a duration"),
        ("[check]\nfist = \"1m\"", "did you mean `first`?"),
        ("[reboot]\ntimezone = \"Europe/Atlantis\"", "that this system knows"),
        ("[reboot]\nstrategy = \"window\"", "but there is no window"),
        ("[[reboot.window]]\nstart = \"25:00\"\nlength = \"1h\"", "expected a time of day"),
        ("[[reboot.window]]\nstart = \"2:5\"\nlength = \"1h\"", "expected a time of day"),
        ("[[reboot.window]]\nstart = \"02:00\"", "the window has no `length`"),
        ("[[reboot.window]]\nlength = \"1h\"", "the window has no `start`"),
        ("[[reboot.window]]\nstart = \"02:00\"\nlength = \"8d\"", "expected a duration"),
        ("[[reboot.window]]\ndays = [\"Sam\"]\nstart = \"02:00\"\nlength = \"1h\"", "expected a day"),
        ("[reboot]\nwindow = \"Sat\"", "written [[window]]"),
        ("[health]\nservices = [\"docker\"]", "expected the name of a unit"),
        ("[health]\nservices = [\"a; rm.service\"]", "expected the name of a unit"),
        ("health = true", "must be a table"),
        ("server = \"https://a\"\nserver = \"https://b\"", "not TOML"),
        ("server = ", "not TOML"),
    ];
    for (text, expected) in table {
        let problem = problem(text);
        assert!(problem.contains(expected), "{text}\nexpected {expected:?} in\n{problem}");
        assert!(problem.contains("updater.toml"), "{problem}");
    }
}

#[test]
fn one_wrong_file_makes_the_whole_configuration_unusable() {
    let error = loaded(&[(LOCAL, "server = \"https://a\"\n"), ("etc/slipway/updater.toml.d/9.toml", "x = 1\n")]).unwrap_err();
    assert!(matches!(error, ConfigError::Invalid { .. }));
}

#[test]
fn the_coreos_file_means_what_its_users_expect() {
    let strategy = |value: &str| loaded(&[(COREOS, &format!("REBOOT_STRATEGY={value}\n"))]).unwrap();
    let table = [
        ("reboot", Strategy::Immediate),
        ("\"off\"", Strategy::Off),
        ("etcd-lock", Strategy::EtcdLock),
        ("fleet-lock", Strategy::FleetLock),
        ("best-effort", Strategy::BestEffort),
    ];
    for (value, expected) in table {
        assert_eq!(strategy(value).settings.reboot.strategy, expected, "{value}");
    }
    // A window alone needs one.
    for strategy in Strategy::ALL.into_iter().filter(|strategy| *strategy != Strategy::Window) {
        assert_eq!(local(&format!("[reboot]\nstrategy = {:?}\n", strategy.name())).settings.reboot.strategy, strategy);
    }
    // And a window does not end the turns.
    let text = "REBOOT_STRATEGY=etcd-lock\nLOCKSMITHD_REBOOT_WINDOW_START=02:00\nLOCKSMITHD_REBOOT_WINDOW_LENGTH=1h\n";
    let both = loaded(&[(COREOS, text)]).unwrap().settings.reboot;
    assert_eq!((both.strategy, both.windows.list.len()), (Strategy::EtcdLock, 1));

    let text = "# comment\n\nGROUP=beta\nSERVER=disabled\nMACHINE_ALIAS=web 1\nLOCKSMITHD_REBOOT_WINDOW_START=Thu 23:30\n\
                LOCKSMITHD_REBOOT_WINDOW_LENGTH=1h30m\n";
    let loaded = loaded(&[(COREOS, text)]).unwrap();
    assert!(!loaded.settings.enabled);
    assert_eq!(loaded.settings.group, "beta");
    assert_eq!(loaded.settings.reboot.strategy, Strategy::Window);
    assert_eq!(loaded.settings.reboot.windows.list.len(), 1);
}

#[test]
fn the_coreos_file_is_checked_too() {
    let table = [
        ("GROUP\n", "has no `=`"),
        ("GROUP=a b\n", "not right for GROUP"),
        ("SERVER=example\n", "not right for SERVER"),
        ("LOCKSMITHD_REBOOT_WINDOW_START=23:30\n", "without LOCKSMITHD_REBOOT_WINDOW_LENGTH"),
        ("LOCKSMITHD_REBOOT_WINDOW_START=Foo 23:30\nLOCKSMITHD_REBOOT_WINDOW_LENGTH=1h\n", "expected a day"),
    ];
    for (text, expected) in table {
        let error = loaded(&[(COREOS, text)]).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn huge_and_unreadable_files_are_refused() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), LOCAL, &"#".repeat(300 * 1024));
    assert!(matches!(load(root.path()), Err(ConfigError::Large { .. })));
    std::fs::write(root.path().join(LOCAL), b"group = \"\xff\"").unwrap();
    assert!(matches!(load(root.path()), Err(ConfigError::Read { .. })));
    assert!(matches!(check_file(Path::new("/does/not/exist.toml")), Err(ConfigError::Read { .. })));
}

#[test]
fn every_setting_is_shown_with_its_origin() {
    let loaded = local("server = \"https://a\"\n");
    let rows = loaded.rows();
    let server = rows.iter().find(|(key, _, _)| *key == "server").unwrap();
    assert_eq!((server.1.as_str(), server.2.unwrap().line), ("https://a", 1));
    let interval = rows.iter().find(|(key, _, _)| *key == "check.interval").unwrap();
    assert_eq!((interval.1.as_str(), interval.2), ("45m", None));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        let _ = loaded(&[(LOCAL, &text), (COREOS, &text)]);
    }
}
