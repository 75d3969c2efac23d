//! What a server may cost us.

use std::time::Duration;

/// Limits of every request. Tests use their own, so that nobody waits for a minute.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A connection, TLS included, must stand within this time.
    pub connect: Duration,
    /// Headers of an answer must be there within this time.
    pub headers: Duration,
    /// In each such span of waiting ...
    pub window: Duration,
    /// ... at least this many bytes must come (10 B/s over 90 s by default, update_engine's figures).
    pub window_bytes: u64,
    /// A small file, all its redirects and retries on one place included, must be here within this time.
    pub small_total: Duration,
    /// One packed file must be here within this time, however many pieces it comes in.
    pub file_total: Duration,
    /// Failures in a row, without a single whole frame between them, before the next place is tried.
    pub tries: u32,
    /// Pause before the second try; it doubles with every further one.
    pub pause: Duration,
    /// Longest pause.
    pub pause_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            headers: Duration::from_secs(90),
            window: Duration::from_secs(90),
            window_bytes: 900,
            small_total: Duration::from_secs(10 * 60),
            file_total: Duration::from_secs(24 * 60 * 60),
            tries: 5,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(30),
        }
    }
}

/// Redirects followed at most; update_engine's figure.
pub(super) const MAX_REDIRECTS: usize = 10;
/// Headers in one answer at most: no honest server sends more.
pub(super) const MAX_HEADERS: usize = 64;
/// Longest URL taken from an answer, in bytes.
pub(super) const MAX_URL_BYTES: usize = 2048;
/// Places tried for one file at most.
pub(super) const MAX_URLS: usize = 16;
