//! `root`: which keys may sign what.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::json;
use trust::{Role, Root};

use super::Ui;
use crate::release::root::{self, Change, ROOT_DAYS};

/// Make, change or show the root: which keys may sign releases.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  image-builder root show keys
  image-builder root rotate keys --renew targets                 a fresh targets key
  image-builder root rotate keys --add root=bob.pub.pem --threshold root=2
  image-builder root rotate keys --remove 4ac3...                a lost or stolen key no longer counts
  image-builder root rotate keys                                 only a new expiry date

Hosts follow the roots one by one from the one in their image, so every N.root.json is kept and published. After a rotation:
image-builder release --keys keys --repository DIR, then publish.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make the first root for a folder of keys; `keygen` does it by itself
    Init {
        /// Folder with the keys.
        keys: PathBuf,
        /// Days until it must have been followed by another.
        #[arg(long, value_name = "DAYS", default_value_t = ROOT_DAYS)]
        days: i64,
    },
    /// Make the next root
    Rotate(RotateArgs),
    /// Show the newest root
    Show {
        /// Folder with the keys.
        keys: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct RotateArgs {
    /// Folder with the keys.
    keys: PathBuf,
    /// Give a role a fresh key in place of those in the folder: root, targets, snapshot, timestamp.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    renew: Vec<Role>,
    /// A further public key for a role.
    #[arg(long, value_name = "ROLE=FILE.pub.pem", value_parser = pair::<PathBuf>)]
    add: Vec<(Role, PathBuf)>,
    /// Id of a key that no longer counts.
    #[arg(long, value_name = "KEYID")]
    remove: Vec<String>,
    /// How many signatures a role needs.
    #[arg(long, value_name = "ROLE=N", value_parser = pair::<u64>)]
    threshold: Vec<(Role, u64)>,
    /// Days until it must have been followed by another.
    #[arg(long, value_name = "DAYS", default_value_t = ROOT_DAYS)]
    days: i64,
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_name(text).ok_or_else(|| format!("{text:?} is no role; there are root, targets, snapshot and timestamp"))
}

fn pair<T: FromStr>(text: &str) -> Result<(Role, T), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not ROLE=VALUE"))?;
    Ok((role(name)?, value.parse().map_err(|_| format!("{value:?} is no value for {name}"))?))
}

/// Runs the subcommand.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let root = match &args.command {
        Command::Init { keys, days } => root::init(keys, *days, Timestamp::now())?,
        Command::Rotate(args) => {
            let change = Change {
                renew: args.renew.clone(),
                add: args.add.clone(),
                remove: args.remove.clone(),
                thresholds: args.threshold.clone(),
            };
            root::rotate(&args.keys, &change, args.days, Timestamp::now())?
        }
        Command::Show { keys } => {
            let chain = root::roots(keys)?;
            Root::open(&chain.last().context("there is no root.json")?.1)?
        }
    };
    show(&root, ui)?;
    Ok(ExitCode::SUCCESS)
}

fn show(root: &Root, ui: &Ui) -> anyhow::Result<()> {
    let ids = |role: Role| root.role(role).keys.keys().map(ToString::to_string).collect::<Vec<_>>();
    if ui.json {
        let roles: serde_json::Map<String, serde_json::Value> = Role::ALL
            .map(|role| (role.name().to_owned(), json!({ "threshold": root.role(role).threshold, "keys": ids(role) })))
            .into_iter()
            .collect();
        return ui.data(&json!({ "version": root.version, "expires": root.expires.to_string(), "roles": roles }));
    }
    ui.line(format!("{} {}, expires {}", ui.bold("root"), root.version, root.expires));
    for role in Role::ALL {
        let keys = root.role(role);
        ui.line(format!("{role}: {} of {} keys", keys.threshold, keys.distinct().len()));
        ids(role).iter().for_each(|id| ui.line(format!("  {id}")));
    }
    Ok(())
}
