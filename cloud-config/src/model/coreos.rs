//! The `coreos` section: units, updates, and the settings of cluster services.

use super::Located;
use super::cluster::{Cluster, Swarm, Turns};
use super::environment::{Etcd, Etcd2, Flannel, Fleet, Locksmith};
use super::section::section;
use super::value::{DropInName, RebootStrategy, UnitCommand, UnitName};

section! {
    /// The section CoreOS had.
    pub struct CoreOs {
        /// Settings of etcd with the keys of 0.4; translated to today's.
        etcd: Option<Located<Etcd>>,
        /// Settings of etcd with the keys of 2.x, most of which today's etcd still has.
        etcd2: Option<Located<Etcd2>>,
        /// The cluster this host belongs to.
        cluster: Option<Located<Cluster>>,
        /// A Docker Swarm of all hosts of the cluster.
        swarm: Option<Located<Swarm>>,
        /// Turns of reboots.
        turns: Option<Located<Turns>>,
        /// Settings of fleet.
        fleet: Option<Located<Fleet>>,
        /// Settings of flannel, in `/run/flannel/options.env`.
        flannel: Option<Located<Flannel>>,
        /// Settings of reboots that take turns.
        locksmith: Option<Located<Locksmith>>,
        /// When this host updates itself, and from where.
        update: Option<Located<Update>>,
        /// Who made this installation; goes to `/etc/oem-release`.
        oem: Option<Located<Oem>>,
        /// systemd units, in the order in which they are handled.
        units: Vec<Located<Unit>>,
    }
}

section! {
    /// Updates of the operating system.
    pub struct Update {
        /// What happens when an update wants to boot: one host at a time (`etcd-lock`, `fleet-lock`), at once (`reboot`), nothing (`off`).
        reboot_strategy: Option<Located<RebootStrategy>>,
        /// Group of machines this host belongs to at the update server.
        group: Option<Located<String>>,
        /// Address of the update server.
        server: Option<Located<String>>,
    }
}

section! {
    /// Who made this installation.
    pub struct Oem {
        /// Short name; without it nothing is written.
        id: Option<Located<String>>,
        /// Name for people.
        name: Option<Located<String>>,
        /// Version.
        version_id: Option<Located<String>>,
        /// Home page.
        home_url: Option<Located<String>>,
        /// Where to report bugs.
        bug_report_url: Option<Located<String>>,
    }
}

section! {
    /// One systemd unit.
    pub struct Unit {
        /// File name of the unit, such as `web.service`; `.network`, `.netdev` and `.link` are files of systemd-networkd.
        name: Located<UnitName>,
        /// Text of the unit file; without it the unit is one that exists.
        content: Option<Located<String>>,
        /// Drop-ins that change parts of the unit.
        drop_ins: Vec<Located<DropIn>>,
        /// Places, enables and masks under `/run`, until the next boot, instead of under `/etc`.
        runtime: Option<Located<bool>>,
        /// Enables the unit, as its `[Install]` section says.
        enable: Option<Located<bool>>,
        /// Makes it impossible to start the unit.
        mask: Option<Located<bool>>,
        /// What to do with the unit now, after all units are in place.
        command: Option<Located<UnitCommand>>,
    }
    merged by name;
}

section! {
    /// A file that changes parts of a unit.
    pub struct DropIn {
        /// File name, ending in `.conf`.
        name: Located<DropInName>,
        /// Text of the file.
        content: Option<Located<String>>,
    }
    merged by name;
}
