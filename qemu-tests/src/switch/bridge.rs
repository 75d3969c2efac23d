//! Decides where frames go, when, and which ones never arrive. No threads, no sockets, no clock of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::frame::{Frame, Mac, is_group};

/// Frames that may wait for one port; more are dropped, as a switch does. At the usual size this is 12 MB.
pub const QUEUE: usize = 8192;

/// Addresses that are remembered; the machines of a test have a handful.
const MAX_ADDRESSES: usize = 1024;

/// A thousand of a thousand frames.
const PER_MILLE: u64 = 1000;

/// What a cable does to frames, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// How long a frame takes.
    pub delay: Duration,
    /// How many of a thousand frames are lost.
    pub loss_per_mille: u16,
}

/// What happened to frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Came in.
    pub received: u64,
    /// Went out; one that comes in may go out of several ports.
    pub sent: u64,
    /// Were lost because a cable loses frames.
    pub lost: u64,
    /// Would have gone where the network is cut.
    pub cut: u64,
    /// Found the queue of their port full.
    pub dropped: u64,
}

/// A learning bridge.
#[derive(Debug)]
pub struct Bridge {
    ports: Vec<Queue>,
    addresses: HashMap<Mac, usize>,
    random: Random,
    counters: Counters,
    /// Frames get a number each, so that those of one moment stay in order.
    last: u64,
}

#[derive(Debug, Default)]
struct Queue {
    link: Link,
    /// Ports of one group hear each other.
    group: usize,
    waiting: BTreeMap<(Duration, u64), Arc<Frame>>,
}

impl Bridge {
    /// A bridge whose cables are perfect. The same `seed` and the same frames lose the same ones.
    #[must_use]
    pub fn new(ports: usize, seed: u64) -> Self {
        let ports = (0..ports).map(|_| Queue::default()).collect();
        Self { ports, addresses: HashMap::new(), random: Random(seed), counters: Counters::default(), last: 0 }
    }

    /// Changes the cable of a port, for the frames to come.
    pub fn set_link(&mut self, port: usize, link: Link) {
        if let Some(queue) = self.ports.get_mut(port) {
            queue.link = link;
        }
    }

    /// Cuts the network; ports that are in no group are alone. Frames under way are lost at the cut.
    pub fn partition(&mut self, groups: &[Vec<usize>]) {
        for (port, queue) in self.ports.iter_mut().enumerate() {
            let group = groups.iter().position(|group| group.contains(&port));
            queue.group = group.unwrap_or(groups.len() + port);
            self.counters.cut += queue.waiting.len() as u64;
            queue.waiting.clear();
        }
    }

    /// Makes the network whole.
    pub fn heal(&mut self) {
        self.ports.iter_mut().for_each(|queue| queue.group = 0);
    }

    /// Takes a frame that came in at `now` and puts it where it will go out.
    pub fn receive(&mut self, now: Duration, port: usize, frame: Frame) {
        let Some((group, link)) = self.ports.get(port).map(|queue| (queue.group, queue.link)) else { return };
        self.counters.received += 1;
        if !is_group(frame.from()) && (self.addresses.len() < MAX_ADDRESSES || self.addresses.contains_key(&frame.from())) {
            self.addresses.insert(frame.from(), port);
        }
        if self.random.hits(link.loss_per_mille) {
            self.counters.lost += 1;
            return;
        }
        let known = if is_group(frame.to()) { None } else { self.addresses.get(&frame.to()).copied() };
        let frame = Arc::new(frame);
        for (index, queue) in self.ports.iter_mut().enumerate() {
            if index == port || known.is_some_and(|known| known != index) {
                continue;
            }
            if queue.group != group {
                self.counters.cut += 1;
            } else if self.random.hits(queue.link.loss_per_mille) {
                self.counters.lost += 1;
            } else if queue.waiting.len() >= QUEUE {
                self.counters.dropped += 1;
            } else {
                self.last += 1;
                queue.waiting.insert((now + link.delay + queue.link.delay, self.last), Arc::clone(&frame));
            }
        }
    }

    /// The next frame that is due at `port`; otherwise when there will be one.
    pub fn take(&mut self, now: Duration, port: usize) -> Due {
        let Some(queue) = self.ports.get_mut(port) else { return Due::Nothing };
        let Some(first) = queue.waiting.first_entry() else { return Due::Nothing };
        let (at, _) = *first.key();
        if at > now {
            return Due::At(at);
        }
        self.counters.sent += 1;
        Due::Now(first.remove())
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// What a port has to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// This frame.
    Now(Arc<Frame>),
    /// Nothing before this time.
    At(Duration),
    /// Nothing.
    Nothing,
}

/// Random enough to lose frames, and the same in each run: splitmix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn hits(&mut self, per_mille: u16) -> bool {
        // Perfect cables draw nothing, so that changing one leaves the fate of the others' frames alone.
        per_mille > 0 && self.next() % PER_MILLE < u64::from(per_mille)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u8 = 0xff;
    const MS: Duration = Duration::from_millis(1);

    /// A frame from machine `from` to machine `to`.
    fn frame(from: u8, to: u8) -> Frame {
        let mac = |number: u8| if number == ALL { [ALL; 6] } else { [2, 0, 0, 0, 0, number] };
        Frame::new([&mac(to)[..], &mac(from)[..], &[8, 0, from, to]].concat()).unwrap()
    }

    /// Who gets something at `now`, in order of ports.
    fn heard(bridge: &mut Bridge, now: Duration) -> Vec<usize> {
        let ports = bridge.ports.len();
        (0..ports).filter(|port| matches!(bridge.take(now, *port), Due::Now(_))).collect()
    }

