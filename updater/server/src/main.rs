//! The `update-server` command; everything it does lives in the library.

use std::process::ExitCode;

use update_server::cli;

fn main() -> ExitCode {
    cli::main()
}
