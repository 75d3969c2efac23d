//! Network cards that are plugged into a running machine: on a network of its own with our services, or on the switch.

use anyhow::{Context, ensure};
use image_builder::qemu::machine::{Forward, SERVICE_ADDRESS};
use serde_json::json;

use crate::switch::Port;
use crate::vm::{Vm, forwards};

/// How many cards a machine has room for; a template uses one for its boot, a test one for services and one for the switch.
const SLOTS: u32 = 3;

/// How long the guest may take to let go of a card, in KVM seconds.
const UNPLUG_SECS: u64 = 12;
/// How long a new card may take to have its address, in KVM seconds.
const ADDRESS_SECS: u64 = 12;

/// Carries one connection of a guest to a server here; QEMU starts it for each.
const RELAY: &str = "socat";

/// A card that was plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card {
    number: u32,
}

impl Card {
    /// The card with the services of a machine that was started by [`Bench::fork`](crate::scenario::Bench::fork).
    pub const SERVICES: Self = Self { number: 0 };

    fn device(self) -> String {
        format!("card{}", self.number)
    }

    fn network(self) -> String {
        format!("network{}", self.number)
    }
}

/// QEMU's arguments for the slots: only behind ports of their own can cards come and go on this board.
pub(crate) fn slots() -> Vec<String> {
    (0..SLOTS).flat_map(|slot| ["-device".to_owned(), format!("pcie-root-port,id=slot{slot},chassis={}", slot + 1)]).collect()
}

impl Vm {
    /// Plugs in a card on a network from which the guest reaches `services` and nothing else, and in which its
    /// `guest_ports` can be reached from here.
    pub fn plug_services(&self, services: &[Forward], guest_ports: &[u16]) -> anyhow::Result<Card> {
        let card = Card { number: self.next_card() };
        let forwards = forwards(guest_ports)?;
        let text = |text: String| json!({ "str": text });
        let hostfwd: Vec<_> = forwards.iter().map(|to| text(format!("tcp:127.0.0.1:{}-:{}", to.host, to.guest))).collect();
        let guestfwd: Vec<_> = services
            .iter()
            .map(|to| text(format!("tcp:{SERVICE_ADDRESS}:{}-cmd:{RELAY} STDIO TCP4:127.0.0.1:{}", to.guest, to.host)))
            .collect();
        let network = json!({ "type": "user", "id": card.network(), "restrict": true, "hostfwd": hostfwd, "guestfwd": guestfwd });
        self.qmp().execute("netdev_add", network)?;
        self.add_forwards(&forwards);
        let lists = [("hostfwd", &hostfwd), ("guestfwd", &guestfwd)];
        let words = lists
            .iter()
            .flat_map(|(name, list)| list.iter().map(move |item| format!(",{name}={}", item["str"].as_str().unwrap_or_default())));
        let network = format!("user,id={},restrict=on{}", card.network(), words.collect::<String>());
        self.plug(card, &mac(self.name(), card.number), network)?;
        Ok(card)
    }

    /// Plugs in a card that hangs on a port of the switch, and waits until it has the port's address, which stays across
    /// reboots.
    pub fn plug_switch(&self, port: &Port) -> anyhow::Result<Card> {
        let card = Card { number: self.next_card() };
        let (mac, address) = (port.mac(), port.address());
        // The machine's own way of setting a card up, so that it is the same after a reboot and after an update.
        let unit = format!("[Match]\nMACAddress={mac}\n[Network]\nAddress={address}/{}\nLinkLocalAddressing=no\n", crate::switch::PREFIX);
        self.guest().write_file("/etc/systemd/network/10-switch.network".into(), unit.as_bytes())?;
        self.guest().check("networkctl reload")?;
        let network = json!({
            "type": "stream", "id": card.network(), "server": false,
            "addr": { "type": "unix", "path": port.socket() },
        });
        self.qmp().execute("netdev_add", network)?;
        // The switch is gone when the machine is woken up: its cable hangs in the air then.
        self.plug(card, &mac, format!("hubport,id={},hubid={}", card.network(), card.number))?;
        self.guest().wait_for("ip -4 -o address show scope global", ADDRESS_SECS, |said| said.stdout.contains(&format!(" {address}/")))?;
        Ok(card)
    }

    /// Plugs a card into its network; `network` is that for a machine that is woken up.
    fn plug(&self, card: Card, mac: &str, network: String) -> anyhow::Result<()> {
        ensure!(card.number < SLOTS, "{} has room for {SLOTS} cards", self.name());
        let slot = format!("slot{}", card.number);
        let wake = format!("virtio-net-pci,id={},netdev={},bus={slot},mac={mac},romfile=", card.device(), card.network());
        let device = json!({
            "driver": "virtio-net-pci", "id": card.device(), "netdev": card.network(), "bus": slot,
            "mac": mac, "romfile": "",
        });
        self.qmp().execute("device_add", device).with_context(|| format!("plugging a card into {}", self.name()))?;
        self.add_arguments(["-netdev".to_owned(), network, "-device".to_owned(), wake]);
        Ok(())
    }

    /// Waits until the card of [`Vm::plug_services`] has an address.
    pub(crate) fn wait_for_services(&self) -> anyhow::Result<()> {
        self.guest().wait_for("ip -4 -o address show scope global", ADDRESS_SECS, |said| said.stdout.contains(" 10.0.2.15/"))?;
        Ok(())
    }

    /// Pulls a card out and waits until the guest has let go of it.
    pub fn unplug(&self, card: Card) -> anyhow::Result<()> {
        self.qmp().execute("device_del", json!({ "id": card.device() }))?;
        self.wait("the guest lets go of its card", UNPLUG_SECS, || {
            let left = self.qmp().execute("qom-list", json!({ "path": "/machine/peripheral" }))?;
            let left = left.as_array().is_some_and(|list| list.iter().any(|item| item["name"] == card.device()));
            Ok((!left).then_some(()))
        })?;
        self.qmp().execute("netdev_del", json!({ "id": card.network() })).map(drop)
    }

    /// Pulls the cable of a card, or puts it back.
    pub fn set_link(&self, card: Card, up: bool) -> anyhow::Result<()> {
        self.qmp().execute("set_link", json!({ "name": card.device(), "up": up })).map(drop)
    }
}

/// A locally administered address that differs between the machines of a scenario, which differ by name.
fn mac(name: &str, number: u32) -> String {
    let sum = name.bytes().fold(0xcbf2_9ce4_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, _] = sum.to_be_bytes();
    format!("52:54:{number:02x}:{a:02x}:{b:02x}:{c:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_of_machines_and_slots_have_addresses_of_their_own() {
        let names = ["vm", "vm1", "vm2", "node-1", "node-2", "canary"];
        let all: std::collections::HashSet<String> = names.iter().flat_map(|name| (0..SLOTS).map(|slot| mac(name, slot))).collect();
        assert_eq!(all.len(), names.len() * SLOTS as usize);
        assert!(all.iter().all(|mac| mac.starts_with("52:54:") && mac.len() == 17), "{all:?}");
    }

    #[test]
    fn every_slot_is_a_port_of_its_own() {
        assert_eq!(slots().len(), 2 * SLOTS as usize);
        assert_eq!(slots()[1], "pcie-root-port,id=slot0,chassis=1");
    }
}
