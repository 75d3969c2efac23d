//! The part of the daemon.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cluster_store::{Access, Machine, Report};
use tokio::net::UnixListener;

use crate::coordinator::{Coordinator, World};
use crate::fleet_lock::{self, FleetLock};
use crate::lock::EtcdLock;
use crate::memory::{self, Memory};
use crate::system::{Lock, System};
use crate::{Drain, LockKind, Plan, Reason, hooks};

/// Where programs of this machine ask for a turn.
pub const SOCKET: &str = "/run/cluster-agent/turns.sock";
/// Tells one boot from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// How often a turn is looked after while there is one: soon after the machine is steady, the next one may go.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked for one that nobody remembers.
const LOOK_SELDOM: Duration = Duration::from_secs(5 * 60);

/// Why this part cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration makes no sense.
    #[error("[turns] of the configuration: {0}")]
    Plan(String),
    /// A turn through etcd on a machine that has nothing to do with etcd.
    #[error("[turns] of the configuration: `lock = \"etcd\"` needs [etcd]; without it use `lock = \"fleet-lock\"`")]
    NoEtcd,
    /// The socket cannot be served.
    #[error("serving {}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Something else on this machine.
    #[error("{0}")]
    Machine(Reason),
}

/// Serves [`SOCKET`], and looks after the turn of this machine, for ever. `etcd` is how etcd is reached, on a machine that has to do with one.
///
/// # Errors
/// It cannot begin, or the socket is lost. Trouble with etcd, Docker or a lock server is none: it is reported, and waited for.
pub async fn run<D: Drain>(machine: Machine, etcd: Option<Access>, plan: Plan, drain: D, report: Report) -> Result<Infallible, Error> {
    plan.check().map_err(Error::Plan)?;
    let lock = match (plan.lock, plan.base(), &etcd) {
        (LockKind::Etcd, _, None) => return Err(Error::NoEtcd),
        (LockKind::Etcd, _, Some(access)) => {
            Lock::Etcd(EtcdLock::new(access.clone(), plan.group.clone(), &machine.id, &machine.name, plan.max))
        }
        (LockKind::FleetLock, Some(url), _) => Lock::FleetLock(FleetLock::new(&url, &machine.id, &plan.group).map_err(Error::Machine)?),
        (LockKind::FleetLock, None, _) => return Err(Error::Plan("`lock = \"fleet-lock\"` needs `url`".to_owned())),
    };
    let boot_id = std::fs::read_to_string(BOOT_ID).map_err(|error| Error::Machine(Reason::new(format!("{BOOT_ID}: {error}"))))?;
    let memory = Memory(memory::FILE.into());
    let turn = memory.load().map_err(Error::Machine)?;
    let (id, group) = (machine.id.clone(), plan.group.clone());
    let world = System {
        machine,
        etcd,
        lock,
        group: plan.group,
        drain,
        memory,
        hooks: hooks::FOLDER.into(),
        report,
        started: Instant::now(),
        may_be_held: AtomicBool::new(true),
        waiting: std::sync::Mutex::default(),
    };
    let coordinator = Arc::new(Coordinator::new(world, boot_id.trim(), turn));
    let socket = Path::new(SOCKET);
    let failed = |source| Error::Socket { path: socket.to_owned(), source };
    let listener = listen(socket).map_err(failed)?;
    let router = fleet_lock::router(Arc::clone(&coordinator), &id, &group);
    tokio::select! {
        // It does not end.
        result = axum::serve(listener, router) => Err(failed(result.err().unwrap_or_else(|| std::io::Error::other("it ended")))),
        never = look_after(&coordinator) => match never {},
    }
}

async fn look_after<W: World>(coordinator: &Coordinator<W>) -> Infallible {
    loop {
        let pause = if coordinator.look_after().await { LOOK_EVERY } else { LOOK_SELDOM };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = coordinator.asked.notified() => {}
        }
    }
}

/// A socket that only root can use, from its first moment on: it gets its name when it has its rights. What an earlier daemon left is
/// replaced.
fn listen(socket: &Path) -> std::io::Result<UnixListener> {
    let folder = socket.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let new = socket.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, socket)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_roots_alone_and_replaces_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("below/turns.sock");
        for _ in 0..2 {
            let listener = listen(&socket).unwrap();
            assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
            let (connected, accepted) = tokio::join!(tokio::net::UnixStream::connect(&socket), listener.accept());
            assert!(connected.is_ok() && accepted.is_ok());
        }
    }
}
