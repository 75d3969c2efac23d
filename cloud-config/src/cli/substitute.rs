//! `cloud-config substitute`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::{EXIT_INVALID, Ui, input};
use crate::substitute::substitute;

/// Prints a configuration with its addresses filled in.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cloud-config substitute user-data.yaml --metadata meta.json\n\n\
Exit status: 0 done, 2 an address that is used is not known.")]
pub(super) struct Args {
    /// The document; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is known about the machine.
    #[arg(long, value_name = "META.json")]
    metadata: PathBuf,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let (name, bytes) = input::document(&args.file)?;
    let text = String::from_utf8(bytes).with_context(|| format!("{name} is not text in UTF-8; unpack it first"))?;
    match substitute(&text, &input::metadata(&args.metadata)?) {
        Ok(text) => {
            ui.text(&text);
            Ok(ExitCode::SUCCESS)
        }
        Err(missing) => {
            for missing in missing {
                ui.note(format!("error: {name}:{}: {missing}\n  = help: {}", missing.line, missing.hint()));
            }
            Ok(ExitCode::from(EXIT_INVALID))
        }
    }
}
