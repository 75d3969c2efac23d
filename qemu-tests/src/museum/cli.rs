//! The command line of the museum.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use camino::Utf8PathBuf;
use clap::{Parser, Subcommand};
use command_line::Ui;
use image_builder::cmd::Cmd;
use serde_json::json;

use super::run::{Plan, TEST_LIMIT, run};
use super::{Exhibit, gallery};

const EXIT_CODES: &str = "Exit status: 0 every defect was killed; 1 the work failed; 2 the command line is wrong; 3 a defect was not killed.\n\n\
Example: museum run --out /tmp floor-forgotten pause-ignored";

/// The work failed.
const EXIT_FAILED: u8 = 1;
/// A defect was not killed.
const EXIT_ESCAPED: u8 = 3;

/// Plants known defects into a copy of the source, one after another, and runs the tests that must notice.
#[derive(Debug, Parser)]
#[command(name = "museum", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print machine-readable JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the defects and what they break.
    List,
    /// Plant defects and run the tests; all of them unless some are named.
    Run(Args),
}

#[derive(Debug, clap::Args)]
struct Args {
    /// Names of exhibits.
    names: Vec<String>,
    /// Folder for museum.json and museum.html; `target/museum` by default.
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
    /// Time for the tests of one target.
    #[arg(long, value_name = "SECONDS", default_value_t = TEST_LIMIT.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

/// Parses the command line, runs it and maps its result to an exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    command_line::log::init("SLIPWAY_LOG", "warn");
    let ui = Ui { json: cli.json };
    let done = match &cli.command {
        Command::List => list(ui),
        Command::Run(args) => visit(args, ui),
    };
    done.unwrap_or_else(|error| {
        ui.note(format!("error: {error:#}"));
        ExitCode::from(EXIT_FAILED)
    })
}

fn list(ui: Ui) -> anyhow::Result<ExitCode> {
    let exhibits = gallery(&repository()?)?;
    if ui.json {
        let row = |exhibit: &Exhibit| json!({"name": exhibit.name, "story": exhibit.story, "promise": exhibit.promise});
        ui.data(&exhibits.iter().map(row).collect::<Vec<_>>())?;
    } else {
        for Exhibit { name, story, .. } in &exhibits {
            ui.line(format!("{}\n    {story}", ui.bold(name)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn visit(args: &Args, ui: Ui) -> anyhow::Result<ExitCode> {
    let repository = repository()?;
    let exhibits = chosen(gallery(&repository)?, &args.names)?;
    let plan = Plan { limit: Duration::from_secs(args.limit), ..Plan::new(&repository) };
    let report = run(&plan, exhibits, |line| ui.note(line))?;
    let out = args.out.as_ref().unwrap_or(&plan.work);
    std::fs::create_dir_all(out).with_context(|| format!("making {out}"))?;
    for (name, text) in [("museum.json", report.json()?), ("museum.html", report.html())] {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {path}"))?;
        ui.note(format!("wrote {path}"));
    }
    if ui.json {
        ui.data(&report)?;
    } else {
        ui.line(report.sum());
    }
    Ok(if report.escaped().next().is_none() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_ESCAPED) })
}

/// The exhibits called `names`; all of them when none is named.
fn chosen(exhibits: Vec<Exhibit>, names: &[String]) -> anyhow::Result<Vec<Exhibit>> {
    for name in names {
        ensure!(exhibits.iter().any(|exhibit| exhibit.name == *name), "there is no exhibit `{name}`; `museum list` shows all");
    }
    Ok(exhibits.into_iter().filter(|exhibit| names.is_empty() || names.contains(&exhibit.name)).collect())
}

fn repository() -> anyhow::Result<Utf8PathBuf> {
    let top = Cmd::new("git")
        .args(["rev-parse", "--show-toplevel"])
        .text()
        .context("looking for the repository, from inside of which this is run")?;
    Ok(top.trim_end().into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
        for wrong in [&["museum"][..], &["museum", "run", "--limit", "0"], &["museum", "show"]] {
            assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let here = camino::Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let all = gallery(here).unwrap();
        let first = all[0].name.clone();
        assert_eq!(chosen(all.clone(), std::slice::from_ref(&first)).unwrap().len(), 1);
        assert_eq!(chosen(all.clone(), &[]).unwrap().len(), all.len());
        assert!(chosen(all, &[first, "no-such".to_owned()]).unwrap_err().to_string().contains("no-such"));
    }
}
