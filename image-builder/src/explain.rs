//! Why is this file or package here, what does it cost, and what else would go with it?

mod chain;
mod nearest;
mod resolve;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::manifest::{File, Kind, Manifest, Origin};

pub use chain::{Chain, Step};
pub use resolve::Target;
pub use text::{package_text, path_text};

/// How many of the largest entries an explanation lists.
const TOP: usize = 10;

/// Why something cannot be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The image has no such path.
    #[error("the image has no `{path}`{}", nearest::hint(.nearest))]
    NoPath {
        /// The path asked for.
        path: String,
        /// Paths that may have been meant.
        nearest: Vec<String>,
    },
    /// The image has no such package.
    #[error("the image has no package `{name}`{}", nearest::hint(.nearest))]
    NoPackage {
        /// The name asked for.
        name: String,
        /// Packages that may have been meant.
        nearest: Vec<String>,
    },
    /// Symbolic links lead in a circle.
    #[error("too many symbolic links on the way to `{path}`")]
    Loop {
        /// The path asked for.
        path: String,
    },
}

/// What there is to say about one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PathExplanation {
    /// The path, with symbolic links in its directories followed.
    pub path: String,
    /// The links that were followed, as `/bin -> usr/bin`.
    pub via: Vec<String>,
    /// Kind of node.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Permission bits in octal.
    pub mode: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of content, of a directory everything below it.
    pub bytes: u64,
    /// Bytes of the whole image.
    pub image_bytes: u64,
    /// Where a symbolic or hard link leads.
    pub target: Option<Target>,
    /// Other names of the same content by hard link.
    pub hard_links: Vec<String>,
    /// Who put it there.
    pub origin: Origin,
    /// The package that ships it.
    pub package: Option<PackageExplanation>,
    /// What is below, for a directory.
    pub below: Option<Below>,
}

/// The content of a directory, however deep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Below {
    /// Number of paths.
    pub paths: usize,
    /// Bytes by who puts them there, largest first.
    pub owners: Vec<Weight>,
}

/// A name and the bytes it accounts for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weight {
    /// A path, a package, or a step of the build in parentheses.
    pub name: String,
    /// How much.
    pub bytes: u64,
}

/// What there is to say about one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageExplanation {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its declared licences.
    pub licence: String,
    /// From the package up to what asked for it.
    pub chain: Chain,
    /// Bytes of its files.
    pub bytes: u64,
    /// Number of its paths.
    pub paths: usize,
    /// Bytes of the whole image.
    pub image_bytes: u64,
    /// Its largest files.
    pub largest: Vec<Weight>,
    /// Packages that are here because of this one alone, directly.
    pub brings: Vec<String>,
    /// What would go if the package at the top of the chain were no longer asked for; absent for essential packages.
    pub if_dropped: Option<Dropped>,
}

/// What leaves the image together with a package that a recipe asks for.
///
/// The manifest keeps one reason per package, so this is an upper bound: some of them may be needed elsewhere too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The package that would no longer be asked for.
    pub asked: String,
    /// All packages that would go, itself included, by name.
    pub packages: Vec<String>,
    /// Bytes of their files.
    pub bytes: u64,
}

/// Explains one path.
///
/// # Errors
/// When the image has no such path; the error names those that may have been meant.
pub fn path(manifest: &Manifest, path: &str) -> Result<PathExplanation, ExplainError> {
    let found = resolve::lookup(manifest, path)?;
    let file = found.file;
    let below = (file.kind == Kind::Directory).then(|| below(manifest, file));
    let content = if file.kind == Kind::Hardlink { file.content.as_str() } else { file.path.as_str() };
    let shares =
        |other: &&File| other.path != file.path && (other.path == content || (other.kind == Kind::Hardlink && other.content == content));
    Ok(PathExplanation {
        path: file.path.clone(),
        via: found.via,
        kind: file.kind,
        mode: format!("{:04o}", file.mode),
        uid: file.uid,
        gid: file.gid,
        bytes: below.as_ref().map_or(file.size, |below| below.owners.iter().map(|owner| owner.bytes).sum()),
        image_bytes: image_bytes(manifest),
        target: resolve::target(manifest, file),
        hard_links: manifest.files.iter().filter(shares).map(|other| other.path.clone()).collect(),
        origin: file.origin.clone(),
        package: file.origin.package().and_then(|name| package(manifest, name).ok()),
        below,
    })
}

/// Explains one package.
///
/// # Errors
/// When the image has no such package; the error names those that may have been meant.
pub fn package(manifest: &Manifest, name: &str) -> Result<PackageExplanation, ExplainError> {
    let Some(package) = manifest.package(name) else {
        let names = manifest.packages.iter().map(|package| package.name.as_str());
        return Err(ExplainError::NoPackage { name: name.to_owned(), nearest: nearest::by_spelling(name, names) });
    };
    let chain = Chain::of(manifest, package);
    let files: Vec<&File> = manifest.files.iter().filter(|file| file.origin.package() == Some(name)).collect();
    let largest = files.iter().filter(|file| file.size > 0).map(|file| Weight { name: file.path.clone(), bytes: file.size });
    Ok(PackageExplanation {
        name: package.name.clone(),
        version: package.version.clone(),
        licence: package.licence.clone(),
        bytes: files.iter().map(|file| file.size).sum(),
        paths: files.len(),
        image_bytes: image_bytes(manifest),
        largest: top(largest.collect()).into_iter().take(TOP).collect(),
        brings: chain::brought_by(manifest, name),
        if_dropped: chain.asked().map(|asked| dropped(manifest, asked)),
        chain,
    })
}

