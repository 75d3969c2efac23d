//! `cloud-config apply`.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::plan::{read, read_metadata};
use super::{EXIT_FAILED, EXIT_INVALID, Ui};
use crate::apply::bus::Bus;
use crate::apply::command::{Commands, Processes};
use crate::apply::fetch::{Fetch, Need};
use crate::apply::root::{Ids, Root};
use crate::apply::systemd::Systemd;
use crate::apply::tree::Tree;
use crate::apply::{Applied, Host, Scope, apply};
use crate::plan::path::HostPath;
use crate::plan::{Plan, rescue};
use crate::report::{REPORT, Report, Source, Verdict};
use crate::run::{Input, fill_addresses, instance, prepare, units_of};
use crate::source::{self, Found, From, SourceId, SystemHost, named};

/// Time for all files from addresses together, counted from the first; the boot waits for them.
const FETCH_BUDGET: Duration = Duration::from_secs(60);
/// Time for keys from other sites together, counted from the first; ssh waits for them, and does without.
const IMPORT_BUDGET: Duration = Duration::from_secs(20);
/// Anybody may read the report: there is nothing secret in it.
const REPORT_MODE: u32 = 0o644;

/// Makes the host what the configuration says.
///
/// Without a file, the configuration is looked for where this machine's platform has it. Applying twice is applying once. When a step
/// fails, everything this run changed is taken back, and only name and keys that the platform names stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cloud-config apply                            what the boot does
  cloud-config apply --from config-drive
  cloud-config apply node.yaml --root /mnt      prepare a root that is not running; no systemd, no programs
  cloud-config apply node.yaml --expect-plan $(cloud-config plan node.yaml --json | jq -r .hash)")]
pub(super) struct Args {
    /// The configuration; found by itself when it is missing.
    #[arg(conflicts_with = "from")]
    file: Option<PathBuf>,
    /// Where to look for the configuration.
    #[arg(long, value_name = "SOURCE")]
    from: Option<SourceId>,
    /// What the platform would say about the machine, for a configuration from a file.
    #[arg(long, value_name = "META.json", requires = "file")]
    metadata: Option<PathBuf>,
    /// The host whose root directory is here.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Do nothing unless the plan has this hash.
    #[arg(long, value_name = "HASH")]
    expect_plan: Option<String>,
    /// Unknown keys are warnings.
    #[arg(long)]
    lenient: bool,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    let root = Root::open(&args.root)?;
    let mut report = match load(args) {
        Ok((source, mut input)) => {
            fill_addresses(&mut input.metadata, &root);
            carry_out(args, source, &input, &root, begin, ui)?
        }
        Err((source, error)) => Report::of_failure(source, "finding the configuration", &format!("{error:#}")),
    };
    report.took(begin.elapsed());
    write_report(&report, &root).unwrap_or_else(|error| ui.note(format!("warning: the report could not be written: {error:#}")));
    report.summary().iter().for_each(|line| ui.line(format!("cloud-config: {line}")));
    Ok(match report.verdict {
        Verdict::Applied | Verdict::Nothing => ExitCode::SUCCESS,
        Verdict::Refused => ExitCode::from(EXIT_INVALID),
        Verdict::Failed => ExitCode::from(EXIT_FAILED),
    })
}

/// The configuration and where it came from; on failure at least the latter.
fn load(args: &Args) -> Result<(Source, Input), (Source, anyhow::Error)> {
    if let Some(file) = &args.file {
        let name = file.display().to_string();
        let source =
            Source { name: name.clone(), why: "named on the command line".to_owned(), parts: vec![name.clone()], notes: Vec::new() };
        let read = || anyhow::Ok((read(file)?, args.metadata.as_deref().map(read_metadata).transpose()?.unwrap_or_default()));
        let (bytes, metadata) = read().map_err(|error| (source.clone(), error))?;
        return Ok((source, Input { documents: vec![(name, bytes)], metadata, network_files: Vec::new() }));
    }
    let from = args.from.map_or(From::Detected, From::Only);
    let found = source::find(&source::Request { from }, &SystemHost::new(&args.root)).map_err(|error| {
        let source = Source { name: error.source_id.to_string(), ..Source::default() };
        (source, anyhow::Error::new(error))
    })?;
    let Found { source, why, user_data, vendor_data, metadata, network_files, notes } = found;
    // What counts more comes later.
    let documents: Vec<_> = vendor_data.into_iter().rev().chain(user_data).map(|blob| (blob.name, blob.bytes)).collect();
    let parts = documents.iter().map(|(name, _)| name.clone()).collect();
    let network_files = network_files.into_iter().map(|file| (file.name, file.content)).collect();
    Ok((Source { name: source.to_string(), why, parts, notes }, Input { documents, metadata, network_files }))
}

