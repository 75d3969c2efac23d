//! Makes an EROFS image from a tar archive.

use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use crate::cmd::CmdError;
use crate::tools::Tools;

/// Makes the EROFS image `out` from the archive `tar`, with owners, modes and xattrs as the archive has them and every time stamp zero.
///
/// `compression` is mkfs.erofs's algorithm and level, e.g. `zstd,level=3`; `cluster_bytes` is the size of compressed clusters, a
/// multiple of 4096. The bytes do not depend on `workers`, the number of threads.
pub fn make(
    tools: &Tools,
    tar: &Path,
    out: &Path,
    compression: &str,
    cluster_bytes: u32,
    uuid: Uuid,
    workers: usize,
) -> Result<(), CmdError> {
    // Zero workers would be another way through mkfs.erofs, with other bytes.
    let workers = workers.max(1);
    let mut attempt = 1;
    loop {
        if out.exists() {
            // mkfs.erofs would write into the old file.
            std::fs::remove_file(out).map_err(|source| CmdError::Io { program: "mkfs.erofs".into(), source })?;
        }
        let made = tools
            .cmd("mkfs.erofs")
            .args(["--quiet", "--tar=f", "--sort=none", "-b4096", "-T0"])
            .args([format!("-z{compression}"), format!("-C{cluster_bytes}"), format!("-U{uuid}"), format!("--workers={workers}")])
            .arg(out)
            .arg(tar)
            .run_unless_still(STANDS_STILL);
        match made {
            Err(CmdError::StoodStill { .. }) if attempt < ATTEMPTS => attempt += 1,
            other => return other,
        }
    }
}

/// The threads of mkfs.erofs 1.8 wait for each other for ever, once in some hundred images. The image is then made anew.
const ATTEMPTS: u32 = 4;

/// Without any processor time for this long, mkfs.erofs hangs: it has a core busy from its start to its end.
const STANDS_STILL: Duration = Duration::from_secs(15);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::test_support::{skip, tools};

    /// A tools tree whose mkfs.erofs reads tar archives and knows zstd (1.8 or newer).
    pub(crate) fn erofs_tools() -> Option<Tools> {
        let tools = tools(&["usr/bin/mkfs.erofs"])?;
        let help = tools.cmd("mkfs.erofs").arg("--help").text().unwrap_or_default();
        if help.contains("zstd") && help.contains("--tar") {
            return Some(tools);
        }
        skip("this mkfs.erofs cannot read tar archives or lacks zstd");
        None
    }

    /// A tar archive of `files`, parents included.
    pub(crate) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut folders = std::collections::BTreeSet::new();
        for (path, _) in files {
            folders.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
        }
        let entry = |kind, size: usize, mode| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(size as u64);
            header.set_mode(mode);
            header.set_mtime(1_000_000);
            header.set_uid(0);
            header.set_gid(0);
            header
        };
        builder.append_data(&mut entry(tar::EntryType::Directory, 0, 0o755), "./", std::io::empty()).unwrap();
        for folder in folders {
            builder.append_data(&mut entry(tar::EntryType::Directory, 0, 0o755), folder + "/", std::io::empty()).unwrap();
        }
        for (path, content) in files {
            builder.append_data(&mut entry(tar::EntryType::Regular, content.len(), 0o644), path, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn the_same_archive_makes_the_same_image_with_any_number_of_workers() {
        let Some(tools) = erofs_tools() else { return };
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let text = "some text that compresses. ".repeat(40_000);
        std::fs::write(path("tar"), tar_of(&[("usr/a", text.as_bytes()), ("usr/b", &text.as_bytes()[7..]), ("usr/c", b"")])).unwrap();
        std::fs::write(path("two"), vec![0xff; 1 << 22]).unwrap();
        for (out, workers) in [("one", 1), ("two", 2)] {
            make(&tools, &path("tar"), &path(out), "zstd,level=3", 65536, Uuid::from_u128(9), workers).unwrap();
        }
        let (one, two) = (std::fs::read(path("one")).unwrap(), std::fs::read(path("two")).unwrap());
        assert!(one == two);
        assert!(one.len() < text.len() && one.len() % 4096 == 0, "{}", one.len());
    }

    #[test]
    fn what_mkfs_refuses_is_an_error() {
        let Some(tools) = erofs_tools() else { return };
        let dir = tempfile::tempdir().unwrap();
        let tar = dir.path().join("tar");
        std::fs::write(&tar, tar_of(&[])).unwrap();
        let make = |tar: &Path, compression| make(&tools, tar, &dir.path().join("out"), compression, 65536, Uuid::nil(), 1);
        assert!(make(&tar, "no-such-algorithm").is_err());
        assert!(make(&dir.path().join("absent"), "zstd").is_err());
    }
}
