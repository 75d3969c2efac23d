//! `cloud-config plan`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::{EXIT_INVALID, Ui};
use crate::apply::perform::StepError;
use crate::apply::root::Root;
use crate::apply::tree::Tree;
use crate::apply::{Applied, Host, Scope, apply, word};
use crate::check::{self, ImageUnits, Severity};
use crate::metadata::Metadata;
use crate::plan::effect::Effect;
use crate::plan::{Note, Plan};
use crate::report;
use crate::run::{Input, Prepared, fill_addresses, instance, prepare, units_of};

/// Largest file with metadata, in bytes.
const METADATA_LIMIT: u64 = 1 << 20;

/// Shows what applying a configuration would do, in order.
///
/// The same document, metadata and image give the same plan, byte for byte; its hash can be handed to `apply --expect-plan`. Secrets
/// are shown as their SHA-256.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cloud-config plan node.yaml --metadata node.json
  cloud-config plan node.yaml --root /          what would change on this host
  cloud-config plan node.yaml --json | jq .hash")]
pub(super) struct Args {
    /// The configuration.
    file: PathBuf,
    /// What the platform would say about the machine: addresses, name, keys.
    #[arg(long, value_name = "META.json")]
    metadata: Option<PathBuf>,
    /// Compare with the host whose root directory is here.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Unknown keys are warnings.
    #[arg(long)]
    lenient: bool,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let mut input = Input {
        documents: vec![(args.file.display().to_string(), read(&args.file)?)],
        metadata: args.metadata.as_deref().map(read_metadata).transpose()?.unwrap_or_default(),
        network_files: Vec::new(),
    };
    let root = args.root.as_deref().map(Root::open).transpose()?;
    if let Some(root) = &root {
        fill_addresses(&mut input.metadata, root);
    }
    let units = match &root {
        Some(root) => units_of(root),
        None => Some(ImageUnits::default()),
    };
    let prepared = prepare(&input, units, args.lenient);
    complain(&prepared, ui);
    let Some(plan) = prepared.plan else { return Ok(ExitCode::from(EXIT_INVALID)) };
    let looked = root.map(|root| look(&plan, &input.metadata, root));
    if args.json {
        ui.data(&Shown::of(&plan, looked.as_ref()))?;
    } else {
        text(&plan, looked.as_ref()).lines().for_each(|line| ui.line(line));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what is wrong to standard error.
fn complain(prepared: &Prepared, ui: &Ui) {
    for problem in &prepared.problems {
        ui.note(check::show(problem));
    }
    let errors = prepared.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if errors > 0 {
        ui.note(format!("{errors} errors; there is no plan"));
    }
}

/// The document, up to the size that checking refuses with a reason.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let open = std::fs::File::open(file).with_context(|| format!("opening {}", file.display()))?;
    open.take(crate::document::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("reading {}", file.display()))?;
    Ok(bytes)
}

/// What `--metadata` names.
pub(super) fn read_metadata(file: &Path) -> anyhow::Result<Metadata> {
    use std::io::Read;
    let open = std::fs::File::open(file).with_context(|| format!("opening {}", file.display()))?;
    serde_json::from_reader(open.take(METADATA_LIMIT)).with_context(|| format!("reading {}", file.display()))
}

/// Tries the plan on a root without changing it. What cannot be tried is skipped, so that everything else is still shown.
fn look(plan: &Plan, metadata: &Metadata, root: Root) -> Vec<Applied> {
    let instance = instance(metadata, &root);
    let mut host = Host { tree: Tree::looking(root), systemd: None, commands: None, fetch: None, clock: &|| Duration::ZERO };
    let mut rest = plan.clone();
    let mut found = Vec::new();
    loop {
        let applied = apply(&rest, Scope::Whole, &instance, &mut host);
        let tried = applied.steps.len();
        let done = applied.is_complete() || tried >= rest.effects.len() || tried == 0;
        found.push(applied);
        if done {
            return found;
        }
        rest.effects.drain(..tried);
    }
}

fn outcomes(looked: &[Applied]) -> impl Iterator<Item = Result<&crate::apply::perform::Outcome, &StepError>> {
    looked.iter().flat_map(|applied| &applied.steps).map(|step| step.result.as_ref())
}

/// The plan, for people: one line for each effect, with what it would change on the left if that is known.
fn text(plan: &Plan, looked: Option<&Vec<Applied>>) -> String {
    let mut lines = Vec::new();
    let mut found = looked.map(|looked| outcomes(looked));
    for effect in &plan.effects {
        let mark = match found.as_mut().map(|found| found.next()) {
            None => String::new(),
            Some(Some(Ok(outcome))) => format!("{:<14}", word(outcome)),
            Some(Some(Err(error))) => format!("fails: {error}\n              "),
            Some(None) => format!("{:<14}", "?"),
        };
        lines.push(format!("{mark}{effect}  [{}]", effect.origin));
    }
    lines.extend(plan.notes.iter().map(|note| format!("note: {} [{}]", note.text, note.origin)));
    lines.extend(looked.into_iter().flatten().flat_map(|applied| applied.leftovers.clone()));
    lines.push(format!("plan hash {}", plan.hash()));
    lines.join("\n")
}

#[derive(Serialize)]
struct Shown<'a> {
    version: u32,
    hash: String,
    effects: Vec<ShownEffect<'a>>,
    notes: &'a [Note],
}

#[derive(Serialize)]
struct ShownEffect<'a> {
    #[serde(flatten)]
    effect: &'a Effect,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl<'a> Shown<'a> {
    fn of(plan: &'a Plan, looked: Option<&Vec<Applied>>) -> Self {
        let mut found = looked.map(|looked| outcomes(looked));
        let effects = plan.effects.iter().map(|effect| {
            let (outcome, detail) = match found.as_mut().and_then(|found| found.next()) {
                None => (None, None),
                Some(Ok(outcome)) => (Some(word(outcome)), report::detail(outcome)),
                Some(Err(error)) => (Some("fails"), Some(error.to_string())),
            };
            ShownEffect { effect, outcome, detail }
        });
        Self { version: 1, hash: plan.hash().to_string(), effects: effects.collect(), notes: &plan.notes }
    }
}
