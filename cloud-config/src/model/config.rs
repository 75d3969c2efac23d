//! The top level of a configuration.

use std::collections::BTreeMap;

use super::Located;
use super::coreos::CoreOs;
use super::disk::{DiskSetup, FileSystem, Mount, Swap};
use super::docker::{Docker, Proxy};
use super::file::WriteFile;
use super::host::{CaCerts, KernelModule, NetworkFile, Ntp};
use super::section::section;
use super::user::{Group, User};
use super::value::{Command, EtcHosts, Hostname, SshKey, Timezone};

section! {
    /// What a host should be.
    pub struct Config {
        /// Units, updates and cluster services, as CoreOS wrote them.
        coreos: Option<Located<CoreOs>>,
        /// SSH keys that may log in as `core`; lists of several documents add up.
        ssh_authorized_keys: Vec<Located<SshKey>>,
        /// Name of the host; wins over the one the platform gives.
        hostname: Option<Located<Hostname>>,
        /// Whether `/etc/hosts` is written: `localhost` lets the host's own name resolve to itself.
        manage_etc_hosts: Option<Located<EtcHosts>>,
        /// Groups to make, before the users.
        groups: Vec<Located<Group>>,
        /// Accounts to make, or whose keys and password to set.
        users: Vec<Located<User>>,
        /// Files to write, in order.
        write_files: Vec<Located<WriteFile>>,
        /// Time zone, by its name in the tz database.
        timezone: Option<Located<Timezone>>,
        /// Time servers.
        ntp: Option<Located<Ntp>>,
        /// Certificate authorities that the whole system trusts.
        ca_certs: Option<Located<CaCerts>>,
        /// HTTP proxy of system services and of Docker.
        proxy: Option<Located<Proxy>>,
        /// Docker's own settings and the registries it logs in to.
        docker: Option<Located<Docker>>,
        /// Network configuration: files of systemd-networkd.
        networkd: Vec<Located<NetworkFile>>,
        /// Kernel parameters under `/proc/sys`, by name.
        sysctl: BTreeMap<String, Located<String>>,
        /// Kernel modules to load at boot.
        kernel_modules: Vec<Located<KernelModule>>,
        /// Partition tables of data disks, by device.
        disk_setup: BTreeMap<String, Located<DiskSetup>>,
        /// File systems on data disks.
        fs_setup: Vec<Located<FileSystem>>,
        /// What is mounted where.
        mounts: Vec<Located<Mount>>,
        /// A swap file.
        swap: Option<Located<Swap>>,
        /// Commands at every boot, early: before network and services.
        bootcmd: Vec<Located<Command>>,
        /// Commands once per instance, after everything else here.
        runcmd: Vec<Located<Command>>,
    }
}

/// Says nothing.
impl Default for Config {
    fn default() -> Self {
        Self {
            coreos: None,
            ssh_authorized_keys: Vec::new(),
            hostname: None,
            manage_etc_hosts: None,
            groups: Vec::new(),
            users: Vec::new(),
            write_files: Vec::new(),
            timezone: None,
            ntp: None,
            ca_certs: None,
            proxy: None,
            docker: None,
            networkd: Vec::new(),
            sysctl: BTreeMap::new(),
            kernel_modules: Vec::new(),
            disk_setup: BTreeMap::new(),
            fs_setup: Vec::new(),
            mounts: Vec::new(),
            swap: None,
            bootcmd: Vec::new(),
            runcmd: Vec::new(),
        }
    }
}
