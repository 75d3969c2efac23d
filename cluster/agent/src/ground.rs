//! The machine the agent stands on: who it is, and where its files are.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::config;
use crate::etcd::seen::Seat;

/// etcd's port for clients.
pub const CLIENT_PORT: u16 = 2379;
/// etcd's port for its members.
pub const PEER_PORT: u16 = 2380;
/// The program that looks into snapshots.
pub const ETCDUTL: &str = "/usr/bin/etcdutl";
/// Digits of the machine-id that make a name.
const NAME_DIGITS: usize = 8;
/// Digits of a machine-id (`man 5 machine-id`).
const ID_DIGITS: usize = 32;
/// An address of the documentation range, where nobody is: connecting a datagram socket sends nothing and tells the own address.
const SOMEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 1), 9);

/// The machine the agent stands on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The member's name.
    pub name: String,
    /// Where others reach it.
    pub address: IpAddr,
    /// Where etcd, or the forwarder to it, listens for the programs of this machine.
    pub local: SocketAddr,
    /// etcd's port for clients, the same on all machines.
    pub client_port: u16,
    /// etcd's port for its members, the same on all machines.
    pub peer_port: u16,
    /// etcd's data.
    pub data: PathBuf,
    /// What the agent remembers: certificates and members.
    pub state: PathBuf,
    /// What the agent tells other programs until the next boot.
    pub run: PathBuf,
    /// The program that looks into snapshots.
    pub etcdutl: PathBuf,
    /// Between two looks while something is going on; five times that while all is well.
    pub pace: Duration,
}

impl Ground {
    /// This machine, as its configuration says.
    ///
    /// # Errors
    /// There is no machine-id, or no address and no default route.
    pub fn of_this_machine(plan: &config::Etcd) -> Result<Self> {
        let machine_id = machine_id(Path::new("/etc/machine-id"))?;
        Ok(Self {
            name: plan.name.clone().unwrap_or_else(|| machine_id[..NAME_DIGITS].to_owned()),
            machine_id,
            address: plan.address.map_or_else(default_address, Ok)?,
            local: (Ipv4Addr::LOCALHOST, CLIENT_PORT).into(),
            client_port: CLIENT_PORT,
            peer_port: PEER_PORT,
            data: "/var/lib/etcd/default".into(),
            state: "/var/lib/cluster-agent".into(),
            run: "/run/cluster-agent".into(),
            etcdutl: ETCDUTL.into(),
            pace: Duration::from_secs(2),
        })
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(tls: bool) -> &'static str {
        if tls { "https" } else { "http" }
    }

    /// Where etcd answers this machine's own programs.
    #[must_use]
    pub fn local_url(&self, tls: bool) -> String {
        format!("{}://{}", Self::scheme(tls), self.local)
    }

    /// This machine's place among the members, should it get one.
    #[must_use]
    pub fn seat(&self, tls: bool) -> Seat {
        let peer = SocketAddr::new(self.address, self.peer_port);
        Seat { name: self.name.clone(), peer_url: format!("{}://{peer}", Self::scheme(tls)) }
    }

    /// Where clients reach the member that has this peer URL: the same host, the clients' port.
    #[must_use]
    pub fn client_url(&self, peer_url: &str) -> Option<String> {
        let mut url = url::Url::parse(peer_url).ok()?;
        url.set_port(Some(self.client_port)).ok()?;
        Some(url.as_str().trim_end_matches('/').to_owned())
    }
}

fn machine_id(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let id = text.trim();
    let good = id.len() == ID_DIGITS && id.chars().all(|c| c.is_ascii_hexdigit());
    ensure!(good, "{} holds no machine-id; `systemd-machine-id-setup` makes one", path.display());
    Ok(id.to_owned())
}

fn default_address() -> Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(SOMEWHERE)?;
        socket.local_addr()
    });
    let address = socket.context("there is no default route yet; write `address` into [etcd] if there never is one")?.ip();
    ensure!(
        !address.is_loopback() && !address.is_unspecified(),
        "the default route leads nowhere ({address}); write `address` into [etcd]"
    );
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_id_is_thirty_two_digits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("machine-id");
        for (text, good) in [("0123456789abcdef0123456789abcdef\n", true), ("uninitialized\n", false), ("", false), ("0123\n", false)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(machine_id(&path).is_ok(), good, "{text}");
        }
        assert!(machine_id(&dir.path().join("absent")).is_err());
    }
}

#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;

    /// A machine of a table.
    pub(crate) fn ground() -> Ground {
        Ground {
            machine_id: "0123456789abcdef0123456789abcdef".to_owned(),
            name: "n1".to_owned(),
            address: [10, 0, 0, 1].into(),
            local: ([127, 0, 0, 1], CLIENT_PORT).into(),
            client_port: CLIENT_PORT,
            peer_port: PEER_PORT,
            data: "/var/lib/etcd/default".into(),
            state: "/nonexistent".into(),
            run: "/nonexistent".into(),
            etcdutl: "/nonexistent".into(),
            pace: Duration::ZERO,
        }
    }
}
