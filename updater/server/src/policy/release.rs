//! Releases, and the channels that point at them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Version, newer};

/// The storage's name of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseId(pub i64);

/// One version of the OS for one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Release {
    /// The storage's name of it.
    pub id: ReleaseId,
    /// Application id, normalised by the storage: compared byte by byte here.
    pub app: String,
    /// Architecture, e.g. `amd64`.
    pub arch: String,
    /// Its version.
    pub version: Version,
    /// Set when no machine may jump over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// Set by an operator who wants nobody to get it any more: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// The signed rollback index; shown, never decided upon: machines enforce it themselves.
    #[serde(default)]
    pub rollback_index: u64,
}

/// Why a release must not be skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Floor {
    /// For people, e.g. `moves /etc to the new overlay`.
    pub reason: String,
}

/// A moving pointer to a release, one per application and architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Channel {
    /// Its name, e.g. `stable`.
    pub name: String,
    /// The release it points at; application and architecture are those of the release.
    pub release: ReleaseId,
}

/// What there is to hand out: every release that is not deleted, and all channels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Catalog {
    /// In any order.
    pub releases: Vec<Release>,
    /// In any order; one name occurs once per application and architecture.
    pub channels: Vec<Channel>,
}

impl Catalog {
    /// The release of that id.
    #[must_use]
    pub fn release(&self, id: ReleaseId) -> Option<&Release> {
        self.releases.iter().find(|release| release.id == id)
    }

    /// The release of that version for one kind of machine.
    #[must_use]
    pub fn version(&self, app: &str, arch: &str, version: &Version) -> Option<&Release> {
        self.releases.iter().find(|release| release.app == app && release.arch == arch && release.version.cmp_precedence(version).is_eq())
    }

    /// What `channel` offers for `app`, for all architectures.
    pub fn channel<'a, 'b>(&'a self, channel: &'b str, app: &'b str) -> impl Iterator<Item = &'a Release> + use<'a, 'b> {
        let named = self.channels.iter().filter(move |candidate| candidate.name == channel);
        named.filter_map(move |channel| self.release(channel.release)).filter(move |release| release.app == app)
    }

    /// What a machine on `from` must be given on its way to `target`: the lowest floor in between, or `target` itself.
    #[must_use]
    pub fn next_step<'a>(&'a self, from: &Version, target: &'a Release) -> &'a Release {
        let same_kind = self.releases.iter().filter(|release| release.app == target.app && release.arch == target.arch);
        let floors = same_kind
            .filter(|release| release.floor.is_some() && newer(&release.version, from) && newer(&target.version, &release.version));
        floors.min_by(|a, b| a.version.cmp_precedence(&b.version)).unwrap_or(target)
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