fn carry_out(args: &Args, source: Source, input: &Input, root: &Root, begin: Instant, ui: &Ui) -> anyhow::Result<Report> {
    let prepared = prepare(input, units_of(root), args.lenient);
    // Without the lines themselves: this ends in the journal, and a line may hold a password.
    for problem in &prepared.problems {
        ui.note(format!("{}: {}: {}", problem.place, problem.rule.id(), problem.message));
    }
    let instance = instance(&input.metadata, root);
    let mut report = Report::new(source, &instance, &prepared.problems);
    let go = |plan: &Plan, scope: Scope| on_host(plan, scope, &instance, &args.root, begin);
    let Some(plan) = &prepared.plan else {
        note_rescue(&mut report, &go(&rescue(&input.metadata), Scope::Rescue)?, ui);
        return Ok(report);
    };
    if let Some(expected) = args.expect_plan.as_ref().filter(|expected| **expected != plan.hash().to_string()) {
        report.unexpected(plan, expected);
        return Ok(report);
    }
    // A source that has lost the document is no reason to take down what it once said.
    let applied = go(plan, if input.documents.is_empty() { Scope::Rescue } else { Scope::Whole })?;
    report.add(plan, &applied);
    if !applied.is_complete() {
        note_rescue(&mut report, &go(&rescue(&input.metadata), Scope::Rescue)?, ui);
    } else if input.documents.is_empty() {
        report.verdict = Verdict::Nothing;
    }
    Ok(report)
}

fn note_rescue(report: &mut Report, applied: &Applied, ui: &Ui) {
    let error = applied.failure().map(|(_, error)| error.to_string()).or_else(|| applied.failed_outside.as_ref().map(ToString::to_string));
    if let Some(error) = error {
        ui.note(format!("error: name and keys of the platform are not in place: {error}"));
        report.rescue_failed(&error);
    }
}

fn on_host(plan: &Plan, scope: Scope, instance: &str, at: &Path, begin: Instant) -> anyhow::Result<Applied> {
    let root = Root::open(at)?;
    let live = root.is_live();
    let mut bus = live.then(Bus::new).transpose().context("preparing to talk to systemd")?;
    let internet = Internet { files: OnceCell::new(), imports: OnceCell::new(), host: SystemHost::new("/") };
    let mut host = Host {
        tree: Tree::changing(root),
        systemd: bus.as_mut().map(|bus| bus as &mut dyn Systemd),
        commands: live.then_some(&Processes as &dyn Commands),
        fetch: Some(&internet),
        clock: &|| begin.elapsed(),
    };
    Ok(apply(plan, scope, instance, &mut host))
}

fn write_report(report: &Report, root: &Root) -> anyhow::Result<()> {
    let path = HostPath::new(REPORT)?;
    let mut bytes = serde_json::to_vec_pretty(report)?;
    bytes.push(b'\n');
    root.make_parents(&path)?;
    Ok(root.write(&path, REPORT_MODE, Ids { uid: 0, gid: 0 }, &mut &*bytes, None)?)
}

/// Files from addresses, with the rules of the client that data sources use for what a person named.
struct Internet {
    files: OnceCell<Instant>,
    imports: OnceCell<Instant>,
    host: SystemHost,
}

impl Fetch for Internet {
    fn get(&self, url: &str, limit: u64, need: Need) -> Result<Vec<u8>, String> {
        let left = |budget: Duration, first: &OnceCell<Instant>| budget.saturating_sub(first.get_or_init(Instant::now).elapsed());
        let max_bytes = usize::try_from(limit).unwrap_or(usize::MAX);
        match need {
            Need::May => named::fetch(&self.host, url, max_bytes, left(IMPORT_BUDGET, &self.imports)),
            Need::Must => named::fetch_large(&self.host, url, max_bytes, left(FETCH_BUDGET, &self.files)),
        }
    }
}
