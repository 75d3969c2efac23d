//! A root file system as a value: every path with its owner, mode, content and origin.
//!
//! The tree is captured once after the packages are configured and from then on changed only in memory, so that
//! nothing after the capture needs root, a namespace or a copy of half a gigabyte.

pub mod archive;
pub mod content;
pub mod overlay;

use std::collections::BTreeMap;

pub use content::Content;

use crate::manifest::Origin;

/// What a path is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link with its target as written.
    Symlink(String),
    /// Another name of the regular file at this path.
    Hardlink(String),
}

/// One path of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits including setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes, e.g. `security.capability`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Who put it there.
    pub origin: Origin,
}

impl Node {
    /// A directory owned by root with mode 0755.
    #[must_use]
    pub fn directory(origin: Origin) -> Self {
        Self::new(Kind::Directory, 0o755, origin)
    }

    /// A regular file owned by root.
    #[must_use]
    pub fn file(content: impl Into<Content>, mode: u32, origin: Origin) -> Self {
        Self::new(Kind::File(content.into()), mode, origin)
    }

    /// A symbolic link owned by root.
    #[must_use]
    pub fn symlink(target: impl Into<String>, origin: Origin) -> Self {
        Self::new(Kind::Symlink(target.into()), 0o777, origin)
    }

    fn new(kind: Kind, mode: u32, origin: Origin) -> Self {
        Self { kind, mode, uid: 0, gid: 0, xattrs: BTreeMap::new(), origin }
    }
}

/// What can go wrong when a tree is read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A file could not be read or written.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried, e.g. "reading".
        action: &'static str,
        /// On which file.
        path: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A path that has to exist does not.
    #[error("{path} is not in the tree")]
    Missing {
        /// The path.
        path: String,
    },
    /// A path is there but is not what it has to be.
    #[error("{path} is not a {wanted}")]
    WrongKind {
        /// The path.
        path: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A node that cannot be part of an image.
    #[error("{path} is a device, socket or fifo, which an image cannot hold; make it at boot with tmpfiles.d")]
    Special {
        /// The path.
        path: String,
    },
    /// A path or link target that is not UTF-8.
    #[error("the file name {path} is not UTF-8; rename it")]
    NotUtf8 {
        /// The path with replacement characters.
        path: String,
    },
}

