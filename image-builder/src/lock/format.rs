//! The lock file: TOML that a person can read and a version control system can merge.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::manifest::Reason;
use crate::recipe::Recipe;
use crate::recipe::diagnostic::{Diagnostic, Mark};

/// Version of the format; another one is refused.
pub const FORMAT: u32 = 1;

/// Largest lock file in bytes; 200 packages take some 80 kB.
const LOCK_BYTES: u64 = 8 * 1024 * 1024;

/// First line of every lock.
const HEADER: &str = "# Made by `image-builder lock`; make it anew instead of editing it.\n\n";

/// What is wrong with a lock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// There is no lock yet.
    #[error("{path} does not exist yet; make it with: image-builder lock {recipe}", path = .path.display(), recipe = .path.with_extension("toml").display())]
    Absent {
        /// The lock.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("{action} the lock {path}: {source}", path = .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The lock.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The content is not a lock.
    #[error("{0}\nmake the lock anew with: image-builder lock --refresh RECIPE")]
    Invalid(Diagnostic),
    /// The recipe asks for something else than when the lock was made.
    #[error("the recipe {recipe} has changed since {lock} was made; run: image-builder lock {recipe}", recipe = .recipe.display(), lock = .lock.display())]
    Stale {
        /// The recipe.
        recipe: PathBuf,
        /// The lock.
        lock: PathBuf,
    },
}

/// Which of Debian's two archives serves a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveLabel {
    /// The main archive.
    Debian,
    /// The security archive.
    DebianSecurity,
}

impl ArchiveLabel {
    /// Both archives.
    pub const ALL: [Self; 2] = [Self::Debian, Self::DebianSecurity];

    /// The archive that holds a suite.
    #[must_use]
    pub fn of_suite(suite: &str) -> Self {
        if suite.ends_with("-security") { Self::DebianSecurity } else { Self::Debian }
    }
}

/// The packages of an image and of the tools that build it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// [`FORMAT`].
    pub format: u32,
    /// [`Recipe::packages_digest`] of the recipe it was made from.
    pub packages_digest: String,
    /// When the newest of the suites was signed, in seconds since 1970: the time stamp of everything in the image.
    pub epoch: i64,
    /// The suites it was resolved against.
    pub suites: Vec<String>,
    /// What goes into the image, by name.
    #[serde(rename = "package")]
    pub packages: Vec<LockedPackage>,
    /// What goes into the tools tree, by name.
    #[serde(rename = "tool")]
    pub tools: Vec<LockedPackage>,
}

/// One exact package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPackage {
    /// Binary package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `amd64` or `all`.
    pub arch: String,
    /// Source package it was built from.
    pub source: String,
    /// Version of the source package.
    pub source_version: String,
    /// SHA-256 of the .deb, in hex.
    pub sha256: String,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// Path below the archive, e.g. `pool/main/b/bash/bash_5.2.37-2_amd64.deb`.
    pub path: String,
    /// Which archive has it.
    pub archive: ArchiveLabel,
    /// Debian marks it `Essential: yes`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub essential: bool,
    /// Why it is here. The file does not say which line asked for it, since lines move: [`Lock::load`] looks that up.
    #[serde(with = "reason_text")]
    pub reason: Reason,
}

/// Where the lock of the recipe at `recipe` is: beside it, `vm.toml` -> `vm.lock`.
#[must_use]
pub fn lock_path(recipe: &Path) -> PathBuf {
    recipe.with_extension("lock")
}

impl Lock {
    /// Reads the lock at `path` and checks that it still fits `recipe`.
    pub fn load(path: &Path, recipe: &Recipe) -> Result<Self, LockError> {
        let mut lock = Self::read(path)?;
        let stale = || LockError::Stale { recipe: path.with_extension("toml"), lock: path.to_owned() };
        if lock.packages_digest != recipe.packages_digest() {
            return Err(stale());
        }
        let places: BTreeMap<&str, _> = recipe.asked().map(|item| (item.value.as_str(), &item.at)).collect();
        let mut asked = 0;
        for package in &mut lock.packages {
            if let Reason::Asked { recipe, line } = &mut package.reason {
                let place = places.get(package.name.as_str()).ok_or_else(stale)?;
                (*recipe, *line) = (place.recipe.clone(), place.line);
                asked += 1;
            }
        }
        if asked == places.len() { Ok(lock) } else { Err(stale()) }
    }

