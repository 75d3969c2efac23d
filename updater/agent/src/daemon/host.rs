//! The boundary between deciding and doing: everything the daemon asks of the machine it runs on.
//!
//! [`Host`] has one implementation for a real machine and scripted ones in tests. Every call can be repeated after a crash;
//! dropping the future of a call cancels it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use payload::{Release, Version};
use serde::{Deserialize, Serialize};

/// One of the two pairs of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// `root-a`, `root-a-verity`, `slipway-a.efi`.
    A,
    /// `root-b`, `root-b-verity`, `slipway-b.efi`.
    B,
}

impl Slot {
    /// The slot that is not this one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// `a` or `b`, as in partition labels and on the kernel command line.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }

    /// Name of the boot entry, as the loader and logind know it.
    #[must_use]
    pub fn entry(self) -> String {
        format!("slipway-{}.efi", self.letter())
    }

    /// The slot a kernel command line or a person means.
    #[must_use]
    pub fn from_letter(text: &str) -> Option<Self> {
        match text {
            "a" | "A" => Some(Self::A),
            "b" | "B" => Some(Self::B),
            _ => None,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter())
    }
}

/// What is running, read once when the daemon starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booted {
    /// The active slot: never written to.
    pub slot: Slot,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `IMAGE_VERSION` of os-release.
    pub version: Version,
    /// Architecture as releases name it, e.g. `amd64`.
    pub arch: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// Application id derived from image and variant, see [`payload::app_id`].
    pub app_id: String,
    /// What the firmware remembers.
    pub firmware: Firmware,
}

/// What firmware and boot loader remember of earlier boots, as found when the daemon started. On most disks nothing tells a trial boot
/// that ended in a panic from one that never was; this does, where it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Firmware {
    /// Its own count of boots, which goes up at each one.
    pub boots: Option<u32>,
    /// The slot that the boot loader was told to start once and has not started yet.
    pub one_shot: Option<Slot>,
}

/// Who this machine is to the server; part of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Application id, possibly overridden by the configuration.
    pub app_id: String,
    /// See [`Booted::machine_id`].
    pub machine_id: String,
    /// See [`Booted::boot_id`].
    pub boot_id: String,
    /// The version that runs.
    pub version: Version,
    /// See [`Booted::arch`].
    pub arch: String,
    /// Group (Omaha's track).
    pub group: String,
}

/// How to reach the outside, from the configuration; re-read before every check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Access {
    /// The update server, e.g. `https://updates.example.org`; the Omaha path is added to it.
    pub server: String,
    /// Folder of the release metadata; by default `SERVER/tuf`.
    pub metadata_url: String,
    /// Further base URLs that hold `tuf/` and `targets/`, tried in order after the server.
    pub mirrors: Vec<String>,
    /// Proxy URL for all requests.
    pub proxy: Option<String>,
    /// PEM file with the only certificate authorities to accept for TLS.
    pub ca_file: Option<PathBuf>,
    /// Upper limit of the download rate in bytes per second.
    pub bandwidth_limit: Option<u64>,
}

/// The question "is there something for me?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Who asks.
    pub identity: Identity,
    /// First check since the machine booted.
    pub first: bool,
    /// A person asked (install source `ondemandupdate` instead of `scheduler`).
    pub on_demand: bool,
    /// Only this version is wanted (Omaha's target version prefix), from `pin`.
    pub pin: Option<Version>,
}

/// An update the server offers. Nothing in it is trusted: it says where to look, never what to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The offered version.
    pub version: Version,
    /// Folder URLs for the release's files, in order of preference.
    pub bases: Vec<String>,
    /// The server's wish for the time until the next check.
    pub poll_interval: Option<Duration>,
}

/// The server's answer to a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckAnswer {
    /// There is a release for this machine.
    Update(Offer),
    /// Nothing now.
    NoUpdate {
        /// Why not, in the server's words (bounded, shown to operators).
        info: Option<String>,
        /// The server's wish for the time until the next check.
        poll_interval: Option<Duration>,
    },
}

/// What a release must be for to be accepted here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Application id of this machine.
    pub app_id: String,
    /// Architecture of this machine.
    pub arch: String,
}

/// A release whose metadata chain and `release.json` were verified against the trusted root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRelease {
    /// The signed description, digests included.
    pub release: Release,
    /// Folder URLs to fetch its files from, copied from the offer: the bytes are checked, the place is not.
    pub bases: Vec<String>,
    /// When the first piece of the metadata that vouches for it expires.
    pub expires: Option<Timestamp>,
}

