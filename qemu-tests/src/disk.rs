//! A copy of a disk image that a scenario may damage.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::cmd::Cmd;

/// Where an EROFS file system keeps its superblock, and what it begins with (kernel: `fs/erofs/erofs_fs.h`).
const EROFS_SUPERBLOCK_AT: u64 = 1024;
const EROFS_MAGIC: u32 = 0xe0f5_e1e2;
/// Block size of our file systems and of dm-verity, in bytes.
pub const BLOCK: u64 = 4096;

/// How much is copied at once, in bytes.
const COPY_BYTES: usize = 1 << 20;

/// A partition's place on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// First byte.
    pub start: u64,
    /// Size.
    pub size: u64,
}

/// The partition of a disk image that has a label.
pub fn find_partition(image: &Utf8Path, label: &str) -> anyhow::Result<Partition> {
    let sector = gpt::disk::LogicalBlockSize::Lb512;
    let table = gpt::GptConfig::new().writable(false).logical_block_size(sector).open(image);
    let table = table.with_context(|| format!("reading the partition table of {image}"))?;
    let found = table.partitions().values().find(|partition| partition.name == label);
    let found = found.with_context(|| format!("{image} has no partition {label}"))?;
    let size = found.bytes_len(sector).with_context(|| format!("the size of partition {label}"))?;
    Ok(Partition { start: found.first_lba * sector.as_u64(), size })
}

/// A private, writable copy of a disk image.
#[derive(Debug)]
pub struct Disk {
    path: Utf8PathBuf,
    file: File,
}

impl Disk {
    /// Copies `image` into `dir`, holes staying holes.
    pub fn copy_of(image: &Utf8Path, dir: &Utf8Path) -> anyhow::Result<Self> {
        let path = dir.join("disk.raw");
        Cmd::new("cp").args(["--sparse=always", "--reflink=auto", "--"]).arg(image).arg(&path).run()?;
        let file = File::options().read(true).write(true).open(&path).with_context(|| format!("opening {path}"))?;
        Ok(Self { path, file })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The partition with a label.
    pub fn partition(&self, label: &str) -> anyhow::Result<Partition> {
        find_partition(&self.path, label)
    }

    /// How many blocks the EROFS file system in `partition` fills.
    pub fn erofs_blocks(&self, partition: Partition) -> anyhow::Result<u64> {
        let mut superblock = [0; 64];
        self.file.read_exact_at(&mut superblock, partition.start + EROFS_SUPERBLOCK_AT).context("reading the superblock")?;
        let word = |at: usize| u32::from_le_bytes([superblock[at], superblock[at + 1], superblock[at + 2], superblock[at + 3]]);
        ensure!(word(0) == EROFS_MAGIC, "there is no EROFS in this partition");
        ensure!(1_u64 << superblock[12] == BLOCK, "the file system's blocks are not of {BLOCK} bytes");
        Ok(u64::from(word(36)))
    }

    /// Flips one bit of the byte at `offset` of `partition`.
    pub fn flip_bit(&self, partition: Partition, offset: u64) -> anyhow::Result<()> {
        ensure!(offset < partition.size, "offset {offset} lies outside the partition");
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, partition.start + offset).context("reading the byte to flip")?;
        byte[0] ^= 1;
        self.file.write_all_at(&byte, partition.start + offset).context("flipping a bit")
    }

    /// Copies the first `bytes` bytes of one partition over another.
    pub fn copy(&self, from: Partition, to: Partition, bytes: u64) -> anyhow::Result<()> {
        ensure!(bytes <= from.size && bytes <= to.size, "{bytes} bytes do not fit");
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = 0;
        while at < bytes {
            let count = usize::try_from(bytes - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            self.file.read_exact_at(&mut buffer[..count], from.start + at).context("reading a partition")?;
            self.file.write_all_at(&buffer[..count], to.start + at).context("writing a partition")?;
            at += count as u64;
        }
        Ok(())
    }

    /// Writes the content of `file` to the beginning of a partition.
    pub fn fill(&self, partition: Partition, file: &Utf8Path) -> anyhow::Result<()> {
        let content = std::fs::read(file).with_context(|| format!("reading {file}"))?;
        ensure!(content.len() as u64 <= partition.size, "{file} does not fit into the partition");
        self.file.write_all_at(&content, partition.start).context("filling a partition")
    }

    /// Reads a file of the ESP, e.g. `EFI/Linux/slipway-a.efi`.
    pub fn esp_read(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.mtools("mcopy", &[&format!("::{path}"), "-"])
    }

    /// Replaces a file of the ESP.
    pub fn esp_write(&self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        let mut source = tempfile::NamedTempFile::new().context("making a temporary file")?;
        std::io::Write::write_all(&mut source, content).context("filling a temporary file")?;
        self.mtools("mcopy", &["-o", &source.path().to_string_lossy(), &format!("::{path}")])?;
        ensure!(self.esp_read(path)? == content, "{path} on the ESP is not what was written");
        Ok(())
    }

    fn mtools(&self, program: &str, args: &[&str]) -> anyhow::Result<Vec<u8>> {
        let esp = self.partition("esp")?;
        let image = format!("{}@@{}", self.path, esp.start);
        Ok(Cmd::new(program).env("MTOOLS_SKIP_CHECK", "1").args(["-i", &image]).args(args).output()?)
    }
}
