//! Which time to judge expiry by.

use jiff::Timestamp;

/// The latest of the hardware clock and of moments known to be in the past: the build time of the running image, the newest signed
/// time seen.
///
/// A machine with a dead battery wakes up in 1970, where nothing has expired yet: the floor keeps old metadata from passing. A
/// clock that runs ahead makes everything look expired; that refuses updates with a message that names the time, and harms nothing else.
#[must_use]
pub fn latest(clock: Timestamp, past: impl IntoIterator<Item = Timestamp>) -> Timestamp {
    past.into_iter().fold(clock, Timestamp::max)
}
