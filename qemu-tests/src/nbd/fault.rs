//! What goes wrong with a served disk, and when. Pure: [`Faults::decide`] only counts.

use std::ops::Range;
use std::time::Duration;

use super::wire::{Op, Request};

/// How a request fails, as the guest's kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The medium is bad.
    Io,
    /// There is no room left.
    NoSpace,
}

impl Error {
    /// The number that NBD carries for it.
    #[must_use]
    pub fn errno(self) -> u32 {
        match self {
            Self::Io => 5,
            Self::NoSpace => 28,
        }
    }
}

/// Which requests a fault is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// The change (write, trim, zeroes) with this number, counted from one since the fault was set.
    Change(u64),
    /// Every change that touches these bytes.
    ChangeWithin(Range<u64>),
    /// Every read that touches these bytes.
    ReadWithin(Range<u64>),
    /// Every flush.
    Flush,
    /// Every request.
    Always,
}

/// What then happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The request is refused and changes nothing.
    Fail(Error),
    /// The answer comes this much later.
    Delay(Duration),
    /// The power is gone: what was not flushed is lost, this request too, and nothing is answered any more.
    Cut,
}

/// What is to go wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    rules: Vec<(When, What)>,
    changes: u64,
}

impl Faults {
    /// Adds a fault. The first rule that fits a request decides.
    pub fn add(&mut self, when: When, what: What) {
        self.rules.push((when, what));
    }

    /// Takes all faults back and begins to count anew.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What happens to `request`, if anything; counts it.
    pub fn decide(&mut self, request: &Request) -> Option<What> {
        if request.op.changes() {
            self.changes += 1;
        }
        let touches = |range: &Range<u64>| request.offset < range.end && range.start < request.offset + u64::from(request.len);
        let fits = |when: &When| match when {
            When::Change(number) => request.op.changes() && self.changes == *number,
            When::ChangeWithin(range) => request.op.changes() && touches(range),
            When::ReadWithin(range) => request.op == Op::Read && touches(range),
            When::Flush => request.op == Op::Flush,
            When::Always => request.op != Op::Disconnect,
        };
        self.rules.iter().find(|(when, _)| fits(when)).map(|(_, what)| *what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(op: Op, offset: u64) -> Request {
        Request { op, fua: false, handle: 0, offset, len: 512 }
    }

    fn decisions(when: When) -> Vec<bool> {
        let mut faults = Faults::default();
        faults.add(when, What::Fail(Error::Io));
        let script = [(Op::Write, 0), (Op::Read, 512), (Op::Flush, 0), (Op::Zero, 512), (Op::Trim, 1024), (Op::Disconnect, 0)];
        script.map(|(op, offset)| faults.decide(&request(op, offset)).is_some()).to_vec()
    }

    #[test]
    fn a_fault_hits_what_it_names_and_nothing_else() {
        let [no, yes] = [false, true];
        let table = [
            (When::Change(2), [no, no, no, yes, no, no]),
            (When::Change(9), [no; 6]),
            (When::ChangeWithin(1023..1025), [no, no, no, yes, yes, no]),
            (When::ChangeWithin(1536..2048), [no; 6]),
            (When::ReadWithin(0..513), [no, yes, no, no, no, no]),
            (When::Flush, [no, no, yes, no, no, no]),
            (When::Always, [yes, yes, yes, yes, yes, no]),
        ];
        for (when, expected) in table {
            assert_eq!(decisions(when.clone()), expected, "{when:?}");
        }
    }

    #[test]
    fn the_first_rule_decides_and_clearing_counts_anew() {
        let mut faults = Faults::default();
        faults.add(When::Change(1), What::Cut);
        faults.add(When::Always, What::Fail(Error::NoSpace));
        assert_eq!(faults.decide(&request(Op::Write, 0)), Some(What::Cut));
        assert_eq!(faults.decide(&request(Op::Write, 0)), Some(What::Fail(Error::NoSpace)));
        faults.clear();
        assert_eq!(faults.decide(&request(Op::Write, 0)), None);
        assert_eq!((Error::Io.errno(), Error::NoSpace.errno()), (5, 28));
    }
}