/// Why a release was refused before anything was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {text}")]
pub struct Refusal {
    /// What sort of reason.
    pub kind: RefusalKind,
    /// The reason for people: which file, which key, what to do.
    pub text: String,
}

/// Sorts of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RefusalKind {
    /// Not enough valid signatures by the trusted keys.
    WrongKey,
    /// Metadata past its expiry: somebody may be hiding newer releases.
    Expired,
    /// Metadata older than what was seen before.
    Older,
    /// Signed for another application (image or variant).
    WrongApp,
    /// Signed for another architecture.
    WrongArch,
    /// The signed release is not the version that was offered.
    WrongVersion,
    /// The signed metadata lists no such release.
    Missing,
    /// Does not match its signed size or digest.
    Mismatch,
    /// Cannot be read: syntax, limits.
    Malformed,
    /// Could not be fetched; says nothing about the release.
    Unreachable,
    /// The verifier itself failed; says nothing about the release.
    Internal,
}

impl RefusalKind {
    /// Whether trying again later can help without anybody changing the release.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unreachable | Self::Internal)
    }
}

impl fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongKey => "not signed by a trusted key",
            Self::Expired => "the release metadata has expired",
            Self::Older => "the release metadata is older than what was seen before",
            Self::WrongApp => "signed for another application",
            Self::WrongArch => "signed for another architecture",
            Self::WrongVersion => "the signed release is another version than the one offered",
            Self::Missing => "the release is not in the signed metadata",
            Self::Mismatch => "does not match its signed description",
            Self::Malformed => "cannot be read",
            Self::Unreachable => "could not be fetched",
            Self::Internal => "the verifier failed",
        })
    }
}

/// Work on the host failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What sort of failure.
    pub kind: FailureKind,
    /// Which step on which object, and what next.
    pub text: String,
}

impl Failure {
    /// A failure of `kind` described by `text`.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// Sorts of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureKind {
    /// No connection, no name, time-out, too slow.
    Network,
    /// The server answered with this HTTP status.
    Http(u16),
    /// The server's answer makes no sense.
    Response,
    /// Bytes do not match their signed digest, from every place tried.
    Digest,
    /// Reading or writing the slot failed.
    Disk,
    /// The slot is too small for the release.
    Space,
    /// What was read back from the slot does not match the signed root hash.
    ReadBack,
    /// Boot entry, EFI variable or boot loader configuration.
    Boot,
    /// logind refused or failed to reboot.
    Reboot,
    /// A helper process (fetcher, verifier) did not answer or broke the protocol.
    Helper,
    /// Anything else.
    Internal,
}

impl FailureKind {
    /// Name for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Http(_) => "http",
            Self::Response => "response",
            Self::Digest => "digest",
            Self::Disk => "disk",
            Self::Space => "space",
            Self::ReadBack => "read-back",
            Self::Boot => "boot",
            Self::Reboot => "reboot",
            Self::Helper => "helper",
            Self::Internal => "internal",
        }
    }

    /// Omaha error code sent to the server: update_engine's numbers where one fits.
    #[must_use]
    pub fn omaha_code(self) -> i64 {
        match self {
            Self::Network => 9, // download transfer
            Self::Http(status) => 2000 + i64::from(status.min(999)),
            Self::Response => 34,                              // response invalid
            Self::Digest => 10,                                // payload hash mismatch
            Self::Disk => 14,                                  // download write
            Self::Space => 11,                                 // payload size mismatch
            Self::ReadBack => 15,                              // new root file system verification
            Self::Boot => 5,                                   // postinstall
            Self::Reboot | Self::Helper | Self::Internal => 1, // error
        }
    }
}

/// Something that happened in the life of an update, as the server gets it (one Omaha event).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Number of the event on this machine, rising.
    pub number: u64,
    /// Omaha event type: 3 update complete, 13 download started, 14 download finished.
    pub kind: u32,
    /// Omaha event result: 0 error, 1 success, 2 success after reboot.
    pub result: u32,
    /// Omaha error code of a failure.
    pub error_code: Option<i64>,
    /// The version before the update.
    pub previous_version: Option<Version>,
    /// The version the event is about (Omaha's `nextversion`).
    pub release: Option<Version>,
    /// Cause of a failure for operators, bounded.
    pub cause: Option<String>,
    /// It may have been delivered before: the daemon stopped between sending and noting so.
    pub repeated: bool,
}

/// One event on its way to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Who reports.
    pub identity: Identity,
    /// What happened.
    pub event: Event,
}

