//! `slipway-superblock DEVICE`: runs in the initrd, before the state partition is checked, made or mounted. See the library.
#![allow(clippy::print_stderr, reason = "the initrd's console and journal are where this is read")]

use std::fs::OpenOptions;
use std::process::ExitCode;

use superblock::{Found, mend};

/// The work failed; nothing may be made of the partition then.
const FAILED: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [device] = arguments.as_slice() else {
        eprintln!("usage: slipway-superblock DEVICE; exit status 0 whole, mended or no ext4 at all, 1 refused, 2 wrong usage");
        return ExitCode::from(USAGE);
    };
    let opened = OpenOptions::new().read(true).write(true).open(device);
    let outcome = opened.map_err(|error| error.to_string()).and_then(|file| mend(&file).map_err(|refusal| refusal.to_string()));
    match outcome {
        Ok(Found::Mended) => {
            eprintln!("{}: a power cut tore the superblock; its checksum was computed anew", device.display());
            ExitCode::SUCCESS
        }
        Ok(Found::Nothing | Found::Whole) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{}: {why}", device.display());
            ExitCode::from(FAILED)
        }
    }
}