    fn send(bridge: &mut Bridge, from: u8, to: u8) -> Vec<usize> {
        bridge.receive(Duration::ZERO, usize::from(from), frame(from, to));
        heard(bridge, Duration::ZERO)
    }

    #[test]
    fn floods_what_it_does_not_know_and_learns_who_is_where() {
        let mut bridge = Bridge::new(4, 1);
        assert_eq!(send(&mut bridge, 0, 2), [1, 2, 3]);
        assert_eq!(send(&mut bridge, 2, 0), [0]);
        assert_eq!(send(&mut bridge, 0, 2), [2]);
        assert_eq!(send(&mut bridge, 0, ALL), [1, 2, 3]);
        // Machine 2 moves to port 3.
        bridge.receive(Duration::ZERO, 3, frame(2, ALL));
        heard(&mut bridge, Duration::ZERO);
        assert_eq!(send(&mut bridge, 0, 2), [3]);
        // A frame for a machine behind the port it came from goes nowhere.
        bridge.receive(Duration::ZERO, 3, frame(1, 2));
        assert!(heard(&mut bridge, Duration::ZERO).is_empty());
    }

    #[test]
    fn a_partition_lets_nothing_through_until_it_heals() {
        let mut bridge = Bridge::new(4, 1);
        for machine in 0..4 {
            send(&mut bridge, machine, ALL);
        }
        bridge.partition(&[vec![0], vec![1, 2]]);
        let table: [(u8, u8, &[usize]); 6] = [(0, 1, &[]), (1, 0, &[]), (1, 2, &[2]), (0, ALL, &[]), (2, ALL, &[1]), (3, ALL, &[])];
        for (from, to, hears) in table {
            assert_eq!(send(&mut bridge, from, to), hears, "{from} to {to}");
        }
        bridge.heal();
        assert_eq!(send(&mut bridge, 0, ALL), [1, 2, 3]);
        assert_eq!(send(&mut bridge, 3, 0), [0]);
    }

    #[test]
    fn what_is_under_way_when_the_cable_is_cut_does_not_arrive_later() {
        let mut bridge = Bridge::new(2, 1);
        bridge.set_link(1, Link { delay: 10 * MS, loss_per_mille: 0 });
        bridge.receive(Duration::ZERO, 0, frame(0, 1));
        bridge.partition(&[vec![0], vec![1]]);
        bridge.heal();
        assert_eq!(bridge.take(20 * MS, 1), Due::Nothing);
        assert_eq!(bridge.counters().cut, 1);
    }

    #[test]
    fn delays_of_both_cables_add_up_and_keep_the_order() {
        let mut bridge = Bridge::new(2, 1);
        bridge.set_link(0, Link { delay: 20 * MS, loss_per_mille: 0 });
        bridge.set_link(1, Link { delay: 5 * MS, loss_per_mille: 0 });
        let (first, second) = (frame(0, 1), frame(0, ALL));
        bridge.receive(MS, 0, first.clone());
        bridge.receive(MS, 0, second.clone());
        assert_eq!(bridge.take(25 * MS, 1), Due::At(26 * MS));
        assert_eq!(bridge.take(26 * MS, 1), Due::Now(Arc::new(first)));
        assert_eq!(bridge.take(26 * MS, 1), Due::Now(Arc::new(second)));
        assert_eq!(bridge.take(26 * MS, 1), Due::Nothing);
    }

    #[test]
    fn loses_about_as_much_as_it_should_and_the_same_each_time() {
        let run = |seed, loss_per_mille| {
            let mut bridge = Bridge::new(2, seed);
            bridge.set_link(0, Link { delay: Duration::ZERO, loss_per_mille });
            (0..1000).map(|_| !send(&mut bridge, 0, 1).is_empty()).collect::<Vec<bool>>()
        };
        let arrived = |fates: &[bool]| fates.iter().filter(|arrived| **arrived).count();
        assert_eq!(arrived(&run(1, 0)), 1000);
        assert_eq!(arrived(&run(1, 1000)), 0);
        let fates = run(7, 300);
        assert!((650..750).contains(&arrived(&fates)), "{} arrived", arrived(&fates));
        assert_eq!(fates, run(7, 300));
        assert_ne!(fates, run(8, 300));
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let mut bridge = Bridge::new(2, 1);
        for _ in 0..QUEUE + 5 {
            bridge.receive(Duration::ZERO, 0, frame(0, 1));
        }
        assert_eq!(bridge.counters().dropped, 5);
        assert!(matches!(bridge.take(Duration::ZERO, 1), Due::Now(_)));
    }

    #[test]
    fn many_addresses_and_unknown_ports_do_no_harm() {
        let mut bridge = Bridge::new(2, 1);
        for number in 0..MAX_ADDRESSES as u32 + 10 {
            let [a, b, c, d] = number.to_be_bytes();
            let bytes = [&[ALL; 6][..], &[2, 1, a, b, c, d], &[8, 0]].concat();
            bridge.receive(Duration::ZERO, 0, Frame::new(bytes).unwrap());
            heard(&mut bridge, Duration::ZERO);
        }
        assert_eq!(bridge.addresses.len(), MAX_ADDRESSES);
        bridge.receive(Duration::ZERO, 9, frame(0, 1));
        bridge.set_link(9, Link::default());
        assert_eq!(bridge.take(Duration::ZERO, 9), Due::Nothing);
    }
}
