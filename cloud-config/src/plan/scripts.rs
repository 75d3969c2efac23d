//! Programs the document brings: `bootcmd`, `runcmd`, and scripts beside it.
//!
//! `bootcmd` runs inside this program at every boot, and the boot waits. Everything else runs once per instance, in units of its own that
//! nobody waits for: a script may start services that are ordered after this program.

use super::Script;
use super::builder::{Builder, PROGRAM, PUBLIC, SCRIPTS};
use super::effect::{Action, JobKind, Origin};
use super::path::HostPath;
use crate::model::value::Command;
use crate::model::{Config, Located};

const BOOT: &str = "bootcmd";
const RUN: &str = "runcmd";

pub(super) fn boot_commands(builder: &mut Builder<'_>, config: &Config) {
    if let Some(first) = config.bootcmd.first() {
        builder.file(&first.place, &format!("{SCRIPTS}/{BOOT}"), PROGRAM, program(&config.bootcmd));
    }
}

pub(super) fn run_boot_commands(builder: &mut Builder<'_>, config: &Config) {
    let Some(first) = config.bootcmd.first() else { return };
    if let Ok(path) = HostPath::new(&format!("{SCRIPTS}/{BOOT}")) {
        builder.every_boot(&first.place, Action::Run { name: BOOT.to_owned(), path });
    }
}

pub(super) fn run_commands(builder: &mut Builder<'_>, config: &Config) {
    if let Some(first) = config.runcmd.first() {
        later(builder, (&first.place).into(), RUN, program(&config.runcmd).into_bytes(), "");
    }
}

pub(super) fn scripts(builder: &mut Builder<'_>, scripts: &[Script]) {
    let mut before = format!("{}.service", unit_stem(RUN));
    for (index, script) in scripts.iter().enumerate() {
        let name = format!("script-{}", index + 1);
        later(builder, script.origin.clone(), &name, script.bytes.clone(), &before);
        before = format!("{}.service", unit_stem(&name));
    }
}

fn unit_stem(name: &str) -> String {
    format!("cloud-config-{name}")
}

/// A program in a unit of its own, started once per instance after everything else here and what `after` names.
fn later(builder: &mut Builder<'_>, origin: Origin, name: &str, text: Vec<u8>, after: &str) {
    let path = format!("{SCRIPTS}/{name}");
    let unit = format!("{}.service", unit_stem(name));
    builder.file(origin.clone(), &path, PROGRAM, text);
    let text = format!(
        "[Unit]\nDescription=Cloud-Config: {name}\nWants=network-online.target\n\
         After=slipway-cloud-config.service network-online.target docker.service {after}\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={path}\nWorkingDirectory=/\nTimeoutStartSec=infinity\n"
    );
    builder.file(origin.clone(), &format!("/run/systemd/system/{unit}"), PUBLIC, text.replace(" \n", "\n"));
    builder.job_once(origin, &unit, JobKind::Start);
}

/// All commands as one program: each runs whether or not the one before failed, and the last failure is the program's.
fn program(commands: &[Located<Command>]) -> String {
    let mut text = "#!/bin/sh\nstatus=0\n".to_owned();
    for command in commands {
        let line = match &command.value {
            Command::Shell(line) => line.trim_end().to_owned(),
            Command::Program(words) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        };
        text.push_str(&format!("{{\n{line}\n}} || status=$?\n"));
    }
    text.push_str("exit $status\n");
    text
}

/// A word that no shell touches.
pub(super) fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
