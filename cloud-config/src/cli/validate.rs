//! `cloud-config validate`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{EXIT_FAILED, EXIT_INVALID, Ui, input};
use crate::check::{self, Checked, Entries, Options, Severity};

/// SGR attributes of errors and warnings on a terminal.
const RED: &str = "1;31";
const YELLOW: &str = "1;33";

/// Finds every mistake in a configuration before a machine boots with it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cloud-config validate user-data.yaml\n  cloud-config validate --strict --json base.yaml host.yaml\n  \
curl ... | cloud-config validate -\n\nExit status: 0 no errors, 1 warnings with --strict, 2 errors."
)]
pub(super) struct Args {
    /// Documents; several are merged, and later ones win. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Prints `{"entries":[...]}` instead of text.
    #[arg(long)]
    json: bool,
    /// Exits with 1 if there are warnings.
    #[arg(long)]
    strict: bool,
    /// Makes unknown keys warnings.
    #[arg(long)]
    lenient: bool,
    /// Fills in the addresses of this machine first; unknown ones are errors.
    #[arg(long, value_name = "META.json")]
    metadata: Option<PathBuf>,
    /// Units of the image: a list with one name per line, or the root folder of an image.
    #[arg(long, value_name = "FILE")]
    image_units: Option<PathBuf>,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let documents = args.files.iter().map(|path| input::document(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let options = Options {
        lenient: args.lenient,
        metadata: args.metadata.as_deref().map(input::metadata).transpose()?,
        units: args.image_units.as_deref().map(input::units).transpose()?.unwrap_or_default(),
    };
    let sources: Vec<(&str, &[u8])> = documents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let checked = check::sources(&sources, &options);
    if args.json {
        ui.data(&Entries::of(&checked.problems))?;
    } else {
        for problem in &checked.problems {
            let shown = check::show(problem);
            let (kind, rest) = shown.split_once(':').unwrap_or((&shown, ""));
            let attribute = if problem.severity == Severity::Error { RED } else { YELLOW };
            ui.line(format!("{}:{rest}\n", ui.styled(attribute, kind)));
        }
        ui.note(summary(&checked));
    }
    Ok(match (checked.count(Severity::Error), checked.count(Severity::Warning)) {
        (0, warnings) if warnings > 0 && args.strict => ExitCode::from(EXIT_FAILED),
        (0, _) => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_INVALID),
    })
}

fn summary(checked: &Checked) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    match (checked.count(Severity::Error), checked.count(Severity::Warning)) {
        (0, 0) => "nothing to complain about".to_owned(),
        (0, warnings) => format!("usable, with {}", count(warnings, "warning")),
        (errors, warnings) => format!("not usable: {}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}
