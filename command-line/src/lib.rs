//! What every Slipway command does alike, made from its own command line: completions and manual pages. And where its log goes.
//!
//! A program takes the two subcommands into its own enum and runs them:
//!
//! ```
//! use clap::{CommandFactory, Parser, Subcommand};
//!
//! #[derive(Parser)]
//! #[command(name = "ferry")]
//! struct Cli {
//!     #[command(subcommand)]
//!     command: Command,
//! }
//!
//! #[derive(Subcommand)]
//! enum Command {
//!     #[command(after_help = command_line::completions::examples("ferry"))]
//!     Completions(command_line::completions::Args),
//!     #[command(after_help = command_line::man::examples("ferry"))]
//!     Man(command_line::man::Args),
//! }
//!
//! let cli = Cli::parse_from(["ferry", "completions", "bash"]);
//! match cli.command {
//!     Command::Completions(args) => assert!(args.script(Cli::command()).contains("ferry")),
//!     Command::Man(args) => drop(args.write(Cli::command())),
//! }
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`completions`] | what a shell needs |
//! | [`man`] | manual pages |
//! | [`log`] | lines on standard error, or entries with fields in the journal |
//! | [`Ui`] | lines of data and of talk, colour on a terminal only |

pub mod completions;
pub mod log;
pub mod man;
mod ui;

pub use ui::Ui;
