//! Services announce where they are, for as long as they run.
//!
//! A container with a label, or a unit of systemd with a file in `/etc/slipway/announce.d`, becomes the key
//! `slipway/services/<service>/<machine>:<id>` in etcd. All keys of a machine are on one lease, so that a machine that dies takes them
//! along within [`TTL_SECONDS`]; what stops, becomes ill or fails its check goes at once.
//!
//! ```
//! use announce::{Entries, Step, services, steps};
//!
//! let wanted = Entries::from([("slipway/services/web/n1:web-1:80".into(), r#"{"address":"10.0.0.5","port":8080}"#.into())]);
//! assert!(matches!(steps(&Entries::new(), &wanted)[..], [Step::Put(..)]));
//! assert_eq!(services(&wanted).0[0].at.port, 8080);
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | `entry` | keys and values, and reading them back |
//! | `diff` | from what is announced to what is wanted, pure |
//! | [`docker`] | what containers say about themselves |
//! | [`units`] | which units of systemd are services |
//! | `check`, `candidate`, `checker` | who answers, and what of all that is wanted |
//! | `keeper` | the lease, and what is on it |
//! | `source` | what to do while Docker or systemd cannot be asked |

mod candidate;
mod check;
mod checker;
mod diff;
pub mod docker;
mod entry;
mod keeper;
mod source;
pub mod units;

pub use candidate::{Candidate, FAILURES, Health, Turn};
pub use check::{Check, CheckError, TIMEOUT};
pub use diff::{Step, steps};
pub use entry::{Announcement, Entries, Host, Key, NameError, PREFIX, Protocol, Service, services};
pub use keeper::{KeepError, keep};

use cluster_store::{Access, AccessError, Report};
use tokio::sync::watch;

/// Announcements of a machine that is not heard of any more go after this many seconds.
pub const TTL_SECONDS: i64 = 15;

/// Where a machine's services are found.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Containers.
    pub containers: docker::Containers,
    /// Units of systemd.
    pub units: units::Units,
}

/// Announces the services of this machine until `end` comes, then takes them back.
pub async fn run(
    access: impl Fn() -> Result<Access, AccessError>,
    sources: Sources,
    host: Host,
    report: Report,
    end: impl Future<Output = ()>,
) {
    let (containers, containers_seen) = watch::channel(Vec::new());
    let (units, units_seen) = watch::channel(Vec::new());
    let (wanted, wanted_seen) = watch::channel(Entries::new());
    // None but the last one ever ends.
    tokio::select! {
        never = docker::follow(sources.containers, host.clone(), containers) => match never {},
        never = units::follow(sources.units, host, units) => match never {},
        never = checker::follow([containers_seen, units_seen], wanted) => match never {},
        () = keep(access, wanted_seen, &report, end) => {}
    }
}
