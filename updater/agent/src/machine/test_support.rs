//! Builders for tests.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use payload::{Part, PartName, Release, Sha256Digest, Version};

use super::{Effect, Input, Machine, Now, Persisted, State, Work};
use crate::config::Settings;
use crate::daemon::host::{Booted, CheckAnswer, Failure, FailureKind, Firmware, HealthReport, Offer, Slot, VerifiedRelease};

/// The time every test starts at: a Saturday.
pub(crate) const START: &str = "2026-11-21T08:00:00Z";

/// When the metadata of [`release`] expires.
pub(crate) const EXPIRES: &str = "2026-12-24T00:00:00Z";

pub(crate) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

pub(crate) fn now(secs: u64) -> Now {
    let start: Timestamp = START.parse().unwrap();
    Now { mono: Duration::from_secs(secs), wall: start + SignedDuration::from_secs(i64::try_from(secs).unwrap()) }
}

pub(crate) fn booted(slot: Slot, boot: u32, running: &str) -> Booted {
    Booted {
        slot,
        boot_id: format!("boot-{boot}"),
        version: version(running),
        arch: "amd64".to_owned(),
        machine_id: "0123456789abcdef0123456789abcdef".to_owned(),
        app_id: payload::app_id("slipway", "vm"),
        firmware: Firmware::default(),
    }
}

/// Settings with a server and nothing that waits.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.access.server = "https://updates.example.org".to_owned();
    settings.access.metadata_url = "https://updates.example.org/tuf".to_owned();
    settings.reboot.wait_for_users = Duration::ZERO;
    // What looks at the metadata meanwhile is told by tests of its own.
    settings.check.metadata = Duration::from_secs(365 * 24 * 3600);
    settings
}

/// What a machine has that was installed with `running` in slot A and committed it.
pub(crate) fn settled(running: &str) -> Persisted {
    Persisted {
        floor: Some(version(running)),
        committed: Some(Slot::A),
        slot_a: Some(version(running)),
        metadata_checked: Some(now(0).wall),
        ..Persisted::default()
    }
}

pub(crate) fn offer(text: &str) -> Offer {
    Offer { version: version(text), bases: vec!["https://updates.example.org/targets/x/".to_owned()], poll_interval: None }
}

pub(crate) fn offered(text: &str) -> Input {
    Input::Checked(Ok(CheckAnswer::Update(offer(text))))
}

pub(crate) fn nothing() -> Input {
    Input::Checked(Ok(CheckAnswer::NoUpdate { info: None, poll_interval: None }))
}

pub(crate) fn release(text: &str) -> VerifiedRelease {
    let digest = Sha256Digest::of(text.as_bytes());
    let part = |name| Part { name, size: 100, sha256: digest, frames: vec![digest], ways: Vec::new() };
    let release = Release {
        format: 1,
        app_id: payload::app_id("slipway", "vm"),
        name: "slipway".to_owned(),
        variant: "vm".to_owned(),
        version: version(text),
        arch: "amd64".to_owned(),
        root_hash: digest,
        minimum_version: None,
        rollback_index: 0,
        parts: PartName::ALL.into_iter().map(part).collect(),
        notes: String::new(),
    };
    VerifiedRelease { release, bases: offer(text).bases, expires: Some(EXPIRES.parse().unwrap()) }
}

pub(crate) fn verified(text: &str) -> Input {
    Input::Verified(Box::new(Ok(release(text))))
}

pub(crate) fn failure(text: &str) -> Failure {
    Failure::new(FailureKind::Network, text)
}

pub(crate) fn healthy() -> HealthReport {
    HealthReport { passed: true, cause: None, checks: Vec::new() }
}

pub(crate) fn ill(cause: &str) -> HealthReport {
    HealthReport { passed: false, cause: Some(cause.to_owned()), checks: Vec::new() }
}

