//! Turns the raw disk image into the formats that hypervisors and download pages want.
//!
//! The result is written under a temporary name in the target's directory and renamed at the end: a full disk or an
//! interrupted run never leaves something that looks like an image.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cmd::{Cmd, CmdError};
use crate::progress::{Phase, Progress};

/// Where a GPT header starts on a disk with 512-byte sectors, and how it begins (UEFI specification 2.10, 5.3.2).
const GPT_HEADER_AT: u64 = 512;
const GPT_MAGIC: &[u8; 8] = b"EFI PART";

/// Compression level for `raw.zst`: higher ones take minutes and gain little, as the root is compressed already.
const ZSTD_LEVEL: i32 = 9;

/// How much is read at once, in bytes.
const BLOCK: usize = 1 << 20;

/// What an image can be converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// QEMU, libvirt, OpenStack.
    Qcow2,
    /// VMware (stream-optimised).
    Vmdk,
    /// Hyper-V and Azure (dynamic).
    Vhd,
    /// The raw bytes, compressed with zstd, for downloads and bare metal.
    #[value(name = "raw.zst")]
    RawZst,
}

impl Format {
    /// File name extension, which is also the format's name on the command line.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
            Self::RawZst => "raw.zst",
        }
    }

    /// `qemu-img`'s name and options; none where it is not needed.
    fn qemu(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Qcow2 => Some(("qcow2", "compat=1.1")),
            Self::Vmdk => Some(("vmdk", "subformat=streamOptimized")),
            // Without `force_size` the size is rounded to what a disk of 1990 could have, and the GPT no longer fits.
            Self::Vhd => Some(("vpc", "subformat=dynamic,force_size=on")),
            Self::RawZst => None,
        }
    }
}

/// Whether an existing file may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// It stays and the conversion is refused.
    Refuse,
    /// It is replaced, in one step and at the very end.
    Replace,
}

/// Why a conversion failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The image could not be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The image.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The input is something else.
    #[error("{} is no raw disk image: there is no partition table (GPT) in its second sector", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// The output exists.
    #[error("{} exists; --force replaces it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The output could not be written.
    #[error("writing {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// `qemu-img` failed.
    #[error("converting to {}: {source}", path.display())]
    Tool {
        /// The output.
        path: PathBuf,
        /// What it said.
        source: CmdError,
    },
}

/// The usual name of `image` in another format: beside it, with another extension.
#[must_use]
pub fn default_out(image: &Path, format: Format) -> PathBuf {
    // Not `with_extension`: in `slipway-vm-1.0.0` the last dot belongs to the version.
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".raw").or_else(|| name.strip_suffix(".img")).unwrap_or(&name);
    image.with_file_name(format!("{stem}.{}", format.extension()))
}

/// Opens `image` and refuses what has no partition table.
pub fn open_disk_image(image: &Path) -> Result<File, ConvertError> {
    let unreadable = |source| ConvertError::Read { path: image.to_owned(), source };
    let mut file = File::open(image).map_err(unreadable)?;
    let mut magic = [0; GPT_MAGIC.len()];
    file.seek(SeekFrom::Start(GPT_HEADER_AT)).map_err(unreadable)?;
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *GPT_MAGIC => {}
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(unreadable(error)),
        _ => return Err(ConvertError::NotAnImage { path: image.to_owned() }),
    }
    file.rewind().map_err(unreadable)?;
    Ok(file)
}

/// Converts the raw disk image `image` into `out`.
pub fn convert(image: &Path, format: Format, out: &Path, overwrite: Overwrite, progress: &Progress) -> Result<(), ConvertError> {
    let unwritable = |source| ConvertError::Write { path: out.to_owned(), source };
    let mut source = open_disk_image(image)?;
    if overwrite == Overwrite::Refuse && out.symlink_metadata().is_ok() {
        return Err(ConvertError::Exists { path: out.to_owned() });
    }
    let dir = match out.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new().prefix(".convert-").tempfile_in(dir).map_err(unwritable)?;
    let size = source.metadata().map_err(|source| ConvertError::Read { path: image.to_owned(), source })?.len();
    if let Some((name, options)) = format.qemu() {
        let _phase = progress.phase(format!("converting to {}", format.extension()), 0);
        let tool = Cmd::new("qemu-img").args(["convert", "-f", "raw", "-O", name, "-o", options]).arg(image).arg(temporary.path());
        tool.run().map_err(|source| ConvertError::Tool { path: out.to_owned(), source })?;
    } else {
        let phase = progress.phase("compressing", size);
        compress(&mut source, size, temporary.as_file_mut(), &phase).map_err(|error| match error {
            Failure::Read(source) => ConvertError::Read { path: image.to_owned(), source },
            Failure::Write(source) => unwritable(source),
        })?;
    }
    // A temporary file is private; the result is an ordinary one.
    temporary.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(unwritable)?;
    File::open(temporary.path()).and_then(|file| file.sync_all()).map_err(unwritable)?;
    let renamed = match overwrite {
        Overwrite::Refuse => temporary.persist_noclobber(out),
        Overwrite::Replace => temporary.persist(out),
    };
    renamed.map(drop).map_err(|error| unwritable(error.error))
}

/// Which side of the stream failed.
#[derive(Debug)]
enum Failure {
    Read(io::Error),
    Write(io::Error),
}

