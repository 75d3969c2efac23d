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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::frame::{Decoder, Frame};
    use super::*;

    /// A machine on port `number`.
    fn plug(switch: &Switch, number: u8) -> UnixStream {
        let stream = UnixStream::connect(switch.port(number).unwrap().socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        stream
    }

    /// What arrives at `to` when `frame` is sent again and again: a port may not have taken its machine in yet.
    fn pass(frame: &Frame, from: &mut UnixStream, to: &mut UnixStream) -> Frame {
        let mut decoder = Decoder::default();
        let mut block = [0; 4096];
        for _ in 0..600 {
            from.write_all(&frame.packed()).unwrap();
            if let Ok(count) = to.read(&mut block) {
                decoder.push(&block[..count]);
                if let Some(frame) = decoder.take().unwrap() {
                    return frame;
                }
            }
        }
        panic!("nothing arrives");
    }

    #[test]
    fn frames_travel_from_socket_to_socket_and_into_the_capture() {
        let dir = tempfile::tempdir().unwrap();
        let capture = Utf8Path::from_path(dir.path()).unwrap().join("logs/network.pcap");
        let switch = Switch::start(2, 1, &capture).unwrap();
        let frame = Frame::new([&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], b"\x08\x00hello"].concat()).unwrap();
        let (mut one, mut two) = (plug(&switch, 1), plug(&switch, 2));
        assert_eq!(pass(&frame, &mut one, &mut two), frame);

        // A machine that talks nonsense is cut off, and may come again.
        one.write_all(&[0xff; 8]).unwrap();
        one.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let error = one.read(&mut [0; 16]).map_err(|error| error.kind());
        assert!(matches!(error, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)), "{error:?}");
        assert_eq!(pass(&frame, &mut plug(&switch, 1), &mut two), frame);

        drop(switch);
        two.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        while two.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
        let kept = std::fs::read(capture).unwrap();
        assert_eq!(kept[..24], pcap::HEADER);
        assert!(kept.windows(5).any(|window| window == b"hello"));
    }

    #[test]
    fn a_machine_that_reads_nothing_for_a_while_keeps_its_cable() {
        let dir = tempfile::tempdir().unwrap();
        let switch = Switch::start(2, 1, &Utf8Path::from_path(dir.path()).unwrap().join("network.pcap")).unwrap();
        let frame = |content: &[u8]| Frame::new([&[0xff; 6][..], &[2, 0, 0, 0, 0, 1, 8, 0], content].concat()).unwrap();
        let (first, many, last) = (frame(b"first"), frame(&[7; 1400]), frame(b"last"));
        let (mut one, mut two) = (plug(&switch, 1), plug(&switch, 2));
        assert_eq!(pass(&first, &mut one, &mut two), first);
        // More than its socket and its queue can hold: the writer waits all the while.
        while switch.counters().dropped == 0 {
            one.write_all(&many.packed()).unwrap();
        }
        let (mut decoder, mut block) = (Decoder::default(), vec![0; 64 << 10]);
        loop {
            one.write_all(&last.packed()).unwrap();
            let count = two.read(&mut block).unwrap();
            assert!(count > 0, "the cable was pulled");
            decoder.push(&block[..count]);
            while let Some(frame) = decoder.take().unwrap() {
                if frame == last {
                    return;
                }
                assert!(frame == many || frame == first, "half a frame");
            }
        }
    }

    #[test]
    fn ports_have_addresses_and_there_are_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let capture = Utf8Path::from_path(dir.path()).unwrap().join("network.pcap");
        let switch = Switch::start(3, 1, &capture).unwrap();
        let port = switch.port(3).unwrap();
        assert_eq!((port.address().to_string().as_str(), port.mac().as_str()), ("10.77.0.3", "52:54:00:77:00:03"));
        for number in [0, 4, u8::MAX] {
            assert!(switch.port(number).is_err());
            assert!(switch.set_link(number, Link::default()).is_err());
        }
    }
}