/// A machine at rest in slot A with version 1.0.0, and its clock.
pub(crate) struct Bench {
    pub(crate) machine: Machine,
    pub(crate) secs: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(settled("1.0.0"), settings())
    }

    pub(crate) fn with(persisted: Persisted, settings: Settings) -> Self {
        Self::booted(booted(Slot::A, 1, "1.0.0"), persisted, settings).0
    }

    /// A machine that was just started, and what it wants first.
    pub(crate) fn booted(booted: Booted, persisted: Persisted, settings: Settings) -> (Self, Vec<Effect>) {
        let mut bench = Self { machine: Machine::new(booted, persisted, settings), secs: 0 };
        let effects = bench.feed(Input::Start);
        (bench, effects)
    }

    pub(crate) fn now(&self) -> Now {
        now(self.secs)
    }

    #[track_caller]
    pub(crate) fn feed(&mut self, input: Input) -> Vec<Effect> {
        let label = input.label();
        let now = self.now();
        self.machine.step(input, now).unwrap_or_else(|error| panic!("{label}: {error}"))
    }

    pub(crate) fn refused(&mut self, input: Input) -> String {
        let now = self.now();
        self.machine.step(input, now).expect_err("this must be refused").to_string()
    }

    /// Lets time pass until the machine wants to be woken, and wakes it.
    pub(crate) fn wake(&mut self) -> Vec<Effect> {
        let sleep = self.machine.sleep(self.now()).expect("nothing is planned");
        self.secs += sleep.as_secs() + u64::from(sleep.subsec_nanos() > 0);
        self.feed(Input::Tick)
    }

    /// From rest to a staged release whose flip is known to have worked.
    pub(crate) fn stage(&mut self, text: &str) -> Vec<Effect> {
        self.feed(Input::Apply { despite_quarantine: None });
        self.feed(offered(text));
        self.feed(verified(text));
        self.feed(Input::Staged(Ok(())));
        self.feed(Input::Flipped(Ok(())))
    }

    pub(crate) fn state(&self) -> &'static str {
        self.machine.state().name()
    }

    pub(crate) fn outcome(&self) -> String {
        self.machine.status().outcome.map(|ended| format!("{}: {}", ended.result, ended.text)).unwrap_or_default()
    }
}

/// The work among `effects`, by name.
pub(crate) fn work(effects: &[Effect]) -> Vec<String> {
    let name = |effect: &Effect| match effect {
        Effect::Persist => Some("persist".to_owned()),
        Effect::Work(work) => Some(match work {
            Work::Check(_) => "check".to_owned(),
            Work::Refresh => "refresh".to_owned(),
            Work::Verify(offer) => format!("verify {}", offer.version),
            Work::Stage { release, slot } => format!("stage {} in {slot}", release.release.version),
            Work::Probe(slot) => format!("probe {slot}"),
            Work::Flip(slot) => format!("flip {slot}"),
            Work::Discard(slot) => format!("discard {slot}"),
            Work::TakeTurn(None) => "take turn".to_owned(),
            Work::TakeTurn(Some(version)) => format!("take turn for {version}"),
            Work::Reboot => "reboot".to_owned(),
            Work::Health => "health".to_owned(),
            Work::Commit(slot) => format!("commit {slot}"),
            Work::RestoreDefault(slot) => format!("restore {slot}"),
        }),
        Effect::Report(event) => Some(format!("report {}/{}", event.kind, event.result)),
        Effect::Ping => Some("ping".to_owned()),
        Effect::AskUsers => Some("ask users".to_owned()),
        Effect::WarnUsers(_) => Some("warn users".to_owned()),
        Effect::CancelWork => Some("cancel work".to_owned()),
        Effect::GiveUpTurn => Some("give up turn".to_owned()),
        Effect::Log(_) => None,
    };
    effects.iter().filter_map(name).collect()
}

/// The same without what is written and what the server is told.
pub(crate) fn deeds(effects: &[Effect]) -> Vec<String> {
    work(effects).into_iter().filter(|name| name != "persist" && name != "ping" && !name.starts_with("report")).collect()
}

/// Whether the machine rests.
pub(crate) fn rests(machine: &Machine) -> bool {
    matches!(machine.state(), State::Idle | State::RolledBack { .. })
}