    /// Reads the lock at `path` for what it is, whether or not it fits a recipe.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => LockError::Absent { path: path.to_owned() },
            _ => LockError::Io { action: "reading", path: path.to_owned(), source },
        };
        if fs::metadata(path).map_err(failed)?.len() > LOCK_BYTES {
            return Err(failed(std::io::Error::other(format!("it is larger than {LOCK_BYTES} bytes"))));
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text).map_err(LockError::Invalid)
    }

    /// Parses the text of a lock; `name` is what errors call it.
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostic> {
        let problem = |mark, message| Diagnostic { message, file: name.to_owned(), mark, label: String::new() };
        let lock: Self = toml::from_str(text).map_err(|error| {
            problem(Some(Mark::of_span(text, &error.span().unwrap_or(0..0))), format!("this is not a lock: {}", error.message()))
        })?;
        if lock.format != FORMAT {
            return Err(problem(None, format!("this lock has format {}, this program knows {FORMAT}", lock.format)));
        }
        for list in [&lock.packages, &lock.tools] {
            let mut names = BTreeSet::new();
            for package in list {
                package.check().map_err(|message| problem(None, message))?;
                if !names.insert(&package.name) {
                    return Err(problem(None, format!("the package {} is locked twice", package.name)));
                }
            }
        }
        Ok(lock)
    }

    /// The text of the lock, the same for the same packages.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut sorted = self.clone();
        sorted.packages.sort_by(|a, b| a.name.cmp(&b.name));
        sorted.tools.sort_by(|a, b| a.name.cmp(&b.name));
        format!("{HEADER}{}", toml::to_string(&sorted).expect("strings and numbers always serialise"))
    }

    /// Writes the lock to `path`; a reader sees the old one or the new one, never a part.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let failed = |source| LockError::Io { action: "writing", path: path.to_owned(), source };
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
        file.write_all(self.to_text().as_bytes()).map_err(failed)?;
        // A temporary file is private; a lock is shared like any other file of the repository.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(readable).map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Everything there is to download: packages and tools.
    pub fn all(&self) -> impl Iterator<Item = &LockedPackage> {
        self.packages.iter().chain(&self.tools)
    }
}

impl LockedPackage {
    /// What must hold before any of it becomes part of a path or a command line.
    fn check(&self) -> Result<(), String> {
        let hex = self.sha256.len() == 64 && self.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let inside = !self.path.starts_with('/') && self.path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let plain = self.path.chars().all(|c| c.is_ascii_graphic());
        let named = !self.name.is_empty() && self.name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        match () {
            () if !named => Err(format!("{:?} is not the name of a package", self.name)),
            () if !hex => Err(format!("the package {} has no valid SHA-256", self.name)),
            () if !(inside && plain) => Err(format!("the package {} has a path outside of the archive: {:?}", self.name, self.path)),
            () => Ok(()),
        }
    }
}

mod reason_text {
    //! `asked`, `essential`, `dependency of NAME`.

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::manifest::Reason;

    const DEPENDENCY: &str = "dependency of ";

    pub(super) fn serialize<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
        match reason {
            Reason::Asked { .. } => serializer.serialize_str("asked"),
            Reason::Essential => serializer.serialize_str("essential"),
            Reason::DependencyOf { package } => serializer.serialize_str(&format!("{DEPENDENCY}{package}")),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reason, D::Error> {
        let text = String::deserialize(deserializer)?;
        match (text.as_str(), text.strip_prefix(DEPENDENCY)) {
            ("asked", _) => Ok(Reason::Asked { recipe: String::new(), line: 0 }),
            ("essential", _) => Ok(Reason::Essential),
            (_, Some(package)) => Ok(Reason::DependencyOf { package: package.to_owned() }),
            _ => Err(serde::de::Error::custom(format!("a reason is `asked`, `essential` or `{DEPENDENCY}...`, not `{text}`"))),
        }
    }
}

#[cfg(test)]
pub(super) fn sample(name: &str, version: &str) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        arch: "amd64".to_owned(),
        source: name.to_owned(),
        source_version: version.to_owned(),
        sha256: "ab".repeat(32),
        size: 10,
        path: format!("pool/main/{name}_{version}_amd64.deb"),
        archive: ArchiveLabel::Debian,
        essential: false,
        reason: Reason::DependencyOf { package: "demo".to_owned() },
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
