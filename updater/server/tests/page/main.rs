//! The web page, in process: every page on a small fleet, who may see and do what, and what hostile machines can do to it.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod access;
mod fleet;
mod forms;
mod hostile;
mod live;
mod looks;
mod signing_in;
