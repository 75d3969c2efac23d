//! systemd as far as this program needs it, and one that only takes notes.

use crate::plan::effect::JobKind;

/// What systemd answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SystemdError {
    /// No answer at all.
    #[error("systemd cannot be reached on the system bus: {0}")]
    Unreachable(String),
    /// It refused.
    #[error("systemd refused to {action} {unit}: {reason}")]
    Refused {
        /// What was asked.
        action: String,
        /// For which unit.
        unit: String,
        /// Its reason.
        reason: String,
    },
}

/// What is asked of systemd. Jobs are queued, nothing here waits for one: a unit that is ordered after this program would wait for us
/// while we wait for it.
pub trait Systemd {
    /// Reads all units again.
    fn reload(&mut self) -> Result<(), SystemdError>;
    /// Queues a job.
    fn job(&mut self, unit: &str, job: JobKind) -> Result<(), SystemdError>;
    /// Whether a unit is active or becoming so.
    fn is_active(&mut self, unit: &str) -> Result<bool, SystemdError>;
    /// Sets the name the kernel has.
    fn set_hostname(&mut self, name: &str) -> Result<(), SystemdError>;
    /// The name the kernel has.
    fn hostname(&mut self) -> String;
}

/// Takes notes, for tests; can be told which request fails.
#[derive(Debug, Default)]
pub struct Recorder {
    /// What was asked, in order.
    pub calls: Vec<String>,
    /// Units that are active, as far as it knows.
    pub active: std::collections::BTreeSet<String>,
    /// The machine's name.
    pub name: String,
    /// Counts down to the request that fails.
    pub fail_after: Option<usize>,
}

impl Recorder {
    fn note(&mut self, call: String) -> Result<(), SystemdError> {
        if let Some(left) = &mut self.fail_after {
            if *left == 0 {
                self.fail_after = None;
                return Err(SystemdError::Unreachable("made up by a test".to_owned()));
            }
            *left -= 1;
        }
        self.calls.push(call);
        Ok(())
    }
}

impl Systemd for Recorder {
    fn reload(&mut self) -> Result<(), SystemdError> {
        self.note("daemon-reload".to_owned())
    }

    fn job(&mut self, unit: &str, job: JobKind) -> Result<(), SystemdError> {
        self.note(format!("{} {unit}", job.word()))?;
        match job {
            JobKind::Stop => drop(self.active.remove(unit)),
            _ => drop(self.active.insert(unit.to_owned())),
        }
        Ok(())
    }

    fn is_active(&mut self, unit: &str) -> Result<bool, SystemdError> {
        Ok(self.active.contains(unit))
    }

    fn set_hostname(&mut self, name: &str) -> Result<(), SystemdError> {
        self.note(format!("hostname {name}"))?;
        name.clone_into(&mut self.name);
        Ok(())
    }

    fn hostname(&mut self) -> String {
        self.name.clone()
    }
}
