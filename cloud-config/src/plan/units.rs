//! Units: placed, changed, masked, enabled, and what is done with them.

use super::builder::{Builder, PUBLIC, systemd_folder};
use super::effect::{Action, JobKind, Persistence};
use crate::model::coreos::Unit;
use crate::model::value::UnitCommand;
use crate::model::{Config, Located};

/// Debian's unit of etcd.
const ETCD: &str = "etcd.service";

/// Units of CoreOS, and the units of this image that do their work.
const SUCCESSORS: [(&str, &str); 7] = [
    ("early-docker.service", "docker.service"),
    ("etcd2.service", "etcd.service"),
    ("etcd3.service", "etcd.service"),
    ("etcd-member.service", "etcd.service"),
    ("ntpd.service", "systemd-timesyncd.service"),
    ("sshd.service", "ssh.service"),
    ("update-engine.service", "updater.service"),
];

impl From<UnitCommand> for JobKind {
    fn from(command: UnitCommand) -> Self {
        match command {
            UnitCommand::Start => Self::Start,
            UnitCommand::Stop => Self::Stop,
            UnitCommand::Restart => Self::Restart,
            UnitCommand::Reload => Self::Reload,
            UnitCommand::TryRestart => Self::TryRestart,
            UnitCommand::ReloadOrRestart => Self::ReloadOrRestart,
            UnitCommand::ReloadOrTryRestart => Self::ReloadOrTryRestart,
        }
    }
}

pub(super) fn units(builder: &mut Builder<'_>, config: &Config) {
    let Some(coreos) = &config.coreos else { return };
    let members = super::members::wanted(config);
    let mut network_files = Vec::new();
    for unit in &coreos.units {
        if unit.name.is_network() {
            network_files.extend(place(builder, unit, unit.name.as_str(), "network"));
        } else {
            system_unit(builder, unit, &coreos.units, members);
        }
    }
    if let Some(first) = coreos.units.iter().find(|unit| unit.name.is_network()) {
        let files: Vec<&str> = network_files.iter().map(String::as_str).collect();
        if files.is_empty() {
            builder.job(&first.place, "systemd-networkd.service", JobKind::Restart);
        } else {
            builder.job_after_change(&first.place, "systemd-networkd.service", JobKind::Restart, &files);
        }
    }
}

fn system_unit(builder: &mut Builder<'_>, unit: &Located<Unit>, all: &[Located<Unit>], members: bool) {
    let yes = |flag: &Option<Located<bool>>| flag.as_ref().is_some_and(|flag| flag.value);
    let name = current_name(builder, unit);
    place(builder, unit, &name, "system");
    let persistence = persistence(unit);
    if let Some(mask) = unit.mask.as_ref().filter(|mask| mask.value) {
        builder.every_boot(&mask.place, Action::Mask { unit: name.clone(), persistence });
    } else if persistence == Persistence::Runtime && unit.content.is_none() {
        builder.every_boot(&unit.place, Action::Unmask { unit: name.clone() });
    }
    let placed = all.iter().any(|other| other.name.as_str() == name && other.content.is_some());
    let here = placed || template_is_placed(&name, all) || builder.facts.has_unit(&name);
    if members
        && name == ETCD
        && unit.content.is_none()
        && (yes(&unit.enable) || unit.command.as_ref().is_some_and(|command| starts(command.value)))
    {
        builder.note(&unit.place, format!("{name} is started by {}, when it is known who the members are", super::members::AGENT));
        return;
    }
    if let Some(enable) = unit.enable.as_ref().filter(|_| yes(&unit.enable)) {
        if here {
            builder.every_boot(&enable.place, Action::Enable { unit: name.clone(), persistence });
        } else {
            builder.every_boot(&enable.place, Action::Unavailable { unit: name.clone(), wanted: "enable".to_owned() });
        }
    }
    if let Some(command) = &unit.command {
        let job = JobKind::from(command.value);
        if here {
            builder.job(&command.place, &name, job);
        } else {
            builder.every_boot(&command.place, Action::Unavailable { unit: name, wanted: job.word().to_owned() });
        }
    }
}

fn starts(command: UnitCommand) -> bool {
    matches!(command, UnitCommand::Start | UnitCommand::Restart | UnitCommand::ReloadOrRestart)
}

/// The unit that does the work of one of CoreOS, unless the document brings that one itself.
fn current_name(builder: &mut Builder<'_>, unit: &Located<Unit>) -> String {
    let name = unit.name.as_str();
    let successor = SUCCESSORS.iter().find(|(old, _)| *old == name && unit.content.is_none());
    match successor {
        Some((old, new)) => {
            builder.note(&unit.name.place, format!("{old} is called {new} here"));
            (*new).to_owned()
        }
        None => name.to_owned(),
    }
}

fn template_is_placed(name: &str, all: &[Located<Unit>]) -> bool {
    let template = name.split_once('@').and_then(|(stem, rest)| Some(format!("{stem}@.{}", rest.rsplit_once('.')?.1)));
    template.is_some_and(|template| all.iter().any(|unit| unit.name.as_str() == template && unit.content.is_some()))
}

fn persistence(unit: &Unit) -> Persistence {
    if unit.runtime.as_ref().is_some_and(|runtime| runtime.value) { Persistence::Runtime } else { Persistence::Persistent }
}

/// The unit's own file and its drop-ins; returns their paths.
fn place(builder: &mut Builder<'_>, unit: &Unit, name: &str, kind: &str) -> Vec<String> {
    let path = format!("{}/{name}", systemd_folder(kind, persistence(unit)));
    let mut placed = Vec::new();
    let masked = unit.mask.as_ref().is_some_and(|mask| mask.value);
    if let Some(content) = unit.content.as_ref().filter(|content| !content.value.is_empty()) {
        if masked {
            builder.note(&content.place, format!("{name} is masked; its content is not written"));
        } else {
            builder.file(&content.place, &path, PUBLIC, content.value.clone());
            placed.push(path.clone());
        }
    }
    for drop_in in &unit.drop_ins {
        if let Some(content) = drop_in.content.as_ref().filter(|content| !content.value.is_empty()) {
            let path = format!("{path}.d/{}", drop_in.name.as_str());
            builder.file(&content.place, &path, PUBLIC, content.value.clone());
            placed.push(path);
        }
    }
    placed
}
