//! The command line of a test program. `cargo test` runs the same tests through [`main`] with `cargo-test` as its first word.

mod list;
mod run;
mod shell;

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use command_line::{Ui, completions, man};
use libtest_mimic::{Arguments, Trial};

use crate::images::{self, Images};
use crate::plan::{MAX_VMS, Options, Plan};

/// Boots the images that were built, in QEMU, and proves the promises on them.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print machine-readable JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
}

/// What the program is called.
const NAME: &str = "qemu-tests";

const EXIT_CODES: &str = "Exit status: 0 every promise is kept; 1 one is broken, or something went wrong; 2 the command line is wrong.";

/// The word with which `cargo test` asks for its own command line.
pub const CARGO_TEST: &str = "cargo-test";

/// Directory for logs and reports, unless named.
const LOGS: &str = "target/tmp/scenarios";

/// Environment variable with that directory.
pub const LOGS_ENV: &str = "SLIPWAY_TEST_LOGS";

/// Environment variable that keeps what passed as well.
const KEEP_ENV: &str = "SLIPWAY_KEEP";

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Run(run::Args),
    Shell(shell::Args),
    #[command(after_help = completions::examples(NAME))]
    Completions(completions::Args),
    #[command(after_help = man::examples(NAME))]
    Man(man::Args),
}

/// Where logs and reports are.
#[derive(Debug, Clone, clap::Args)]
struct Logs {
    /// Directory with logs and reports.
    #[arg(long, value_name = "DIR", env = LOGS_ENV, default_value = LOGS)]
    logs: Utf8PathBuf,
}

/// Runs the program: parses the command line and does what it says.
#[must_use]
pub fn main(plan: &Plan) -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == CARGO_TEST) {
        return finish(cargo_test(plan, words));
    }
    let matches = Cli::command().get_matches_from(words);
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let ui = Ui { json: cli.json };
    finish(match cli.command {
        Command::List(args) => list::run(plan, &args, ui),
        Command::Run(args) => run::run(plan, &args, ui),
        Command::Shell(args) => shell::run(plan, &args, ui),
        Command::Completions(args) => {
            ui.line(args.script(Cli::command()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Man(args) => args.write(Cli::command()).map_err(anyhow::Error::from).map(|sentence| {
            ui.note(sentence);
            ExitCode::SUCCESS
        }),
    })
}

fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        Ui { json: false }.note(format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// The command line that `cargo test` gives to a test program.
fn cargo_test(plan: &Plan, mut words: Vec<String>) -> anyhow::Result<ExitCode> {
    words.remove(1);
    let arguments = Arguments::from_iter(words);
    let ui = Ui { json: false };
    let Some(images) = Images::from_env() else {
        ui.note(format!(
            "The VM scenarios need built images: `make test` makes them, or set {}=DIR with vm/ and metal/ in it.",
            images::ENV
        ));
        return Ok(libtest_mimic::run(&arguments, Vec::new()).exit_code());
    };
    // Whoever gives a filter names what is to run.
    let names = if arguments.filter.is_some() { plan.names() } else { plan.usual() };
    let names: Vec<&str> = names.into_iter().filter(|name| wanted(&arguments, name)).collect();
    if arguments.list {
        let trials = names.into_iter().map(|name| Trial::test(name, || Ok(())));
        return Ok(libtest_mimic::run(&arguments, trials.collect()).exit_code());
    }
    let options = Options {
        images,
        logs: absolute(&std::env::var(LOGS_ENV).unwrap_or_else(|_| LOGS.to_owned()).into())?,
        vms: arguments.test_threads.and_then(|threads| u32::try_from(threads).ok()).unwrap_or(MAX_VMS).min(MAX_VMS),
        keep: std::env::var(KEEP_ENV).is_ok_and(|value| value == "1"),
        snooze: true,
    };
    let conclusion = plan.run(&names, &options, arguments)?;
    ui.note(conclusion.advice());
    Ok(if conclusion.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The rule of Rust's test harness.
fn wanted(arguments: &Arguments, name: &str) -> bool {
    let matches = |filter: &String| if arguments.exact { name == filter } else { name.contains(filter.as_str()) };
    arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}

fn absolute(path: &Utf8PathBuf) -> anyhow::Result<Utf8PathBuf> {
    camino::absolute_utf8(path).map_err(|error| anyhow::anyhow!("resolving {path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_subcommand_has_examples() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} has no examples", sub.get_name());
        }
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        for words in
            [&["qemu-tests"][..], &["qemu-tests", "shell"], &["qemu-tests", "run", "--jobs", "0"], &["qemu-tests", "run", "--repeat", "x"]]
        {
            assert!(Cli::try_parse_from(words).is_err(), "{words:?}");
        }
    }
}
