//! `verify`: is every byte of an image that decides what a host runs as its builder made it?

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::{EXIT_NO, Ui};
use crate::sign::SigningCertificate;
use crate::verify::{Verdict, verify};

/// Check a disk image: partition table, signatures of all boot files, root hash, every block of the root.
///
/// Exit status: 0 all is well, 3 something is wrong (and is named), 1 the check could not be made.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  image-builder verify slipway.raw --cert keys/public/secure-boot.crt\n  \
image-builder --json verify slipway.raw --cert keys/public/secure-boot.crt | jq .findings")]
pub struct Args {
    /// The raw disk image.
    image: PathBuf,
    /// The Secure Boot certificate that must have signed loader, UKI and addons (PEM or DER).
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let certificate = SigningCertificate::load(&args.cert)?;
    let verdict = verify(&args.image, &certificate, &ui.progress)?;
    if ui.json {
        ui.data(&verdict)?;
    } else {
        show(&verdict, ui);
    }
    Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NO) })
}

fn show(verdict: &Verdict, ui: &Ui) {
    for line in &verdict.checked {
        ui.line(format!("ok     {line}"));
    }
    for line in &verdict.notes {
        ui.line(format!("note   {line}"));
    }
    for finding in &verdict.findings {
        ui.line(format!("{}  {}: {}", ui.bold("WRONG"), finding.place, finding.problem));
    }
    let version = verdict.version.as_deref().unwrap_or("of unknown version");
    match verdict.findings.len() {
        0 => ui.line(format!("good: image {version}")),
        count => ui.line(format!("NOT good: {count} finding{} in image {version}", if count == 1 { "" } else { "s" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Progress;
    use crate::verify::tests::Image;

    #[test]
    fn yes_is_0_no_is_3_and_not_checkable_is_an_error() {
        let Some(image) = Image::new() else { return };
        let ui = Ui { progress: Progress::silent(), json: false };
        let args = |image: PathBuf, cert: PathBuf| Args { image, cert };
        let cert = image.path().with_file_name("Owner.crt");
        let code = |image: PathBuf| run(&args(image, cert.clone()), &ui).map(|code| format!("{code:?}"));
        assert_eq!(code(image.path()).unwrap(), format!("{:?}", ExitCode::SUCCESS));
        image.flip(512 + 60);
        assert_eq!(code(image.path()).unwrap(), format!("{:?}", ExitCode::from(EXIT_NO)));
        assert!(code(cert.clone()).is_err(), "a certificate is no image");
        assert!(run(&args(image.path(), image.path().with_file_name("absent")), &ui).is_err());
    }
}
