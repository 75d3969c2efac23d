//! Reading an answer's body: bounded in size, in slowness and in bandwidth.

use std::time::Duration;

use reqwest::Response;
use tokio::time::{Instant, sleep, timeout};

use super::Trouble;
use super::client::chain;
use super::limits::Limits;
use crate::daemon::host::FailureKind;

/// Longest pause to keep the bandwidth limit, so that a body never looks stalled from outside.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Keeps an average rate: what was received too early is waited for.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Option<u64>,
    since: Instant,
    bytes: u64,
}

impl Bucket {
    /// A bucket for `rate` bytes per second, or without a limit.
    #[must_use]
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate, since: Instant::now(), bytes: 0 }
    }

    /// How long to wait after `bytes` more have come.
    fn owed(&mut self, bytes: u64, now: Instant) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        self.bytes += bytes;
        let due = self.since + Duration::from_secs_f64(self.bytes as f64 / rate as f64);
        let owed = due.saturating_duration_since(now);
        // Time that was not used is not saved up for a burst later.
        if now.saturating_duration_since(due) > Duration::from_secs(1) {
            (self.since, self.bytes) = (now, 0);
        }
        owed
    }

    async fn take(&mut self, bytes: usize) {
        let mut owed = self.owed(bytes as u64, Instant::now());
        while !owed.is_zero() {
            let pause = owed.min(PAUSE_MAX);
            sleep(pause).await;
            owed -= pause;
        }
    }
}

/// Notices a server that sends too slowly. Only time spent waiting for the network counts.
#[derive(Debug)]
struct Floor {
    window: Duration,
    least: u64,
    waited: Duration,
    bytes: u64,
}

impl Floor {
    fn new(limits: &Limits) -> Self {
        Self { window: limits.window, least: limits.window_bytes, waited: Duration::ZERO, bytes: 0 }
    }

    /// Waiting time left in this window.
    fn left(&self) -> Duration {
        self.window.saturating_sub(self.waited)
    }

    fn note(&mut self, waited: Duration, bytes: usize) -> Result<(), Trouble> {
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.waited >= self.window {
            if self.bytes < self.least {
                return Err(self.slow());
            }
            (self.waited, self.bytes) = (Duration::ZERO, 0);
        }
        Ok(())
    }

    fn slow(&self) -> Trouble {
        let text = format!("too slow: {} bytes in {} s, where {} are the least", self.bytes, self.window.as_secs_f32(), self.least);
        Trouble::new(FailureKind::Network, text)
    }
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body<'a> {
    response: Response,
    floor: Floor,
    bucket: &'a mut Bucket,
    deadline: Instant,
}

impl<'a> Body<'a> {
    /// The body of `response`, to be finished by `deadline`.
    pub(super) fn new(response: Response, limits: &Limits, bucket: &'a mut Bucket, deadline: Instant) -> Self {
        Self { response, floor: Floor::new(limits), bucket, deadline }
    }

    /// The next bytes, or `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Trouble> {
        loop {
            let started = Instant::now();
            let patience = self.floor.left().min(self.deadline.saturating_duration_since(started));
            match timeout(patience, self.response.chunk()).await {
                Ok(Ok(None)) => return Ok(None),
                Ok(Ok(Some(bytes))) => {
                    self.floor.note(started.elapsed(), bytes.len())?;
                    self.bucket.take(bytes.len()).await;
                    return Ok(Some(bytes));
                }
                Ok(Err(error)) => return Err(Trouble::new(FailureKind::Network, format!("the connection broke: {}", chain(&error)))),
                Err(_) if Instant::now() >= self.deadline => {
                    return Err(Trouble::new(FailureKind::Network, "not finished in the time set for the whole file"));
                }
                Err(_) => self.floor.note(started.elapsed().max(patience), 0)?,
            }
        }
    }

    /// The whole body, refused as soon as it is longer than `max` bytes.
    pub(super) async fn all(&mut self, max: u64) -> Result<Vec<u8>, Trouble> {
        let long = |what: String| Trouble::new(FailureKind::Response, what);
        if let Some(length) = self.response.content_length().filter(|&length| length > max) {
            return Err(long(format!("the answer says it has {length} bytes, {max} are the limit")));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            let chunk = chunk.as_ref();
            if (bytes.len() + chunk.len()) as u64 > max {
                return Err(long(format!("the answer has more than {max} bytes")));
            }
            bytes.extend_from_slice(chunk);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_bucket_keeps_the_average_and_saves_nothing_up() {
        let mut bucket = Bucket::new(Some(1000));
        let start = bucket.since;
        assert_eq!(bucket.owed(500, start), Duration::from_millis(500));
        assert_eq!(bucket.owed(500, start + Duration::from_millis(500)), Duration::from_millis(500));
        let later = start + Duration::from_secs(3600);
        assert_eq!(bucket.owed(1, later), Duration::ZERO);
        assert_eq!(bucket.owed(2000, later), Duration::from_secs(2), "an idle hour is no credit");
        assert_eq!(Bucket::new(None).owed(u64::MAX, start), Duration::ZERO);
    }

    #[test]
    fn the_floor_judges_whole_windows_of_waiting() {
        let limits = Limits { window: Duration::from_secs(90), window_bytes: 900, ..Limits::default() };
        let mut floor = Floor::new(&limits);
        assert!(floor.note(Duration::from_secs(89), 1).is_ok());
        assert!(floor.note(Duration::from_secs(1), 899).is_ok(), "exactly enough");
        assert!(floor.note(Duration::from_secs(90), 899).is_err(), "the last window does not count");
        let mut dripping = Floor::new(&limits);
        let verdicts: Vec<bool> = (0..9).map(|_| dripping.note(Duration::from_secs(10), 1).is_ok()).collect();
        assert_eq!(verdicts, [true, true, true, true, true, true, true, true, false], "a byte every ten seconds");
    }
}
