//! The command line: one file per subcommand, each only parses, calls the library and prints.

mod announce;
mod daemon;
mod reboots;
mod recover;
mod render;
mod services;
mod snapshot;
mod status;
mod swarm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use command_line::{Ui, completions, log, man};

use crate::config::{self, Config};
use crate::recover::{QuorumExists, Stays};

/// Makes machines with one configuration a cluster, and keeps them one.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print machine-readable JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
    /// The configuration; files in FILE.d/*.toml come after it.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/slipway/cluster.toml")]
    config: PathBuf,
}

/// What the program is called.
const NAME: &str = "cluster-agent";

const EXIT_CODES: &str = "Exit status: 0 done; 1 it failed; 2 the command line is wrong; 3 refused, because it would harm the cluster; \
4 the daemon is not running.";

/// It would harm the cluster, or was not confirmed.
const EXIT_REFUSED: u8 = 3;
/// There is no daemon.
const EXIT_NO_DAEMON: u8 = 4;

#[derive(Debug, Subcommand)]
enum Command {
    Announce(announce::Args),
    #[command(after_help = completions::examples(NAME))]
    Completions(completions::Args),
    Daemon(daemon::Args),
    #[command(after_help = man::examples(NAME))]
    Man(man::Args),
    Members(status::MembersArgs),
    Reboots(reboots::Args),
    Recover(recover::Args),
    Rejoin(recover::RejoinArgs),
    Render(render::Args),
    Restore(recover::RestoreArgs),
    Services(services::Args),
    Snapshot(snapshot::Args),
    Snapshots(snapshot::ListArgs),
    Status(status::Args),
    /// The Docker Swarm of this cluster.
    #[command(after_help = "Examples:\n  cluster-agent swarm status\n  cluster-agent swarm rebalance --dry-run")]
    Swarm(swarm::Args),
}

/// It was not confirmed.
#[derive(Debug, thiserror::Error)]
#[error("nothing was done; add --yes if this is what you want")]
struct NotConfirmed;

/// There is no daemon.
#[derive(Debug, thiserror::Error)]
#[error("the daemon is not running; see `systemctl status cluster-agent`")]
struct NoDaemon;

/// Parses the command line, runs the subcommand and maps its result to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log::init("CLUSTER_AGENT_LOG", if log::is_journal() { "info" } else { "warn" });
    let ui = Ui { json: cli.json };
    match run(&cli, ui) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.note(format!("error: {error:#}"));
            if error.is::<NotConfirmed>() || error.is::<QuorumExists>() || error.is::<Stays>() {
                ExitCode::from(EXIT_REFUSED)
            } else if error.is::<NoDaemon>() {
                ExitCode::from(EXIT_NO_DAEMON)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(cli: &Cli, ui: Ui) -> anyhow::Result<()> {
    let read = || config::read(&cli.config).map_err(anyhow::Error::from);
    match &cli.command {
        Command::Announce(args) => runtime()?.block_on(args.run(ui))?,
        Command::Completions(args) => ui.text(&args.script(Cli::command())),
        Command::Man(args) => ui.note(args.write(Cli::command())?),
        Command::Daemon(args) => runtime()?.block_on(args.run(read()?))?,
        Command::Members(args) => runtime()?.block_on(args.run(ui))?,
        Command::Reboots(args) => runtime()?.block_on(args.run(ui))?,
        Command::Recover(args) => runtime()?.block_on(args.run(&read()?, ui))?,
        Command::Rejoin(args) => runtime()?.block_on(args.run(&read()?, ui))?,
        Command::Render(args) => runtime()?.block_on(args.run(ui))?,
        Command::Restore(args) => runtime()?.block_on(args.run(&read()?, ui))?,
        Command::Services(args) => runtime()?.block_on(args.run(ui))?,
        Command::Snapshot(args) => runtime()?.block_on(args.run(&read()?, ui))?,
        Command::Snapshots(args) => args.run(&read()?, ui)?,
        Command::Status(args) => runtime()?.block_on(args.run(&read()?, ui))?,
        Command::Swarm(args) => args.run(ui)?,
    }
    Ok(())
}

/// One thread does it all: the daemon waits most of the time, and threads cost memory.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// This machine, and the certificates it reaches the others with.
fn here(config: &Config) -> anyhow::Result<(crate::ground::Ground, Option<crate::tls::Files>)> {
    let ground = crate::daemon::ground(config)?;
    let files = crate::tls::prepare(&config.etcd, &ground, jiff::Timestamp::now())?;
    Ok((ground, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together_and_every_subcommand_is_explained() {
        let command = Cli::command();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands() {
            assert!(subcommand.get_about().is_some(), "{}", subcommand.get_name());
            assert!(subcommand.get_after_help().is_some(), "{} has examples", subcommand.get_name());
        }
    }
}
