//! The rules, in the order in which they are asked.

mod answer;
mod rules;

pub use answer::{Because, Decision, NotNow, Step, Update};

use super::{Catalog, Counts, Follow, Grant, Group, Machine, Position, Reason, Release, Rollout, Time, Version, newer};

/// One machine asks.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The time; with several replicas the database's.
    pub now: Time,
    /// Who asks.
    pub machine: &'a Machine,
    /// Its position in the rollout's order where somebody keeps it; worked out when `None`.
    pub position: Option<Position>,
}

/// What the machine asks about, read by the storage.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The machine's group; `None` when there is no such group.
    pub group: Option<&'a Group>,
    /// All releases and channels.
    pub catalog: &'a Catalog,
    /// The rollout in this group of the release that [`target`] names; `None` when there is none.
    pub live: Option<Live<'a>>,
}

/// A rollout with its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// The rollout.
    pub rollout: &'a Rollout,
    /// Its counts.
    pub counts: &'a Counts,
    /// This machine's grant in it.
    pub grant: Option<&'a Grant>,
}

/// The release that `machine` is headed for (before floors), so that the storage knows whose rollout to read.
///
/// # Errors
/// The reason why there is none.
pub fn target<'a>(machine: &Machine, group: &Group, catalog: &'a Catalog) -> Result<&'a Release, Reason> {
    let runs = &machine.version;
    let exactly = |pin: &Version| {
        catalog.version(&machine.app, &machine.arch, pin).ok_or_else(|| {
            let elsewhere =
                catalog.releases.iter().filter(|release| release.app == machine.app && release.version.cmp_precedence(pin).is_eq());
            mismatch(machine, elsewhere).unwrap_or_else(|| Reason::ReleaseUnknown { version: pin.clone() })
        })
    };
    if let Some(pin) = &machine.pin {
        return if newer(pin, runs) { exactly(pin) } else { Err(Reason::MachinePin { pin: pin.clone(), runs: runs.clone() }) };
    }
    match &group.follow {
        Follow::Pinned(pin) if newer(pin, runs) => exactly(pin),
        Follow::Pinned(pin) => Err(Reason::GroupPin { group: group.name.clone(), pin: pin.clone(), runs: runs.clone() }),
        Follow::Channel(channel) => {
            let mut offered = catalog.channel(channel, &machine.app);
            offered.find(|release| release.arch == machine.arch).ok_or_else(|| {
                let empty = || Reason::ChannelEmpty { channel: channel.clone(), app: machine.app.clone() };
                mismatch(machine, catalog.channel(channel, &machine.app)).unwrap_or_else(empty)
            })
        }
    }
}

fn mismatch<'a>(machine: &Machine, releases: impl Iterator<Item = &'a Release>) -> Option<Reason> {
    let mut available: Vec<String> = releases.map(|release| release.arch.clone()).collect();
    available.sort_unstable();
    (!available.is_empty()).then(|| Reason::ArchMismatch { arch: machine.arch.clone(), available })
}

/// Decides. Pure: the same facts, the same answer.
#[must_use]
pub fn decide(ask: &Ask<'_>, view: &View<'_>) -> Decision {
    rules::walk(ask, view, &mut ()).map_or_else(Decision::NotNow, Decision::Update)
}

/// The rules that were asked for this decision, in their order, up to the one that decided.
#[must_use]
pub fn explain(ask: &Ask<'_>, view: &View<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let decision = rules::walk(ask, view, &mut steps);
    steps.push(match decision {
        Ok(update) => Step { rule: "offer".to_owned(), passed: true, text: update.to_string() },
        Err(no) => Step { rule: no.reason.rule().to_owned(), passed: false, text: no.to_string() },
    });
    steps
}

#[cfg(test)]
mod tests;
