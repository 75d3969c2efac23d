//! Makes the ESP's FAT32 file system with the tools tree's mkfs.vfat and mtools: no root, and the same bytes every time.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::cmd::{Cmd, CmdError};
use crate::tools::Tools;

/// The volume label, at most eleven bytes.
const LABEL: &str = "ESP";
/// FAT counts time from 1980-01-01; the seconds of that instant since 1970.
const FAT_EPOCH: i64 = 315_532_800;

/// Why no ESP came out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EspError {
    /// A file could not be read or written.
    #[error("{step} {}: {source}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// mkfs.vfat failed.
    #[error("making the ESP's file system: {0}")]
    Format(CmdError),
    /// mmd or mcopy failed.
    #[error("copying {path} to the ESP: {source}")]
    Copy {
        /// The path on the ESP.
        path: String,
        /// What the tool said.
        source: CmdError,
    },
    /// A path that FAT or our tools cannot take.
    #[error("`{path}` cannot be a path on the ESP: {reason}")]
    Path {
        /// The path.
        path: String,
        /// Why not.
        reason: &'static str,
    },
}

/// Where a file's content comes from.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// A file on the build machine.
    File(&'a Path),
}

/// One file on the ESP.
#[derive(Debug, Clone)]
pub struct EspFile<'a> {
    /// Path from the ESP's root with `/` between names, e.g. `EFI/Linux/slipway-a.efi`; folders are made as needed.
    pub path: &'a str,
    /// What is in it.
    pub content: Content<'a>,
}

/// What makes one ESP differ from another.
#[derive(Debug, Clone)]
pub struct EspSpec<'a> {
    /// Length of the file system, in bytes.
    pub size_bytes: u64,
    /// Volume serial number.
    pub volume_id: u32,
    /// Time stamp of everything, in seconds since 1970; FAT has no time before 1980.
    pub unix_time: i64,
    /// The files, in any order.
    pub files: &'a [EspFile<'a>],
}

/// Writes the file system to the new sparse file `out`, replacing an older one.
pub fn write(tools: &Tools, spec: &EspSpec<'_>, out: &Path) -> Result<(), EspError> {
    let mut files: Vec<&EspFile<'_>> = spec.files.iter().collect();
    files.sort_by_key(|file| file.path);
    files.iter().try_for_each(|file| check_path(file.path))?;
    if let Some(pair) = files.windows(2).find(|pair| pair[0].path.eq_ignore_ascii_case(pair[1].path)) {
        return Err(EspError::Path { path: pair[1].path.to_owned(), reason: "it is there twice" });
    }
    // A new inode: sparse writing over old content would leave some of it.
    if out.exists() {
        fs::remove_file(out).map_err(failed("removing", out))?;
    }
    let image = File::create_new(out).map_err(failed("creating", out))?;
    image.set_len(spec.size_bytes).map_err(failed("sizing", out))?;
    // --invariant sets a serial number of its own, so ours has to follow it.
    let volume_id = format!("{:08x}", spec.volume_id);
    let mkfs = tools.cmd("mkfs.vfat").args(["--invariant", "-F", "32", "-S", "512", "-i", &volume_id, "-n", LABEL]).arg(out);
    mkfs.run().map_err(EspError::Format)?;
    for folder in folders(&files) {
        let made = mtools(tools, "mmd", spec, out).arg(format!("::/{folder}")).run();
        made.map_err(|source| EspError::Copy { path: folder.clone(), source })?;
    }
    for file in files {
        copy(tools, spec, out, file)?;
    }
    File::open(out).and_then(|image| image.sync_all()).map_err(failed("flushing", out))
}

fn copy(tools: &Tools, spec: &EspSpec<'_>, out: &Path, file: &EspFile<'_>) -> Result<(), EspError> {
    let scratch;
    let source = match file.content {
        Content::File(path) => {
            File::open(path).map_err(failed("reading", path))?;
            path
        }
        Content::Bytes(bytes) => {
            scratch = tempfile::NamedTempFile::new().map_err(failed("creating a temporary file in", &std::env::temp_dir()))?;
            fs::write(scratch.path(), bytes).map_err(failed("writing", scratch.path()))?;
            scratch.path()
        }
    };
    let copied = mtools(tools, "mcopy", spec, out).arg(source).arg(format!("::/{}", file.path)).run();
    copied.map_err(|source| EspError::Copy { path: file.path.to_owned(), source })
}

/// A command of mtools on our image, deaf to every configuration but ours.
fn mtools(tools: &Tools, program: &str, spec: &EspSpec<'_>, out: &Path) -> Cmd {
    let time = spec.unix_time.max(FAT_EPOCH).to_string();
    // Without -m mtools stamps SOURCE_DATE_EPOCH on what it makes, and never the time of the source file.
    tools.cmd(program).env("SOURCE_DATE_EPOCH", time).env("HOME", "/nonexistent").env("MTOOLSRC", "/dev/null").arg("-i").arg(out)
}

