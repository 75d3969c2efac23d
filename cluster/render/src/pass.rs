//! One attempt to bring one file up to date: render, compare, check, install, reload.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use announce::Entries;
use diagnostics::Diagnostic;

use crate::command::{CommandError, LIMIT};
use crate::install::{Current, InstallError, Staged, adjust};
use crate::resource::Resource;
use crate::template;
use crate::view::View;

/// Largest template, in bytes.
const LARGEST_TEMPLATE: u64 = 1024 * 1024;
/// Largest file that is made, in bytes.
const LARGEST_RESULT: usize = 16 * 1024 * 1024;

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The file is as it should be, and nothing was done.
    Unchanged,
    /// The content was right; only owner or rights were not.
    Adjusted,
    /// A new file is in its place, and who reads it was told.
    Installed,
    /// The file was there, but who reads it had not been told.
    Reloaded,
    /// It would be installed, this instead of that; nothing was done.
    Different {
        /// What is there.
        old: Option<Vec<u8>>,
        /// What would be.
        new: Vec<u8>,
    },
}

/// Why a file is not up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The template cannot be read.
    #[error("reading {}: {source}", path.display())]
    Source {
        /// The template.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The template is wrong.
    #[error("{0}")]
    Template(Box<Diagnostic>),
    /// What comes out is too large.
    #[error("{}: {size} bytes come out; {LARGEST_RESULT} are the most", path.display())]
    Large {
        /// The template.
        path: PathBuf,
        /// Bytes.
        size: usize,
    },
    /// The check does not like the new file.
    #[error("the new {} fails its check, and the old one stays: {source}", dest.display())]
    Check {
        /// The file's place.
        dest: PathBuf,
        /// What the check says.
        source: CommandError,
    },
    /// The file cannot be put in its place.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The file is in its place, but nobody was told.
    #[error("{} is new, but its reload failed and will be tried again: {source}", dest.display())]
    Reload {
        /// The file.
        dest: PathBuf,
        /// What the reload says.
        source: CommandError,
    },
}

/// A file that follows keys, and whether its reload is still owed.
///
/// The debt is noted in a file before the new content is in its place and crossed out after the reload, so that a crash in
/// between does not leave a program running with what was there before.
#[derive(Debug)]
pub struct Target {
    /// What is to be done.
    pub resource: Resource,
    debt: PathBuf,
    /// How long a check or a reload may take.
    pub limit: Duration,
}

impl Target {
    /// `debts` is a folder that lives as long as the machine is up.
    #[must_use]
    pub fn new(resource: Resource, debts: &Path) -> Self {
        let name = resource.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self { resource, debt: debts.join(format!("{name}.reload")), limit: LIMIT }
    }

    /// Brings the file up to date with `entries`.
    ///
    /// # Errors
    /// The first step that fails. Before the new file is in its place, the old one stays as it was, byte for byte.
    pub async fn bring(&self, entries: &Entries) -> Result<Outcome, Failure> {
        let resource = &self.resource;
        let new = rendered(resource, entries)?;
        let current = Current::read(&resource.dest)?;
        if let Some(current) = current.as_ref().filter(|current| current.content == new) {
            let adjusted = !current.has(resource.attributes);
            if adjusted {
                adjust(&resource.dest, resource.attributes)?;
            }
            if self.debt.exists() {
                self.reload().await?;
                return Ok(Outcome::Reloaded);
            }
            return Ok(if adjusted { Outcome::Adjusted } else { Outcome::Unchanged });
        }
        let attributes = current.as_ref().map_or(resource.attributes, |current| current.complete(resource.attributes));
        let staged = Staged::write(&resource.dest, None, &new, attributes)?;
        self.check(staged.path()).await?;
        if resource.reload.is_some() {
            self.note_debt();
        }
        staged.install()?;
        self.reload().await?;
        Ok(Outcome::Installed)
    }