fn dropped(manifest: &Manifest, asked: &str) -> Dropped {
    let packages = chain::below(manifest, asked);
    let goes = |file: &&File| file.origin.package().is_some_and(|owner| packages.contains(owner));
    let bytes = manifest.files.iter().filter(goes).map(|file| file.size).sum();
    Dropped { asked: asked.to_owned(), packages: packages.into_iter().map(str::to_owned).collect(), bytes }
}

fn below(manifest: &Manifest, dir: &File) -> Below {
    let prefix = format!("{}/", dir.path.trim_end_matches('/'));
    let inside = || manifest.files.iter().filter(|file| file.path.len() > prefix.len() && file.path.starts_with(&prefix));
    let mut owners: BTreeMap<String, u64> = BTreeMap::new();
    for file in inside() {
        *owners.entry(file.origin.to_string()).or_default() += file.size;
    }
    Below { paths: inside().count(), owners: top(owners.into_iter().map(|(name, bytes)| Weight { name, bytes }).collect()) }
}

fn image_bytes(manifest: &Manifest) -> u64 {
    manifest.files.iter().map(|file| file.size).sum()
}

fn top(mut entries: Vec<Weight>) -> Vec<Weight> {
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.bytes));
    entries
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::fixture;

    #[test]
    fn a_file_costs_itself_and_leads_to_its_package() {
        let found = path(&fixture::manifest(), "/usr/bin/runc").unwrap();
        assert_eq!((found.bytes, found.mode.as_str()), (11_000_000, "0755"));
        let package = found.package.unwrap();
        assert_eq!((package.name.as_str(), package.brings), ("runc", vec!["libseccomp2".to_owned()]));
        let dropped = package.if_dropped.unwrap();
        assert_eq!(dropped.packages, ["containerd", "docker.io", "libseccomp2", "runc"]);
        assert_eq!(dropped.bytes, 41_000_000 + 62_000_000 + 1_700 + 300 + 130_000 + 11_000_000);
    }

    #[test]
    fn a_directory_is_the_sum_of_what_is_below() {
        let manifest = fixture::manifest();
        let found = path(&manifest, "/usr/lib/modules").unwrap();
        assert_eq!((found.bytes, found.below.unwrap().paths), (700_000, 2));
        let root = path(&manifest, "/").unwrap();
        assert_eq!((root.bytes, root.below.unwrap().paths), (root.image_bytes, manifest.files.len() - 1));
    }

    #[test]
    fn a_directory_does_not_count_neighbours_with_the_same_beginning() {
        let mut manifest = fixture::manifest();
        let at = manifest.files.partition_point(|file| *file.path < *"/usr/lib/modules-load.d");
        manifest.files.insert(at, fixture::data("/usr/lib/modules-load.d", 99, Origin::Builder));
        assert_eq!(path(&manifest, "/usr/lib/modules").unwrap().bytes, 700_000);
    }

    #[test]
    fn hard_links_know_each_other() {
        let manifest = fixture::manifest();
        assert_eq!(path(&manifest, "/usr/bin/perl").unwrap().hard_links, ["/usr/bin/perl5.40.1"]);
        assert_eq!(path(&manifest, "/usr/bin/perl5.40.1").unwrap().hard_links, ["/usr/bin/perl"]);
        assert!(path(&manifest, "/usr/bin/runc").unwrap().hard_links.is_empty());
    }

    #[test]
    fn what_no_package_ships_has_no_package() {
        let manifest = fixture::manifest();
        for other in ["/etc/hostname", "/etc/ld.so.cache", "/usr/lib/os-release"] {
            assert!(path(&manifest, other).unwrap().package.is_none(), "{other}");
        }
    }

    #[test]
    fn essential_packages_cannot_be_dropped() {
        assert!(package(&fixture::manifest(), "perl-base").unwrap().if_dropped.is_none());
        assert!(package(&fixture::manifest(), "libc6").unwrap().if_dropped.is_none());
    }

    #[test]
    fn unknown_names_suggest_what_may_have_been_meant() {
        let error = |path: &str| super::path(&fixture::manifest(), path).unwrap_err().to_string();
        assert_eq!(error("/usr/sbin/runc"), "the image has no `/usr/sbin/runc`; did you mean /usr/bin/runc, /usr?");
        assert!(error("/usr/bin/dockred").contains("did you mean /usr/bin/dockerd"), "{}", error("/usr/bin/dockred"));
        assert!(error("/bin/dockred").contains("did you mean /usr/bin/dockerd"), "{}", error("/bin/dockred"));
        let error = package(&fixture::manifest(), "dokcer.io").unwrap_err().to_string();
        assert_eq!(error, "the image has no package `dokcer.io`; did you mean docker.io?");
        let error = package(&fixture::manifest(), "zzzzzzzzzzzz").unwrap_err().to_string();
        assert_eq!(error, "the image has no package `zzzzzzzzzzzz`");
    }

    proptest! {
        #[test]
        fn any_question_gets_an_answer(question in "[/.a-z]{0,30}|\\PC{0,20}|(/bin|/lib|/etc|/\\.\\.){1,6}") {
            let manifest = fixture::manifest();
            match path(&manifest, &question) {
                Ok(found) => prop_assert!(manifest.file(&found.path).is_some()),
                Err(ExplainError::NoPath { nearest, .. }) => prop_assert!(nearest.iter().all(|path| manifest.file(path).is_some())),
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }
}
