//! The command line: one file per subcommand, each only parses, calls the library and prints.

pub mod fill;
pub mod init;
pub mod open;
pub mod serve;
pub mod token;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use command_line::{completions, log, man};

/// Feeds a fleet: hears machines, decides which one gets which release and when, and hands out signed files.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100, after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print machine-readable JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
    /// How the log on standard error is written.
    #[arg(long, global = true, value_enum, default_value_t = Log::Text)]
    log: Log,
}

/// What the program is called.
const NAME: &str = "update-server";

const AFTER: &str = "Examples:
  update-server init --data /var/lib/slipway/server
  update-server serve --data /var/lib/slipway/server --listen 0.0.0.0:8080
  update-server token create --data /var/lib/slipway/server --name ci --role publisher --expires-in 90d

Exit status: 0 done; 1 the work failed; 2 the command line is wrong.
The log's level is set by SLIPWAY_LOG, e.g. SLIPWAY_LOG=debug.";

/// The variable that filters the log.
const LOG_VARIABLE: &str = "SLIPWAY_LOG";
/// What it is when it is not set: the database driver tells every statement.
const LOG_FILTER: &str = "info,sqlx=warn";

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Log {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Serve(serve::Args),
    #[command(subcommand)]
    Token(token::Command),
    /// Runs a rollout over an invented fleet in virtual time.
    Simulate(crate::simulate::Args),
    /// Prints the API's description (OpenAPI 3.1).
    Openapi,
    #[command(after_help = completions::examples(NAME))]
    Completions(completions::Args),
    #[command(after_help = man::examples(NAME))]
    Man(man::Args),
    #[command(hide = true)]
    Load(crate::load::Args),
    #[command(name = "internal-fill", hide = true)]
    InternalFill(fill::Args),
}

/// What a subcommand needs to talk to its user.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// Standard output carries JSON.
    pub json: bool,
}

impl Ui {
    /// Writes one line of data to standard output. A reader that went away is not an error.
    pub fn line(self, text: impl AsRef<str>) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{}", text.as_ref());
        let _ = out.flush();
    }

    /// Writes `value` as indented JSON to standard output.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn data(self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        self.line(serde_json::to_string_pretty(value)?);
        Ok(())
    }
}

/// Parses the command line, runs the subcommand and maps its result to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json_log = cli.log == Log::Json;
    match cli.log {
        Log::Text => log::init(LOG_VARIABLE, LOG_FILTER),
        Log::Json => log::init_json(LOG_VARIABLE, LOG_FILTER),
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the log as JSON must not stumble over its last line.
        Err(error) if json_log => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let ui = Ui { json: cli.json };
    let mut out = std::io::stdout();
    match cli.command {
        Command::Simulate(args) => return crate::simulate::run(&args, cli.json, &mut out),
        Command::Openapi => return ui.data(&crate::http::openapi::document()),
        Command::Completions(args) => {
            ui.line(args.script(Cli::command()));
            return Ok(());
        }
        Command::Man(args) => {
            let _ = writeln!(std::io::stderr(), "{}", args.write(Cli::command())?);
            return Ok(());
        }
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Init(args) => Box::pin(init::run(&args, ui)).await,
            Command::Serve(args) => Box::pin(serve::run(args, ui)).await,
            Command::Token(command) => Box::pin(token::run(&command, ui)).await,
            Command::Load(args) => Box::pin(crate::load::run(&args, cli.json, &mut out)).await,
            Command::InternalFill(args) => Box::pin(fill::run(&args, ui)).await,
            Command::Simulate(_) | Command::Openapi | Command::Completions(_) | Command::Man(_) => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
