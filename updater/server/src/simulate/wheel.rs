//! What happens next: one pending event per machine, in buckets of one second.
//!
//! The buckets are lists through the machines themselves, so that a million pending events cost four bytes each and adding
//! one is two writes. Within a second the order is that of the adding, reversed: arbitrary, but always the same.

/// No machine: the end of a list.
pub(crate) const NOBODY: u32 = u32::MAX;

/// The buckets of a run.
#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Vec<u32>,
    next: Vec<u32>,
}

impl Wheel {
    /// For `machines` machines and that many seconds.
    pub(crate) fn new(machines: u32, seconds: u32) -> Self {
        Self { heads: vec![NOBODY; seconds as usize], next: vec![NOBODY; machines as usize] }
    }

    /// Wakes `machine` at second `at`; what lies after the end of the run never happens.
    pub(crate) fn add(&mut self, machine: u32, at: u32) {
        if let (Some(head), Some(next)) = (self.heads.get_mut(at as usize), self.next.get_mut(machine as usize)) {
            *next = std::mem::replace(head, machine);
        }
    }

    /// The first machine due at second `at`; empties the bucket. Follow with [`Self::after`], read *before* adding the machine again.
    pub(crate) fn take(&mut self, at: u32) -> u32 {
        self.heads.get_mut(at as usize).map_or(NOBODY, |head| std::mem::replace(head, NOBODY))
    }

    /// The machine that is due in the same second after `machine`.
    pub(crate) fn after(&self, machine: u32) -> u32 {
        self.next.get(machine as usize).copied().unwrap_or(NOBODY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(wheel: &mut Wheel, at: u32) -> Vec<u32> {
        let mut machine = wheel.take(at);
        let mut due = Vec::new();
        while machine != NOBODY {
            due.push(machine);
            machine = wheel.after(machine);
        }
        due
    }

    #[test]
    fn everybody_wakes_once_and_in_time() {
        let mut wheel = Wheel::new(4, 10);
        for (machine, at) in [(0, 3), (1, 5), (2, 3), (3, 99)] {
            wheel.add(machine, at);
        }
        assert_eq!(drain(&mut wheel, 3), [2, 0]);
        assert!(drain(&mut wheel, 3).is_empty());
        wheel.add(0, 5);
        assert_eq!(drain(&mut wheel, 5), [0, 1]);
        assert!(drain(&mut wheel, 99).is_empty());
    }
}
