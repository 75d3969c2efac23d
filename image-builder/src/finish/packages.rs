//! The package database: trimmed to what stays in the image, kept where scanners and the SBOM find it.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::Origin;
use crate::tree::{Kind, Node, Tree, TreeError};

/// dpkg's database while packages are installed.
const STATUS: &str = "/var/lib/dpkg/status";
/// Where it stays in the image; /var/lib/dpkg links here at run time.
const KEPT: &str = "/usr/lib/sysimage/dpkg/status";

/// Marks every path that a package ships as that package's; what no package ships was made while configuring.
pub fn attribute(tree: &mut Tree, owners: &BTreeMap<String, String>) {
    for (path, node) in tree.iter_mut() {
        node.origin = owners.get(path).map_or(Origin::Configure, |name| Origin::Package { name: name.clone() });
    }
}

/// Removes all files of the packages in `names`.
pub fn drop_files(tree: &mut Tree, names: &BTreeSet<String>) {
    let of_dropped = |node: &Node| matches!(&node.origin, Origin::Package { name } if names.contains(name));
    // A directory goes only when nothing of others is left in it.
    tree.retain(|_, node| matches!(node.kind, Kind::Directory) || !of_dropped(node));
    loop {
        let full: BTreeSet<String> = tree.iter().filter_map(|(path, _)| Some(path[..path.rfind('/')?].to_owned())).collect();
        let before = tree.len();
        tree.retain(|path, node| !matches!(node.kind, Kind::Directory) || full.contains(path) || !of_dropped(node));
        if tree.len() == before {
            return;
        }
    }
}

/// Keeps the database of the packages that stay; the rest of dpkg's state goes with /var.
pub fn keep_database(tree: &mut Tree, dropped: &BTreeSet<String>) -> Result<(), TreeError> {
    let status = tree.read_text(STATUS)?;
    tree.insert(KEPT, Node::file(trim(&status, dropped), 0o644, Origin::Builder));
    Ok(())
}

fn trim(status: &str, dropped: &BTreeSet<String>) -> String {
    let name = |stanza: &str| stanza.lines().find_map(|line| line.strip_prefix("Package: ").map(str::to_owned)).unwrap_or_default();
    let mut kept: Vec<(String, &str)> = status
        .split("\n\n")
        .map(str::trim)
        .filter(|stanza| !stanza.is_empty())
        .map(|stanza| (name(stanza), stanza))
        .filter(|(name, _)| !dropped.contains(name) && name != "slipway-initrd")
        .collect();
    kept.sort();
    kept.iter().map(|(_, stanza)| format!("{stanza}\n\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        for path in ["/usr/bin/perl", "/usr/share/perl/only/here", "/usr/bin/bash", "/etc/made"] {
            tree.insert(path, Node::file(Vec::new(), 0o755, Origin::Configure));
        }
        let owner = |package: &str| package.to_owned();
        let owners = [
            ("/usr", "bash"),
            ("/usr/bin", "bash"),
            ("/usr/bin/bash", "bash"),
            ("/usr/bin/perl", "perl-base"),
            ("/usr/share", "bash"),
            ("/usr/share/perl", "perl-base"),
            ("/usr/share/perl/only", "perl-base"),
            ("/usr/share/perl/only/here", "perl-base"),
        ];
        attribute(&mut tree, &owners.map(|(path, package)| (path.to_owned(), owner(package))).into());
        tree
    }

    #[test]
    fn dropping_a_package_takes_its_files_and_empty_directories() {
        let mut tree = tree();
        drop_files(&mut tree, &["perl-base".to_owned()].into());
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["/etc", "/etc/made", "/usr", "/usr/bin", "/usr/bin/bash", "/usr/share"]);
    }

    #[test]
    fn what_no_package_ships_was_made_while_configuring() {
        assert_eq!(tree().get("/etc/made").unwrap().origin, Origin::Configure);
    }

    #[test]
    fn the_database_is_sorted_and_without_the_dropped() {
        let status = "Package: z\nVersion: 1\n\nPackage: slipway-initrd\n\nPackage: perl-base\nVersion: 5\n\nPackage: a\nVersion: 2\n\n";
        assert_eq!(trim(status, &["perl-base".to_owned()].into()), "Package: a\nVersion: 2\n\nPackage: z\nVersion: 1\n\n");
    }
}
