//! The top of the root: mount points, links into /var, and nothing below /var.

use crate::manifest::Origin;
use crate::tree::{Node, Tree};

/// Directories that something is mounted on.
const MOUNT_POINTS: &[&str] = &["/boot", "/dev", "/proc", "/run", "/sys", "/tmp", "/var"];

/// Writable places that live on the state partition. Their targets are made by tmpfiles.d.
const LINKS: &[(&str, &str)] = &[
    ("/home", "var/home"),
    ("/mnt", "var/mnt"),
    ("/opt", "var/opt"),
    ("/root", "var/roothome"),
    ("/srv", "var/srv"),
    ("/usr/local", "../var/usrlocal"),
];

/// Empties what is the host's own and lays out the top of the root.
pub fn apply(tree: &mut Tree) {
    for directory in MOUNT_POINTS.iter().chain(["/media", "/packages"].iter()) {
        tree.remove(directory);
    }
    for directory in MOUNT_POINTS {
        let mut node = Node::directory(Origin::Builder);
        if *directory == "/tmp" {
            node.mode = 0o1777;
        }
        tree.insert(*directory, node);
    }
    for (path, target) in LINKS {
        tree.remove(path);
        tree.insert(*path, Node::symlink(*target, Origin::Builder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_below_var_and_homes_lead_there() {
        let mut tree = Tree::default();
        tree.insert("/var/lib/dpkg/status", Node::file(Vec::new(), 0o644, Origin::Configure));
        tree.insert("/usr/local/bin", Node::directory(Origin::Configure));
        apply(&mut tree);
        assert_eq!(tree.below("/var").count(), 0);
        assert_eq!(tree.below("/usr/local").count(), 0);
        assert!(tree.get("/var").is_some());
        assert!(matches!(&tree.get("/root").unwrap().kind, crate::tree::Kind::Symlink(target) if target == "var/roothome"));
    }
}
