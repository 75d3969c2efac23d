//! Which file system a block device holds and what it is labelled, from its first bytes.
//!
//! Read here instead of from `/dev/disk/by-label`, because a link there shows only one of several devices with a label,
//! and only after udev has come round to it.

use std::fmt;

/// How much of a device is looked at, in bytes: up to the volume recognition sequence of optical media (ECMA-167, sector 16 on).
pub const HEAD_BYTES: usize = 40 << 10;

const SECTOR: usize = 2048;
/// Where optical media say what they are (ECMA-119 and ECMA-167).
const VOLUME_DESCRIPTORS_AT: usize = 16 * SECTOR;

/// File systems that a configuration may come on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filesystem {
    /// ISO 9660, ECMA-119.
    Iso9660,
    /// UDF, ECMA-167; what Azure's virtual DVD has.
    Udf,
    /// FAT of any width.
    Vfat,
    /// ext2 to ext4.
    Ext4,
}

impl Filesystem {
    /// Its name in the kernel.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Iso9660 => "iso9660",
            Self::Udf => "udf",
            Self::Vfat => "vfat",
            Self::Ext4 => "ext4",
        }
    }
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The file system that begins with `head`, and its label.
#[must_use]
pub fn identify(head: &[u8]) -> Option<(Filesystem, String)> {
    let at = |start: usize, length: usize| head.get(start..start + length).unwrap_or_default();
    if at(VOLUME_DESCRIPTORS_AT, 6) == b"\x01CD001" {
        return Some((Filesystem::Iso9660, label(at(VOLUME_DESCRIPTORS_AT + 40, 32))));
    }
    let mut sectors = (VOLUME_DESCRIPTORS_AT..HEAD_BYTES).step_by(SECTOR).map(|start| at(start + 1, 5));
    if sectors.any(|id| id == b"NSR02" || id == b"NSR03") {
        // The label sits far inside; nobody is told apart by it.
        return Some((Filesystem::Udf, String::new()));
    }
    if at(510, 2) == b"\x55\xaa" {
        if at(82, 5) == b"FAT32" {
            return Some((Filesystem::Vfat, fat_label(at(71, 11))));
        }
        if at(54, 3) == b"FAT" {
            return Some((Filesystem::Vfat, fat_label(at(43, 11))));
        }
    }
    (at(0x438, 2) == b"\x53\xef").then(|| (Filesystem::Ext4, label(at(0x478, 16))))
}

/// A label without its padding. Bytes that are not text cannot be one of the labels that are looked for.
fn label(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned()
}

fn fat_label(bytes: &[u8]) -> String {
    if bytes == b"NO NAME    " { String::new() } else { label(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; HEAD_BYTES];
        for (at, bytes) in parts {
            head[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn labels_are_read_where_each_format_keeps_them() {
        let iso = head(&[(0x8000, b"\x01CD001\x01"), (0x8000 + 40, b"config-2                        ")]);
        let hybrid = head(&[(0x8000, b"\x01CD001\x01"), (0x8000 + 40, b"cidata    "), (510, b"\x55\xaa")]);
        let udf = head(&[(0x8001, b"BEA01"), (0x8801, b"NSR02"), (0x9001, b"TEA01")]);
        let fat16 = head(&[(510, b"\x55\xaa"), (54, b"FAT16   "), (43, b"CIDATA     ")]);
        let fat32 = head(&[(510, b"\x55\xaa"), (82, b"FAT32   "), (71, b"config-2   ")]);
        let nameless = head(&[(510, b"\x55\xaa"), (54, b"FAT12   "), (43, b"NO NAME    ")]);
        let ext4 = head(&[(0x438, b"\x53\xef"), (0x478, b"oem")]);
        for (bytes, filesystem, label) in [
            (iso, Filesystem::Iso9660, "config-2"),
            (hybrid, Filesystem::Iso9660, "cidata"),
            (udf, Filesystem::Udf, ""),
            (fat16, Filesystem::Vfat, "CIDATA"),
            (fat32, Filesystem::Vfat, "config-2"),
            (nameless, Filesystem::Vfat, ""),
            (ext4, Filesystem::Ext4, "oem"),
        ] {
            assert_eq!(identify(&bytes), Some((filesystem, label.to_owned())));
        }
    }

    #[test]
    fn anything_else_and_anything_short_is_nothing() {
        let erofs = head(&[(1024, b"\xe2\xe1\xf5\xe0")]);
        let mbr_only = head(&[(510, b"\x55\xaa")]);
        let signature_without_marker = head(&[(54, b"FAT16   "), (43, b"CIDATA     ")]);
        for bytes in [erofs, mbr_only, signature_without_marker, Vec::new(), vec![0xff; 511], vec![0; 0x8003]] {
            assert_eq!(identify(&bytes), None);
        }
        let odd = head(&[(0x8000, b"\x01CD001\x01"), (0x8000 + 40, b"\xff\xfe\xfd")]);
        assert!(!identify(&odd).unwrap().1.eq_ignore_ascii_case("cidata"));
    }
}
