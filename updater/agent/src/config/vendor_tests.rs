//! The file that documents the settings says what the program does.

use super::*;

/// As it is installed.
const FILE: &str = include_str!("../../system/usr/lib/slipway/updater.toml");

fn parsed(text: &str) -> Loaded {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("usr/lib/slipway");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("updater.toml"), text).unwrap();
    load(root.path()).unwrap_or_else(|error| panic!("{error}"))
}

/// `#key = value` becomes `key = value`; `# prose` stays.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    FILE.lines().map(line).collect()
}

#[test]
fn as_installed_the_vendor_file_sets_nothing() {
    let loaded = parsed(FILE);
    assert_eq!(loaded.settings, Settings::default());
    assert!(loaded.origins.is_empty() && loaded.notes.is_empty(), "{:?}", loaded.origins);
}

#[test]
fn the_vendor_file_shows_every_key_with_its_default() {
    let mut loaded = parsed(&uncommented());
    assert!(std::mem::take(&mut loaded.settings.check.interval_is_set), "the one thing that differs, as the file says");
    assert_eq!(loaded.settings, Settings::default());
    let shown = Loaded::default();
    let missing: Vec<&str> = shown.rows().into_iter().map(|(key, _, _)| key).filter(|key| !loaded.origins.contains_key(key)).collect();
    assert_eq!(missing, ["reboot.window"], "which has no default and is shown as an example");
}

#[test]
fn units_to_ignore_are_read_and_told_by_why() {
    let settings = parsed("[health]\nignore = [\"flaky.service\"]\n").settings;
    assert_eq!(settings.health.ignore, ["flaky.service"]);
    let bench = crate::machine::test_support::Bench::with(crate::machine::test_support::settled("1.0.0"), settings);
    let why = crate::why::explain(&bench.machine, bench.now());
    assert!(why.rules.iter().any(|rule| rule.rule == "health" && rule.value.ends_with("failed: flaky.service")));
}

#[test]
fn the_example_of_the_vendor_file_is_a_window() {
    let example: String = FILE.lines().filter_map(|line| line.strip_prefix("#     ")).map(|line| format!("{line}\n")).collect();
    let loaded = parsed(&format!("{example}[reboot]\nstrategy = \"window\"\n"));
    assert_eq!(loaded.settings.reboot.windows.list.len(), 2, "{example}");
}

#[test]
fn what_a_file_sets_a_later_one_can_take_back() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/slipway/updater.toml.d");
    std::fs::create_dir_all(&folder).unwrap();
    let set = "server = \"https://a\"\nmetadata-url = \"https://b\"\nca-file = \"/c\"\nbandwidth-limit = 2048\npin = \"1.2.3\"\n\
               proxy = \"http://d\"\napp-id = \"e96281a6-d1af-4bde-9a0a-97b76e56dc57\"\n";
    std::fs::write(folder.join("1.toml"), set).unwrap();
    let back = "server = \"\"\nmetadata-url = \"\"\nca-file = \"\"\nbandwidth-limit = 0\npin = \"\"\nproxy = \"\"\napp-id = \"\"\n";
    std::fs::write(folder.join("2.toml"), back).unwrap();
    assert_eq!(load(root.path()).unwrap().settings, Settings::default());
}
