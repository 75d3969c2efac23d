//! Writes a sparse raw disk image: partition table, and the parts of slot A in their partitions.
//!
//! The image grows under a temporary name and is renamed when every byte is on disk, so the final name never holds half an image.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;
use gpt::partition_types::{OperatingSystem, Type};

use super::layout::{self, PARTITIONS, PartitionSpec, SECTOR_BYTES};
use crate::progress::{Phase, bytes};

/// Copying goes in steps of this many bytes.
const COPY_BYTES: usize = 1 << 20;
/// Space that must stay free beside what is written, in bytes: file systems need some for themselves.
const HEADROOM_BYTES: u64 = 16 << 20;

/// Why no image came out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
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
    /// The disk is too full, found before or while writing.
    #[error(
        "no space left for {}: it needs {} and {} are free; free {} or more, or choose another output folder",
        path.display(), bytes(*.needed_bytes), bytes(*.free_bytes), bytes(.needed_bytes.saturating_sub(*.free_bytes).max(1))
    )]
    NoSpace {
        /// The image.
        path: PathBuf,
        /// What the image occupies, in bytes.
        needed_bytes: u64,
        /// What the file system has, in bytes.
        free_bytes: u64,
    },
    /// A part is larger than its partition.
    #[error("{} is {} too large for partition {label} ({})", path.display(), bytes(.part_bytes - .partition_bytes), bytes(*.partition_bytes))]
    TooLarge {
        /// The part's file.
        path: PathBuf,
        /// The partition's label.
        label: &'static str,
        /// Length of the part, in bytes.
        part_bytes: u64,
        /// Length of the partition, in bytes.
        partition_bytes: u64,
    },
    /// The partition table could not be written.
    #[error("writing the partition table of {}: {reason}", path.display())]
    Table {
        /// The image.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What goes into an image; each file at the start of its partition.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// FAT32 file system of the ESP.
    pub esp: &'a Path,
    /// EROFS image of slot A.
    pub root: &'a Path,
    /// Hash tree of [`Parts::root`].
    pub verity: &'a Path,
    /// File system of the OEM partition; empty without.
    pub oem: Option<&'a Path>,
    /// File system of the state partition; empty without, the first boot makes it.
    pub state: Option<&'a Path>,
}

impl Parts<'_> {
    fn placed(&self) -> Vec<(&'static PartitionSpec, &Path)> {
        let of = |index: usize| &PARTITIONS[index];
        let mut placed = vec![(of(0), self.esp), (of(1), self.root), (of(2), self.verity)];
        placed.extend(self.oem.map(|path| (of(5), path)));
        placed.extend(self.state.map(|path| (of(6), path)));
        placed
    }

    /// Bytes of all parts, for [`crate::progress::Progress::phase`].
    pub fn total_bytes(&self) -> u64 {
        self.placed().iter().filter_map(|(_, path)| path.metadata().ok()).map(|metadata| metadata.len()).sum()
    }
}

/// Assembles the disk image of `version` at `out`, replacing an older file in one step.
pub fn write(parts: &Parts<'_>, version: &str, out: &Path, phase: Option<&Phase<'_>>) -> Result<(), ImageError> {
    let placed = parts.placed();
    let mut needed_bytes = HEADROOM_BYTES;
    for (spec, path) in &placed {
        let metadata = path.metadata().map_err(failed("reading", path))?;
        if metadata.len() > spec.size_bytes {
            let (path, part_bytes) = (path.to_path_buf(), metadata.len());
            return Err(ImageError::TooLarge { path, label: spec.label, part_bytes, partition_bytes: spec.size_bytes });
        }
        needed_bytes += metadata.len().min(metadata.blocks() * 512);
    }
    let folder = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    check_space(out, folder, needed_bytes)?;
    let mut scratch = tempfile::Builder::new().prefix(".image-").tempfile_in(folder).map_err(failed("creating a file in", folder))?;
    let full = |error: ImageError| no_space(error, out, folder, needed_bytes);
    fill(scratch.as_file_mut(), &placed, version, out, phase).map_err(full)?;
    publish(scratch, folder, out).map_err(full)
}

