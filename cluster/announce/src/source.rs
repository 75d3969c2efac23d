//! What sources of candidates have in common: saying what changed, and what to do while nobody can be asked.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::Candidate;

/// How long what was known stands while it cannot be asked about: a restart of Docker or the bus takes nothing back, a source that stays away does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Pauses between attempts grow from here,
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// to here.
const LAST_PAUSE: Duration = Duration::from_secs(15);

/// Sends candidates when they are others than before.
pub(crate) fn publish(out: &watch::Sender<Vec<Candidate>>, found: Vec<Candidate>) {
    out.send_if_modified(|known| {
        let changed = *known != found;
        *known = found;
        changed
    });
}

/// Logs each problem once, for as long as it lasts.
pub(crate) fn tell(told: &mut BTreeSet<String>, problems: Vec<String>) {
    let problems: BTreeSet<String> = problems.into_iter().collect();
    for problem in problems.difference(told) {
        tracing::warn!("{problem}");
    }
    *told = problems;
}

/// A source that does not answer.
#[derive(Debug)]
pub(crate) struct Silence {
    who: &'static str,
    since: Option<Instant>,
    pause: Duration,
}

impl Silence {
    /// `who` answers, until it does not.
    #[must_use]
    pub(crate) fn new(who: &'static str) -> Self {
        Self { who, since: None, pause: FIRST_PAUSE }
    }

    /// It answers.
    pub(crate) fn ends(&mut self) {
        if self.since.take().is_some() {
            tracing::info!("{} answers again", self.who);
        }
        self.pause = FIRST_PAUSE;
    }

    /// It does not: waits for a while, and takes back what was known once [`PATIENCE`] is over.
    pub(crate) async fn begins(&mut self, why: &impl Display, out: &watch::Sender<Vec<Candidate>>) {
        if self.since.is_none() {
            tracing::warn!("{} cannot be asked: {why}; what it said last stands for {} s", self.who, PATIENCE.as_secs());
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        if since.elapsed() >= PATIENCE && !out.borrow().is_empty() {
            tracing::warn!("{} has not answered for {} s; nothing of it is announced any more", self.who, PATIENCE.as_secs());
            publish(out, Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Announcement, Key};

    fn candidate() -> Candidate {
        let announcement =
            Announcement { address: [127, 0, 0, 1].into(), port: 1, protocol: Default::default(), tags: Vec::new(), by: String::new() };
        Candidate { key: Key::new("web", "n1", "a").unwrap(), announcement, check: None }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_known_outlives_a_restart_and_not_an_absence() {
        let (out, seen) = watch::channel(vec![candidate()]);
        let mut silence = Silence::new("Docker");
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            assert_eq!(seen.borrow().len(), 1, "after {:?}", begin.elapsed());
            silence.begins(&"gone", &out).await;
        }
        silence.begins(&"gone", &out).await;
        assert_eq!(seen.borrow().len(), 0);
    }

    #[test]
    fn the_same_again_wakes_nobody() {
        let (out, mut seen) = watch::channel(Vec::new());
        publish(&out, vec![candidate()]);
        assert!(seen.has_changed().unwrap());
        seen.mark_unchanged();
        publish(&out, vec![candidate()]);
        assert!(!seen.has_changed().unwrap());
    }
}