/// All folders that the sorted `files` need, parents first.
fn folders(files: &[&EspFile<'_>]) -> BTreeSet<String> {
    let parents = files.iter().flat_map(|file| file.path.match_indices('/').map(|(at, _)| file.path[..at].to_owned()));
    parents.collect()
}

fn check_path(path: &str) -> Result<(), EspError> {
    let wrong = |reason| Err(EspError::Path { path: path.to_owned(), reason });
    for name in path.split('/') {
        if name.is_empty() || name.starts_with('.') || name.ends_with('.') {
            return wrong("names must not be empty, nor begin or end with a dot");
        }
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c)) {
            return wrong("names consist of ASCII letters, digits, `-`, `_`, `.` and `+`");
        }
        if name.len() > 255 {
            return wrong("a name has at most 255 characters");
        }
    }
    Ok(())
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EspError {
    let path = path.to_owned();
    move |source| EspError::Io { step, path, source }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::cmd::Cmd;
    use crate::test_support::{skip, sparse_digest, tools};

    pub(crate) const PROGRAMS: &[&str] = &["usr/sbin/mkfs.vfat", "usr/bin/mcopy", "usr/bin/mmd"];

    fn spec<'a>(files: &'a [EspFile<'a>]) -> EspSpec<'a> {
        EspSpec { size_bytes: 1 << 30, volume_id: 0x1234_abcd, unix_time: 1_700_000_000, files }
    }

    #[test]
    fn the_same_files_make_the_same_bytes_and_stay_sparse() {
        let Some(tools) = tools(PROGRAMS) else { return };
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("kernel"), vec![7; 100_000]).unwrap();
        let mut files = [
            EspFile { path: "EFI/Linux/slipway-a.efi", content: Content::File(&path("kernel")) },
            EspFile { path: "loader/loader.conf", content: Content::Bytes(b"timeout 0\n") },
            EspFile { path: "EFI/Linux/slipway-a.efi.extra.d/slot.addon.efi", content: Content::Bytes(b"addon") },
        ];
        write(&tools, &spec(&files), &path("first")).unwrap();
        // Another order, another age of the sources, an old file in the way.
        files.reverse();
        Cmd::new("touch").args(["-d", "2001-01-01"]).arg(path("kernel")).run().unwrap();
        fs::write(path("second"), vec![0xff; 1 << 20]).unwrap();
        write(&tools, &spec(&files), &path("second")).unwrap();
        assert_eq!(sparse_digest(&path("first")), sparse_digest(&path("second")));
        let metadata = fs::metadata(path("first")).unwrap();
        assert_eq!(metadata.len(), 1 << 30);
        assert!(metadata.blocks() * 512 < 8 << 20, "{} blocks", metadata.blocks());
        match Cmd::new("fsck.vfat").arg("-n").arg(path("first")).text() {
            Err(crate::cmd::CmdError::Io { .. }) => skip("fsck.vfat is not installed"),
            result => drop(result.unwrap()),
        }
    }

    #[test]
    fn paths_that_fat_cannot_hold_are_refused() {
        for path in ["", "/EFI", "EFI/", "EFI//x", "a/../b", ".hidden", "trailing.", "sp ace", "co:lon", "umläut", "back\\slash"] {
            assert!(check_path(path).is_err(), "{path}");
        }
        for path in ["EFI/BOOT/BOOTX64.EFI", "loader/entries.srel", "EFI/Linux/slipway-a.efi.extra.d/slot.addon.efi"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        let twice = ["EFI/a", "efi/A"].map(|path| EspFile { path, content: Content::Bytes(b"") });
        let error = write(&Tools::at("/nonexistent"), &spec(&twice), Path::new("/nonexistent/out")).unwrap_err();
        assert!(error.to_string().ends_with("it is there twice"), "{error}");
    }

    #[test]
    fn a_missing_source_is_named() {
        let Some(tools) = tools(PROGRAMS) else { return };
        let dir = tempfile::tempdir().unwrap();
        let files = [EspFile { path: "kernel", content: Content::File(Path::new("/nonexistent/kernel")) }];
        let error = write(&tools, &spec(&files), &dir.path().join("esp")).unwrap_err();
        assert!(error.to_string().starts_with("reading /nonexistent/kernel: "), "{error}");
    }

    #[test]
    fn too_much_content_is_an_error() {
        let Some(tools) = tools(PROGRAMS) else { return };
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("big"), vec![1; 40 << 20]).unwrap();
        let big = dir.path().join("big");
        let files = [EspFile { path: "big", content: Content::File(&big) }];
        let spec = EspSpec { size_bytes: 36 << 20, ..spec(&files) };
        let error = write(&tools, &spec, &dir.path().join("esp")).unwrap_err();
        assert!(error.to_string().starts_with("copying big to the ESP: "), "{error}");
    }
}
