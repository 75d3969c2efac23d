use super::*;
use crate::machine::test_support::{Bench, settings, settled};

#[test]
fn the_command_line_is_sound() {
    command_line().debug_assert();
}

#[test]
fn every_subcommand_has_an_example() {
    for subcommand in command_line().get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = help.lines().any(|line| line.trim_start().starts_with("updater ") || line.trim_start().starts_with("systemctl "));
        assert!(help.contains("Examples:") && example, "{} has no example", subcommand.get_name());
    }
}

#[test]
fn every_example_parses() {
    for subcommand in command_line().get_subcommands() {
        let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().map(str::trim).filter_map(|line| line.strip_prefix("updater "));
        for line in lines {
            let line = line.split(['|', '#', '&', '>']).next().unwrap();
            let words = std::iter::once("updater").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}

#[test]
fn exit_codes_tell_refusals_and_absence_from_failure() {
    let table: [(anyhow::Error, u8); 5] = [
        (UpdaterError::Refused("x".to_owned()).into(), 3),
        (UpdaterError::Busy("x".to_owned()).into(), 1),
        (UpdaterError::NotAuthorized("x".to_owned()).into(), 1),
        (NoDaemon("x".to_owned()).into(), 4),
        (anyhow::anyhow!("x"), 1),
    ];
    for (error, code) in table {
        assert_eq!(exit_code(&error), code, "{error}");
    }
}

#[test]
fn without_a_daemon_the_exit_code_is_four() {
    let ui = Ui { json: false, bus: Some("unix:path=/does/not/exist".to_owned()) };
    let error = run(&Command::Status(status::Args {}), &ui).unwrap_err();
    assert_eq!(exit_code(&error), EXIT_NO_DAEMON, "{error:#}");
}

#[test]
fn the_status_says_what_matters() {
    let mut settings = settings();
    settings.reboot.strategy = crate::config::Strategy::Off;
    let mut bench = Bench::with(settled("1.0.0"), settings);
    bench.stage("1.1.0");
    let rows: Vec<String> = status::rows(&bench.machine.status()).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
    state: waiting-for-reboot
    version: 1.0.0 (slot a, the default)
    other slot: 1.1.0
    available: 1.1.0
    waiting for: an operator: the reboot strategy is `off`; run `updater reboot`, or reboot the machine in any way
    group: stable
    checked: 2026-11-21T08:00:00Z
    next check: after the reboot
    ");
}

#[test]
fn why_names_the_rule_that_holds_and_when_it_can_change() {
    let mut persisted = settled("1.0.0");
    persisted.last_checked = Some("2026-11-21T07:00:00Z".parse().unwrap());
    let mut bench = Bench::with(persisted, settings());
    bench.feed(crate::machine::Input::Check);
    bench.feed(crate::machine::test_support::nothing());
    let mut explanation = crate::why::explain(&bench.machine, bench.now());
    explanation.changes = explanation.changes.map(|_| "2026-11-21T08:45:00Z".parse().unwrap());
    for rule in &mut explanation.rules {
        rule.changes = rule.changes.map(|_| "2026-11-21T08:45:00Z".parse().unwrap());
    }
    insta::assert_snapshot!(why::lines(&explanation).join("\n"));
}
