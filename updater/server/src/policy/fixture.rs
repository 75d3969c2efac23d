//! A small world for tests: one application, two architectures, one group.

use super::{
    Canaries, Catalog, Channel, Counts, Floor, Follow, Group, Machine, Ramp, Release, ReleaseId, Rollout, RolloutId, Salt, Settings, Span,
    Time, Version, Windows,
};

pub(crate) const APP: &str = "{app}";
/// Monday, 2026-01-05 00:00 UTC.
pub(crate) const START: Time = Time(1_767_571_200_000);

pub(crate) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

pub(crate) fn release(id: i64, arch: &str, number: &str) -> Release {
    let version = version(number);
    Release { id: ReleaseId(id), app: APP.to_owned(), arch: arch.to_owned(), version, floor: None, blocked: None, rollback_index: 0 }
}

/// Releases 1.0.0, 1.1.0 and 1.2.0 for amd64 and 1.3.0 for arm64; `stable` points at 1.2.0, `edge` only at 1.3.0 for arm64.
pub(crate) fn catalog() -> Catalog {
    let releases =
        vec![release(1, "amd64", "1.0.0"), release(2, "amd64", "1.1.0"), release(3, "amd64", "1.2.0"), release(4, "arm64", "1.3.0")];
    let channel = |name: &str, id| Channel { name: name.to_owned(), release: ReleaseId(id) };
    Catalog { releases, channels: vec![channel("stable", 3), channel("edge", 4)] }
}

pub(crate) fn floor(catalog: &mut Catalog, number: &str) {
    let release = catalog.releases.iter_mut().find(|release| release.version == version(number)).unwrap();
    release.floor = Some(Floor { reason: "moves /etc".to_owned() });
}

pub(crate) fn machine(id: &str, runs: &str) -> Machine {
    Machine {
        id: id.to_owned(),
        app: APP.to_owned(),
        arch: "amd64".to_owned(),
        version: version(runs),
        group: "web".to_owned(),
        oem: "qemu".to_owned(),
        tags: Vec::new(),
        pin: None,
        quarantined: Vec::new(),
        first_seen: START - Span::hours(100),
        last_seen: START,
        progress: None,
    }
}

pub(crate) fn group() -> Group {
    Group {
        name: "web".to_owned(),
        follow: Follow::Channel("stable".to_owned()),
        enabled: true,
        windows: Windows::default(),
        parallel: None,
        defaults: Settings::default(),
    }
}

pub(crate) fn ramp(text: &str) -> Ramp {
    text.parse().unwrap()
}

/// The rollout of 1.2.0 with that ramp, begun at [`START`].
pub(crate) fn rollout(text: &str) -> Rollout {
    let settings = Settings { ramp: ramp(text), ..Settings::default() };
    Rollout::new(RolloutId(1), ReleaseId(3), Salt("salt".to_owned()), settings, START)
}

pub(crate) fn canaries(machines: &[&str], limit: u64, need: u64, soak: Span) -> Canaries {
    Canaries { machines: machines.iter().map(|id| (*id).to_owned()).collect(), limit, need, soak, ..Canaries::default() }
}

pub(crate) fn counts(population: u64, granted: u64) -> Counts {
    Counts { population, granted, ..Counts::NONE }
}
