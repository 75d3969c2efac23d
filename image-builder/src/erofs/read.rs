//! Reads files from an EROFS image: enough to look up a path and read a file that is stored uncompressed.
//!
//! Follows the kernel's `fs/erofs/erofs_fs.h`. Compressed and chunk-based files give [`ErofsError::Unsupported`].

use std::io;

use uuid::Uuid;

use crate::extent::Extent;

const MAGIC: u32 = 0xe0f5_e1e2;
/// The superblock lies behind the room that boot loaders may use, in bytes.
const SUPERBLOCK_AT: u64 = 1024;
const SUPERBLOCK_BYTES: usize = 128;
const COMPACT_INODE_BYTES: u64 = 32;
const EXTENDED_INODE_BYTES: u64 = 64;
const DIRENT_BYTES: usize = 12;
/// Largest file and directory we read into memory, in bytes.
const FILE_MAX_BYTES: u64 = 256 << 20;
const TYPE_MASK: u16 = 0o170_000;
const FOLDER: u16 = 0o040_000;
const REGULAR: u16 = 0o100_000;

/// Why a file could not be read from an EROFS image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErofsError {
    /// The device could not be read, or the image ends early.
    #[error("reading {object}: {source}")]
    Io {
        /// The partition or file.
        object: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// It is something else.
    #[error("{0} holds no EROFS file system")]
    NotErofs(String),
    /// It contradicts itself.
    #[error("{object}: damaged EROFS: {problem}")]
    Damaged {
        /// The partition or file.
        object: String,
        /// Where, and what is wrong.
        problem: String,
    },
    /// No such path.
    #[error("{object} has no file {path}")]
    NotFound {
        /// The partition or file.
        object: String,
        /// The path.
        path: String,
    },
    /// Stored in a way that this reader does not know.
    #[error("{object}: {path} is stored as {layout}, which this reader does not support")]
    Unsupported {
        /// The partition or file.
        object: String,
        /// The path.
        path: String,
        /// How it is stored.
        layout: &'static str,
    },
}

/// An open EROFS image.
#[derive(Debug)]
pub struct Erofs {
    extent: Extent,
    block_bytes: u64,
    meta_start: u64,
    root: u64,
    /// Identity of the file system.
    pub uuid: Uuid,
}

/// Where the bytes of an inode are.
#[derive(Debug, Clone, Copy)]
struct Inode {
    mode: u16,
    size: u64,
    layout: u16,
    first_block: u64,
    /// Where inline content would begin, from the start of the image.
    inline_at: u64,
}

impl Erofs {
    /// Reads the superblock.
    pub fn open(extent: &Extent) -> Result<Self, ErofsError> {
        let not_erofs = || ErofsError::NotErofs(extent.name().to_owned());
        let raw = extent.read_vec(SUPERBLOCK_AT, SUPERBLOCK_BYTES).map_err(|_| not_erofs())?;
        if u32_at(&raw, 0) != MAGIC {
            return Err(not_erofs());
        }
        if !(9..=16).contains(&raw[12]) {
            return Err(ErofsError::Damaged {
                object: extent.name().to_owned(),
                problem: format!("superblock: blocks of 2^{} bytes", raw[12]),
            });
        }
        let block_bytes = 1 << raw[12];
        let uuid = Uuid::from_slice(&raw[48..64]).expect("sixteen bytes");
        Ok(Self {
            extent: extent.clone(),
            block_bytes,
            meta_start: u64::from(u32_at(&raw, 40)) * block_bytes,
            root: u64::from(u16_at(&raw, 14)),
            uuid,
        })
    }

