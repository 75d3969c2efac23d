//! What a fork changes about itself: its clock, and who it is where a test needs more than one machine.

use anyhow::Context;

use crate::vm::Vm;

/// How long becoming another machine may take, in KVM seconds: services start anew.
const BECOME_SECS: u64 = 24;

/// Sets the guest's clock to the host's: it stood still while the template was kept.
pub(crate) fn set_clock(vm: &Vm) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now();
    vm.guest().check(&format!("date --set=@{}.{:03} > /dev/null", now.as_second(), now.subsec_millisecond()))?;
    Ok(())
}

/// The machine-id of machine `number`, the same in each run: a failure can be looked up by it.
#[must_use]
pub fn machine_id(number: u8) -> String {
    // The number comes first: short forms of the id are its beginning.
    format!("{number:02x}5c1a3f0e7d0b4b529d5e2f0c8a6f00")
}

impl Vm {
    /// Makes a fork another machine than its siblings: machine-id, name, ssh host keys, and everything that has read them.
    pub fn become_machine(&self, number: u8) -> anyhow::Result<()> {
        self.guest().check_for(&script(number), BECOME_SECS).with_context(|| format!("becoming machine {number}"))?;
        Ok(())
    }
}

// A new file in place of the old one: the old one may be write-protected or a mount, and its readers keep what they read.
// Journal files carry the machine-id in their names, and the updater and the network's leases are told apart by it.
fn script(number: u8) -> String {
    let id = machine_id(number);
    format!(
        "set -e; umount /etc/machine-id 2>/dev/null || true; \
         echo {id} > /etc/machine-id.new; chmod 444 /etc/machine-id.new; mv -f /etc/machine-id.new /etc/machine-id; \
         echo machine-{number} > /etc/hostname; hostname machine-{number}; \
         rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub; ssh-keygen -q -A; \
         systemctl restart systemd-journald.service systemd-networkd.service; \
         systemctl try-restart systemd-hostnamed.service ssh.service updater.service; \
         test \"$(cat /etc/machine-id)\" = {id}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_ids_are_valid_and_distinct() {
        let ids: Vec<String> = (0..=u8::MAX).map(machine_id).collect();
        for id in &ids {
            assert!(id.len() == 32 && id.chars().all(|char| char.is_ascii_hexdigit() && !char.is_ascii_uppercase()), "{id}");
        }
        let distinct: std::collections::HashSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
