//! The updater and the machine around it in one process, with power cuts.
//!
//! What runs is the production code: the daemon and its state machine, the host, staging, the store, commit and trial. What is played is
//! the medium below ([`Disk`](crate::disk::Disk)), logind, the network, and firmware and boot loader between two boots.
//!
//! | module | holds |
//! | --- | --- |
//! | [`image`] | the crash model: which disks a power cut may leave, given what is durable and what is pending |
//! | [`disk`] | a disk that keeps both apart, fails when told to, and can be made to forget a promise |
//! | [`computer`] | boot loader, verity, and the rules that hold on every disk |
//! | [`story`] | scenarios, and what really happened |
//! | [`host`] | the real host over that disk |
//! | [`boot`] | from switching on to rest |
//! | [`explore`] | cuts at every moment, and cuts in what follows; the rules for a machine that rests |
//!
//! What the model assumes and what it leaves out is in the README of this package.

mod boot;
mod computer;
mod disk;
mod explore;
mod host;
mod image;
mod story;
mod tests;

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }
}
