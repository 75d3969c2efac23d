//! The `image-builder` command; everything it does lives in the library.

use std::process::ExitCode;

use image_builder::cli;

fn main() -> ExitCode {
    cli::main()
}
