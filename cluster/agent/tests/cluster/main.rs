//! Clusters of real etcd on loopback, whose machines boot, die, lose their disks and come back.
//!
//! `SLIPWAY_TEST_ETCD` names the folder of etcd, etcdctl and etcdutl; without it these tests are passed over.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod lab;
mod lost;
mod stand;
mod tls;
