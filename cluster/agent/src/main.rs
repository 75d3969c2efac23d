//! The `cluster-agent` command; everything it does lives in the library.

use std::process::ExitCode;

use cluster_agent::cli;

fn main() -> ExitCode {
    cli::main()
}
