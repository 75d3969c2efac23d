//! Which units an image has.

use std::collections::BTreeSet;

use crate::model::value::UnitName;

/// Units that the images of this repository have and that configurations speak of; `--image-units` gives the list of another one.
const BUILT_IN: &[&str] = &[
    "boot-complete.target",
    "cluster-agent.service",
    "cluster-announce.service",
    "cluster-render.service",
    "containerd.service",
    "default.target",
    "dbus.service",
    "docker.service",
    "docker.socket",
    "etcd.service",
    "fstrim.timer",
    "getty@.service",
    "local-fs.target",
    "multi-user.target",
    "network-online.target",
    "network.target",
    "nftables.service",
    "serial-getty@.service",
    "ssh.service",
    "sshd-keygen.service",
    "sysinit.target",
    "systemd-journald.service",
    "systemd-logind.service",
    "systemd-networkd.service",
    "systemd-networkd-wait-online.service",
    "systemd-resolved.service",
    "systemd-sysctl.service",
    "systemd-timesyncd.service",
    "systemd-udevd.service",
    "time-sync.target",
    "timers.target",
    "updater.service",
    "user@.service",
];

/// Units of CoreOS under other names, and what does their work here.
const REPLACED: &[(&str, &str)] = &[
    ("etcd2.service", "etcd.service"),
    ("etcd-member.service", "etcd.service"),
    ("etcd3.service", "etcd.service"),
    ("sshd.service", "ssh.service"),
    ("sshd.socket", "ssh.service"),
    ("locksmithd.service", "updater.service"),
    ("update-engine.service", "updater.service"),
    ("early-docker.service", "docker.service"),
    ("ntpd.service", "systemd-timesyncd.service"),
];

/// The units of an image, by name.
#[derive(Debug, Clone)]
pub struct ImageUnits(BTreeSet<String>);

impl Default for ImageUnits {
    fn default() -> Self {
        Self(BUILT_IN.iter().map(|name| (*name).to_owned()).collect())
    }
}

impl ImageUnits {
    /// The units of a list with one name per line; empty lines and comments are skipped.
    #[must_use]
    pub fn from_list(text: &str) -> Self {
        let names = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(names.filter_map(|line| line.split_ascii_whitespace().next()).map(str::to_owned).collect())
    }

    /// The units with these names.
    #[must_use]
    pub fn from_names(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether the image has the unit, or the template it is an instance of.
    #[must_use]
    pub fn has(&self, name: &UnitName) -> bool {
        self.0.contains(name.as_str()) || name.template().is_some_and(|template| self.0.contains(&template))
    }

    /// The unit that was most likely meant.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        let replaced = REPLACED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new);
        replaced.or_else(|| diagnostics::nearest(name, self.0.iter().map(String::as_str)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::text::FromText;

    fn has(units: &ImageUnits, name: &str) -> bool {
        units.has(&UnitName::from_text(name).unwrap())
    }

    #[test]
    fn instances_exist_if_their_template_does() {
        let units = ImageUnits::default();
        assert!(has(&units, "docker.service"));
        assert!(has(&units, "serial-getty@ttyS0.service"));
        assert!(!has(&units, "dokcer.service"));
        assert_eq!(units.nearest("dokcer.service"), Some("docker.service"));
        assert_eq!(units.nearest("locksmithd.service"), Some("updater.service"));
    }

    #[test]
    fn a_list_has_one_name_per_line() {
        let units = ImageUnits::from_list("# of my image\nmine.service enabled\n\n  b.timer\n");
        assert!(has(&units, "mine.service"));
        assert!(has(&units, "b.timer"));
        assert!(!has(&units, "docker.service"));
    }
}
