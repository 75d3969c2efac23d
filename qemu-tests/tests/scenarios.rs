//! Lets `cargo test` run the scenarios. They live in the program `qemu-tests`, which can do more with them.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use qemu_tests::cli::{CARGO_TEST, LOGS_ENV};

#[allow(clippy::disallowed_methods, reason = "this process becomes that program; nothing is run beside it")]
fn main() -> ExitCode {
    let program = env!("CARGO_BIN_EXE_qemu-tests");
    let mut command = Command::new(program);
    if std::env::var_os(LOGS_ENV).is_none() {
        command.env(LOGS_ENV, concat!(env!("CARGO_TARGET_TMPDIR"), "/scenarios"));
    }
    let error = command.arg(CARGO_TEST).args(std::env::args_os().skip(1)).exec();
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("error: starting {program}: {error}\n").as_bytes());
    ExitCode::FAILURE
}
