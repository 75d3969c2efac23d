//! What makes two templates the same: the image, QEMU, the machine, and what talks to us in the guest.

use std::os::unix::fs::MetadataExt;

use anyhow::Context;
use camino::Utf8Path;
use image_builder::cmd::Cmd;
use image_builder::qemu::PROGRAM;
use sha2::{Digest, Sha256};

use super::{Memory, TEMPLATE_GENERATION, arguments, bare, without_log};
use crate::vm::{Host, Spec, describe};

/// Characters of the key's digest that name a template: enough that no two of a run meet.
const LENGTH: usize = 24;

/// The key of the template that `spec` boots to.
pub(super) fn of(spec: &Spec, host: &Host) -> anyhow::Result<String> {
    // State is bound to the build of QEMU, of which the distribution's version is a part.
    let qemu = Cmd::new(PROGRAM).arg("--version").text()?;
    let nowhere = crate::scratch::dir("key")?;
    let dir = Utf8Path::from_path(nowhere.path()).context("the temporary directory's name is not UTF-8")?;
    // Described in a directory that is gone afterwards; its name is the only thing about it that differs.
    let machine = without_log(bare(&describe("template", spec, host, dir, dir)?, "disk".into(), "vars".into()));
    let firmware = image_of(&machine.firmware_code)?;
    let mut args = machine.args();
    args.extend(arguments(spec.memory_mib, &Memory::Own, TEMPLATE_GENERATION));
    let args: Vec<String> = args.iter().map(|arg| arg.replace(dir.as_str(), "")).collect();
    let image = image(&spec.image)?;
    let media = spec.media.iter().map(|path| image_of(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let enforced = spec.enforce.clone().unwrap_or_default();
    Ok(digest(&[
        qemu.as_bytes(),
        args.join("\n").as_bytes(),
        image.as_bytes(),
        firmware.as_bytes(),
        media.join("\n").as_bytes(),
        &enforced,
    ]))
}

/// Says which image this is without reading gigabytes: the signed release beside it, and the file's size and age.
fn image(path: &Utf8Path) -> anyhow::Result<String> {
    let release = path.with_file_name("release.json");
    let release = std::fs::read_to_string(&release).unwrap_or_default();
    Ok(format!("{}\n{release}", image_of(path)?))
}

fn image_of(path: &Utf8Path) -> anyhow::Result<String> {
    let data = path.metadata().with_context(|| format!("looking at {path}"))?;
    Ok(format!("{path} {} {} {} {}", data.len(), data.mtime(), data.mtime_nsec(), data.ino()))
}

/// The digest of `parts`, none of which can pass for a part of its neighbour.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut text = hex::encode(hash.finalize());
    text.truncate(LENGTH);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_borders_do_not_move() {
        let key = digest(&[b"qemu", b"args"]);
        assert_eq!(key, digest(&[b"qemu", b"args"]));
        assert_eq!(key.len(), LENGTH);
        for other in [digest(&[b"qem", b"uargs"]), digest(&[b"qemu", b"argz"]), digest(&[b"qemu", b"args", b""])] {
            assert_ne!(key, other);
        }
    }

    #[test]
    fn an_image_that_was_built_anew_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("disk.raw");
        assert!(image(&path).is_err());
        std::fs::write(&path, "one").unwrap();
        let before = image(&path).unwrap();
        assert_eq!(before, image(&path).unwrap());
        std::fs::write(dir.path().join("release.json"), "{}").unwrap();
        let released = image(&path).unwrap();
        assert_ne!(before, released);
        std::fs::write(&path, "other").unwrap();
        assert_ne!(released, image(&path).unwrap());
    }
}
