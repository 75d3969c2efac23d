//! What the parts of the daemon say about themselves.
//!
//! A part gets a [`Report`] and speaks through it; the daemon holds [`Reports`] and hears of every change.
//!
//! ```
//! let mut reports = cluster_store::Reports::new(jiff::Timestamp::now);
//! let etcd = reports.part("etcd");
//! etcd.say("waiting", "2 of 3 machines are there");
//! assert_eq!(reports.now()["etcd"].state, "waiting");
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Longest reason that is kept, in bytes; reasons quote what other programs say, which may be anything.
const REASON_MAX: usize = 1000;

/// What a part of the daemon says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartState {
    /// One word for programs, such as `waiting`.
    pub state: String,
    /// A sentence for people: why it is so, what it waits for, what to do.
    pub reason: String,
    /// Since when it is in this state.
    pub since: Timestamp,
}

type Parts = BTreeMap<String, PartState>;

/// The mouth of one part; cheap to clone.
#[derive(Debug, Clone)]
pub struct Report {
    part: Arc<str>,
    parts: Arc<watch::Sender<Parts>>,
    clock: fn() -> Timestamp,
}

impl Report {
    /// Says in what state the part is, in one word, and why, in a sentence for a person.
    ///
    /// Saying the same again is free, so a loop may say it every time. A new reason for the same state leaves its beginning as it was.
    pub fn say(&self, state: &str, reason: impl Into<String>) {
        let mut reason = reason.into();
        let end = (0..=REASON_MAX.min(reason.len())).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
        reason.truncate(end);
        self.parts.send_if_modified(|parts| {
            let before = parts.get(&*self.part);
            if before.is_some_and(|before| before.state == state && before.reason == reason) {
                return false;
            }
            tracing::info!(part = &*self.part, state, reason, "state");
            let since = before.filter(|before| before.state == state).map_or_else(self.clock, |before| before.since);
            parts.insert(self.part.to_string(), PartState { state: state.to_owned(), reason, since });
            true
        });
    }

    /// What was said last.
    #[must_use]
    pub fn last(&self) -> Option<PartState> {
        self.parts.borrow().get(&*self.part).cloned()
    }

    /// A report nobody else listens to, for tests and for programs without the daemon.
    #[must_use]
    pub fn alone(part: &str) -> Self {
        Reports::new(Timestamp::now).part(part)
    }
}

/// What all parts say.
#[derive(Debug)]
pub struct Reports {
    parts: Arc<watch::Sender<Parts>>,
    heard: watch::Receiver<Parts>,
    clock: fn() -> Timestamp,
}

impl Reports {
    /// Nobody has said anything yet; `clock` says when something is said.
    #[must_use]
    pub fn new(clock: fn() -> Timestamp) -> Self {
        let (parts, heard) = watch::channel(Parts::new());
        Self { parts: Arc::new(parts), heard, clock }
    }

    /// A mouth for the part of this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Report {
        Report { part: name.into(), parts: Arc::clone(&self.parts), clock: self.clock }
    }

    /// What all parts said last.
    #[must_use]
    pub fn now(&mut self) -> BTreeMap<String, PartState> {
        self.heard.borrow_and_update().clone()
    }

    /// Waits until a part says something that [`Self::now`] has not told yet.
    pub async fn changed(&mut self) {
        if self.heard.changed().await.is_err() {
            // Cannot be: we hold a sender ourselves. Waiting is the harmless answer.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    static SECOND: AtomicI64 = AtomicI64::new(0);

    fn clock() -> Timestamp {
        Timestamp::from_second(SECOND.fetch_add(1, Ordering::SeqCst)).unwrap()
    }

    #[tokio::test]
    async fn a_change_is_heard_once_and_a_state_keeps_its_beginning() {
        let mut reports = Reports::new(clock);
        let (etcd, swarm) = (reports.part("etcd"), reports.part("swarm"));
        etcd.say("waiting", "1 of 3");
        let first = etcd.last().unwrap();
        reports.changed().await;
        assert_eq!(reports.now().len(), 1);
        etcd.say("waiting", "1 of 3");
        assert!(!reports.heard.has_changed().unwrap(), "the same again is no change");
        etcd.say("waiting", "2 of 3");
        swarm.say("off", "not configured");
        reports.changed().await;
        let now = reports.now();
        assert_eq!((now["etcd"].reason.as_str(), now["etcd"].since), ("2 of 3", first.since));
        etcd.say("member", "it stands");
        assert!(etcd.last().unwrap().since > first.since);
        assert_eq!(swarm.last().unwrap().state, "off");
    }

    #[test]
    fn a_reason_has_a_longest_length_and_stays_text() {
        let report = Report::alone("etcd");
        assert_eq!(report.last(), None);
        report.say("failed", "ö".repeat(REASON_MAX));
        assert_eq!(report.last().unwrap().reason.len(), REASON_MAX);
    }
}
