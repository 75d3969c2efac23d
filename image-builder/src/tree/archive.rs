//! Trees as tar archives: captured from a directory, read back as ranges, and written for mkfs.erofs.
//!
//! Archives are in the POSIX pax format with names in byte order and all times zero, so equal trees give equal bytes.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use tar::{Archive, Builder, EntryType, Header};

use super::{Content, Kind, Node, Tree, TreeError};
use crate::manifest::Origin;

const XATTR_PREFIX: &str = "SCHILY.xattr.";
/// Extended attributes worth keeping; everything else is the host's own business.
const XATTRS: &[&str] = &["security.capability"];
/// The largest value of one extended attribute, in bytes.
const XATTR_MAX: usize = 4096;

/// Reads the directory `root` (as its owner sees it) without crossing into what is mounted on it.
pub fn capture(root: &Path) -> Result<Tree, TreeError> {
    let device = fs::symlink_metadata(root).map_err(|source| io_error("reading", root, source))?.dev();
    let mut tree = Tree::default();
    let mut inodes: HashMap<u64, String> = HashMap::new();
    capture_directory(root, root, device, &mut inodes, &mut tree)?;
    Ok(tree)
}

fn capture_directory(
    root: &Path,
    directory: &Path,
    device: u64,
    inodes: &mut HashMap<u64, String>,
    tree: &mut Tree,
) -> Result<(), TreeError> {
    let entries = fs::read_dir(directory).map_err(|source| io_error("listing", directory, source))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|source| io_error("listing", directory, source))?.path());
    }
    paths.sort();
    for path in paths {
        let meta = fs::symlink_metadata(&path).map_err(|source| io_error("reading", &path, source))?;
        if meta.dev() != device {
            continue;
        }
        let name = utf8(path.strip_prefix(root).unwrap_or(&path))?;
        let name = format!("/{name}");
        let kind = if meta.is_dir() {
            Kind::Directory
        } else if meta.is_symlink() {
            Kind::Symlink(utf8(&fs::read_link(&path).map_err(|source| io_error("reading", &path, source))?)?)
        } else if meta.is_file() {
            match inodes.get(&meta.ino()) {
                Some(first) if meta.nlink() > 1 => Kind::Hardlink(first.clone()),
                _ => {
                    inodes.insert(meta.ino(), name.clone());
                    Kind::File(Content::File { path: path.as_path().into(), len: meta.len() })
                }
            }
        } else {
            return Err(TreeError::Special { path: name });
        };
        let xattrs = if meta.is_file() { read_xattrs(&path) } else { BTreeMap::new() };
        let node = Node { kind, mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid(), xattrs, origin: Origin::Configure };
        tree.insert(name, node);
        if meta.is_dir() {
            capture_directory(root, &path, device, inodes, tree)?;
        }
    }
    Ok(())
}

fn read_xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in XATTRS {
        let mut value = vec![0; XATTR_MAX];
        // An attribute that is absent, or a file system without any, reads as an error.
        if let Ok(len) = rustix::fs::lgetxattr(path, *name, &mut value) {
            value.truncate(len);
            found.insert((*name).to_owned(), value);
        }
    }
    found
}

/// Writes `tree` as a tar archive. `origins` are not part of it.
pub fn write(tree: &Tree, out: impl Write) -> Result<(), TreeError> {
    let mut archive = Builder::new(out);
    for (path, node) in tree.iter() {
        append(&mut archive, path, node).map_err(|source| TreeError::Io { action: "archiving", path: path.into(), source })?;
    }
    archive.finish().map_err(|source| TreeError::Io { action: "archiving", path: "the end of the tree".into(), source })
}

