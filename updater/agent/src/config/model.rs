//! The effective settings, as the rest of the program uses them.

use std::time::Duration;

use payload::Version;
use serde::Serialize;

use crate::daemon::host::{Access, HealthPlan};
use crate::machine::window::Windows;

/// Time between two checks unless configured: what update_engine does, and what its servers are sized for.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(45 * 60);
/// Each interval is moved by up to this in either direction, so that a fleet booted at once does not ask at once.
pub const CHECK_JITTER: Duration = Duration::from_secs(5 * 60);
/// First check after the machine started: late enough not to fight with booting services.
pub const FIRST_CHECK: Duration = Duration::from_secs(7 * 60);
/// The release metadata is looked at this often although nothing is offered: a server that only says "nothing new" cannot hide for
/// longer than this that the metadata, which has a date, is not renewed.
pub const METADATA_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// How long a reboot waits for people who are logged in, unless configured.
pub const WAIT_FOR_USERS: Duration = Duration::from_secs(5 * 60);
/// Longest `wait-for-users`: somebody who forgot to log out must not hold back security updates for ever.
pub const WAIT_FOR_USERS_MAX: Duration = Duration::from_secs(24 * 3600);
/// Time for the health gate of a trial boot, unless configured.
pub const HEALTH_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// The group of a machine that was not told any.
pub const GROUP: &str = "stable";

/// The effective settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// Checks happen by themselves, and what they find is installed.
    pub enabled: bool,
    /// How to reach the outside; an empty server means: none configured, nothing is asked.
    pub access: Access,
    /// Group (Omaha's track).
    pub group: String,
    /// Only this version is installed.
    pub pin: Option<Version>,
    /// Application id instead of the one derived from the image; for tests and for images with a foreign server.
    pub app_id: Option<String>,
    /// When to ask.
    pub check: CheckPlan,
    /// When to reboot.
    pub reboot: RebootPlan,
    /// What proves a new version healthy.
    pub health: HealthPlan,
}

/// When to ask the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckPlan {
    /// Time between two checks.
    pub interval: Duration,
    /// `interval` comes from a file; then the server's wish for another one is not followed.
    pub interval_is_set: bool,
    /// See [`CHECK_JITTER`].
    pub jitter: Duration,
    /// See [`FIRST_CHECK`].
    pub first: Duration,
    /// See [`METADATA_INTERVAL`].
    pub metadata: Duration,
}

/// When to reboot into a staged release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RebootPlan {
    /// At once, in windows, or never by itself.
    pub strategy: Strategy,
    /// The windows of [`Strategy::Window`]; where there are any, also of the strategies that take turns.
    pub windows: Windows,
    /// How long to wait for people who are logged in; zero does not look.
    pub wait_for_users: Duration,
}

/// Who decides when the machine reboots into a staged release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// As soon as a release is staged.
    Immediate,
    /// Inside one of the configured windows.
    Window,
    /// When it is this machine's turn, which `cluster-agent` finds out through etcd.
    EtcdLock,
    /// When it is this machine's turn, which `cluster-agent` finds out from a FleetLock server. To the updater it is the same as
    /// [`Strategy::EtcdLock`]: the configuration of `cluster-agent` says who keeps the lock.
    FleetLock,
    /// As the two before, and at once on a machine without `cluster-agent`.
    BestEffort,
    /// Never by itself: whoever reboots the machine starts the release.
    Off,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 6] = [Self::Immediate, Self::Window, Self::EtcdLock, Self::FleetLock, Self::BestEffort, Self::Off];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Window => "window",
            Self::EtcdLock => "etcd-lock",
            Self::FleetLock => "fleet-lock",
            Self::BestEffort => "best-effort",
            Self::Off => "off",
        }
    }

    /// Whether the machine asks `cluster-agent` before it reboots.
    #[must_use]
    pub fn takes_turns(self) -> bool {
        matches!(self, Self::EtcdLock | Self::FleetLock | Self::BestEffort)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            access: Access::default(),
            group: GROUP.to_owned(),
            pin: None,
            app_id: None,
            check: CheckPlan {
                interval: CHECK_INTERVAL,
                interval_is_set: false,
                jitter: CHECK_JITTER,
                first: FIRST_CHECK,
                metadata: METADATA_INTERVAL,
            },
            reboot: RebootPlan { strategy: Strategy::Immediate, windows: Windows::default(), wait_for_users: WAIT_FOR_USERS },
            health: HealthPlan { deadline: HEALTH_DEADLINE, services: Vec::new(), ignore: Vec::new() },
        }
    }
}
