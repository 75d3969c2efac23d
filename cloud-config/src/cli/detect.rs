//! `cloud-config detect`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Ui;
use crate::source::SystemHost;
use crate::source::detect::{Detection, look};

/// What makes a terminal write bold (ECMA-48, SGR).
const BOLD: &str = "1";

/// What evidence says that was not to be had.
const DENIED: &str = "permission denied";

/// Says which data source this machine has, and why.
///
/// It only looks: at the firmware's tables, the kernel command line, disks and files. Nothing is asked over the network.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cloud-config detect
  cloud-config detect --json | jq -r .source

Serial numbers, credentials and disks are for root's eyes only; run it as root to see what a boot would see.")]
pub(super) struct Args {
    /// Print JSON: the source, all leads in their order, and the evidence.
    #[arg(long)]
    json: bool,
    /// Look at the machine whose root directory is here.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let detection = look(&SystemHost::new(&args.root));
    if args.json {
        ui.data(&detection)?;
    } else {
        let text = text(&detection);
        let (answer, rest) = text.split_once('\n').unwrap_or((&text, ""));
        ui.line(ui.styled(BOLD, answer));
        rest.lines().for_each(|line| ui.line(line));
    }
    Ok(ExitCode::SUCCESS)
}

/// The detection, for people.
fn text(detection: &Detection) -> String {
    let mut text = match detection.leads.first() {
        Some(lead) => format!("{}: {}\n", lead.source, lead.why),
        None if detection.evidence.iter().any(|evidence| evidence.found.contains(DENIED)) => {
            "unknown: nothing that everybody may look at names a source; run this as root\n".to_owned()
        }
        None => "none: nothing on this machine names a source\n".to_owned(),
    };
    for lead in detection.leads.iter().skip(1) {
        text.push_str(&format!("then {}: {}\n", lead.source, lead.why));
    }
    text.push_str("\nlooked at:\n");
    for evidence in &detection.evidence {
        text.push_str(&format!("  {}: {}\n", evidence.place, evidence.found));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_the_source_first_and_the_evidence_below() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/cmdline", "ro quiet cloud-config-url=http://user:secret@10.0.2.2/?token=secret\n");
        write("sys/class/dmi/id/sys_vendor", "Hetzner\n");
        write("etc/slipway/cloud-config.yaml", "#cloud-config\n");
        let text = text(&look(&SystemHost::new(dir.path())));
        assert!(!text.contains("secret"), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_machine_that_says_nothing_has_no_source() {
        let dir = tempfile::tempdir().unwrap();
        let detection = look(&SystemHost::new(dir.path()));
        assert!(text(&detection).starts_with("none: "));
        assert_eq!(serde_json::to_value(&detection).unwrap()["source"], "none");
    }
}
