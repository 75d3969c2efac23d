//! Time limits that fit the machine the tests run on.

use std::time::{Duration, Instant};

use image_builder::qemu::accel::Accel;
use serde::{Deserialize, Serialize};

/// How much patience the tests have, relative to a machine with KVM and nothing else to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    slowness: u32,
}

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// A look that takes long is work for the machine that is waited for: after it comes a rest that many times as long, so that looking
/// takes no more than a sixth of its time.
const REST: u32 = 5;

/// The longest rest, so that nothing is noticed late.
const REST_MAX: Duration = Duration::from_secs(10);

impl Pace {
    /// The pace of `accel`, times `SLIPWAY_TEST_PATIENCE` (a whole number) on machines that are busy with other things.
    #[must_use]
    pub fn of(accel: Accel) -> Self {
        let patience = std::env::var("SLIPWAY_TEST_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        Self { slowness: accel.slowness().saturating_mul(patience).max(1) }
    }

    /// `fast` is how long something may take with KVM; this is how long it may take here.
    #[must_use]
    pub fn limit(self, fast: Duration) -> Duration {
        fast.saturating_mul(self.slowness)
    }

    /// What took so long here, with KVM: the reverse of [`Self::limit`].
    #[must_use]
    pub fn as_fast(self, here: Duration) -> Duration {
        here / self.slowness
    }

    /// A deadline that many KVM seconds from now.
    #[must_use]
    pub fn deadline_secs(self, fast_secs: u64) -> Deadline {
        Deadline::after(self.limit(Duration::from_secs(fast_secs)))
    }
}

/// A point in time after which waiting is failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    begun: Instant,
    limit: Duration,
}

impl Deadline {
    /// A deadline `limit` from now, whatever the pace.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { begun: Instant::now(), limit }
    }

    /// What is left; `None` when it has passed.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.limit.checked_sub(self.begun.elapsed()).filter(|left| !left.is_zero())
    }

    /// The whole time that was granted.
    #[must_use]
    pub fn limit(self) -> Duration {
        self.limit
    }

    /// Asks `condition` again and again until it gives something; `what` is awaited, for the error.
    pub fn wait<T>(self, what: &str, condition: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
        self.wait_every(INTERVAL, what, condition)
    }

    /// Like [`Deadline::wait`], looking as often as `interval` says, and more rarely when a look takes long itself.
    pub fn wait_every<T>(
        self,
        interval: Duration,
        what: &str,
        mut condition: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        loop {
            let begun = Instant::now();
            if let Some(value) = condition()? {
                return Ok(value);
            }
            let interval = interval.max(begun.elapsed().saturating_mul(REST).min(REST_MAX));
            let Some(left) = self.left() else { anyhow::bail!("{what}: not within {} s", self.limit.as_secs()) };
            std::thread::sleep(interval.min(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_value_or_says_what_was_awaited() {
        let mut count = 0;
        let value = Deadline::after(Duration::from_secs(60)).wait("two", || {
            count += 1;
            Ok((count == 2).then_some(count))
        });
        assert_eq!(value.unwrap(), 2);
        let error = Deadline::after(Duration::ZERO).wait("the moon", || Ok(None::<()>)).unwrap_err();
        assert_eq!(error.to_string(), "the moon: not within 0 s");
        assert!(Deadline::after(Duration::from_secs(60)).wait("it", || anyhow::bail!("gone")).map(|(): ()| ()).is_err());
    }

    #[test]
    fn emulation_gets_more_time() {
        let second = Duration::from_secs(1);
        assert!(Pace::of(Accel::Tcg).limit(second) > Pace::of(Accel::Kvm).limit(second));
    }
}
