//! The `cloud-config` command; everything it does lives in the library.

use std::process::ExitCode;

use cloud_config::cli;

fn main() -> ExitCode {
    cli::main()
}
