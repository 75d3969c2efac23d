//! The initrd: a handful of systemd's own programs and units, picked out of the root tree, as a cpio archive under zstd.
//!
//! No second package set and no generator scripts: what the list names is taken from the tree together with the
//! shared libraries it needs, so the initrd is as reproducible, and as up to date, as the root itself.

mod closure;
mod modules;

use std::io::{self, Write};

use cpio::newc;

use crate::recipe::Rule;
use crate::tree::{Content, Kind, Tree, TreeError};

/// zstd level: the initrd is unpacked at every boot and written rarely.
const ZSTD_LEVEL: i32 = 15;

/// What cannot be put into an initrd.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitrdError {
    /// A path that the list names is not in the root.
    #[error("the initrd needs {path}, which no package of the recipe installs")]
    MissingFile {
        /// The path or pattern.
        path: String,
    },
    /// A module that the list names is not in the root.
    #[error("the initrd needs the kernel module `{module}`, which [kernel] modules does not keep (or this kernel does not have)")]
    MissingModule {
        /// The module's name.
        module: String,
    },
    /// A shared library that a program needs is not in the root.
    #[error("{program} needs the library {library}, which no package of the recipe installs")]
    MissingLibrary {
        /// The program.
        program: String,
        /// Name of the library.
        library: String,
    },
    /// A pattern is not one.
    #[error(transparent)]
    Glob(#[from] globset::Error),
    /// The tree could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Packing failed.
    #[error("packing the initrd: {0}")]
    Io(#[from] io::Error),
}

/// What goes into an initrd.
#[derive(Debug)]
pub struct Spec<'a> {
    /// The root it is picked from.
    pub root: &'a Tree,
    /// Kernel release.
    pub kernel: &'a str,
    /// Paths and globs of the root to take.
    pub files: &'a [String],
    /// Names of kernel modules to take, with what they depend on; built-in ones are fine.
    pub modules: &'a [String],
    /// Files of the initrd's own, which win over the root's.
    pub extra: &'a Tree,
}

/// Picks the tree of the initrd.
pub fn pick(spec: &Spec<'_>) -> Result<Tree, InitrdError> {
    let mut wanted = Vec::new();
    for pattern in spec.files {
        let glob = Rule::parse(pattern)?;
        let before = wanted.len();
        if spec.root.get(pattern).is_some() || spec.root.resolve(pattern).is_some() {
            wanted.push(pattern.clone());
        } else {
            wanted.extend(spec.root.iter().filter(|(path, _)| glob.matches(path)).map(|(path, _)| path.to_owned()));
        }
        if wanted.len() == before {
            return Err(InitrdError::MissingFile { path: pattern.clone() });
        }
    }
    wanted.extend(modules::closure(spec.root, spec.kernel, spec.modules)?);
    let mut tree = closure::with_libraries(spec.root, &wanted)?;
    for (path, node) in spec.extra.iter() {
        if !matches!(node.kind, Kind::Directory) || tree.get(path).is_none() {
            tree.insert(path, node.clone());
        }
    }
    Ok(tree)
}

/// Packs `tree` as a cpio archive (newc) under zstd, with times and inode numbers that depend on nothing else.
pub fn pack(tree: &Tree) -> Result<Vec<u8>, InitrdError> {
    let mut out = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    for (number, (path, node)) in (1..).zip(tree.iter()) {
        let (kind, content) = match &node.kind {
            Kind::Directory => (newc::ModeFileType::Directory, Vec::new()),
            Kind::Symlink(target) => (newc::ModeFileType::Symlink, target.clone().into_bytes()),
            Kind::File(content) => (newc::ModeFileType::Regular, read(path, content)?),
            // The kernel's unpacker knows hard links, but a second copy of a small program is simpler to be sure of.
            Kind::Hardlink(target) => (newc::ModeFileType::Regular, tree.read(target)?),
        };
        let entry = newc::Builder::new(path.trim_start_matches('/'))
            .ino(number)
            .uid(node.uid)
            .gid(node.gid)
            .mode(node.mode)
            .set_mode_file_type(kind);
        let size = u32::try_from(content.len()).map_err(|_| io::Error::other(format!("{path} is larger than 4 GiB")))?;
        let mut writer = entry.write(&mut out, size);
        writer.write_all(&content)?;
        writer.finish()?;
    }
    newc::trailer(&mut out)?;
    Ok(out.finish()?)
}

fn read(path: &str, content: &Content) -> Result<Vec<u8>, TreeError> {
    content.read().map_err(|source| TreeError::Io { action: "reading", path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Origin;
    use crate::tree::Node;

    fn root() -> Tree {
        let mut root = Tree::default();
        root.insert("/usr/bin/tool", Node::file(b"not elf".to_vec(), 0o755, Origin::Builder));
        root.insert("/bin", Node::symlink("usr/bin", Origin::Builder));
        root.insert("/usr/bin/alias", Node::symlink("tool", Origin::Builder));
        root.insert(
            "/usr/lib/modules/6/modules.dep",
            Node::file(b"kernel/fs/a-b.ko: kernel/lib/c.ko\nkernel/lib/c.ko:\n".to_vec(), 0o644, Origin::Builder),
        );
        root.insert("/usr/lib/modules/6/modules.builtin", Node::file(b"kernel/fs/ext4.ko\n".to_vec(), 0o644, Origin::Builder));
        root.insert("/usr/lib/modules/6/kernel/fs/a-b.ko", Node::file(b"ab".to_vec(), 0o644, Origin::Builder));
        root.insert("/usr/lib/modules/6/kernel/lib/c.ko", Node::file(b"c".to_vec(), 0o644, Origin::Builder));
        root
    }

    fn pick_from(files: &[&str], modules: &[&str]) -> Result<Tree, InitrdError> {
        let own = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        pick(&Spec { root: &root(), kernel: "6", files: &own(files), modules: &own(modules), extra: &Tree::default() })
    }

    #[test]
    fn links_bring_their_targets_and_modules_their_dependencies() {
        let tree = pick_from(&["/bin/alias"], &["a_b", "ext4"]).unwrap();
        for path in ["/bin", "/usr/bin/alias", "/usr/bin/tool", "/usr/lib/modules/6/kernel/fs/a-b.ko", "/usr/lib/modules/6/kernel/lib/c.ko"]
        {
            assert!(tree.get(path).is_some(), "{path} is missing");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let table = [
            (pick_from(&["/usr/bin/nothing"], &[]), "/usr/bin/nothing"),
            (pick_from(&["/usr/lib/none-*"], &[]), "/usr/lib/none-*"),
            (pick_from(&[], &["nvme"]), "`nvme`"),
        ];
        for (result, name) in table {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn packing_twice_gives_the_same_bytes() {
        let tree = pick_from(&["/usr/bin/*"], &["a-b"]).unwrap();
        assert_eq!(pack(&tree).unwrap(), pack(&tree).unwrap());
    }
}
