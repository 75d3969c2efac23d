//! How many machines may run at a time, and whose turn it is: processors and memory are counted apart.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Memory that a machine takes beside its own, in MiB: the emulator's translations, disk caches.
const OVERHEAD_MIB: u64 = 256;

/// Memory of an ordinary machine, in MiB; what [`Spec`](crate::vm::Spec) gives it.
const MACHINE_MIB: u64 = 2048 + OVERHEAD_MIB;

/// Memory that the suite leaves to everything else, in MiB: the tests, the update server, the templates.
const RESERVE_MIB: u64 = 2048;

/// What a scenario takes while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Machines that are busy at a time. A fork that waits for something costs next to nothing and is not counted.
    pub busy: u32,
    /// Memory of all its machines, in MiB.
    pub memory_mib: u64,
}

impl Need {
    /// One ordinary machine.
    pub const ONE: Self = Self::machines(1, 1);

    /// `count` ordinary machines, `busy` of which work at a time.
    #[must_use]
    pub const fn machines(count: u32, busy: u32) -> Self {
        Self { busy, memory_mib: count as u64 * MACHINE_MIB }
    }

    fn fits(self, free: Self) -> bool {
        self.busy <= free.busy && self.memory_mib <= free.memory_mib
    }
}

/// What there is for machines; whoever needs the longest time goes first.
#[derive(Debug)]
pub struct Budget {
    all: Need,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: Need,
    /// Expected seconds of those who wait.
    waiting: Vec<u32>,
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    need: Need,
}

impl Budget {
    /// Room for `busy` busy machines, at least one, and the memory that this host can spare.
    #[must_use]
    pub fn new(busy: u32) -> Arc<Self> {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let spare = available_mib(&meminfo).map_or(u64::MAX, |available| available.saturating_sub(RESERVE_MIB));
        Self::of(Need { busy: busy.max(1), memory_mib: spare })
    }

    fn of(all: Need) -> Arc<Self> {
        Arc::new(Self { all, state: Mutex::new(State { free: all, waiting: Vec::new() }), changed: Condvar::new() })
    }

    /// Waits until there is room for `need`, which will take about `seconds`. What needs more than there is runs alone.
    pub fn take(self: &Arc<Self>, need: Need, seconds: u32) -> Share {
        let need = Need { busy: need.busy.min(self.all.busy), memory_mib: need.memory_mib.min(self.all.memory_mib) };
        let mut state = self.lock();
        state.waiting.push(seconds);
        while !need.fits(state.free) || state.waiting.iter().any(|other| *other > seconds) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.free.busy -= need.busy;
        state.free.memory_mib -= need.memory_mib;
        if let Some(mine) = state.waiting.iter().position(|other| *other == seconds) {
            state.waiting.swap_remove(mine);
        }
        drop(state);
        self.changed.notify_all();
        Share { budget: Arc::clone(self), need }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        state.free.busy += self.need.busy;
        state.free.memory_mib += self.need.memory_mib;
        drop(state);
        self.budget.changed.notify_all();
    }
}

/// What `/proc/meminfo` calls available.
fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib >> 10)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const PLENTY: u64 = 1 << 20;

    /// Lets all of `asked` ask while `first` is taken; tells in which order they got their share once it is given back.
    fn order(budget: &Arc<Budget>, first: Need, asked: &[(Need, u32)]) -> Vec<u32> {
        let (order, taken): (_, Receiver<u32>) = channel();
        let held = budget.take(first, 1);
        let threads: Vec<_> = asked
            .iter()
            .map(|&(need, seconds)| {
                let (budget, order) = (Arc::clone(budget), order.clone());
                std::thread::spawn(move || {
                    let share = budget.take(need, seconds);
                    order.send(seconds).unwrap();
                    drop(share);
                })
            })
            .collect();
        while budget.lock().waiting.len() < asked.len() {
            std::thread::yield_now();
        }
        assert!(taken.try_recv().is_err(), "somebody got a share that was not free");
        drop(held);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(budget.lock().free, budget.all);
        taken.try_iter().collect()
    }

    #[test]
    fn the_longest_goes_first_and_no_more_than_the_limit_at_once() {
        let budget = Budget::of(Need { busy: 1, memory_mib: PLENTY });
        assert_eq!(order(&budget, Need::ONE, &[(Need::ONE, 5), (Need::ONE, 30), (Need::ONE, 10)]), [30, 10, 5]);
    }

    #[test]
    fn memory_counts_like_processors() {
        let budget = Budget::of(Need { busy: 8, memory_mib: 3 * MACHINE_MIB });
        let idle_fleet = Need::machines(3, 1);
        assert_eq!(order(&budget, idle_fleet, &[(Need::ONE, 5)]), [5]);
        assert_eq!(order(&budget, Need::ONE, &[(idle_fleet, 5)]), [5]);
    }

    #[test]
    fn what_needs_more_than_there_is_runs_alone() {
        let budget = Budget::of(Need { busy: 2, memory_mib: MACHINE_MIB });
        let share = budget.take(Need::machines(9, 9), 1);
        assert_eq!(budget.lock().free, Need { busy: 0, memory_mib: 0 });
        drop(share);
        assert_eq!(budget.lock().free, budget.all);
    }

    #[test]
    fn reads_what_the_kernel_says_about_memory() {
        let table = [
            ("MemTotal:       24000000 kB\nMemAvailable:    2097152 kB\n", Some(2048)),
            ("MemTotal: 1 kB\n", None),
            ("MemAvailable: many kB\n", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(available_mib(text), expected, "{text}");
        }
    }
}
