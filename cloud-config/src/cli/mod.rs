//! The command line: one file per subcommand, each only parses, calls the library and prints.

mod apply;
mod detect;
mod input;
mod plan;
mod schema;
mod substitute;
mod validate;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use command_line::{Ui, completions, log, man};

/// Finds this machine's configuration, checks it, shows what it would do, and does it.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What the program is called.
const NAME: &str = "cloud-config";

const EXIT_CODES: &str = "Exit status: 0 done, or nothing to complain about; 1 it failed, or warnings with --strict; \
2 errors in the document, or the command line is wrong.";

/// It failed, or there are warnings and `--strict` was given.
pub const EXIT_FAILED: u8 = 1;
/// The document has errors.
pub const EXIT_INVALID: u8 = 2;

#[derive(Debug, Subcommand)]
enum Command {
    Apply(apply::Args),
    #[command(after_help = completions::examples(NAME))]
    Completions(completions::Args),
    Detect(detect::Args),
    #[command(after_help = man::examples(NAME))]
    Man(man::Args),
    Plan(plan::Args),
    Schema(schema::Args),
    Substitute(substitute::Args),
    Validate(validate::Args),
}

/// Parses the command line, runs the subcommand and maps its result to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log::init("SLIPWAY_LOG", if log::is_journal() { "info" } else { "warn" });
    let ui = Ui::default();
    match run(&cli.command, &ui) {
        Ok(code) => code,
        Err(error) => {
            ui.note(format!("error: {error:#}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn run(command: &Command, ui: &Ui) -> anyhow::Result<ExitCode> {
    match command {
        Command::Apply(args) => apply::run(args, ui),
        Command::Completions(args) => {
            ui.line(args.script(Cli::command()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Detect(args) => detect::run(args, ui),
        Command::Man(args) => {
            ui.note(args.write(Cli::command())?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Plan(args) => plan::run(args, ui),
        Command::Schema(args) => schema::run(args, ui),
        Command::Substitute(args) => substitute::run(args, ui),
        Command::Validate(args) => validate::run(args, ui),
    }
}