/// Streams `source` through zstd on one thread; the same bytes always compress to the same bytes.
fn compress(source: &mut File, size: u64, out: impl Write, phase: &Phase<'_>) -> Result<(), Failure> {
    let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL).map_err(Failure::Write)?;
    encoder.include_checksum(true).map_err(Failure::Write)?;
    encoder.set_pledged_src_size(Some(size)).map_err(Failure::Write)?;
    let mut block = vec![0; BLOCK];
    let zeros = vec![0; BLOCK];
    let mut at = 0;
    while at < size {
        let data = next_data(source, at, size).map_err(Failure::Read)?;
        let bytes: &[u8] = if data > at {
            &zeros[..cap(data - at)]
        } else {
            let hole = rustix::fs::seek(&*source, rustix::fs::SeekFrom::Hole(at)).unwrap_or(size);
            let count = cap(hole.max(at + 1).min(size) - at);
            source.seek(SeekFrom::Start(at)).map_err(Failure::Read)?;
            source.read_exact(&mut block[..count]).map_err(Failure::Read)?;
            &block[..count]
        };
        encoder.write_all(bytes).map_err(Failure::Write)?;
        phase.advance(bytes.len() as u64);
        at += bytes.len() as u64;
    }
    encoder.finish().and_then(|mut out| out.flush()).map_err(Failure::Write)
}

/// Where the next byte that is stored on disk is; holes need not be read to know that they are zero.
fn next_data(source: &File, at: u64, size: u64) -> io::Result<u64> {
    match rustix::fs::seek(source, rustix::fs::SeekFrom::Data(at)) {
        Ok(data) => Ok(data.min(size)),
        // No data after this point.
        Err(rustix::io::Errno::NXIO) => Ok(size),
        // A file system without holes.
        Err(rustix::io::Errno::INVAL) => Ok(at),
        Err(error) => Err(error.into()),
    }
}

fn cap(count: u64) -> usize {
    usize::try_from(count).unwrap_or(BLOCK).min(BLOCK)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    const SIZE: u64 = 40 << 20;

    /// A sparse file that looks like a disk: GPT magic, some data in the middle, data at the very end.
    fn image(dir: &Path) -> PathBuf {
        let path = dir.join("slipway-vm-1.0.0.raw");
        let file = File::create(&path).unwrap();
        file.set_len(SIZE).unwrap();
        file.write_all_at(GPT_MAGIC, GPT_HEADER_AT).unwrap();
        let noise: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        file.write_all_at(&noise, 10 << 20).unwrap();
        file.write_all_at(GPT_MAGIC, SIZE - 512).unwrap();
        path
    }

    fn entries(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn every_format_converts_back_to_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let image = image(dir.path());
        let original = std::fs::read(&image).unwrap();
        for format in [Format::Qcow2, Format::Vmdk, Format::Vhd, Format::RawZst] {
            let out = default_out(&image, format);
            convert(&image, format, &out, Overwrite::Refuse, &Progress::silent()).unwrap();
            let back = match format.qemu() {
                Some((name, _)) => {
                    let raw = dir.path().join("back.raw");
                    Cmd::new("qemu-img").args(["convert", "-f", name, "-O", "raw"]).arg(&out).arg(&raw).run().unwrap();
                    std::fs::read(raw).unwrap()
                }
                None => zstd::decode_all(File::open(&out).unwrap()).unwrap(),
            };
            assert!(back == original, "{format:?} does not round-trip");
            assert!(out.metadata().unwrap().len() < SIZE / 4, "{format:?} is not sparse");
            assert_eq!(out.metadata().unwrap().mode() & 0o777, 0o644);
        }
    }

    #[test]
    fn an_existing_file_is_replaced_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let image = image(dir.path());
        let out = dir.path().join("out.raw.zst");
        std::fs::write(&out, "precious").unwrap();
        let refused = convert(&image, Format::RawZst, &out, Overwrite::Refuse, &Progress::silent());
        assert!(matches!(refused, Err(ConvertError::Exists { .. })), "{refused:?}");
        assert_eq!(std::fs::read(&out).unwrap(), b"precious");
        convert(&image, Format::RawZst, &out, Overwrite::Replace, &Progress::silent()).unwrap();
        assert!(out.metadata().unwrap().len() > 8);
        assert_eq!(entries(dir.path()), 2);
    }

    #[test]
    fn refuses_what_is_no_disk_image() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out.qcow2");
        for content in [Vec::new(), b"EFI PART".to_vec(), vec![0; 4096]] {
            let path = dir.path().join("input");
            std::fs::write(&path, content).unwrap();
            let refused = convert(&path, Format::Qcow2, &out, Overwrite::Refuse, &Progress::silent());
            assert!(matches!(refused, Err(ConvertError::NotAnImage { .. })), "{refused:?}");
        }
        let missing = convert(&dir.path().join("no"), Format::Qcow2, &out, Overwrite::Refuse, &Progress::silent());
        assert!(matches!(missing, Err(ConvertError::Read { .. })), "{missing:?}");
        assert_eq!(entries(dir.path()), 1, "nothing may be left behind");
    }

    #[test]
    fn a_full_disk_is_a_write_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let mut source = File::open(image(dir.path())).unwrap();
        let progress = Progress::silent();
        let result = compress(&mut source, SIZE, Full, &progress.phase("compressing", SIZE));
        assert!(matches!(result, Err(Failure::Write(_))), "{result:?}");
    }

    #[test]
    fn the_version_in_a_name_is_no_extension() {
        let table =
            [("a/slipway-vm-1.0.0.raw", "a/slipway-vm-1.0.0.qcow2"), ("slipway-vm-1.0.0", "slipway-vm-1.0.0.qcow2"), ("d.img", "d.qcow2")];
        for (image, out) in table {
            assert_eq!(default_out(Path::new(image), Format::Qcow2), Path::new(out));
        }
    }
}
