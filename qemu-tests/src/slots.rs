//! How many machines may run at a time, and whose turn it is.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A fixed number of places for machines; whoever needs the longest time goes first.
#[derive(Debug)]
pub struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Expected seconds of those who wait.
    waiting: Vec<u32>,
}

/// A place for one machine; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
}

impl Slots {
    /// `count` places, at least one.
    #[must_use]
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: count.max(1), waiting: Vec::new() }), changed: Condvar::new() })
    }

    /// Waits for a place for something that will take about `seconds`.
    pub fn take(self: &Arc<Self>, seconds: u32) -> Slot {
        let mut state = self.lock();
        state.waiting.push(seconds);
        while state.free == 0 || state.waiting.iter().any(|other| *other > seconds) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.free -= 1;
        if let Some(mine) = state.waiting.iter().position(|other| *other == seconds) {
            state.waiting.swap_remove(mine);
        }
        drop(state);
        self.changed.notify_all();
        Slot { slots: Arc::clone(self) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().free += 1;
        self.slots.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_longest_goes_first_and_no_more_than_the_limit_at_once() {
        let slots = Slots::new(1);
        let (order, taken) = channel();
        let first = slots.take(1);
        let threads: Vec<_> = [5, 30, 10]
            .map(|seconds| {
                let (slots, order) = (Arc::clone(&slots), order.clone());
                std::thread::spawn(move || {
                    let slot = slots.take(seconds);
                    order.send(seconds).unwrap();
                    drop(slot);
                })
            })
            .into();
        while slots.lock().waiting.len() < 3 {
            std::thread::yield_now();
        }
        assert!(taken.try_recv().is_err());
        drop(first);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(taken.try_iter().collect::<Vec<_>>(), [30, 10, 5]);
    }
}
