//! `shell`: a root shell in the machine that a failed test left.

use std::process::ExitCode;

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};
use command_line::Ui;

use super::{Logs, absolute};
use crate::pace::Deadline;
use crate::plan::Plan;
use crate::preserved;
use crate::vm::STATE;

/// Open a root shell in the machine that a failed test left, at the moment at which it failed. What is kept stays as it was:
/// every shell begins at that moment again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qemu-tests shell updates_twice_and_keeps_everything
  qemu-tests shell fleet_follows_its_canary/vm3
  qemu-tests shell damaged_root_does_not_boot --cold
  echo 'systemctl --failed; journalctl -b -p err' | qemu-tests shell swarm_runs

Ctrl-] leaves. `qemu-tests run NAME --keep` leaves a machine of a test that passes as well.")]
pub(super) struct Args {
    /// The test, or TEST/MACHINE when it had several.
    name: String,
    /// Boot from the disk that was left, as after a power cut, instead of going on from that moment.
    #[arg(long)]
    cold: bool,
    #[command(flatten)]
    logs: Logs,
}

/// How long the guest of a machine that goes on may take to answer, in KVM seconds, and how long a boot may.
const ANSWER_SECS: u64 = 5;
const BOOT_SECS: u64 = 60;

pub(super) fn run(plan: &Plan, args: &Args, ui: Ui) -> anyhow::Result<ExitCode> {
    let state = find(plan, &absolute(&args.logs.logs)?, &args.name)?;
    ui.note(format!("waking up {state}"));
    let woken = preserved::wake(&state, args.cold)?;
    let deadline: Deadline = woken.pace.deadline_secs(if woken.resumed { ANSWER_SECS } else { BOOT_SECS });
    let answered = deadline.wait("the guest answers", || Ok(woken.guest.boot_id().ok()));
    answered.with_context(|| {
        let log = state.with_file_name("serial.log");
        format!("nobody answers in this machine; its console is in {log}, and --cold boots it from its disk")
    })?;
    ui.note(if woken.resumed { "the machine goes on where it stopped; ctrl-] leaves" } else { "booted from its disk; ctrl-] leaves" });
    crate::shell::talk(&woken.guest, &woken.shell)?;
    Ok(ExitCode::SUCCESS)
}

/// The state that belongs to `name`.
fn find(plan: &Plan, logs: &Utf8Path, name: &str) -> anyhow::Result<Utf8PathBuf> {
    let (test, machine) = name.split_once('/').map_or((name, None), |(test, machine)| (test, Some(machine)));
    let test = match plan.select(&[test.to_owned()])?.as_slice() {
        [test] => *test,
        tests => bail!("{test} means {} tests: {}; which one?", tests.len(), tests.join(", ")),
    };
    // Checks share one machine, whose logs have its name.
    let dir = if plan.checks.iter().any(|check| check.name == test) { logs.join("shared") } else { logs.join(test) };
    let mut found: Vec<Utf8PathBuf> = Vec::new();
    for entry in std::iter::once(dir.clone()).chain(dir.read_dir_utf8().into_iter().flatten().flatten().map(|entry| entry.into_path())) {
        if entry.join(STATE).join("machine.json").exists() && machine.is_none_or(|machine| entry.file_name() == Some(machine)) {
            found.push(entry);
        }
    }
    found.sort();
    match found.as_slice() {
        [machine] => Ok(machine.join(STATE)),
        [] => bail!("no machine of {name} was left in {dir}: it has not failed there; `qemu-tests run {test} --keep` leaves one anyway"),
        _ => {
            let names: Vec<String> = found.iter().map(|dir| format!("{test}/{}", dir.file_name().unwrap_or_default())).collect();
            bail!("{test} left {} machines; which one? {}", names.len(), names.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Check;
    use crate::vm::Spec;

    const PLAN: Plan = Plan {
        checks: &[Check { name: "swarm_runs", promise: "Swarm runs.", run: |_| Ok(()) }],
        scenarios: &[],
        shared: |images, _| Ok(Spec::new(images.release("1.0.0")?)),
        finish: || (),
        snoozes: "",
    };

    #[test]
    fn the_machine_that_was_left_is_found_or_the_way_to_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Utf8Path::from_path(dir.path()).unwrap();
        let error = find(&PLAN, logs, "swarm_runs").unwrap_err().to_string();
        assert!(error.contains("qemu-tests run swarm_runs --keep"), "{error}");
        assert!(find(&PLAN, logs, "swarm_rans").unwrap_err().to_string().contains("did you mean"));
        for machine in ["a", "b"] {
            std::fs::create_dir_all(logs.join("shared").join(machine).join(STATE)).unwrap();
            std::fs::write(logs.join("shared").join(machine).join(STATE).join("machine.json"), "{}").unwrap();
        }
        let error = find(&PLAN, logs, "swarm").unwrap_err().to_string();
        assert!(error.contains("swarm_runs/a swarm_runs/b"), "{error}");
        assert_eq!(find(&PLAN, logs, "swarm/b").unwrap(), logs.join("shared/b").join(STATE));
    }
}
