//! Who and what the bytes belong to.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::manifest::{File, Manifest};

/// A package or a step of the build, and what it puts into the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The package, or the step in parentheses.
    pub name: String,
    /// Version of the package.
    pub version: Option<String>,
    /// Bytes of its files.
    pub bytes: u64,
    /// Number of its paths.
    pub paths: usize,
}

/// A folder with all that is below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// Absolute path; `/` stands for what lies in the root itself.
    pub path: String,
    /// Bytes below it.
    pub bytes: u64,
    /// Number of paths below it.
    pub paths: usize,
    /// Folders in it, largest first; none on the second level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<Folder>,
}

/// One of the largest files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LargeFile {
    /// Absolute path.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Who puts it there.
    pub owner: String,
}

/// A licence expression and how many packages declare it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Licence {
    /// SPDX expression.
    pub expression: String,
    /// Number of packages.
    pub packages: usize,
}

pub(super) fn owners(manifest: &Manifest) -> Vec<Owner> {
    let mut sums: BTreeMap<String, (u64, usize)> = BTreeMap::new();
    for file in &manifest.files {
        let sum = sums.entry(file.origin.to_string()).or_default();
        *sum = (sum.0 + file.size, sum.1 + 1);
    }
    let owner = |(name, (bytes, paths)): (String, (u64, usize))| {
        let version = manifest.package(&name).map(|package| package.version.clone());
        Owner { name, version, bytes, paths }
    };
    let mut owners: Vec<Owner> = sums.into_iter().map(owner).collect();
    owners.sort_by_key(|owner| Reverse(owner.bytes));
    owners
}

pub(super) fn folders(manifest: &Manifest) -> Vec<Folder> {
    let mut outer: BTreeMap<String, (Folder, BTreeMap<String, Folder>)> = BTreeMap::new();
    for file in manifest.files.iter().filter(|file| file.path != "/") {
        let (first, second) = two_levels(file);
        let (folder, inner) = outer.entry(first.to_owned()).or_insert_with(|| (Folder::empty(first), BTreeMap::new()));
        folder.add(file);
        if let Some(second) = second {
            inner.entry(second.to_owned()).or_insert_with(|| Folder::empty(second)).add(file);
        }
    }
    let assemble = |(mut folder, inner): (Folder, BTreeMap<String, Folder>)| {
        folder.folders = inner.into_values().collect();
        folder.folders.sort_by_key(|folder| Reverse(folder.bytes));
        folder
    };
    let mut folders: Vec<Folder> = outer.into_values().map(assemble).collect();
    folders.sort_by_key(|folder| Reverse(folder.bytes));
    folders
}

/// The folders of the first and second level that `file` lies below.
fn two_levels(file: &File) -> (&str, Option<&str>) {
    let mut slashes = file.path.match_indices('/').map(|(at, _)| at).skip(1);
    match (slashes.next(), slashes.next()) {
        (None, _) => ("/", None),
        (Some(first), None) => (&file.path[..first], None),
        (Some(first), Some(second)) => (&file.path[..first], Some(&file.path[..second])),
    }
}

impl Folder {
    fn empty(path: &str) -> Self {
        Self { path: path.to_owned(), bytes: 0, paths: 0, folders: Vec::new() }
    }

    fn add(&mut self, file: &File) {
        self.bytes += file.size;
        self.paths += 1;
    }
}

pub(super) fn largest(manifest: &Manifest, count: usize) -> Vec<LargeFile> {
    let mut files: Vec<&File> = manifest.files.iter().filter(|file| file.size > 0).collect();
    files.sort_by_key(|file| Reverse(file.size));
    let large = |file: &File| LargeFile { path: file.path.clone(), bytes: file.size, owner: file.origin.to_string() };
    files.into_iter().take(count).map(large).collect()
}

pub(super) fn licences(manifest: &Manifest) -> Vec<Licence> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for package in &manifest.packages {
        *counts.entry(&package.licence).or_default() += 1;
    }
    let mut licences: Vec<Licence> =
        counts.into_iter().map(|(expression, packages)| Licence { expression: expression.to_owned(), packages }).collect();
    licences.sort_by_key(|licence| Reverse(licence.packages));
    licences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Origin, fixture};

    #[test]
    fn folders_are_told_two_levels_deep() {
        let table = [
            ("/vmlinuz", ("/", None)),
            ("/etc/hostname", ("/etc", None)),
            ("/usr/bin/runc", ("/usr", Some("/usr/bin"))),
            ("/usr/lib/systemd/system/a.service", ("/usr", Some("/usr/lib"))),
        ];
        for (path, expected) in table {
            assert_eq!(two_levels(&fixture::data(path, 1, Origin::Builder)), expected, "{path}");
        }
    }

    #[test]
    fn inner_folders_never_weigh_more_than_the_outer() {
        for folder in folders(&fixture::manifest()) {
            assert!(folder.folders.iter().map(|inner| inner.bytes).sum::<u64>() <= folder.bytes, "{folder:?}");
            assert!(folder.folders.iter().all(|inner| inner.folders.is_empty()));
        }
    }

    #[test]
    fn the_largest_come_first_and_directories_do_not_come_at_all() {
        let manifest = fixture::manifest();
        let files = largest(&manifest, 3);
        assert_eq!(
            files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(),
            ["/usr/bin/dockerd", "/usr/bin/containerd", "/usr/bin/etcd"]
        );
        assert!(largest(&manifest, usize::MAX).iter().all(|file| file.bytes > 0));
        assert!(largest(&manifest, 0).is_empty());
    }

    #[test]
    fn only_packages_have_a_version() {
        let owners = owners(&fixture::manifest());
        assert_eq!(owners[0].version.as_deref(), Some("26.1.5+dfsg1-9"));
        assert!(owners.iter().filter(|owner| owner.name.contains('(')).all(|owner| owner.version.is_none()));
    }
}