    /// The content of the regular file at the absolute `path`; symbolic links are not followed.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, ErofsError> {
        let not_found = || ErofsError::NotFound { object: self.extent.name().to_owned(), path: path.to_owned() };
        let mut inode = self.inode(self.root)?;
        let mut so_far = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if inode.mode & TYPE_MASK != FOLDER {
                return Err(not_found());
            }
            let content = self.content(&inode, &so_far)?;
            let number = self.find(&content, name).map_err(|problem| self.damaged(format!("folder /{so_far}: {problem}")))?;
            inode = self.inode(number.ok_or_else(not_found)?)?;
            so_far = if so_far.is_empty() { name.to_owned() } else { format!("{so_far}/{name}") };
        }
        if inode.mode & TYPE_MASK != REGULAR {
            return Err(not_found());
        }
        self.content(&inode, &so_far)
    }

    fn inode(&self, number: u64) -> Result<Inode, ErofsError> {
        let outside = || self.damaged(format!("inode {number} is outside of the image"));
        let at = number.checked_mul(COMPACT_INODE_BYTES).and_then(|offset| offset.checked_add(self.meta_start)).ok_or_else(outside)?;
        let head = self.extent.read_vec(at, COMPACT_INODE_BYTES as usize).map_err(|_| outside())?;
        let format = u16_at(&head, 0);
        let extended = format & 1 == 1;
        let size = if extended { u64::from_le_bytes(head[8..16].try_into().expect("eight bytes")) } else { u64::from(u32_at(&head, 8)) };
        let xattr_bytes = match u16_at(&head, 2) {
            0 => 0,
            count => 12 + 4 * (u64::from(count) - 1),
        };
        let inode_bytes = if extended { EXTENDED_INODE_BYTES } else { COMPACT_INODE_BYTES };
        let (mode, layout) = (u16_at(&head, 4), (format >> 1) & 7);
        Ok(Inode { mode, size, layout, first_block: u64::from(u32_at(&head, 16)), inline_at: at + inode_bytes + xattr_bytes })
    }

    fn content(&self, inode: &Inode, path: &str) -> Result<Vec<u8>, ErofsError> {
        let unsupported = |layout| Err(ErofsError::Unsupported { object: self.extent.name().to_owned(), path: format!("/{path}"), layout });
        // The tail of a flat-inline file follows its inode; the blocks before it are as in a plain one.
        let in_blocks = match inode.layout {
            0 => inode.size,
            2 => inode.size / self.block_bytes * self.block_bytes,
            1 | 3 => return unsupported("compressed data"),
            4 => return unsupported("chunks"),
            _ => return unsupported("an unknown layout"),
        };
        if inode.size > FILE_MAX_BYTES {
            return Err(self.damaged(format!("/{path}: {} bytes, more than {FILE_MAX_BYTES}", inode.size)));
        }
        let outside = |_| self.damaged(format!("/{path}: its content is outside of the image"));
        let mut content = match in_blocks {
            0 => Vec::new(),
            bytes => self.extent.read_vec(inode.first_block * self.block_bytes, bytes as usize).map_err(outside)?,
        };
        content.extend(self.extent.read_vec(inode.inline_at, (inode.size - in_blocks) as usize).map_err(outside)?);
        Ok(content)
    }

    /// The inode number of `name` in a directory's content.
    fn find(&self, content: &[u8], name: &str) -> Result<Option<u64>, &'static str> {
        for block in content.chunks(self.block_bytes as usize) {
            if block.len() < DIRENT_BYTES {
                return Err("a block without entries");
            }
            let first_name = usize::from(u16_at(block, 8));
            if first_name < DIRENT_BYTES || !first_name.is_multiple_of(DIRENT_BYTES) || first_name > block.len() {
                return Err("its entries have no sensible number");
            }
            let offsets = |index: usize| usize::from(u16_at(block, index * DIRENT_BYTES + 8));
            let count = first_name / DIRENT_BYTES;
            for index in 0..count {
                let end = if index + 1 < count { offsets(index + 1) } else { block.len() };
                let found = block.get(offsets(index)..end).ok_or("a name is outside of its block")?;
                // The last name of a block is padded with zeros.
                let found = found.split(|byte| *byte == 0).next().unwrap_or_default();
                if found == name.as_bytes() {
                    let at = index * DIRENT_BYTES;
                    return Ok(Some(u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"))));
                }
            }
        }
        Ok(None)
    }

    fn damaged(&self, problem: String) -> ErofsError {
        ErofsError::Damaged { object: self.extent.name().to_owned(), problem }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::erofs::make::{self, tests::erofs_tools, tests::tar_of};

    /// Bytes that no compressor shortens.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(len)
        .collect()
    }

    fn image() -> Option<(tempfile::TempDir, Extent)> {
        let tools = erofs_tools()?;
        let dir = tempfile::tempdir().unwrap();
        let (tar, out) = (dir.path().join("tar"), dir.path().join("erofs"));
        let many: Vec<String> = (0..500).map(|n| format!("many/a-file-with-a-longer-name-{n}")).collect();
        let (big, text) = (noise(100_001), b"text ".repeat(20_000));
        let mut files: Vec<(&str, &[u8])> =
            vec![("usr/lib/small", b"hello"), ("usr/lib/noise", &big), ("usr/empty", b""), ("usr/text", &text)];
        files.extend(many.iter().map(|path| (path.as_str(), path.as_bytes())));
        std::fs::write(&tar, tar_of(&files)).unwrap();
        make::make(&tools, &tar, &out, "zstd,level=3", 65536, Uuid::from_u128(9), 1).unwrap();
        let whole = Extent::open(&out).unwrap();
        let extent = whole.slice("root-a", 0, whole.len()).unwrap();
        Some((dir, extent))
    }

    #[test]
    fn files_that_mkfs_stored_plain_are_read() {
        let Some((_dir, extent)) = image() else { return };
        let erofs = Erofs::open(&extent).unwrap();
        assert_eq!(erofs.uuid, Uuid::from_u128(9));
        assert_eq!(erofs.read("/usr/lib/small").unwrap(), b"hello");
        assert_eq!(erofs.read("/usr/empty").unwrap(), b"");
        assert!(erofs.read("/usr/lib/noise").unwrap() == noise(100_001));
        // 500 names need more than one directory block.
        for n in [0, 1, 250, 499] {
            let path = format!("many/a-file-with-a-longer-name-{n}");
            assert_eq!(erofs.read(&path).unwrap(), path.as_bytes());
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let Some((_dir, extent)) = image() else { return };
        let erofs = Erofs::open(&extent).unwrap();
        assert_eq!(
            erofs.read("/usr/text").unwrap_err().to_string(),
            "root-a: /usr/text is stored as compressed data, which this reader does not support"
        );
        for path in ["/", "/usr", "/usr/lib/smal", "/usr/lib/small/x", "/nothing", "/many/a-file-with-a-longer-name-"] {
            assert_eq!(erofs.read(path).unwrap_err().to_string(), format!("root-a has no file {path}"));
        }
        let cut = extent.slice("cut", 0, 4096).unwrap();
        assert!(Erofs::open(&cut).unwrap().read("/usr/lib/noise").is_err());
        assert!(matches!(Erofs::open(&extent.slice("shifted", 512, 8192).unwrap()), Err(ErofsError::NotErofs(_))));
        assert!(matches!(Erofs::open(&extent.slice("tiny", 0, 1030).unwrap()), Err(ErofsError::NotErofs(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn garbage_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 1152..8192), small in any::<bool>()) {
            bytes[1024..1028].copy_from_slice(&MAGIC.to_le_bytes());
            bytes[1024 + 12] = 9 + bytes[1024 + 12] % 8;
            if small {
                bytes[1024 + 14..1024 + 16].copy_from_slice(&40_u16.to_le_bytes());
                bytes[1024 + 40..1024 + 44].fill(0);
                if bytes.len() > 1290 {
                    bytes[1280] = 4;
                    bytes[1284..1286].copy_from_slice(&FOLDER.to_le_bytes());
                    bytes[1288..1292].copy_from_slice(&200_u32.to_le_bytes());
                }
            }
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            if let Ok(erofs) = Erofs::open(&Extent::open(file.path()).unwrap()) {
                let _ = erofs.read("/usr/lib");
            }
        }
    }
}
