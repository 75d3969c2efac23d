//! The `updater` command; everything it does lives in the library.

use std::process::ExitCode;

use updater_agent::cli;

fn main() -> ExitCode {
    cli::main()
}
