//! Why not, in words for a person.

use std::fmt;

/// Longest reason, in bytes; some come from afar.
const REASON_MAX: usize = 500;

/// Why not, in words for a person: one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// A reason; control characters become spaces, and what is too long is cut.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        let mut line: String = text.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if line.len() > REASON_MAX {
            let end = (0..=REASON_MAX).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(end);
        }
        Self(line)
    }

    /// The same with what was being done.
    #[must_use]
    pub fn during(&self, what: &str) -> Self {
        Self::new(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Reason {}

/// A turn that was refused, as FleetLock tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What sort of reason.
    pub kind: Kind,
    /// The reason.
    pub reason: Reason,
}

impl Refusal {
    /// A refusal of this kind.
    #[must_use]
    pub fn new(kind: Kind, reason: impl fmt::Display) -> Self {
        Self { kind, reason: Reason::new(reason.to_string()) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

/// Sorts of refusals; FleetLock's `kind` is the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request makes no sense.
    BadRequest,
    /// The request is of the right form and for another machine or group.
    NotForThisMachine,
    /// Others have the turn.
    LockHeld,
    /// etcd or Swarm would lose its quorum.
    Quorum,
    /// Whoever keeps the lock does not answer, so nobody reboots.
    Unreachable,
    /// Something on this machine could not be done before the reboot.
    NotReady,
    /// The reboot before is not over.
    NotSteady,
    /// The release that this machine wants to reboot into failed on another one.
    ReleaseFailed,
}

impl Kind {
    /// FleetLock's `kind`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NotForThisMachine => "not_for_this_machine",
            Self::LockHeld => "lock_held",
            Self::Quorum => "quorum",
            Self::Unreachable => "unreachable",
            Self::NotReady => "not_ready",
            Self::NotSteady => "not_steady",
            Self::ReleaseFailed => "release_failed",
        }
    }
}
