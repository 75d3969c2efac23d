//! The types of a loaded recipe. Every value that a person wrote keeps the place where it was written.

use std::path::PathBuf;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::diagnostic;
use super::rules::Rules;

/// A line of a recipe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Recipe file name, relative to the folder of the recipe that was loaded, e.g. `common.toml`.
    pub recipe: String,
    /// Line in it, from 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.recipe, self.line)
    }
}

/// A value and the place that asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub at: Place,
}

/// A whole recipe: the chain of files merged, checked and complete.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The files it was read from: the base first, the one that was asked for last.
    pub files: Vec<RecipeFile>,
    /// `[image]`
    pub image: Image,
    /// `[archive]`
    pub archive: Archive,
    /// `[packages]`
    pub packages: Packages,
    /// `[programs] install`: names of Slipway's own programs, which come compiled from beside the recipe.
    pub programs: Vec<Located<String>>,
    /// `[kernel]`
    pub kernel: Kernel,
    /// What is picked into the initrd.
    pub initrd: Initrd,
    /// `[tree]`
    pub tree: Tree,
    /// `[[group]]`, in the order of the files; a later one of the same name has replaced the earlier.
    pub groups: Vec<Located<Group>>,
    /// `[[user]]`, likewise.
    pub users: Vec<Located<User>>,
    /// `[units]`
    pub units: Units,
    /// `[root]`
    pub root: Root,
}

/// One file of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeFile {
    /// Where it is on this machine.
    pub path: PathBuf,
    /// Its name as in [`Place::recipe`]; independent of the machine.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// `[image]`: what the result is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `IMAGE_ID` of os-release.
    pub id: Located<String>,
    /// Name for people.
    pub name: Located<String>,
    /// Variant, e.g. `vm`.
    pub variant: Located<String>,
    /// Debian architecture.
    pub arch: Located<String>,
}

/// `[archive]`: which suites to resolve against. Where they live is not the recipe's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Suites, e.g. `trixie-security`.
    pub suites: Vec<Located<String>>,
    /// Components, e.g. `main`.
    pub components: Vec<Located<String>>,
}

/// `[packages]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// Asked for; dependencies are added by resolution.
    pub install: Vec<Located<String>>,
    /// Never installed, not even as a dependency.
    pub exclude: Vec<Located<String>>,
    /// Needed while packages are configured and removed afterwards.
    pub drop: Vec<Located<String>>,
}

/// `[kernel]`
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The kernel package.
    pub package: Located<String>,
    /// Command line arguments, in order.
    pub cmdline: Vec<Located<String>>,
    /// Which modules stay, by path relative to `/usr/lib/modules/VERSION`; `!` removes. No rules: all stay.
    pub modules: Rules,
    /// Names of modules that the initrd needs.
    pub initrd_modules: Vec<Located<String>>,
}

/// The initrd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initrd {
    /// Folders copied into it, which win over what is picked from the root.
    pub add: Vec<Located<TreeDir>>,
    /// Paths and globs of the root to pick; libraries and link targets follow by themselves.
    pub files: Vec<Located<String>>,
}

/// `[tree]`
#[derive(Debug, Clone)]
pub struct Tree {
    /// File trees copied onto the root, in order.
    pub add: Vec<Located<TreeDir>>,
    /// Which absolute paths to drop after the installation; `!` keeps.
    pub remove: Rules,
}

/// A file tree that is copied onto the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeDir {
    /// As the recipe writes it, e.g. `tree/common`.
    pub written: String,
    /// Where it is on this machine.
    pub path: PathBuf,
}

/// `[[group]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Numeric id.
    pub gid: u32,
}

/// `[[user]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name; the primary group has the same name.
    pub name: String,
    /// Numeric id.
    pub uid: u32,
    /// Id of the group of the same name.
    pub gid: u32,
    /// Further groups, by name.
    pub groups: Vec<String>,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Comment field of passwd; may be empty.
    pub comment: String,
}

/// `[units]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    /// Started at boot.
    pub enable: Vec<Located<String>>,
    /// Not started at boot although a package enables them.
    pub disable: Vec<Located<String>>,
    /// Cannot be started at all.
    pub mask: Vec<Located<String>>,
}

/// `[root]`: how the root file system is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// `mkfs.erofs -z`
    pub compression: Located<String>,
    /// `mkfs.erofs -C`, in bytes.
    pub cluster_bytes: Located<u32>,
}

/// The part of a recipe that decides which packages it resolves to.
#[derive(Serialize)]
struct Resolution<'a> {
    arch: &'a str,
    suites: Vec<&'a str>,
    components: Vec<&'a str>,
    install: Vec<&'a str>,
    exclude: Vec<&'a str>,
    kernel: &'a str,
    tools: &'a [&'a str],
}

impl Recipe {
    /// SHA-256 over the names and texts of all files, in hex. Added trees are not part of it.
    ///
    /// It covers comments too, since the line numbers they shift end up in the manifest.
    #[must_use]
    pub fn digest(&self) -> String {
        let files: Vec<(&str, &str)> = self.files.iter().map(|file| (file.name.as_str(), file.text.as_str())).collect();
        digest_of(&files)
    }

    /// SHA-256 over what influences the resolution of packages, in hex; a lock carries it to notice that it is stale.
    ///
    /// The order in which packages are listed does not influence the resolution and is left out.
    #[must_use]
    pub fn packages_digest(&self) -> String {
        digest_of(&Resolution {
            arch: &self.image.arch.value,
            suites: values(&self.archive.suites),
            components: values(&self.archive.components),
            install: sorted(&self.packages.install),
            exclude: sorted(&self.packages.exclude),
            kernel: &self.kernel.package.value,
            tools: crate::tools::PACKAGES,
        })
    }

    /// Everything that the recipe asks to install: the listed packages and the kernel.
    pub fn asked(&self) -> impl Iterator<Item = &Located<String>> {
        self.packages.install.iter().chain(std::iter::once(&self.kernel.package))
    }

    /// The line at `place` with a caret under `needle`, for an error that is found only after loading.
    #[must_use]
    pub fn excerpt(&self, place: &Place, needle: &str, label: &str) -> String {
        let text = self.files.iter().find(|file| file.name == place.recipe).map_or("", |file| file.text.as_str());
        diagnostic::excerpt_of_line(&place.recipe, text, place.line, needle, label)
    }
}

fn values(list: &[Located<String>]) -> Vec<&str> {
    list.iter().map(|item| item.value.as_str()).collect()
}

fn sorted(list: &[Located<String>]) -> Vec<&str> {
    let mut values = values(list);
    values.sort_unstable();
    values
}

fn digest_of(value: &impl Serialize) -> String {
    // JSON quotes and separates, so that no two different values share their bytes.
    let json = serde_json::to_vec(value).expect("strings and lists always serialise");
    hex::encode(Sha256::digest(json))
}
