//! The command line: one file per subcommand, each only parses, calls the library and prints.

mod announce;
mod render;
mod services;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use command_line::{Ui, completions, log, man};

/// Makes machines with one configuration a cluster, and keeps them one.
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
const NAME: &str = "cluster-agent";

const EXIT_CODES: &str = "Exit status: 0 done; 1 it failed; 2 the command line is wrong; 3 refused, because it would harm the cluster; \
4 the daemon is not running.";

#[derive(Debug, Subcommand)]
enum Command {
    Announce(announce::Args),
    #[command(after_help = completions::examples(NAME))]
    Completions(completions::Args),
    #[command(after_help = man::examples(NAME))]
    Man(man::Args),
    Render(render::Args),
    Services(services::Args),
}

/// Parses the command line, runs the subcommand and maps its result to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log::init("CLUSTER_AGENT_LOG", if log::is_journal() { "info" } else { "warn" });
    let ui = Ui { json: cli.json };
    let result = match &cli.command {
        Command::Announce(args) => block_on(args.run(ui)),
        Command::Completions(args) => {
            ui.text(&args.script(Cli::command()));
            Ok(())
        }
        Command::Man(args) => args.write(Cli::command()).map(|told| ui.note(told)).map_err(anyhow::Error::from),
        Command::Render(args) => block_on(args.run(ui)),
        Command::Services(args) => block_on(args.run(ui)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.note(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// One thread does it all: what runs here waits most of the time, and threads cost memory.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