    /// What [`Self::bring`] would do, but for reload, with the new file in `folder` for as long as it is checked.
    ///
    /// # Errors
    /// As [`Self::bring`].
    pub async fn try_out(&self, entries: &Entries, folder: &Path) -> Result<Outcome, Failure> {
        let resource = &self.resource;
        let new = rendered(resource, entries)?;
        let current = Current::read(&resource.dest)?;
        if current.as_ref().is_some_and(|current| current.content == new) {
            return Ok(Outcome::Unchanged);
        }
        let staged = Staged::write(&resource.dest, Some(folder), &new, resource.attributes)?;
        self.check(staged.path()).await?;
        Ok(Outcome::Different { old: current.map(|current| current.content), new })
    }

    async fn check(&self, staged: &Path) -> Result<(), Failure> {
        let Some(check) = &self.resource.check else { return Ok(()) };
        let dest = &self.resource.dest;
        check.run(staged, dest, self.limit).await.map_err(|source| Failure::Check { dest: dest.clone(), source })
    }

    async fn reload(&self) -> Result<(), Failure> {
        let Some(reload) = &self.resource.reload else { return Ok(()) };
        let dest = &self.resource.dest;
        reload.run(dest, dest, self.limit).await.map_err(|source| Failure::Reload { dest: dest.clone(), source })?;
        match std::fs::remove_file(&self.debt) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!("removing {}: {error}", self.debt.display()),
            _ => {}
        }
        Ok(())
    }

    fn note_debt(&self) {
        let folder = self.debt.parent().unwrap_or(Path::new("/"));
        let noted = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&self.debt, ""));
        if let Err(error) = noted {
            // Not worth keeping the new file back: only a crash in the next moment makes a difference.
            tracing::warn!("{}: {error}; a reload that a crash prevents will not be made up for", self.debt.display());
        }
    }
}

