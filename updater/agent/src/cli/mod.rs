//! The command line: one file per subcommand, each only parses, calls the library and prints.

mod apply;
mod cancel;
mod check;
mod client;
mod config;
mod daemon;
mod follow;
mod health;
mod history;
mod reboot;
mod rollback;
mod status;
#[cfg(test)]
mod tests;
mod why;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use command_line::{completions, log, man};

use crate::dbus::UpdaterError;
use crate::sandbox;

/// Finds, installs, tries and commits new versions of this machine's operating system.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print machine-readable JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
    /// D-Bus address of the updater instead of the system bus; for tests.
    #[arg(long, global = true, hide = true, value_name = "ADDRESS")]
    bus: Option<String>,
}

/// What the program is called.
const NAME: &str = "updater";

const EXIT_CODES: &str = "Exit status: 0 done; 1 it failed; 2 the command line is wrong; \
3 refused by a rule of this machine (quarantined, older, not for us, nothing to do it to); 4 the daemon is not running.";

/// It failed.
pub const EXIT_FAILED: u8 = 1;
/// A rule of this machine says no.
pub const EXIT_REFUSED: u8 = 3;
/// There is no daemon to talk to.
pub const EXIT_NO_DAEMON: u8 = 4;

#[derive(Debug, Subcommand)]
enum Command {
    Apply(apply::Args),
    Cancel(cancel::Args),
    Check(check::Args),
    #[command(after_help = completions::examples(NAME))]
    Completions(completions::Args),
    Config(config::Args),
    Daemon(daemon::Args),
    Health(health::Args),
    History(history::Args),
    #[command(after_help = man::examples(NAME))]
    Man(man::Args),
    Reboot(reboot::Args),
    Rollback(rollback::Args),
    Status(status::Args),
    #[command(name = "tuf-client", hide = true)]
    TufClient(crate::tuf_client::Args),
    Why(why::Args),
    #[command(name = "internal-fetch", hide = true)]
    InternalFetch,
    #[command(name = "internal-stage", hide = true)]
    InternalStage(crate::stage::StageArgs),
    #[command(name = "internal-verify", hide = true)]
    InternalVerify,
}

/// The whole command line, for what is made from it.
fn command_line() -> clap::Command {
    Cli::command()
}

/// What a subcommand needs to talk to its user.
#[derive(Debug)]
struct Ui {
    json: bool,
    bus: Option<String>,
}

impl Ui {
    /// Writes one line of data to standard output. A reader that went away is not an error.
    fn line(&self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
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

    fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }
}

/// There is no daemon to talk to.
#[derive(Debug, thiserror::Error)]
#[error("the updater daemon is not running ({0}); see `systemctl status updater.service`")]
struct NoDaemon(String);

/// Parses the command line, runs the subcommand and maps its result to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log::init("UPDATER_LOG", if log::is_journal() { "info" } else { "warn" });
    let ui = Ui { json: cli.json, bus: cli.bus };
    match run(&cli.command, &ui) {
        Ok(code) => code,
        Err(error) => {
            ui.note(format!("error: {error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<NoDaemon>() {
            return EXIT_NO_DAEMON;
        }
        match cause.downcast_ref() {
            Some(UpdaterError::Refused(_)) => return EXIT_REFUSED,
            Some(UpdaterError::Stopping(_)) => return EXIT_NO_DAEMON,
            _ => {}
        }
    }
    EXIT_FAILED
}

fn run(command: &Command, ui: &Ui) -> anyhow::Result<ExitCode> {
    match command {
        Command::Apply(args) => apply::run(args, ui),
        Command::Cancel(args) => cancel::run(args, ui),
        Command::Check(args) => check::run(args, ui),
        Command::Completions(args) => {
            ui.line(args.script(command_line()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(args) => config::run(args, ui),
        Command::Daemon(args) => daemon::run(args, ui),
        Command::Health(args) => health::run(args, ui),
        Command::History(args) => history::run(args, ui),
        Command::Man(args) => {
            ui.note(args.write(command_line())?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Reboot(args) => reboot::run(args, ui),
        Command::Rollback(args) => rollback::run(args, ui),
        Command::Status(args) => status::run(args, ui),
        Command::TufClient(args) => crate::tuf_client::run(args).map(|()| ExitCode::SUCCESS),
        Command::Why(args) => why::run(args, ui),
        Command::InternalFetch => sandbox::run_fetch().map(|()| ExitCode::SUCCESS),
        Command::InternalStage(args) => crate::stage::run_stage(args).map(|()| ExitCode::SUCCESS),
        Command::InternalVerify => sandbox::run_verify().map(|()| ExitCode::SUCCESS),
    }
}

/// Runs `work` on one thread.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
