//! How many connections there may be, altogether and from one source address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Open connections; below the 20,000 files that a process may have open on common systems.
pub const CONNECTIONS: usize = 15_000;
/// Open connections from one source address: a site of a thousand machines behind one address after a power cut. Fifteen
/// addresses that mean harm can fill the server, one cannot.
pub const PER_ADDRESS: usize = 1_000;
/// What a household or a site is given of IPv6, in bits: whoever has one of these addresses has all of them.
const SITE: u32 = 64;

/// Whether connections from the machine itself are counted by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// They are a proxy's in front of this server, which must do the counting.
    Free,
    /// For tests, which have no other addresses.
    Counted,
}

/// The limits.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Altogether. Beyond, connections wait in the kernel's queue.
    pub connections: usize,
    /// From one source address. Beyond, connections are closed at once.
    pub per_address: usize,
    /// What of the machine's own.
    pub loopback: Loopback,
}

impl Default for Room {
    fn default() -> Self {
        Self { connections: CONNECTIONS, per_address: PER_ADDRESS, loopback: Loopback::Free }
    }
}

/// The places that are taken. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Places {
    room: Room,
    all: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One of the places altogether, not yet given to an address; free again when dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// A place that is given to an address; free again when dropped.
#[derive(Debug)]
pub struct Seat {
    _place: Place,
    address: Option<IpAddr>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Places {
    /// All of them free.
    #[must_use]
    pub fn new(room: Room) -> Self {
        Self { room, all: Arc::new(Semaphore::new(room.connections)), taken: Arc::default() }
    }

    /// Waits for a place.
    pub async fn free(&self) -> Option<Place> {
        // Nobody closes the semaphore.
        Arc::clone(&self.all).acquire_owned().await.ok().map(|permit| Place { _permit: permit })
    }

    /// Gives a place to an address, unless it has enough of them.
    #[must_use]
    pub fn seat(&self, place: Place, address: IpAddr) -> Option<Seat> {
        let address = site(address);
        let counted = !address.is_loopback() || self.room.loopback == Loopback::Counted;
        if counted {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let count = taken.entry(address).or_insert(0);
            if *count >= self.room.per_address {
                return None;
            }
            *count += 1;
        }
        Some(Seat { _place: place, address: counted.then_some(address), taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&address);
            }
        }
    }
}

/// An address as the limits count it: IPv4 by itself, IPv6 by its network.
#[must_use]
pub fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => Ipv6Addr::from_bits(six.to_bits() >> (128 - SITE) << (128 - SITE)).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_leaves_room_for_others_and_gets_its_places_back() {
        let places = Places::new(Room { connections: 5, per_address: 2, ..Room::default() });
        let seat = async |address: &str| places.seat(places.free().await.unwrap(), address.parse().unwrap());
        let mut seats = Vec::new();
        for (address, wanted) in
            [("203.0.113.9", true), ("::ffff:203.0.113.9", true), ("203.0.113.9", false), ("203.0.113.10", true), ("127.0.0.1", true)]
        {
            let got = seat(address).await;
            assert_eq!(got.is_some(), wanted, "{address}");
            seats.extend(got);
        }
        seats.remove(0);
        assert!(seat("203.0.113.9").await.is_some(), "a place that was given back");
        drop(seats);
        assert_eq!((places.all.available_permits(), places.taken.lock().unwrap().len()), (5, 0), "nothing is remembered of the gone");
    }

    #[tokio::test]
    async fn whoever_has_a_network_has_all_its_addresses_and_loopback_is_a_proxy() {
        let places = Places::new(Room { connections: 50, per_address: 1, ..Room::default() });
        let seat = async |address: &str| places.seat(places.free().await.unwrap(), address.parse().unwrap());
        let _first = seat("2001:db8:1:2::1").await.unwrap();
        assert!(seat("2001:db8:1:2:ffff::9").await.is_none());
        let _other = seat("2001:db8:1:3::1").await.unwrap();
        let (_one, _two) = (seat("::1").await.unwrap(), seat("::1").await.unwrap());
        let (_three, _four) = (seat("127.0.0.1").await.unwrap(), seat("::ffff:127.0.0.1").await.unwrap());
    }
}