/// All paths of a root, absolute and without `/` itself at the end of any; the root directory is implied.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// The node at `path`, without following symlinks.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Puts a node at `path`, making parent directories, and returns what was there.
    pub fn insert(&mut self, path: impl Into<String>, node: Node) -> Option<Node> {
        let path = path.into();
        debug_assert!(path.starts_with('/') && !path.ends_with('/'), "not a clean absolute path: {path}");
        let mut parent = parent_of(&path);
        while let Some(directory) = parent {
            if self.nodes.contains_key(directory) {
                break;
            }
            self.nodes.insert(directory.to_owned(), Node::directory(node.origin.clone()));
            parent = parent_of(directory);
        }
        self.nodes.insert(path, node)
    }

    /// Every path with its node, in byte order: parents come before their children.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Every path with its node for changing attributes or content.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Node)> {
        self.nodes.iter_mut().map(|(path, node)| (path.as_str(), node))
    }

    /// Everything below the directory `prefix`, itself excluded.
    pub fn below<'a>(&'a self, prefix: &str) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let start = format!("{}/", prefix.trim_end_matches('/'));
        self.nodes.range(start.clone()..).take_while(move |(path, _)| path.starts_with(&start)).map(|(path, node)| (path.as_str(), node))
    }

    /// Drops every path for which `keep` says no, with all below it. A hard link whose file goes takes its place.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Node) -> bool) {
        let mut dropped: BTreeMap<String, Node> = BTreeMap::new();
        let mut dropped_directory: Option<String> = None;
        let nodes = std::mem::take(&mut self.nodes);
        for (path, node) in nodes {
            let below_dropped =
                dropped_directory.as_deref().is_some_and(|dir| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')));
            if !below_dropped && keep(&path, &node) {
                self.nodes.insert(path, node);
                continue;
            }
            if matches!(node.kind, Kind::Directory) && !below_dropped {
                dropped_directory = Some(path.clone());
            }
            dropped.insert(path, node);
        }
        self.promote_hardlinks(&dropped);
    }

    fn promote_hardlinks(&mut self, dropped: &BTreeMap<String, Node>) {
        let mut promoted: BTreeMap<String, String> = BTreeMap::new();
        for (path, node) in &mut self.nodes {
            let Kind::Hardlink(target) = &node.kind else { continue };
            if let Some(new_home) = promoted.get(target) {
                node.kind = Kind::Hardlink(new_home.clone());
            } else if let Some(Node { kind: kind @ Kind::File(_), .. }) = dropped.get(target) {
                promoted.insert(target.clone(), path.clone());
                node.kind = kind.clone();
            }
        }
    }

    /// Removes one path and everything below it.
    pub fn remove(&mut self, path: &str) {
        let prefix = format!("{path}/");
        self.retain(|candidate, _| candidate != path && !candidate.starts_with(&prefix));
    }

    /// Content of the regular file at `path`, following symlinks of the tree.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, TreeError> {
        let resolved = self.resolve(path).ok_or_else(|| TreeError::Missing { path: path.into() })?;
        match self.nodes.get(&resolved).map(|node| &node.kind) {
            Some(Kind::File(content)) => content.read().map_err(|source| TreeError::Io { action: "reading", path: path.into(), source }),
            Some(Kind::Hardlink(target)) => self.read(target),
            _ => Err(TreeError::WrongKind { path: path.into(), wanted: "regular file" }),
        }
    }

    /// Content of the file at `path` as text, with replacement characters for what is not UTF-8.
    pub fn read_text(&self, path: &str) -> Result<String, TreeError> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    /// The real path behind `path` with every symlink of the tree followed, or nothing when it does not exist.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<String> {
        /// As the kernel's limit of symlinks followed in one look-up.
        const MAX_LINKS: usize = 40;
        let mut pending: Vec<String> = path.split('/').rev().filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut real = String::new();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            match part.as_str() {
                "." => continue,
                ".." => {
                    real.truncate(real.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let candidate = format!("{real}/{part}");
            match &self.nodes.get(&candidate)?.kind {
                Kind::Symlink(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.starts_with('/') {
                        real.clear();
                    }
                    pending.extend(target.split('/').rev().filter(|part| !part.is_empty()).map(str::to_owned));
                }
                _ => real = candidate,
            }
        }
        Some(real)
    }

    /// Number of paths.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True when nothing is in the tree.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

fn parent_of(path: &str) -> Option<&str> {
    path.rfind('/').filter(|&slash| slash > 0).map(|slash| &path[..slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tree {
        let mut tree = Tree::default();
        tree.insert("/usr/bin/tool", Node::file(b"one".to_vec(), 0o755, Origin::Builder));
        tree.insert("/usr/bin/alias", Node::new(Kind::Hardlink("/usr/bin/tool".into()), 0o755, Origin::Builder));
        tree.insert("/usr/bin/zalias", Node::new(Kind::Hardlink("/usr/bin/tool".into()), 0o755, Origin::Builder));
        tree.insert("/bin", Node::symlink("usr/bin", Origin::Builder));
        tree.insert("/usr/bin/sh", Node::symlink("/bin/tool", Origin::Builder));
        tree.insert("/loop", Node::symlink("/loop", Origin::Builder));
        tree.insert("/up", Node::symlink("usr/bin/../../bin/tool", Origin::Builder));
        tree
    }

    #[test]
    fn parents_are_made_and_come_first() {
        let tree = sample();
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(paths[0], "/bin");
        assert!(paths.iter().position(|p| *p == "/usr/bin") < paths.iter().position(|p| *p == "/usr/bin/tool"));
    }

    #[test]
    fn symlinks_are_followed_inside_the_tree_only() {
        let tree = sample();
        let table = [
            ("/bin/sh", Some("/usr/bin/tool")),
            ("/up", Some("/usr/bin/tool")),
            ("/usr/./bin/tool", Some("/usr/bin/tool")),
            ("/../usr/bin/tool", Some("/usr/bin/tool")),
            ("/loop", None),
            ("/missing", None),
            ("/bin/missing", None),
        ];
        for (path, real) in table {
            assert_eq!(tree.resolve(path).as_deref(), real, "{path}");
        }
    }

    #[test]
    fn reading_needs_a_regular_file() {
        let tree = sample();
        assert_eq!(tree.read("/bin/alias").unwrap(), b"one");
        assert!(matches!(tree.read("/usr"), Err(TreeError::WrongKind { .. })));
        assert!(matches!(tree.read("/nope"), Err(TreeError::Missing { .. })));
    }

    #[test]
    fn a_hard_link_survives_the_removal_of_its_file() {
        let mut tree = sample();
        tree.remove("/usr/bin/tool");
        assert_eq!(tree.read("/usr/bin/alias").unwrap(), b"one");
        assert!(matches!(tree.get("/usr/bin/alias").unwrap().kind, Kind::File(_)));
        assert!(matches!(&tree.get("/usr/bin/zalias").unwrap().kind, Kind::Hardlink(target) if target == "/usr/bin/alias"));
    }

    #[test]
    fn removing_a_directory_removes_what_is_below_it_and_nothing_else() {
        let mut tree = sample();
        tree.insert("/usr/binary", Node::directory(Origin::Builder));
        tree.remove("/usr/bin");
        assert!(tree.get("/usr/bin/sh").is_none() && tree.get("/usr/binary").is_some() && tree.get("/usr").is_some());
    }
}