fn fill(
    image: &mut File,
    placed: &[(&'static PartitionSpec, &Path)],
    version: &str,
    out: &Path,
    phase: Option<&Phase<'_>>,
) -> Result<(), ImageError> {
    image.set_len(layout::image_bytes()).map_err(failed("sizing", out))?;
    for (spec, path) in placed {
        let mut part = File::open(path).map_err(failed("reading", path))?;
        copy_sparse(&mut part, path, image, spec.start_bytes(), out, phase)?;
    }
    write_table(image, version).map_err(|reason| ImageError::Table { path: out.to_owned(), reason })
}

/// Readable like any other build product, flushed, and only then under its own name.
fn publish(scratch: tempfile::NamedTempFile, folder: &Path, out: &Path) -> Result<(), ImageError> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    scratch.as_file().set_permissions(mode).map_err(failed("setting the mode of", out))?;
    scratch.as_file().sync_all().map_err(failed("flushing", out))?;
    scratch.persist(out).map_err(|error| failed("renaming the finished image to", out)(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("flushing", folder))
}

/// Copies a part into a file that was just made: what is a hole or zero stays a hole. On a used file this would leave old bytes.
fn copy_sparse(
    part: &mut File,
    name: &Path,
    image: &mut File,
    start: u64,
    out: &Path,
    phase: Option<&Phase<'_>>,
) -> Result<(), ImageError> {
    let len = part.metadata().map_err(failed("reading", name))?.len();
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < len {
        let data = next_data(part, at).map_err(failed("reading", name))?.unwrap_or(len).min(len);
        if let Some(phase) = phase {
            phase.advance(data - at);
        }
        at = data;
        let count = (len - at).min(COPY_BYTES as u64) as usize;
        let chunk = &mut buffer[..count];
        part.seek(SeekFrom::Start(at)).and_then(|_| part.read_exact(chunk)).map_err(failed("reading", name))?;
        for (index, block) in chunk.chunks(4096).enumerate().filter(|(_, block)| block.iter().any(|byte| *byte != 0)) {
            let position = SeekFrom::Start(start + at + 4096 * index as u64);
            image.seek(position).and_then(|_| image.write_all(block)).map_err(failed("writing", out))?;
        }
        if let Some(phase) = phase {
            phase.advance(count as u64);
        }
        at += count as u64;
    }
    Ok(())
}

/// Where the next stored byte lies; `None` when the rest is a hole.
fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => Ok(Some(from)),
        Err(error) => Err(error.into()),
    }
}

/// Writes both partition tables of an image of `version` into `image`, which has its full length already.
pub(crate) fn write_table(image: &mut File, version: &str) -> Result<(), String> {
    let sectors = layout::image_bytes() / SECTOR_BYTES;
    let text = |error: &dyn std::error::Error| error.to_string();
    let lb_size = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(lb_size).overwrite_lba0(image).map_err(|error| text(&error))?;
    let config = gpt::GptConfig::new().writable(true).logical_block_size(gpt::disk::LogicalBlockSize::Lb512);
    let mut table = config.create_from_device(&mut *image, Some(layout::disk_guid(version))).map_err(|error| text(&error))?;
    let entries: BTreeMap<u32, Partition> = PARTITIONS.iter().map(|spec| (spec.number, entry(spec, version))).collect();
    table.update_partitions(entries).map_err(|error| text(&error))?;
    table.write().map_err(|error| text(&error))?;
    Ok(())
}

fn entry(spec: &PartitionSpec, version: &str) -> Partition {
    Partition {
        part_type_guid: Type { guid: spec.kind, os: OperatingSystem::None },
        part_guid: spec.guid(version),
        first_lba: spec.start_bytes() / SECTOR_BYTES,
        last_lba: (spec.start_bytes() + spec.size_bytes) / SECTOR_BYTES - 1,
        flags: spec.attributes.0,
        name: spec.label.to_owned(),
    }
}

fn check_space(out: &Path, folder: &Path, needed_bytes: u64) -> Result<(), ImageError> {
    let free_bytes = free_bytes(folder).map_err(failed("asking for free space in", folder))?;
    if free_bytes >= needed_bytes {
        return Ok(());
    }
    Err(ImageError::NoSpace { path: out.to_owned(), needed_bytes, free_bytes })
}

