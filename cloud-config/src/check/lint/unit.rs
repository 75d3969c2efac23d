//! Units: placed and never started, started and not there, enabled without knowing for what.

use std::collections::BTreeSet;

use super::Lints;
use crate::check::{ImageUnits, Rule};
use crate::model::coreos::{DropIn, Unit};
use crate::model::value::{UnitCommand, UnitName};
use crate::model::{Config, Located};

/// The service that nothing in the image provides yet.
const FLEET: &str = "fleet.service";
/// Settings that name other units, which makes them start.
const REFERENCES: [&str; 12] =
    ["Wants", "Requires", "Requisite", "BindsTo", "Upholds", "PartOf", "OnFailure", "OnSuccess", "Unit", "Sockets", "Service", "Also"];

pub(super) fn lint(config: &Config, image: &ImageUnits, lints: &mut Lints<'_>) {
    let Some(coreos) = &config.coreos else { return };
    let referenced = referenced(&coreos.units);
    let placed: BTreeSet<&str> = coreos.units.iter().filter(|unit| unit.content.is_some()).map(|unit| unit.name.as_str()).collect();
    for unit in &coreos.units {
        contradictions(unit, lints);
        if unit.name.is_network() {
            without_effect_on_network_files(unit, lints);
            continue;
        }
        exists(unit, image, &placed, lints);
        if unit.content.is_some() && !is_started(unit) && !referenced.contains(unit.name.as_str()) && !unit.name.is_template() {
            let message = format!("`{}` is placed, and nothing starts it", unit.name.value);
            lints.absent(
                Rule::UnitNotStarted,
                &unit.name.place,
                message,
                "add `command: start` to start it now, or `enable: true` to start it at boot",
            );
        }
        if flag(unit.enable.as_ref()) && unit.content.as_ref().is_some_and(|content| !has_section(content, "Install")) {
            let place = unit.enable.as_ref().map_or(&unit.name.place, |enable| &enable.place);
            let message = format!("`{}` has no `[Install]` section, so enabling it does nothing", unit.name.value);
            lints.add(Rule::UnitWithoutInstall, place, message, "add `[Install]` with `WantedBy=multi-user.target`");
        }
    }
    for unit in &coreos.units {
        drop_ins(&unit.drop_ins, lints);
    }
}

fn flag(flag: Option<&Located<bool>>) -> bool {
    flag.is_some_and(|flag| flag.value)
}

fn is_started(unit: &Unit) -> bool {
    let command = unit.command.as_ref().map(|command| command.value);
    flag(unit.enable.as_ref()) || flag(unit.mask.as_ref()) || command.is_some_and(|command| command != UnitCommand::Stop)
}

fn contradictions(unit: &Unit, lints: &mut Lints<'_>) {
    let started = unit.command.as_ref().filter(|command| command.value != UnitCommand::Stop);
    if flag(unit.mask.as_ref()) {
        let message = format!("`{}` is masked, and cannot be enabled or started", unit.name.value);
        let enabled = unit.enable.as_ref().filter(|enable| enable.value).map(|enable| &enable.place);
        for place in started.map(|command| &command.place).into_iter().chain(enabled) {
            lints.add(Rule::ConflictingKeys, place, message.clone(), "remove this, or `mask`");
        }
    }
    if let Some(command) = started.filter(|_| unit.name.is_template()) {
        lints.add(
            Rule::ConflictingKeys,
            &command.place,
            format!("`{}` is a template, which cannot be started", unit.name.value),
            "name an instance",
        );
    }
    if let Some(content) = &unit.content
        && content.contains('\0')
    {
        lints.add(Rule::InvalidValue, &content.place, "the text of a unit contains no NUL", "");
    }
}

fn without_effect_on_network_files(unit: &Unit, lints: &mut Lints<'_>) {
    let enable = unit.enable.as_ref().filter(|enable| enable.value).map(|enable| ("enable", &enable.place));
    let command = unit.command.as_ref().map(|command| ("command", &command.place));
    for (key, place) in enable.into_iter().chain(command) {
        lints.add(
            Rule::IgnoredKey,
            place,
            format!("`{key}` does nothing for files of systemd-networkd"),
            "remove it; systemd-networkd is restarted by itself",
        );
    }
}

/// A unit that is only named has to be there.
fn exists(unit: &Unit, image: &ImageUnits, placed: &BTreeSet<&str>, lints: &mut Lints<'_>) {
    let name = &unit.name;
    let template_is_placed = name.template().is_some_and(|template| placed.contains(template.as_str()));
    if unit.content.is_some() || image.has(name) || template_is_placed {
        return;
    }
    if name.as_str() == FLEET {
        let message = "`fleet.service` is not in the image; this entry does nothing, and the rest is applied";
        lints.add(Rule::FleetMissing, &name.place, message, "start containers with Docker, or units with `coreos.units`");
        return;
    }
    // Masking what is not there does no harm, and keeps it away.
    let stopped = unit.command.as_ref().is_none_or(|command| command.value == UnitCommand::Stop);
    if flag(unit.mask.as_ref()) && stopped && unit.drop_ins.is_empty() {
        return;
    }
    let what = if unit.drop_ins.is_empty() { "it is used" } else { "it is given drop-ins" };
    let hint = image
        .nearest(name.as_str())
        .map_or("add its `content`, or list the image's units with `--image-units`".to_owned(), |near| format!("did you mean `{near}`?"));
    lints.add(Rule::UnknownUnit, &name.place, format!("`{}` is neither here nor in the image, and {what}", name.value), &hint);
}

fn drop_ins(drop_ins: &[Located<DropIn>], lints: &mut Lints<'_>) {
    for drop_in in drop_ins {
        match &drop_in.content {
            None => lints.absent(
                Rule::IgnoredKey,
                &drop_in.name.place,
                "a drop-in without `content` does nothing",
                "add `content`, or remove it",
            ),
            Some(content) if content.contains('\0') => {
                lints.add(Rule::InvalidValue, &content.place, "the text of a drop-in contains no NUL", "");
            }
            Some(_) => {}
        }
    }
}

/// Names of units that other units here start: by a setting, or by having the same name.
fn referenced(units: &[Located<Unit>]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for unit in units {
        let texts = unit.content.iter().chain(unit.drop_ins.iter().filter_map(|drop_in| drop_in.content.as_ref()));
        for line in texts.flat_map(|text| text.lines()) {
            let Some((key, value)) = line.split_once('=') else { continue };
            if REFERENCES.contains(&key.trim()) {
                names.extend(value.split_ascii_whitespace().map(str::to_owned));
            }
        }
        // A timer, socket or path starts the service of its own name.
        if let Some((stem, "timer" | "socket" | "path")) = unit.name.as_str().rsplit_once('.') {
            names.insert(format!("{stem}.service"));
            names.insert(format!("{stem}@.service"));
        }
        names.extend(UnitName::template(&unit.name));
    }
    names
}

fn has_section(content: &str, section: &str) -> bool {
    content.lines().any(|line| line.trim().strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(section))
}
