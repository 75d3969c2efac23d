//! How often one source address may check in, or do something else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use super::places::site;
use crate::policy::Time;

/// Check-ins that one address may send at once: a site of a thousand machines behind one address after a power cut.
pub const BURST: f64 = 1_000.0;
/// Check-ins per second that one address may send all the time: 100,000 machines behind one address ask 37 times a second.
pub const PER_SECOND: f64 = 50.0;
/// Addresses that are remembered; beyond, those that have all their allowance back are forgotten.
const ADDRESSES: usize = 100_000;

/// What one address may do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// At once.
    pub burst: f64,
    /// All the time.
    pub per_second: f64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { burst: BURST, per_second: PER_SECOND }
    }
}

/// Counts what addresses do; check-ins, unless said otherwise.
#[derive(Debug, Default)]
pub struct Limiter {
    allowance: Allowance,
    buckets: Mutex<HashMap<IpAddr, (f64, Time)>>,
}

impl Limiter {
    /// One that allows something else.
    #[must_use]
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, buckets: Mutex::default() }
    }

    /// Whether `address` may now. Loopback always may: it is a proxy in front of this server, or a test.
    pub fn allow(&self, address: IpAddr, now: Time) -> bool {
        let address = site(address);
        if address.is_loopback() {
            return true;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if buckets.len() >= ADDRESSES && !buckets.contains_key(&address) {
            buckets.retain(|_, (left, at)| self.filled(*left, *at, now) < self.allowance.burst);
            if buckets.len() >= ADDRESSES {
                return false;
            }
        }
        let (left, at) = buckets.entry(address).or_insert((self.allowance.burst, now));
        *left = self.filled(*left, *at, now);
        *at = now;
        let allowed = *left >= 1.0;
        if allowed {
            *left -= 1.0;
        }
        allowed
    }

    fn filled(&self, left: f64, at: Time, now: Time) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "spans between two requests are small")]
        let seconds = now.since(at).0 as f64 / 1000.0;
        (left + seconds * self.allowance.per_second).min(self.allowance.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_stopped_and_forgiven() {
        let (limiter, flood) = (Limiter::default(), IpAddr::from([203, 0, 113, 9]));
        let allowed = (0..5000).filter(|_| limiter.allow(flood, Time(0))).count();
        assert_eq!(allowed, 1000);
        assert!(limiter.allow(IpAddr::from([203, 0, 113, 10]), Time(0)), "others are not held up");
        assert!(!limiter.allow(flood, Time(10)));
        assert!(limiter.allow(flood, Time(1_000)));
    }

    #[test]
    fn another_allowance_is_another_limit() {
        let (limiter, flood) = (Limiter::new(crate::http::discovery::NEW_TOKENS), IpAddr::from([203, 0, 113, 9]));
        assert_eq!((0..500).filter(|_| limiter.allow(flood, Time(0))).count(), 20);
        assert!(!limiter.allow(flood, Time(29_000)) && limiter.allow(flood, Time(31_000)));
    }

    #[test]
    fn loopback_is_never_limited() {
        let limiter = Limiter::default();
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!((0..5000).all(|_| limiter.allow(address.parse().unwrap(), Time(0))), "{address}");
        }
    }
}