/// Turns the bare ENOSPC of a write into the error that names the need.
fn no_space(error: ImageError, out: &Path, folder: &Path, needed_bytes: u64) -> ImageError {
    match error {
        ImageError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            ImageError::NoSpace { path: out.to_owned(), needed_bytes, free_bytes: free_bytes(folder).unwrap_or(0) }
        }
        other => other,
    }
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail * stat.f_frsize)
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImageError {
    let path = path.to_owned();
    move |source| ImageError::Io { step, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::cmd::{Cmd, CmdError};
    use crate::test_support::{skip, sparse_digest};

    struct Work(tempfile::TempDir);

    impl Work {
        fn new() -> Self {
            let work = Self(tempfile::tempdir().unwrap());
            for (name, byte, len) in [("esp", 1, 3 << 20), ("root", 2, 5000), ("verity", 3, 4096)] {
                let mut content = vec![0; len];
                content[len - 10..].fill(byte);
                std::fs::write(work.path(name), content).unwrap();
            }
            work
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn build(&self, out: &str) -> Result<(), ImageError> {
            let (esp, root, verity) = (self.path("esp"), self.path("root"), self.path("verity"));
            write(&Parts { esp: &esp, root: &root, verity: &verity, oem: None, state: None }, "1.0.0", &self.path(out), None)
        }
    }

    #[test]
    fn parts_land_at_the_start_of_their_partitions() {
        let work = Work::new();
        work.build("disk.raw").unwrap();
        let image = File::open(work.path("disk.raw")).unwrap();
        assert_eq!(image.metadata().unwrap().len(), layout::image_bytes());
        assert!(image.metadata().unwrap().blocks() * 512 < 1 << 20, "the image is sparse");
        for (label, byte, len) in [("esp", 1, 3 << 20), ("root-a", 2, 5000), ("root-a-verity", 3, 4096)] {
            let mut tail = [0; 12];
            let end = PartitionSpec::named(label).unwrap().start_bytes() + len;
            image.read_exact_at(&mut tail, end - 11).unwrap();
            assert_eq!(tail, [0, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, 0], "{label}");
        }
        assert_eq!(std::fs::read_dir(work.0.path()).unwrap().count(), 4, "no temporary file is left");
    }

    #[test]
    fn the_same_parts_make_the_same_image_even_over_an_old_one() {
        let work = Work::new();
        work.build("first").unwrap();
        std::fs::write(work.path("second"), vec![0xff; 5 << 20]).unwrap();
        work.build("second").unwrap();
        assert_eq!(sparse_digest(&work.path("first")), sparse_digest(&work.path("second")));
    }

    #[test]
    fn sgdisk_finds_no_fault() {
        let work = Work::new();
        work.build("disk.raw").unwrap();
        match Cmd::new("sgdisk").arg("--verify").arg(work.path("disk.raw")).text() {
            Err(CmdError::Missing { .. } | CmdError::Io { .. }) => skip("sgdisk is not installed"),
            result => assert!(result.as_ref().is_ok_and(|text| text.contains("No problems found")), "{result:?}"),
        }
    }

    #[test]
    fn a_part_that_does_not_fit_is_refused_before_anything_is_written() {
        let work = Work::new();
        File::options().write(true).open(work.path("verity")).unwrap().set_len(layout::VERITY_BYTES + 1_000_000).unwrap();
        let error = work.build("disk.raw").unwrap_err().to_string();
        assert!(error.ends_with("verity is 1.0 MB too large for partition root-a-verity (67.1 MB)"), "{error}");
        assert!(!work.path("disk.raw").exists());
        std::fs::remove_file(work.path("root")).unwrap();
        assert!(work.build("disk.raw").unwrap_err().to_string().starts_with("reading "));
    }

    #[test]
    fn a_full_disk_names_the_need() {
        let error = check_space(Path::new("out/disk.raw"), Path::new("."), u64::MAX / 2).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("no space left for out/disk.raw: it needs 9223372"), "{text}");
        let full = failed("writing", Path::new("x"))(io::Error::from(io::ErrorKind::StorageFull));
        let error = no_space(full, Path::new("disk.raw"), Path::new("."), 5_000_000_000);
        assert!(matches!(error, ImageError::NoSpace { needed_bytes: 5_000_000_000, .. }));
        let other = failed("writing", Path::new("x"))(io::Error::from(io::ErrorKind::NotFound));
        assert!(matches!(no_space(other, Path::new("disk.raw"), Path::new("."), 1), ImageError::Io { .. }));
    }
}
