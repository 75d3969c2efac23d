//! The command line: one file per subcommand, each only parses, calls the library and prints.

mod apply;
mod detect;
mod input;
mod plan;
mod schema;
mod substitute;
mod validate;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Detect(detect::Args),
    Plan(plan::Args),
    Schema(schema::Args),
    Substitute(substitute::Args),
    Validate(validate::Args),
}

/// What a subcommand needs to talk to its user.
#[derive(Debug)]
struct Ui;

impl Ui {
    /// Writes one line of data to standard output. A reader that went away is not an error.
    fn line(&self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
    }

    /// Writes text as it is to standard output.
    fn text(&self, text: &str) {
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    /// Writes one line of talk to standard error.
    fn note(&self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
    }

    /// Writes `value` as indented JSON to standard output.
    fn data(&self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        self.line(serde_json::to_string_pretty(value)?);
        Ok(())
    }

    /// `text` with an SGR attribute on a terminal, plain in a pipe.
    fn styled(&self, attribute: &str, text: &str) -> String {
        if std::io::stdout().is_terminal() { format!("\x1b[{attribute}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Parses the command line, runs the subcommand and maps its result to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui;
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
        Command::Detect(args) => detect::run(args, ui),
        Command::Plan(args) => plan::run(args, ui),
        Command::Schema(args) => schema::run(args, ui),
        Command::Substitute(args) => substitute::run(args, ui),
        Command::Validate(args) => validate::run(args, ui),
    }
}
