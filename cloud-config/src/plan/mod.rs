//! From a checked document to a deterministic list of effects.
//!
//! Pure: the document, what the platform says and what the image has go in, a [`Plan`] comes out; the same input gives the same
//! bytes. Nothing is looked up on the host, so a plan made on a laptop is the plan the machine makes.
//!
//! ```text
//! accounts  groups, users, keys        cluster  etcd, fleet, flannel, update, locksmith
//! files     write_files, hosts, oem    units    units, drop-ins, jobs
//! host      name, zone, ntp, sysctl    storage  disks, file systems, mounts, swap
//! docker    daemon, registries, proxy  scripts  bootcmd, runcmd, scripts
//! members   cluster-agent's configuration
//! ```

mod accounts;
mod builder;
mod cluster;
pub mod content;
mod docker;
pub mod effect;
mod etcd;
mod files;
mod host;
mod members;
pub mod path;
mod scripts;
mod show;
mod storage;
mod units;

#[cfg(test)]
mod tests;

use serde::Serialize;

use self::builder::Builder;
use self::content::Sha256Sum;
use self::effect::{Action, Effect, Origin};
use crate::check::ImageUnits;
use crate::metadata::Metadata;
use crate::model::text::FromText;
use crate::model::value::UnitName;
use crate::model::{Config, Problem};

/// What a document asks for: keys, and programs that came beside them.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The keys.
    pub config: &'a Config,
    /// Programs of the user data, in order.
    pub scripts: Vec<Script>,
    /// Network files the platform describes, by name; until the next boot, because the platform may say something else then.
    pub network_files: Vec<(String, String)>,
}

/// A program that is run once per instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its text, beginning with `#!`.
    pub bytes: Vec<u8>,
    /// Where it came from.
    pub origin: Origin,
}

/// What is known of the image a plan is for.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its units; nothing is called unavailable when they are not known.
    pub units: Option<ImageUnits>,
}

impl Facts {
    /// Whether a unit is there, as far as is known; units that systemd makes by itself always are.
    #[must_use]
    pub fn has_unit(&self, unit: &str) -> bool {
        const BY_ITSELF: [&str; 6] = [".device", ".mount", ".swap", ".slice", ".scope", ".automount"];
        let Some(units) = &self.units else { return true };
        BY_ITSELF.iter().any(|kind| unit.ends_with(kind)) || UnitName::from_text(unit).is_ok_and(|unit| units.has(&unit))
    }
}

/// Something the reader of a plan should know; it does not keep the plan from being carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Which line it is about.
    pub origin: Origin,
    /// What, in lower case.
    pub text: String,
}

/// What will be done, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Each step.
    pub effects: Vec<Effect>,
    /// What the reader should know.
    pub notes: Vec<Note>,
}

impl Plan {
    /// Digest of everything the plan does. Where it was written plays no part: the file on a laptop has another name than the
    /// metadata service.
    #[must_use]
    pub fn hash(&self) -> Sha256Sum {
        let done: Vec<_> = self.effects.iter().map(|effect| (&effect.action, effect.frequency)).collect();
        // Plain data with text keys always has a JSON form.
        Sha256Sum::of(&serde_json::to_vec(&done).unwrap_or_default())
    }
}

/// Makes the plan.
///
/// # Errors
/// Everything that a single key's type cannot know is wrong, with its place.
pub fn plan(wanted: &Wanted<'_>, metadata: &Metadata, facts: &Facts) -> Result<Plan, Vec<Problem>> {
    let config = wanted.config;
    let mut builder = Builder::new(metadata, facts);
    host::name(&mut builder, config);
    host::timezone(&mut builder, config);
    accounts::groups(&mut builder, config);
    accounts::users(&mut builder, config);
    accounts::keys(&mut builder, config);
    files::write_files(&mut builder, config);
    host::ca_certs(&mut builder, config);
    host::ntp(&mut builder, config);
    host::kernel(&mut builder, config);
    host::platform_network(&mut builder, &wanted.network_files);
    host::networkd(&mut builder, config);
    docker::proxy(&mut builder, config);
    docker::docker(&mut builder, config);
    storage::storage(&mut builder, config);
    files::environment(&mut builder, config);
    cluster::files(&mut builder, config);
    units::units(&mut builder, config);
    cluster::drop_ins(&mut builder, config);
    members::members(&mut builder, config);
    scripts::boot_commands(&mut builder, config);
    scripts::run_commands(&mut builder, config);
    scripts::scripts(&mut builder, &wanted.scripts);
    let reload = builder.effects.iter().find_map(needs_reload).cloned();
    if let Some(origin) = reload {
        builder.every_boot(origin, Action::DaemonReload);
    }
    scripts::run_boot_commands(&mut builder, config);
    let jobs = std::mem::take(&mut builder.jobs);
    builder.effects.extend(jobs);
    accounts::imports(&mut builder, config);
    if builder.problems.is_empty() { Ok(Plan { effects: builder.effects, notes: builder.notes }) } else { Err(builder.problems) }
}

/// What is left when a document cannot be used: the platform's word for name and keys, so that somebody can log in and mend it.
#[must_use]
pub fn rescue(metadata: &Metadata) -> Plan {
    let facts = Facts::default();
    let mut builder = Builder::new(metadata, &facts);
    host::metadata_name(&mut builder);
    accounts::metadata_keys(&mut builder);
    Plan { effects: builder.effects, notes: builder.notes }
}

fn needs_reload(effect: &Effect) -> Option<&Origin> {
    let below = |path: &str| path.contains("/systemd/system/") || path.contains("/systemd/system.conf.d/");
    let needs = match &effect.action {
        Action::File { path, .. } | Action::Append { path, .. } | Action::Symlink { path, .. } => below(path.as_str()),
        Action::Mask { .. } | Action::Unmask { .. } | Action::Enable { .. } => true,
        _ => false,
    };
    needs.then_some(&effect.origin)
}
