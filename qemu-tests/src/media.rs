//! Disks with a configuration on them, as hypervisors and people make them.

use anyhow::{Context, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::cmd::Cmd;

/// Size of a FAT image, in KiB; the smallest that every tool is content with, and plenty for a configuration.
const FAT_KIB: u32 = 1440;

/// Files by their path on the disk.
pub type Files<'a> = &'a [(&'a str, &'a [u8])];

/// Makes `NAME.iso` in `dir`: ISO 9660 with long names in both of the usual ways.
pub fn iso(dir: &Utf8Path, name: &str, label: &str, files: Files<'_>) -> anyhow::Result<Utf8PathBuf> {
    let tree = dir.join(format!("{name}.tree"));
    for (path, content) in files {
        let to = tree.join(path);
        std::fs::create_dir_all(to.parent().unwrap_or(&tree)).with_context(|| format!("making the folder of {to}"))?;
        std::fs::write(&to, content).with_context(|| format!("writing {to}"))?;
    }
    let image = dir.join(format!("{name}.iso"));
    Cmd::new("xorriso")
        .args(["-as", "mkisofs", "-quiet", "-joliet", "-rational-rock", "-volid", label, "-output"])
        .arg(&image)
        .arg(&tree)
        .run()?;
    Ok(image)
}

/// Makes `NAME.img` in `dir`: FAT, without a partition table.
pub fn fat(dir: &Utf8Path, name: &str, label: &str, files: Files<'_>) -> anyhow::Result<Utf8PathBuf> {
    let image = dir.join(format!("{name}.img"));
    Cmd::new("mkfs.vfat").args(["-n", label, "-C"]).arg(&image).arg(FAT_KIB.to_string()).run()?;
    for (index, (path, content)) in files.iter().enumerate() {
        ensure!(!path.contains('/'), "{path}: only files in the root of a FAT disk are supported here");
        let from = dir.join(format!("{name}.{index}"));
        std::fs::write(&from, content).with_context(|| format!("writing {from}"))?;
        Cmd::new("mcopy").arg("-i").arg(&image).arg(&from).arg(format!("::{path}")).run()?;
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fat_disk_has_its_label_and_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let image = fat(dir, "seed", "CIDATA", &[("user-data", b"#cloud-config\n"), ("meta-data", b"instance-id: i-1\n")]).unwrap();
        let bytes = std::fs::read(&image).unwrap();
        assert_eq!(&bytes[43..54], b"CIDATA     ");
        let content = Cmd::new("mcopy").arg("-i").arg(&image).args(["::user-data", "-"]).output().unwrap();
        assert_eq!(content, b"#cloud-config\n");
        assert!(fat(dir, "deep", "CIDATA", &[("a/b", b"")]).is_err());
    }
}
