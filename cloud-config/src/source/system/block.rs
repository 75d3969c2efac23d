//! The machine's block devices, and what is on them.

use std::io::Read;
use std::path::Path;

use crate::source::error::ReadError;
use crate::source::host::Device;
use crate::source::limits::{ATTRIBUTE_BYTES, DEVICES};
use crate::source::probe::{HEAD_BYTES, identify};

/// Devices that never hold a configuration: made by this machine itself, or (floppies) minutes to read where none is inserted.
const PASSED_OVER: &[&str] = &["loop", "ram", "zram", "dm-", "md", "nbd", "fd", "mtd"];

/// Looks at every device in `class` (`/sys/class/block`), whose nodes are in `dev`.
pub(super) fn devices(class: &Path, dev: &Path) -> Result<Vec<Device>, ReadError> {
    let Ok(entries) = std::fs::read_dir(class) else { return Ok(Vec::new()) };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| !PASSED_OVER.iter().any(|prefix| name.starts_with(prefix)));
    names.sort();
    let (mut devices, mut refused) = (Vec::new(), false);
    for name in names.iter().take(DEVICES) {
        let attributes = class.join(name);
        let text = |file: &str| attribute(&attributes.join(file));
        if text("size").is_none_or(|size| size.trim() == "0") {
            continue;
        }
        match head(&dev.join(name)) {
            Ok(head) => {
                let (filesystem, label) = identify(&head).unzip();
                let uevent = text("uevent").unwrap_or_default();
                devices.push(Device {
                    node: format!("/dev/{name}"),
                    disk: text("partition").and_then(|_| disk(&attributes)),
                    partition_name: uevent.lines().find_map(|line| line.strip_prefix("PARTNAME=")).map(str::to_owned),
                    filesystem,
                    label: label.unwrap_or_default(),
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => refused = true,
            // A drive without a medium, or a device that is just going away.
            Err(error) => tracing::debug!(name, %error, "passed over"),
        }
    }
    if refused && devices.is_empty() { Err(ReadError::NotPermitted) } else { Ok(devices) }
}

/// The disk of a partition: the directory above it in the kernel's tree of devices.
fn disk(attributes: &Path) -> Option<String> {
    let real = attributes.canonicalize().ok()?;
    Some(format!("/dev/{}", real.parent()?.file_name()?.to_str()?))
}

fn attribute(path: &Path) -> Option<String> {
    let mut text = String::new();
    super::open(path).ok()?.take(ATTRIBUTE_BYTES as u64).read_to_string(&mut text).ok()?;
    Some(text)
}

fn head(node: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    super::open(node)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::probe::Filesystem;

    #[test]
    fn devices_are_listed_with_disk_name_and_label() {
        let dir = tempfile::tempdir().unwrap();
        let (class, dev, tree) = (dir.path().join("class"), dir.path().join("dev"), dir.path().join("devices"));
        let add = |name: &str, parent: &str, size: &str, uevent: &str, bytes: &[u8]| {
            let real = tree.join(parent).join(name);
            std::fs::create_dir_all(&real).unwrap();
            std::fs::create_dir_all(&class).unwrap();
            std::fs::create_dir_all(&dev).unwrap();
            std::fs::write(real.join("size"), size).unwrap();
            std::fs::write(real.join("uevent"), uevent).unwrap();
            if !parent.is_empty() {
                std::fs::write(real.join("partition"), "6\n").unwrap();
            }
            std::os::unix::fs::symlink(&real, class.join(name)).unwrap();
            std::fs::write(dev.join(name), bytes).unwrap();
        };
        let mut iso = vec![0; HEAD_BYTES];
        iso[0x8000..0x8006].copy_from_slice(b"\x01CD001");
        iso[0x8028..0x8030].copy_from_slice(b"config-2");
        add("vda", "", "100\n", "DEVTYPE=disk\n", &[0; 512]);
        add("vda6", "vda", "10\n", "DEVTYPE=partition\nPARTNAME=oem\n", &[]);
        add("sr0", "", "100\n", "", &iso);
        add("sr1", "", "0\n", "", &iso);
        add("loop0", "", "100\n", "", &iso);
        let devices = devices(&class, &dev).unwrap();
        let names: Vec<&str> = devices.iter().map(|device| device.node.as_str()).collect();
        assert_eq!(names, ["/dev/sr0", "/dev/vda", "/dev/vda6"]);
        assert_eq!((devices[0].filesystem, devices[0].label.as_str()), (Some(Filesystem::Iso9660), "config-2"));
        assert_eq!((devices[2].disk.as_deref(), devices[2].partition_name.as_deref()), (Some("/dev/vda"), Some("oem")));
    }
}
