//! Copying a recipe's file tree onto a root.
//!
//! Everything becomes root's; the mode is 0755 for directories and executables and 0644 for the rest, so that neither
//! the umask of a checkout nor the user who made it shows in the image. Other owners and modes are tmpfiles.d's work.

use std::path::Path;

use super::{Kind, Node, Tree, TreeError, archive};
use crate::manifest::Origin;

/// Copies the directory `source` onto `tree`; a file replaces a file, a directory merges with a directory.
pub fn add(tree: &mut Tree, source: &Path, origin: &Origin) -> Result<(), TreeError> {
    for (path, node) in archive::capture(source)?.iter() {
        let path = tree.resolve_parent(path);
        let (kind, mode) = match &node.kind {
            Kind::Directory => {
                let there = tree.resolve(&path);
                if there.and_then(|real| tree.get(&real)).is_some_and(|there| matches!(there.kind, Kind::Directory)) {
                    continue;
                }
                (Kind::Directory, 0o755)
            }
            Kind::Symlink(target) => (Kind::Symlink(target.clone()), 0o777),
            other if node.mode & 0o100 != 0 => (other.clone(), 0o755),
            other => (other.clone(), 0o644),
        };
        tree.insert(path, Node { kind, mode, uid: 0, gid: 0, xattrs: Default::default(), origin: origin.clone() });
    }
    Ok(())
}

impl Tree {
    /// `path` with symlinks in its parent directories followed, so that `/lib/x` lands in `/usr/lib/x`.
    fn resolve_parent(&self, path: &str) -> String {
        let Some(slash) = path.rfind('/').filter(|&slash| slash > 0) else { return path.to_owned() };
        match self.resolve(&path[..slash]) {
            Some(parent) => format!("{parent}{}", &path[slash..]),
            None => path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn modes_are_normalised_and_merged_usr_is_honoured() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("lib/x")).unwrap();
        for (name, mode) in [("lib/x/script", 0o700), ("lib/x/data", 0o600)] {
            fs::write(dir.path().join(name), b"new").unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut tree = Tree::default();
        tree.insert("/lib", Node::symlink("usr/lib", Origin::Builder));
        tree.insert("/usr/lib/x/data", Node::file(b"old".to_vec(), 0o640, Origin::Builder));
        add(&mut tree, dir.path(), &Origin::Builder).unwrap();
        assert_eq!(tree.read("/usr/lib/x/data").unwrap(), b"new");
        assert_eq!(tree.get("/usr/lib/x/data").unwrap().mode, 0o644);
        assert_eq!(tree.get("/usr/lib/x/script").unwrap().mode, 0o755);
        assert!(matches!(tree.get("/lib").unwrap().kind, Kind::Symlink(_)));
    }
}
