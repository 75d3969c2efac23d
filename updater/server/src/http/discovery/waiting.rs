//! Machines that wait for others of their cluster, and who wakes them.
//!
//! A write on this replica wakes them at once; for what other replicas write, one task asks the database once a second, in one
//! statement, for as long as anybody waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::http::state::App;
use crate::store::discovery as store;

/// Machines that may wait at one time.
const WAITING_MAX: usize = 4_096;

/// All that wait. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bells: HashMap<String, Bell>,
    listeners: usize,
    looking: bool,
    closed: bool,
}

/// Rings for one token.
#[derive(Debug)]
struct Bell {
    newest: watch::Sender<u64>,
    listeners: usize,
}

/// One that waits; forgotten when dropped.
#[derive(Debug)]
pub(super) struct Listener {
    token: String,
    newest: watch::Receiver<u64>,
    waiting: Waiting,
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens for events of a token; `None` where there is no room, or the server ends.
    pub(super) fn listen(&self, token: &str) -> Option<Listener> {
        let mut state = self.state();
        if state.closed || state.listeners >= WAITING_MAX {
            return None;
        }
        state.listeners += 1;
        let bell = state.bells.entry(token.to_owned()).or_insert_with(|| Bell { newest: watch::Sender::new(0), listeners: 0 });
        bell.listeners += 1;
        Some(Listener { token: token.to_owned(), newest: bell.newest.subscribe(), waiting: self.clone() })
    }

    /// Says that a token has events up to an index.
    pub fn ring(&self, token: &str, index: u64) {
        if let Some(bell) = self.state().bells.get(token) {
            bell.newest.send_if_modified(|newest| {
                let higher = index > *newest;
                *newest = index.max(*newest);
                higher
            });
        }
    }

    /// Sends everybody home, and takes nobody any more: the server ends.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        // Whoever listens hears that its bell is gone.
        state.bells.clear();
    }

    /// How many wait.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state().listeners
    }

    /// Whether the caller has to start [`look`].
    pub(super) fn needs_looking(&self) -> bool {
        !std::mem::replace(&mut self.state().looking, true)
    }

    /// What is waited for; with nothing, looking ends.
    fn tokens(&self) -> Option<Vec<String>> {
        let mut state = self.state();
        if state.bells.is_empty() {
            state.looking = false;
            return None;
        }
        Some(state.bells.keys().cloned().collect())
    }
}

impl Listener {
    /// Waits for an event; `false` when the server ends.
    pub(super) async fn changed(&mut self) -> bool {
        self.newest.changed().await.is_ok()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.waiting.state();
        state.listeners -= 1;
        if let Some(bell) = state.bells.get_mut(&self.token) {
            bell.listeners -= 1;
            if bell.listeners == 0 {
                state.bells.remove(&self.token);
            }
        }
    }
}

/// Looks for what other replicas wrote, for as long as anybody waits.
pub(super) async fn look(app: App) {
    loop {
        tokio::time::sleep(app.settings.discovery.look_every).await;
        let Some(tokens) = app.waiting.tokens() else { return };
        match store::newest(&app.db, &tokens).await {
            Ok(newest) => newest.iter().for_each(|(token, index)| app.waiting.ring(token, *index)),
            // Whoever waits is told nothing for now, and asks again.
            Err(error) => tracing::warn!(%error, "what other replicas wrote could not be looked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bell_is_heard_by_all_who_listen_for_its_token_and_by_nobody_else() {
        let waiting = Waiting::default();
        let (mut one, mut two, mut other) = (waiting.listen("a").unwrap(), waiting.listen("a").unwrap(), waiting.listen("b").unwrap());
        waiting.ring("a", 2);
        assert!(one.changed().await && two.changed().await);
        waiting.ring("a", 2);
        waiting.ring("a", 1);
        for listener in [&mut one, &mut two, &mut other] {
            assert!(!listener.newest.has_changed().unwrap(), "an index that is not higher is no news");
        }
        waiting.close();
        assert!(!other.changed().await && waiting.listen("a").is_none());
        drop((one, two, other));
        assert_eq!(waiting.count(), 0);
    }

    #[test]
    fn there_is_an_end_to_waiting() {
        let waiting = Waiting::default();
        let mut all: Vec<Listener> = (0..WAITING_MAX).map(|number| waiting.listen(&format!("{}", number % 7)).unwrap()).collect();
        assert!(waiting.listen("a").is_none());
        all.pop();
        all.push(waiting.listen("a").unwrap());
        assert!(waiting.needs_looking() && !waiting.needs_looking(), "one task looks for all");
        assert_eq!(waiting.tokens().map(|tokens| tokens.len()), Some(8));
        drop(all);
        assert_eq!((waiting.tokens(), waiting.needs_looking()), (None, true), "nothing is remembered of the gone");
    }
}
