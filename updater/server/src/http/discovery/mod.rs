//! etcd's v2 discovery: machines that know one address find each other there.
//!
//! - [`new`](fn@new): a new address; [`list`], [`size`], [`entry`]: reading and waiting; [`put`], [`remove`]: writing
//! - [`Reply`]: answers as etcd writes them, each with the newest index; [`Params`]: what a request asks for
//! - [`Waiting`]: machines that wait for others
//!
//! What etcd's own client relies on: each answer carries `X-Etcd-Index`; events come one per answer, in the order of their
//! indexes, none left out; an entry is written once; an empty body ends an idle wait.

mod make;
mod params;
mod read;
mod reply;
mod waiting;
mod write;

use std::time::Duration;

pub use make::new;
pub use params::Params;
pub use read::{entry, list, size};
pub use reply::Reply;
pub use waiting::Waiting;
pub use write::{put, remove};

use super::limiter::Allowance;
use crate::policy::Span;

/// New tokens from one address: twenty at once, then two a minute.
pub const NEW_TOKENS: Allowance = Allowance { burst: 20.0, per_second: 1.0 / 30.0 };
/// Largest form, in bytes: an entry of the greatest length, each byte of it escaped.
pub const FORM_MAX: usize = 3 * discovery::limits::VALUE_MAX + 64;
/// How long a token is kept after it was last asked for.
const LIFETIME: Span = Span::hours(7 * 24);
/// After so long without an event a wait ends with nothing: before [`super::serve::Patience::request`], and before proxies cut it.
const IDLE: Duration = Duration::from_secs(25);
/// How often the database is asked what other replicas wrote, while somebody waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who may make new addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Access {
    /// Everybody who reaches the server.
    #[default]
    Open,
    /// Operators, with their token.
    Token,
    /// Nobody, and nothing of it is served.
    Off,
}

/// What the command line says of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may make new addresses.
    pub access: Access,
    /// What new addresses begin with, e.g. `https://updates.example.com/discovery`; without it, the server's base URL or the host
    /// that was asked.
    pub url: Option<String>,
    /// How long a token is kept after it was last asked for; `None` is for ever.
    pub lifetime: Option<Span>,
    /// After so long without an event a wait ends.
    pub idle: Duration,
    /// How often other replicas' writes are looked for.
    pub look_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { access: Access::default(), url: None, lifetime: Some(LIFETIME), idle: IDLE, look_every: LOOK_EVERY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::serve::Patience;

    #[test]
    fn an_idle_wait_ends_before_the_server_gives_up_on_it() {
        assert!(IDLE + Duration::from_secs(3) < Patience::default().request);
    }
}
