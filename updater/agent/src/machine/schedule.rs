//! When to ask the server.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Machine, Now};

/// Shortest interval a server can wish for: it cannot make a fleet attack it.
pub const POLL_MIN: Duration = Duration::from_secs(45 * 60);
/// Longest interval a server can wish for: it cannot make a fleet forget it.
pub const POLL_MAX: Duration = Duration::from_secs(4 * 3600);
/// First wait after a failure; doubled with each further one up to [`POLL_MAX`].
pub const RETRY_FIRST: Duration = Duration::from_secs(5 * 60);
/// Wait before going on with an update that a restart interrupted.
pub const RESUME_AFTER: Duration = Duration::from_secs(60);

/// A source of small random shifts: no secret, only different on every machine and in every boot.
#[derive(Debug, Clone)]
pub struct Jitter {
    seed: [u8; 32],
    count: u64,
}

impl Jitter {
    /// The source of this machine and boot.
    #[must_use]
    pub fn new(machine_id: &str, boot_id: &str) -> Self {
        let seed = Sha256::new().chain_update(machine_id).chain_update([0]).chain_update(boot_id).finalize();
        Self { seed: seed.into(), count: 0 }
    }

    /// `base` moved by up to `amount` in either direction.
    pub fn around(&mut self, base: Duration, amount: Duration) -> Duration {
        // Never more than half of the base, so that small intervals stay intervals.
        let amount = amount.min(base / 2);
        self.count += 1;
        let hash = Sha256::new().chain_update(self.seed).chain_update(self.count.to_le_bytes()).finalize();
        let bits = u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]);
        let part = f64::from(bits) / f64::from(u32::MAX);
        (base - amount) + (amount * 2).mul_f64(part)
    }
}

/// The wait after `failures` failures in a row.
#[must_use]
pub fn backoff(failures: u32, interval: Duration) -> Duration {
    let first = RETRY_FIRST.min(interval);
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(31)));
    doubled.min(POLL_MAX)
}

impl Machine {
    /// The interval in force: the configured one, else what the server wished for, else the usual one.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let plan = &self.settings.check;
        match self.poll_interval {
            Some(wish) if !plan.interval_is_set => wish.clamp(POLL_MIN, POLL_MAX),
            _ => plan.interval,
        }
    }

    /// Plans the next check from the settings and the number of failures.
    pub(super) fn plan_next_check(&mut self, now: Now) {
        let plan = self.settings.check.clone();
        let delay = if !self.checked_before {
            self.jitter.around(plan.first, plan.jitter)
        } else if self.check_failures > 0 {
            let wait = backoff(self.check_failures, self.interval());
            self.jitter.around(wait, wait / 4)
        } else {
            let interval = self.interval();
            self.jitter.around(interval, plan.jitter)
        };
        self.plan_check_in(delay, now);
    }

    /// Plans the next check in `delay`, unless checks are switched off.
    pub(super) fn plan_check_in(&mut self, delay: Duration, now: Now) {
        let planned = (self.settings.enabled && self.has_server()).then_some(now.mono + delay);
        self.next_check = planned;
        self.next_check_wall = planned.and_then(|_| now.after(delay));
    }
}
