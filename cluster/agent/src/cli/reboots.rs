//! `reboots`: whose turn it is to reboot, who waits, and what an operator can do about it.

use std::fmt::Write;

use anyhow::{Result, anyhow};
use cluster_store::Access;
use command_line::Ui;
use serde_json::json;
use turns::{EtcdLock, FailedRelease, Group, GroupState, overview, releases};

/// Say whose turn it is to reboot, who waits for it, and why.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent reboots
  cluster-agent reboots --json | jq '.[].holders'
  cluster-agent reboots release 0123456789abcdef0123456789abcdef
  cluster-agent reboots max 2 --group web
  cluster-agent reboots failed --json
  cluster-agent reboots forgive 1.0.3")]
pub(super) struct Args {
    #[command(subcommand)]
    deed: Option<Deed>,
}

#[derive(Debug, clap::Subcommand)]
enum Deed {
    /// End the turn of a machine that will not come back. One that is only slow may then reboot beside another.
    Release {
        /// Id of the machine, as `cluster-agent reboots` shows it.
        id: String,
        /// The group whose lock it holds.
        #[arg(long, default_value_t)]
        group: Group,
    },
    /// Set how many machines of a group may reboot at the same time.
    Max {
        /// How many.
        #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(turns::semaphore::MAX_MAX)))]
        number: u32,
        /// The group.
        #[arg(long, default_value_t)]
        group: Group,
    },
    /// List the releases that failed on a machine of the cluster; no other one reboots into them.
    Failed,
    /// Let machines reboot into a release again that failed on one of them.
    Forgive {
        /// Version of the release.
        version: String,
    },
}

impl Args {
    /// Looks or acts, and prints.
    pub(super) async fn run(&self, ui: Ui) -> Result<()> {
        let access = Access::of_this_machine()?;
        let lock = |group: &Group| EtcdLock::new(access.clone(), group.clone(), "", "", 1);
        match &self.deed {
            None => {
                let groups = overview(&access).await?;
                if ui.json {
                    return Ok(ui.data(&groups)?);
                }
                ui.text(&table(&groups, now()));
                ui.text(&failures(&releases::failed_releases(&access).await?));
            }
            Some(Deed::Release { id, group }) => {
                if !lock(group).release_of(id).await? {
                    return Err(anyhow!("{id} has no turn in group {group}; `cluster-agent reboots` shows who has"));
                }
                if ui.json {
                    return Ok(ui.data(&json!({ "released": id, "group": group }))?);
                }
                ui.line(format!("the turn of {id} in group {group} is over"));
            }
            Some(Deed::Max { number, group }) => {
                let max = lock(group).set_max(*number).await?;
                if ui.json {
                    return Ok(ui.data(&json!({ "max": max, "group": group }))?);
                }
                ui.line(format!("in group {group}, {max} may reboot at the same time"));
            }
            Some(Deed::Failed) => {
                let failed = releases::failed_releases(&access).await?;
                if ui.json {
                    return Ok(ui.data(&failed)?);
                }
                ui.text(if failed.is_empty() { "no release failed\n" } else { "" });
                ui.text(&failures(&failed));
            }
            Some(Deed::Forgive { version }) => {
                if !releases::forgive(&access, version).await? {
                    return Err(anyhow!("release {version} failed nowhere; `cluster-agent reboots failed` lists those that did"));
                }
                if ui.json {
                    return Ok(ui.data(&json!({ "forgiven": version }))?);
                }
                ui.line(format!("machines may reboot into {version} again, but for those whose own updater has it in quarantine"));
            }
        }
        Ok(())
    }
}

/// Seconds since 1970.
#[allow(clippy::disallowed_methods, reason = "how long ago is told to a person")]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn table(groups: &[GroupState], now: u64) -> String {
    let minutes = |since: u64| now.saturating_sub(since) / 60;
    let mut text = String::new();
    for group in groups {
        let _ = writeln!(text, "group {}: {} at a time", group.group, group.max);
        for holder in &group.holders {
            let name = holder.machine.as_deref().unwrap_or("?");
            let state = match holder.since {
                _ if holder.dead => "was silent for too long; the next one that asks gets its turn".to_owned(),
                Some(since) => format!("has its turn for {} min", minutes(since)),
                None => "has its turn".to_owned(),
            };
            let _ = writeln!(text, "  {name} ({}) {state}", holder.id);
        }
        for waiter in &group.waiting {
            let _ = writeln!(text, "  {} ({}) waits for {} min: {}", waiter.machine, waiter.id, minutes(waiter.since), waiter.reason);
        }
        if group.holders.is_empty() && group.waiting.is_empty() {
            let _ = writeln!(text, "  nobody has a turn, and nobody waits");
        }
    }
    if groups.is_empty() {
        text.push_str("nobody ever asked for a turn\n");
    }
    text
}

fn failures(failed: &[FailedRelease]) -> String {
    let line = |FailedRelease { version, machine, cause, .. }: &FailedRelease| {
        format!("release {version} failed on {machine}, and nobody else reboots into it: {cause}\n")
    };
    failed.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use turns::{Holder, Waiter};

    use super::*;

    #[test]
    fn a_release_that_failed_is_named_with_its_cause() {
        let failed =
            FailedRelease { version: "1.0.3".to_owned(), machine: "n1".to_owned(), since: 60, cause: "Docker is not up".to_owned() };
        assert_eq!(failures(&[failed]), "release 1.0.3 failed on n1, and nobody else reboots into it: Docker is not up\n");
        assert_eq!(failures(&[]), "");
    }

    #[test]
    fn the_table_says_who_and_why() {
        assert_eq!(table(&[], 0), "nobody ever asked for a turn\n");
        let holder = |machine: Option<&str>, dead| Holder {
            id: "a1".to_owned(),
            machine: machine.map(str::to_owned),
            since: machine.map(|_| 60),
            dead,
        };
        let waiter = Waiter { id: "c3".to_owned(), machine: "n3".to_owned(), since: 540, reason: "n1 has it".to_owned() };
        let busy = GroupState {
            group: Group::default(),
            max: 1,
            holders: vec![holder(Some("n1"), false), holder(None, true)],
            waiting: vec![waiter],
        };
        let idle = GroupState { group: Group::new("web").unwrap(), max: 2, holders: Vec::new(), waiting: Vec::new() };
        assert_eq!(
            table(&[busy, idle], 600),
            "group default: 1 at a time\n  n1 (a1) has its turn for 9 min\n  ? (a1) was silent for too long; the next one that asks gets its turn\n\
             \x20 n3 (c3) waits for 1 min: n1 has it\ngroup web: 2 at a time\n  nobody has a turn, and nobody waits\n"
        );
    }
}