fn rendered(resource: &Resource, entries: &Entries) -> Result<Vec<u8>, Failure> {
    let path = &resource.source;
    let read = || {
        if std::fs::metadata(path)?.len() > LARGEST_TEMPLATE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {LARGEST_TEMPLATE} bytes")));
        }
        std::fs::read_to_string(path)
    };
    let text = read().map_err(|source| Failure::Source { path: path.clone(), source })?;
    let new = template::render(path, &text, View::new(resource, entries)).map_err(Failure::Template)?.into_bytes();
    if new.len() > LARGEST_RESULT { Err(Failure::Large { path: path.clone(), size: new.len() }) } else { Ok(new) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("a.j2"), "value {{ getv('/a') }}\n").unwrap();
            Self { folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn target(&self, more: &str) -> Target {
            let dest = self.path("a.conf");
            let text = format!("[template]\nsrc = \"a.j2\"\ndest = \"{}\"\nkeys = [\"/a\"]\n{more}", dest.display());
            let resource = Resource::parse(&self.path("a.toml"), &text, Path::exists);
            Target::new(resource.map_err(|wrong| diagnostics::join(&wrong)).unwrap(), &self.path("run"))
        }

        fn read(&self, name: &str) -> Option<String> {
            std::fs::read_to_string(self.path(name)).ok()
        }

        /// A command that leaves a line in a file, and fails while another file is there.
        fn command(&self, name: &str) -> String {
            format!("echo x >> {0}/{name}; test ! -e {0}/{name}-fails", self.folder.path().display())
        }
    }

    fn value(value: &str) -> Entries {
        [("/a".to_owned(), value.to_owned())].into()
    }

    #[tokio::test]
    async fn a_change_is_checked_installed_and_told_and_no_change_is_not() {
        let place = Place::new();
        let target = place.target(&format!("check_cmd = \"{}\"\nreload_cmd = \"{}\"\n", place.command("check"), place.command("reload")));
        for (entries, outcome, runs) in
            [(value("1"), Outcome::Installed, "x\n"), (value("1"), Outcome::Unchanged, "x\n"), (value("2"), Outcome::Installed, "x\nx\n")]
        {
            assert_eq!(target.bring(&entries).await.unwrap(), outcome);
            assert_eq!(place.read("a.conf").unwrap(), format!("value {}\n", entries["/a"]));
            assert_eq!((place.read("check").unwrap(), place.read("reload").unwrap()), (runs.to_owned(), runs.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_file_that_fails_its_check_never_gets_its_place() {
        let place = Place::new();
        let target = place.target("check_cmd = \"! grep 2 {{.src}}\"\nreload_cmd = \"touch {{.dest}}.reloaded\"\n");
        target.bring(&value("1")).await.unwrap();
        std::fs::remove_file(place.path("a.conf.reloaded")).unwrap();
        let before = std::fs::metadata(place.path("a.conf")).unwrap();
        let failure = target.bring(&value("2")).await.unwrap_err();
        assert!(matches!(failure, Failure::Check { .. }) && failure.to_string().contains("value 2"), "{failure}");
        let after = std::fs::metadata(place.path("a.conf")).unwrap();
        assert_eq!(place.read("a.conf").unwrap(), "value 1\n");
        assert_eq!(
            (before.modified().unwrap(), std::os::unix::fs::MetadataExt::ino(&before)),
            (after.modified().unwrap(), std::os::unix::fs::MetadataExt::ino(&after))
        );
        assert!(!place.path("a.conf.reloaded").exists());
        let left = std::fs::read_dir(place.folder.path()).unwrap().count();
        assert_eq!(target.bring(&value("3")).await.unwrap(), Outcome::Installed);
        assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), left + 1, "only the mark of the reload is new");
    }

    #[tokio::test]
    async fn a_reload_that_failed_is_owed_even_by_a_new_process() {
        let place = Place::new();
        let more = format!("reload_cmd = \"{}\"\n", place.command("reload"));
        std::fs::write(place.path("reload-fails"), "").unwrap();
        let failure = place.target(&more).bring(&value("1")).await.unwrap_err();
        assert!(matches!(failure, Failure::Reload { .. }), "{failure}");
        assert_eq!(place.read("a.conf").unwrap(), "value 1\n");
        assert!(matches!(place.target(&more).bring(&value("1")).await, Err(Failure::Reload { .. })));
        std::fs::remove_file(place.path("reload-fails")).unwrap();
        assert_eq!(place.target(&more).bring(&value("1")).await.unwrap(), Outcome::Reloaded);
        assert_eq!(place.target(&more).bring(&value("1")).await.unwrap(), Outcome::Unchanged);
        assert_eq!(place.read("reload").unwrap(), "x\nx\nx\n");
    }

    #[tokio::test]
    async fn a_template_that_is_wrong_changes_nothing() {
        let place = Place::new();
        let target = place.target("check_cmd = \"exit 1\"\n");
        std::fs::write(place.path("a.conf"), "old").unwrap();
        let failure = target.bring(&Entries::new()).await.unwrap_err();
        assert!(matches!(failure, Failure::Template(_)), "{failure}");
        std::fs::remove_file(place.path("a.j2")).unwrap();
        assert!(matches!(target.bring(&value("1")).await, Err(Failure::Source { .. })));
        std::fs::write(place.path("a.j2"), "{{ '0123456789abcdef' * 65536 }}".repeat(17)).unwrap();
        let failure = target.bring(&value("1")).await.unwrap_err();
        assert!(matches!(failure, Failure::Large { .. } | Failure::Template(_)), "{failure}");
        assert_eq!(place.read("a.conf").unwrap(), "old");
    }

    #[tokio::test]
    async fn trying_out_checks_and_touches_nothing() {
        let place = Place::new();
        let target = place.target("check_cmd = \"! grep 2 {{.src}}\"\nreload_cmd = \"touch {{.dest}}.reloaded\"\n");
        let outside = tempfile::tempdir().unwrap();
        let outcome = target.try_out(&value("1"), outside.path()).await.unwrap();
        assert_eq!(outcome, Outcome::Different { old: None, new: b"value 1\n".to_vec() });
        assert!(matches!(target.try_out(&value("2"), outside.path()).await, Err(Failure::Check { .. })));
        assert_eq!((place.read("a.conf"), std::fs::read_dir(outside.path()).unwrap().count()), (None, 0));
    }
}
