//! A network for several machines, in this process: a learning bridge that can be slow, lose frames, and fall apart.
//!
//! QEMU connects a card to a Unix socket and sends each Ethernet frame with its length in front ([`frame`]). What happens
//! to a frame is decided in [`bridge`], without threads and with the time as an argument; [`wire`] carries it out. All
//! that passes can be kept as a capture ([`pcap`]). Nothing here leads out of this process: a machine on the switch
//! reaches the other machines on it and nobody else.

pub mod bridge;
pub mod frame;
pub mod pcap;
mod wire;

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};

use self::bridge::{Bridge, Counters, Link};
use self::wire::Wire;

/// Length of the network's prefix: all machines are neighbours.
pub const PREFIX: u8 = 24;

/// The network of the switch; it exists in this process only.
const NETWORK: [u8; 3] = [10, 77, 0];

/// How much a capture may hold, in bytes; what comes later is left out. A test that moves releases over the switch would
/// fill the disk otherwise.
const CAPTURE_LIMIT: u64 = 64 << 20;

/// A place for one machine's card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    number: u8,
    socket: Utf8PathBuf,
}

impl Port {
    /// The port's number, from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The address of the machine behind it.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        let [a, b, c] = NETWORK;
        Ipv4Addr::new(a, b, c, self.number)
    }

    /// The hardware address of that machine's card.
    #[must_use]
    pub fn mac(&self) -> String {
        format!("52:54:00:77:00:{:02x}", self.number)
    }

    /// Where QEMU connects.
    #[must_use]
    pub fn socket(&self) -> &Utf8Path {
        &self.socket
    }
}

/// A running switch; dropping it pulls all cables.
#[derive(Debug)]
pub struct Switch {
    ports: Vec<Port>,
    shared: Arc<Shared>,
    // Ends before the directory with its sockets.
    _wire: Wire,
    _dir: tempfile::TempDir,
}

/// What the threads of the switch work on.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    begun: Instant,
}

#[derive(Debug)]
struct State {
    bridge: Bridge,
    capture: Capture,
}

#[derive(Debug)]
struct Capture {
    file: File,
    written: u64,
}

impl Switch {
    /// A switch with `ports` ports. Everything that passes is written to `capture`; `seed` decides which frames are lost
    /// where a link loses some.
    pub fn start(ports: u8, seed: u64, capture: &Utf8Path) -> anyhow::Result<Self> {
        let dir = crate::scratch::dir("switch")?;
        let path = Utf8Path::from_path(dir.path()).context("the temporary directory's name is not UTF-8")?;
        let ports: Vec<Port> = (1..=ports).map(|number| Port { number, socket: path.join(format!("port{number}")) }).collect();
        if let Some(parent) = capture.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("making {parent}"))?;
        }
        let mut file = File::create(capture).with_context(|| format!("creating {capture}"))?;
        file.write_all(&pcap::HEADER).with_context(|| format!("writing {capture}"))?;
        let state = State { bridge: Bridge::new(ports.len(), seed), capture: Capture { file, written: 0 } };
        let shared = Arc::new(Shared { state: Mutex::new(state), begun: Instant::now() });
        let wire = Wire::start(&ports, &shared)?;
        Ok(Self { ports, shared, _wire: wire, _dir: dir })
    }

    /// The port with `number`, from 1.
    pub fn port(&self, number: u8) -> anyhow::Result<&Port> {
        let found = usize::from(number).checked_sub(1).and_then(|index| self.ports.get(index));
        found.with_context(|| format!("the switch has no port {number}"))
    }

    /// Changes what the cable of a port does to frames in either direction.
    pub fn set_link(&self, port: u8, link: Link) -> anyhow::Result<()> {
        let port = self.port(port)?.number;
        self.shared.lock().bridge.set_link(usize::from(port) - 1, link);
        Ok(())
    }

    /// Cuts the network into groups of ports, given by number; ports that are not named are alone.
    pub fn partition(&self, groups: &[&[u8]]) {
        let groups: Vec<Vec<usize>> =
            groups.iter().map(|group| group.iter().map(|number| usize::from(*number).wrapping_sub(1)).collect()).collect();
        self.shared.lock().bridge.partition(&groups);
    }

    /// Makes the network whole again.
    pub fn heal(&self) {
        self.shared.lock().bridge.heal();
    }

    /// What has happened to frames so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.lock().bridge.counters()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The switch's time.
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Capture {
    fn keep(&mut self, now: Duration, frame: &[u8]) {
        let record = pcap::record(now, frame);
        self.written += record.len() as u64;
        if self.written <= CAPTURE_LIMIT {
            // A capture with a hole is a pity, a network that stops for it is a false alarm.
            let _ = self.file.write_all(&record);
        }
    }
}
