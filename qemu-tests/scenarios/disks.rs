//! Disks that fail while they are written to.

use std::time::Duration;

use anyhow::ensure;
use qemu_tests::disk::find_partition;
use qemu_tests::nbd::fault::{Error, What, When};
use qemu_tests::power_cut::machine::ServedMachine;
use qemu_tests::scenario::{self, Scenario};
use qemu_tests::update_server::UpdateServer;
use qemu_tests::vm::Spec;

use crate::updates::{Fleet, INITIAL, UPDATED};

/// Somewhere in the middle of what a release puts into a root slot, in bytes.
const MIDDLE: u64 = 64 << 20;
/// Size of the bad spot, in bytes.
const SPOT: u64 = 4096;
/// How much longer each answer of a slow disk takes.
const SLOW: Duration = Duration::from_millis(5);

pub(crate) const FAILING: Scenario = Scenario::new(
    "failing_disk_ends_the_update_and_not_the_machine",
    "A bad spot in the passive slot, and a disk that refuses to flush, end an update with a reason and leave nothing half written that \
     could boot; once the disk works again, the update goes through, however slow it is.",
    |bench| {
        let image = bench.images().release(INITIAL)?;
        let slot = find_partition(&image, "root-b")?;
        let served = bench.keep(ServedMachine::fresh(&image)?);
        let server = UpdateServer::start(bench.logs())?;
        server.publish(&bench.images().repository())?;
        let mut spec = Spec::new(image);
        spec.served = Some(served.served());
        spec.services = vec![server.service()];
        let vm = bench.start("vm", &spec)?;
        vm.wait_for_boot()?;
        let fleet = Fleet::on(server, vm, "strategy = \"off\"\nwait-for-users = \"0s\"")?;
        fleet.server.roll_out(UPDATED)?;

        let spot = slot.start + MIDDLE..slot.start + MIDDLE + SPOT;
        served.disk.faults(|faults| faults.add(When::ChangeWithin(spot.clone()), What::Fail(Error::Io)));
        fleet.refuses("a bad spot", "error")?;
        // What was written before is on the disk; the bad spot alone cannot be read back.
        served.disk.faults(|faults| {
            faults.clear();
            faults.add(When::ReadWithin(spot), What::Fail(Error::Io));
        });
        fleet.refuses("a spot that cannot be read back", "error")?;
        served.disk.faults(|faults| {
            faults.clear();
            faults.add(When::Always, What::Delay(SLOW));
        });
        fleet.apply()?;
        ensure!(fleet.bootable_entries()? == ["slipway-a.efi", "slipway-b.efi"], "the staged slot cannot be booted");
        ensure!(served.trouble().is_none(), "the machine and its disk do not understand each other: {:?}", served.trouble());
        Ok(())
    },
)
.seconds(260)
.when(scenario::When::Full)
.allow(&["I/O error"]);
