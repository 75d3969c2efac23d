//! The server as machines and people see it: over real connections, on SQLite and (with `SLIPWAY_TEST_POSTGRES=URL`) on Postgres.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod admin;
mod discovery;
mod etcd;
mod faults;
mod fixture;
mod fleet_lock;
mod framing;
mod limits;
mod publish;
mod roles;
mod share;
mod slow;
mod stock;
mod stock_bodies;
mod storage;
