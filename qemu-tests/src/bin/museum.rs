//! The `museum` command; everything it does lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    qemu_tests::museum::cli::main()
}
