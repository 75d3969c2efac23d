//! A TUF client with the command line that theupdateframework/tuf-conformance drives, over the same verifier and the same network
//! code as the daemon's workers.
//!
//! What was verified is kept under the role's name in the metadata folder, at every step and also when a later one is refused.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use trust::{Answer, Refresh, Role, TargetName, Trusted};

use crate::daemon::host::Access;
use crate::disk::{Linux, remove_for_good, replace};
use crate::sandbox::fetch::{Limits, Network, Small, small};
use crate::sandbox::messages::Reach;

/// Largest target that is downloaded, in bytes: it is held in memory.
const TARGET_MAX_BYTES: u64 = 64 << 20;

/// Try the release metadata of a repository by hand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of trusted metadata.
    #[arg(long, value_name = "DIR")]
    metadata_dir: PathBuf,
    /// Folder of the repository's metadata.
    #[arg(long, value_name = "URL", default_value = "")]
    metadata_url: String,
    /// Name of the target to download.
    #[arg(long, value_name = "NAME")]
    target_name: Option<String>,
    /// Folder of the repository's targets.
    #[arg(long, value_name = "URL")]
    target_base_url: Option<String>,
    /// Where the target is put.
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
    /// Days to add to the clock: what will have expired by then?
    #[arg(long, value_name = "DAYS")]
    days_in_future: Option<i64>,
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Trust this root.
    Init {
        /// The root's file.
        root: PathBuf,
    },
    /// Bring the trusted metadata up to date.
    Refresh,
    /// Refresh, then fetch a target and check it.
    Download,
}

/// Does what the command line says; an error is a refusal.
pub fn run(args: &Args) -> anyhow::Result<()> {
    // The limits of the daemon, without its patience: a person waits.
    let limits = Limits { tries: 1, ..Limits::default() };
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * args.days_in_future.unwrap_or(0));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run_at(args, now, limits))
}

async fn run_at(args: &Args, now: jiff::Timestamp, limits: Limits) -> anyhow::Result<()> {
    let dir = &args.metadata_dir;
    match &args.step {
        Step::Init { root } => {
            let bytes = std::fs::read(root).with_context(|| format!("reading {}", root.display()))?;
            trust::Root::open(&bytes).with_context(|| format!("trusting {}", root.display()))?;
            std::fs::create_dir_all(dir)?;
            replace(&Linux, &dir.join("root.json"), &bytes).with_context(|| format!("keeping the root in {}", dir.display()))
        }
        Step::Refresh => refresh(args, now, limits).await.map(drop),
        Step::Download => download(args, now, limits).await,
    }
}

/// Paths of the files that are kept, in the order of writing.
const KEPT: [Role; 4] = [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets];

fn load(dir: &Path) -> anyhow::Result<Trusted> {
    let read = |role: Role| {
        let path = dir.join(role.file_name());
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    };
    let root = read(Role::Root)?.with_context(|| format!("{} has no root.json; run init first", dir.display()))?;
    Ok(Trusted { root, timestamp: read(Role::Timestamp)?, snapshot: read(Role::Snapshot)?, targets: read(Role::Targets)? })
}

fn keep(dir: &Path, before: &Trusted, after: &Trusted) -> anyhow::Result<()> {
    let changed = KEPT.into_iter().filter(|role| before.get(*role) != after.get(*role));
    // The root first, then what is not trusted any more, then the rest: see `Trusted`.
    let mut changed: Vec<Role> = changed.collect();
    changed.sort_by_key(|role| (*role != Role::Root, after.get(*role).is_some()));
    for role in changed {
        let path = dir.join(role.file_name());
        let kept = match after.get(role) {
            Some(bytes) => replace(&Linux, &path, bytes),
            None => remove_for_good(&Linux, &path),
        };
        kept.with_context(|| format!("keeping {}", path.display()))?;
    }
    Ok(())
}

fn network(args: &Args, limits: Limits) -> anyhow::Result<Network> {
    let mirrors = args.target_base_url.iter().cloned().collect();
    let access = Access { server: args.metadata_url.clone(), metadata_url: args.metadata_url.clone(), mirrors, ..Access::default() };
    Ok(Network::new(&Reach { access, ca_pem: None }, limits)?)
}

fn join(base: &str, path: &str) -> String {
    format!("{}/{path}", base.trim_end_matches('/'))
}

async fn refresh(args: &Args, now: jiff::Timestamp, limits: Limits) -> anyhow::Result<Refresh> {
    let network = network(args, limits)?;
    let mut refresh = Refresh::new(load(&args.metadata_dir)?, now)?;
    while let Some(want) = refresh.want() {
        let answer = match small(&network, &[join(&args.metadata_url, &want.path)], want.max_bytes).await? {
            Small::Bytes(bytes) => Answer::Bytes(bytes),
            Small::Missing => Answer::Missing,
        };
        let before = refresh.trusted().clone();
        let outcome = refresh.supply(answer);
        keep(&args.metadata_dir, &before, refresh.trusted())?;
        outcome?;
    }
    Ok(refresh)
}

async fn download(args: &Args, now: jiff::Timestamp, limits: Limits) -> anyhow::Result<()> {
    let (Some(name), Some(base), Some(dir)) = (&args.target_name, &args.target_base_url, &args.target_dir) else {
        bail!("download needs --target-name, --target-base-url and --target-dir");
    };
    let refresh = refresh(args, now, limits).await?;
    let consistent = refresh.consistent_snapshot();
    let targets = refresh.finish()?;
    let known: Option<(&TargetName, &trust::Target)> = targets.iter().find(|(known, _)| known.as_str() == name);
    let (known, target) = known.with_context(|| format!("no target {name:?} is signed"))?;
    if target.length > TARGET_MAX_BYTES {
        bail!("{name} has {} bytes, {TARGET_MAX_BYTES} are the limit", target.length);
    }
    // One file per target, whatever folders its name has: quoted, it cannot leave this one.
    let path = dir.join(quoted(name));
    if std::fs::read(&path).is_ok_and(|bytes| target.check(&bytes).is_ok()) {
        return Ok(());
    }
    let network = network(args, limits)?;
    let Small::Bytes(bytes) = small(&network, &[join(base, &target.path(known, consistent))], target.length).await? else {
        bail!("{name} is signed but not there");
    };
    let bytes = target.check_as(name, &bytes)?;
    std::fs::create_dir_all(dir)?;
    replace(&Linux, &path, &bytes).with_context(|| format!("keeping {}", path.display()))
}

/// A file name that stands for a target's name: all but plain characters are percent-encoded.
fn quoted(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-~".contains(&byte);
    let quoted: String = name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect();
    if quoted.starts_with('.') { quoted.replacen('.', "%2E", 1) } else { quoted }
}

#[cfg(test)]
mod tests;
