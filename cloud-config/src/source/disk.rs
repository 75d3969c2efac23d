//! What disks that carry a configuration have in common.

use super::detect::nodes;
use super::error::SourceError;
use super::host::{Device, Host, Medium};
use super::probe::Filesystem;

/// The devices with a label, whatever its case: tools that make FAT file systems like capitals. A partition of a disk that has the
/// label itself is the same medium seen twice, as on images that boot from both optical discs and sticks.
pub(super) fn labelled(devices: &[Device], label: &str) -> Vec<Device> {
    let media = [Filesystem::Iso9660, Filesystem::Vfat];
    let fits = |device: &&Device| device.label.eq_ignore_ascii_case(label) && device.filesystem.is_some_and(|fs| media.contains(&fs));
    let found: Vec<&Device> = devices.iter().filter(fits).collect();
    let seen_twice = |device: &Device| device.disk.as_ref().is_some_and(|disk| found.iter().any(|other| other.node == *disk));
    found.iter().filter(|device| !seen_twice(device)).map(|&device| device.clone()).collect()
}

/// The one device that is meant.
pub(super) fn single<'a>(label: &'static str, devices: &'a [Device]) -> Result<&'a Device, SourceError> {
    match devices {
        [device] => Ok(device),
        _ => Err(SourceError::Ambiguous { label, devices: nodes(devices) }),
    }
}

/// A device's file system, for reading.
pub(super) struct Open<'a> {
    node: &'a str,
    medium: Box<dyn Medium + 'a>,
}

/// A file's name for messages, and its content if it is there.
pub(super) struct At {
    pub(super) place: String,
    pub(super) bytes: Option<Vec<u8>>,
}

impl<'a> Open<'a> {
    pub(super) fn new(host: &'a dyn Host, device: &'a Device) -> Result<Self, SourceError> {
        let medium = host.mount(device).map_err(SourceError::read(&device.node))?;
        Ok(Self { node: &device.node, medium })
    }

    pub(super) fn read(&self, path: &str, max: usize) -> Result<At, SourceError> {
        let place = format!("{}:{path}", self.node);
        let bytes = self.medium.read(path, max).map_err(SourceError::read(&place))?;
        Ok(At { place, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(node: &str, disk: Option<&str>, label: &str, filesystem: Filesystem) -> Device {
        let disk = disk.map(str::to_owned);
        Device { node: node.to_owned(), disk, partition_name: None, filesystem: Some(filesystem), label: label.to_owned() }
    }

    #[test]
    fn a_medium_seen_twice_is_one_and_two_media_are_two() {
        let hybrid =
            [device("/dev/sdb", None, "cidata", Filesystem::Iso9660), device("/dev/sdb1", Some("/dev/sdb"), "cidata", Filesystem::Iso9660)];
        let found = labelled(&hybrid, "cidata");
        assert_eq!(single("cidata", &found).unwrap().node, "/dev/sdb");
        let stick = [device("/dev/sdb1", Some("/dev/sdb"), "CIDATA", Filesystem::Vfat)];
        assert_eq!(single("cidata", &labelled(&stick, "cidata")).unwrap().node, "/dev/sdb1");
        let two =
            [device("/dev/sr0", None, "cidata", Filesystem::Iso9660), device("/dev/sdb1", Some("/dev/sdb"), "CIDATA", Filesystem::Vfat)];
        let error = single("cidata", &labelled(&two, "cidata")).unwrap_err().to_string();
        assert!(error.contains("/dev/sr0, /dev/sdb1") && error.contains("detach"), "{error}");
    }

    #[test]
    fn other_labels_and_other_file_systems_do_not_count() {
        for other in [
            device("/dev/sda", None, "cidata2", Filesystem::Iso9660),
            device("/dev/sda", None, "", Filesystem::Iso9660),
            device("/dev/sda", None, "cidata", Filesystem::Ext4),
            device("/dev/sda", None, "cidata", Filesystem::Udf),
        ] {
            assert!(labelled(&[other], "cidata").is_empty());
        }
    }
}
