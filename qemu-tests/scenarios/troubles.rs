//! What goes wrong around an update: the clock, the space.

use anyhow::ensure;
use qemu_tests::scenario::{Scenario, When};

use crate::updates::{Fleet, INITIAL, UPDATED};

pub(crate) const CLOCK: Scenario = Scenario::new(
    "wrong_clock_delays_an_update_and_breaks_nothing",
    "A clock that is years behind does not let expired metadata pass, one that is years ahead refuses the update with that reason; \
     once it is right again, the update goes through.",
    |bench| {
        let fleet = Fleet::start(bench, INITIAL, "strategy = \"off\"\nwait-for-users = \"0s\"")?;
        let guest = fleet.vm.guest();
        fleet.server.roll_out(UPDATED)?;
        let now = jiff::Timestamp::now().as_second();
        guest.check("timedatectl set-ntp false; date -s '2041-02-03'")?;
        fleet.refuses("fifteen years ahead", "expired")?;
        // A machine that wakes up with an empty battery knows that its image was made later than that.
        guest.check("date -s '1999-01-01'")?;
        ensure!(guest.run("updater status --json")?.success(), "the daemon does not bear a clock that steps back");
        fleet.apply()?;
        ensure!(fleet.bootable_entries()? == ["slipway-a.efi", "slipway-b.efi"], "the staged slot cannot be booted");
        guest.check(&format!("date -s @{now}; updater check; systemctl is-active updater.service"))?;
        Ok(())
    },
)
.seconds(240)
.when(When::Full);

pub(crate) const FULL_DISK: Scenario = Scenario::new(
    "full_disk_does_not_harm_and_an_update_goes_on_when_there_is_space",
    "With the state partition full to its last byte the machine runs on, an update either works or is refused with a reason, and \
     after cleaning up it goes through.",
    |bench| {
        let fleet = Fleet::start(bench, INITIAL, "strategy = \"off\"\nwait-for-users = \"0s\"")?;
        let guest = fleet.vm.guest();
        fleet.server.roll_out(UPDATED)?;
        // Root may use what is reserved; dd goes on to the very end.
        guest.run_for(
            "fallocate -l \"$(df --output=avail -B1 /var | tail -n 1)\" /var/filler; dd if=/dev/zero of=/var/filler2 bs=4096 status=none; sync",
            60,
        )?;
        ensure!(guest.run("echo x > /var/probe && sync /var/probe && test -s /var/probe")?.status != 0, "the disk is not full");
        let said = guest.run_for("updater apply", 160)?;
        if said.success() {
            ensure!(fleet.bootable_entries()? == ["slipway-a.efi", "slipway-b.efi"], "it says done, and is not: {said}");
        } else {
            let text = format!("{}{}", said.stdout, said.stderr).to_lowercase();
            ensure!(text.contains("space") || text.contains("full"), "the reason is not told: {said}");
            ensure!(fleet.bootable_entries()? == ["slipway-a.efi"], "a slot that was refused can be booted");
        }
        ensure!(guest.run("updater status --json")?.success(), "the daemon is gone");
        guest.check("rm -f /var/filler /var/filler2 /var/probe; sync")?;
        let again = guest.run_for("updater apply", 160)?;
        ensure!(again.success() || said.success(), "with space again: {again}");
        ensure!(fleet.bootable_entries()? == ["slipway-a.efi", "slipway-b.efi"], "the staged slot cannot be booted");
        Ok(())
    },
)
.seconds(260)
.when(When::Full);
