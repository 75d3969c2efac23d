//! What the tests of effects share: etcd as it ships, and Docker engines that only pretend.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::result_large_err)]

pub mod docker;
pub mod etcd;

use std::time::Duration;

use swarm::form::step::Pace;

/// Fast, because nothing here takes long.
pub fn pace() -> Pace {
    Pace {
        tick: Duration::from_millis(50),
        again: Duration::from_millis(10),
        hesitate: Duration::ZERO,
        defer: Duration::ZERO,
        take_over: Duration::from_secs(600),
        follow: Duration::from_secs(2),
        settle: Duration::ZERO,
        believe: Duration::from_millis(300),
        acknowledge: Duration::from_secs(60),
        part: Duration::from_secs(60),
        drain: Duration::from_secs(60),
    }
}