fn append(archive: &mut Builder<impl Write>, path: &str, node: &Node) -> io::Result<()> {
    if !node.xattrs.is_empty() {
        let records: Vec<(String, &[u8])> =
            node.xattrs.iter().map(|(name, value)| (format!("{XATTR_PREFIX}{name}"), value.as_slice())).collect();
        archive.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), *value)))?;
    }
    let mut header = Header::new_gnu();
    header.set_mode(node.mode);
    header.set_uid(node.uid.into());
    header.set_gid(node.gid.into());
    header.set_mtime(0);
    header.set_size(0);
    let name = path.trim_start_matches('/');
    match &node.kind {
        Kind::Directory => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, format!("{name}/"), io::empty())
        }
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, name, target)
        }
        Kind::Hardlink(target) => {
            header.set_entry_type(EntryType::Link);
            archive.append_link(&mut header, name, target.trim_start_matches('/'))
        }
        Kind::File(content) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(content.len());
            let mut counted = Counted { inner: content.reader()?, count: 0 };
            archive.append_data(&mut header, name, &mut counted)?;
            if counted.count != content.len() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file changed while it was read"));
            }
            Ok(())
        }
    }
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// Reads an archive written by [`write()`]; file contents stay in the archive and are read when needed.
pub fn read(path: &Path) -> Result<Tree, TreeError> {
    let error = |source| io_error("reading", path, source);
    let file = Arc::new(File::open(path).map_err(error)?);
    let mut archive = Archive::new(File::open(path).map_err(error)?);
    let mut tree = Tree::default();
    for entry in archive.entries_with_seek().map_err(error)? {
        let mut entry = entry.map_err(error)?;
        let name = format!("/{}", utf8(&entry.path().map_err(error)?)?.trim_end_matches('/'));
        let mut xattrs = BTreeMap::new();
        if let Some(extensions) = entry.pax_extensions().map_err(error)? {
            for record in extensions.flatten() {
                if let Some(key) = record.key().ok().and_then(|key| key.strip_prefix(XATTR_PREFIX)) {
                    xattrs.insert(key.to_owned(), record.value_bytes().to_vec());
                }
            }
        }
        let link = entry.link_name().map_err(error)?.map(|target| utf8(&target)).transpose()?.unwrap_or_default();
        let header = entry.header();
        let kind = match header.entry_type() {
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink(link),
            EntryType::Link => Kind::Hardlink(format!("/{link}")),
            EntryType::Regular => Kind::File(Content::Range { file: file.clone(), offset: entry.raw_file_position(), len: entry.size() }),
            _ => return Err(TreeError::Special { path: name }),
        };
        let number = |value: io::Result<u64>| value.map(|value| u32::try_from(value).unwrap_or(u32::MAX)).map_err(error);
        let node = Node {
            kind,
            mode: header.mode().map_err(error)?,
            uid: number(header.uid())?,
            gid: number(header.gid())?,
            xattrs,
            origin: Origin::Configure,
        };
        tree.insert(name, node);
    }
    Ok(tree)
}

fn utf8(path: &Path) -> Result<String, TreeError> {
    path.to_str().map(str::to_owned).ok_or_else(|| TreeError::NotUtf8 { path: path.to_string_lossy().into_owned() })
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> TreeError {
    TreeError::Io { action, path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capture_write_read_keeps_everything_and_is_stable() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/tool"), b"content").unwrap();
        fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/ztool")).unwrap();
        std::os::unix::fs::symlink("tool", root.join("usr/bin/link")).unwrap();
        let long = "n".repeat(180);
        fs::write(root.join(&long), b"").unwrap();
        let mut tree = capture(&root).unwrap();
        for (_, node) in tree.iter_mut() {
            if let Kind::File(_) = node.kind {
                node.xattrs.insert("security.capability".into(), vec![1, 0, 0, 2]);
            }
        }
        let (one, two) = (dir.path().join("1.tar"), dir.path().join("2.tar"));
        write(&tree, File::create(&one).unwrap()).unwrap();
        let again = read(&one).unwrap();
        write(&again, File::create(&two).unwrap()).unwrap();
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
        assert_eq!(again.read("/usr/bin/ztool").unwrap(), b"content");
        assert_eq!(again.read("/usr/bin/link").unwrap(), b"content");
        assert_eq!(again.get("/usr/bin/tool").unwrap().xattrs["security.capability"], [1, 0, 0, 2]);
        assert!(again.get(&format!("/{long}")).is_some());
    }

    #[test]
    fn a_file_that_shrinks_under_our_hands_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, b"long content").unwrap();
        let mut tree = Tree::default();
        tree.insert("/f", Node::file(Content::of_file(path.clone()).unwrap(), 0o644, Origin::Builder));
        fs::write(&path, b"short").unwrap();
        let error = write(&tree, io::sink()).unwrap_err();
        assert!(error.to_string().contains("archiving /f"), "{error}");
    }

    #[test]
    fn a_fifo_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
        let error = capture(dir.path()).unwrap_err();
        drop(socket);
        assert!(error.to_string().starts_with("/s is a device, socket or fifo"), "{error}");
    }
}