/// Result of the health gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HealthReport {
    /// All required checks passed within the deadline.
    pub passed: bool,
    /// Why not, one line: the first failed check and what it said.
    #[serde(default)]
    pub cause: Option<String>,
    /// Each check in the order it ran.
    #[serde(default)]
    pub checks: Vec<HealthCheck>,
}

/// One check of the health gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HealthCheck {
    /// What was checked, e.g. `failed-units`, `docker`, `health.d/50-web`.
    pub name: String,
    /// It passed.
    pub passed: bool,
    /// What it said, bounded.
    pub detail: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// What the health gate should check; from the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HealthPlan {
    /// Everything must have passed within this time.
    pub deadline: Duration,
    /// Units that must be active, beside the built-in checks.
    pub services: Vec<String>,
    /// Units that may have failed.
    pub ignore: Vec<String>,
}

/// What `cluster-agent` says to the wish to reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnAnswer {
    /// It is this machine's turn.
    Granted,
    /// It is not, and why.
    Refused(String),
    /// There is no `cluster-agent` on this machine, as far as anybody can see.
    NoAgent(String),
    /// It does not answer, or nothing that could be understood. That is no yes.
    NoAnswer(String),
}

/// The machine as the daemon sees it. Calls are made one at a time, except that [`Host::ping`], [`Host::report`],
/// [`Host::logged_in_users`], [`Host::warn_users`] and [`Host::give_up_turn`] may run beside another call. No call touches the active slot.
#[allow(async_fn_in_trait, reason = "the daemon runs on one thread; its futures need not be Send")]
pub trait Host {
    /// What is running; constant for the life of the process.
    fn booted(&self) -> Booted;

    /// Asks the server for an update.
    async fn check(&self, access: &Access, report: CheckReport) -> Result<CheckAnswer, Failure>;

    /// Tells the server that this machine is there, without a question and without news.
    async fn ping(&self, access: &Access, identity: Identity) -> Result<(), Failure>;

    /// Sends one event. `Ok` means the server has it.
    async fn report(&self, access: &Access, report: Report) -> Result<(), Failure>;

    /// Fetches and verifies the metadata chain and the release's description. Writes to no slot.
    async fn verify(&self, access: &Access, offer: &Offer, wanted: &Wanted) -> Result<VerifiedRelease, Refusal>;

    /// Fetches and verifies the metadata chain alone, and keeps it; answers when the first piece of it expires.
    async fn refresh(&self, access: &Access) -> Result<Option<Timestamp>, Refusal>;

    /// Makes `slot` hold `release`: removes its boot entry, streams, reads back, writes the boot entry last. Resumes what an earlier
    /// call left behind. `progress` gets bytes done and bytes in all.
    async fn stage(&self, access: &Access, release: &VerifiedRelease, slot: Slot, progress: impl Fn(u64, u64)) -> Result<(), Failure>;

    /// Whether `slot` has a boot entry, that is, whether it could be booted at all.
    async fn bootable(&self, slot: Slot) -> Result<bool, Failure>;

    /// Makes `slot` what the next boot, and only that, starts.
    async fn flip(&self, slot: Slot) -> Result<(), Failure>;

    /// Takes a flip back: the next boot starts the committed slot.
    async fn unflip(&self) -> Result<(), Failure>;

    /// Removes the boot entry of the passive `slot`, so that it cannot be booted.
    async fn discard(&self, slot: Slot) -> Result<(), Failure>;

    /// Reboots in an orderly manner. Returns when the reboot is under way.
    async fn reboot(&self) -> Result<(), Failure>;

    /// Asks `cluster-agent` whether it is this machine's turn to reboot into `version`. It may first make the others ready for it, which takes a while.
    async fn take_turn(&self, version: Option<&Version>) -> TurnAnswer;

    /// Tells `cluster-agent` that this machine does not want to reboot any more. Without an answer, the turn ends by itself.
    async fn give_up_turn(&self);

    /// Runs the health gate and waits for its result. That the gate could not run is a failed gate.
    async fn health(&self, plan: &HealthPlan) -> HealthReport;

    /// Makes `slot`, which is the active one, the default of every boot from now on.
    async fn commit(&self, slot: Slot) -> Result<(), Failure>;

    /// Makes sure that the boot loader's default is `slot` again, before a failed trial reboots. Nothing to do is fine: only a commit
    /// that was interrupted half-way leaves work here.
    async fn roll_back_entry(&self, slot: Slot) -> Result<(), Failure>;

    /// Names of the users with an interactive session.
    async fn logged_in_users(&self) -> Vec<String>;

    /// Writes `text` to the terminals of all users.
    async fn warn_users(&self, text: &str);
}
