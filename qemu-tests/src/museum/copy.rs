//! The source in a folder of its own, where defects may be planted.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::cmd::Cmd;

use super::exhibit::Exhibit;

/// A copy of the working tree, with at most one defect in it.
#[derive(Debug)]
pub struct Copy {
    folder: Utf8PathBuf,
}

impl Copy {
    /// Brings `folder` in line with what git knows of the working tree at `repository`, changes that are not committed included.
    ///
    /// Only what differs is written, so that cargo compiles no more than that. A defect that an interrupted run left behind goes away with it.
    ///
    /// # Errors
    /// Git or the file system refuses.
    pub fn make(repository: &Utf8Path, folder: &Utf8Path) -> anyhow::Result<Self> {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed =
            Cmd::new("git").args(["-C", repository.as_str()]).args(list).text().context("asking git for the files of the source")?;
        let files: BTreeSet<&Utf8Path> = listed.split_terminator('\0').map(Utf8Path::new).collect();
        fs::create_dir_all(folder).with_context(|| format!("making {folder}"))?;
        remove_others(folder, Utf8Path::new(""), &files)?;
        for file in files {
            bring(&repository.join(file), &folder.join(file)).with_context(|| format!("copying {file} to {folder}"))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// Plants the defect.
    ///
    /// # Errors
    /// It does not fit the source, or the file system refuses.
    pub fn plant(&self, exhibit: &Exhibit) -> anyhow::Result<Planted> {
        let mut planted = Planted { sound: Vec::new() };
        for change in &exhibit.changes {
            let path = self.folder.join(&change.file);
            let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
            fs::write(&path, change.plant(&text)?).with_context(|| format!("writing {path}"))?;
            planted.sound.push((path, text));
        }
        Ok(planted)
    }
}

/// A defect that is in the copy now, and what was there before it.
#[derive(Debug)]
#[must_use = "the defect has to go away again"]
pub struct Planted {
    sound: Vec<(Utf8PathBuf, String)>,
}

impl Planted {
    /// Takes the defect away again. The file is written anew and not given its old time back: cargo would then believe that the
    /// defective program was made from it. It comes from memory, for whoever works on the source meanwhile.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn restore(self) -> anyhow::Result<()> {
        for (path, text) in self.sound.into_iter().rev() {
            fs::write(&path, text).with_context(|| format!("restoring {path}"))?;
        }
        Ok(())
    }
}

/// Removes what is in the copy and not in the source any more.
fn remove_others(folder: &Utf8Path, below: &Utf8Path, files: &BTreeSet<&Utf8Path>) -> anyhow::Result<()> {
    let here = folder.join(below);
    for entry in here.read_dir_utf8().with_context(|| format!("looking into {here}"))? {
        let entry = entry.with_context(|| format!("looking into {here}"))?;
        let path = below.join(entry.file_name());
        if files.contains(&*path) {
            continue;
        }
        let gone = if entry.file_type()?.is_dir() {
            if files.range(&*path..).next().is_some_and(|next| next.starts_with(&path)) {
                remove_others(folder, &path, files)?;
                continue;
            }
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        gone.with_context(|| format!("removing {}", entry.path()))?;
    }
    Ok(())
}

/// Makes `to` what `from` is: content, mode and links; nothing is written that is right already.
fn bring(from: &Utf8Path, to: &Utf8Path) -> anyhow::Result<()> {
    let meta = match from.symlink_metadata() {
        Ok(meta) => meta,
        // Listed by git, and deleted in the working tree.
        Err(error) if error.kind() == ErrorKind::NotFound => return remove(to),
        Err(error) => return Err(error.into()),
    };
    let there = to.symlink_metadata().ok();
    if there.as_ref().is_some_and(|there| there.file_type() != meta.file_type()) {
        remove(to)?;
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if meta.is_symlink() {
        let target = fs::read_link(from)?;
        if fs::read_link(to).ok().as_ref() != Some(&target) {
            remove(to)?;
            symlink(target, to)?;
        }
    } else if meta.is_file() {
        let content = fs::read(from)?;
        if fs::read(to).ok().as_ref() != Some(&content) {
            fs::write(to, content)?;
        }
        if there.is_none_or(|there| there.permissions() != meta.permissions()) {
            fs::set_permissions(to, meta.permissions())?;
        }
    } else {
        bail!("neither a file nor a link");
    }
    Ok(())
}

fn remove(path: &Utf8Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(dir: &Utf8Path) -> Utf8PathBuf {
        let repository = dir.join("source");
        fs::create_dir_all(repository.join("src")).unwrap();
        fs::write(repository.join("src/a.rs"), "one\ntwo\n").unwrap();
        fs::write(repository.join(".gitignore"), "/target\n").unwrap();
        symlink("nowhere", repository.join("link")).unwrap();
        Cmd::new("git").args(["-C", repository.as_str(), "init", "--quiet"]).run().unwrap();
        fs::create_dir_all(repository.join("target")).unwrap();
        fs::write(repository.join("target/built"), "x").unwrap();
        repository
    }

    fn exhibit(before: &str) -> Exhibit {
        let text = format!(
            "story='s'\npromise='p'\n[[change]]\nfile='src/a.rs'\nbefore='''\n{before}\n'''\nafter='''\nbad\n'''\n\
             [[killers]]\npackage='p'\nkind='lib'\nfilters=['f']\n"
        );
        Exhibit::parse("x", &text).unwrap()
    }

    #[test]
    fn a_defect_comes_and_goes_and_the_source_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let repository = repository(dir);
        let copy = Copy::make(&repository, &dir.join("copy")).unwrap();
        let file = copy.folder().join("src/a.rs");
        let planted = copy.plant(&exhibit("two")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one\nbad\n");
        assert_eq!(fs::read_to_string(repository.join("src/a.rs")).unwrap(), "one\ntwo\n");
        planted.restore().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one\ntwo\n");
        assert!(copy.plant(&exhibit("three")).unwrap_err().to_string().contains("occurs 0 times"));
    }

    #[test]
    fn the_copy_is_brought_in_line_and_what_is_right_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let repository = repository(dir);
        let folder = dir.join("copy");
        let copy = Copy::make(&repository, &folder).unwrap();
        assert!(!folder.join("target").exists() && fs::read_link(folder.join("link")).unwrap().to_str() == Some("nowhere"));
        let kept = folder.join(".gitignore").metadata().unwrap().modified().unwrap();
        // A run that was interrupted, and a source that moved on.
        let _never_restored = copy.plant(&exhibit("one")).unwrap();
        fs::create_dir_all(folder.join("old/deep")).unwrap();
        fs::write(folder.join("old/deep/b.rs"), "x").unwrap();
        fs::remove_file(repository.join("link")).unwrap();
        Copy::make(&repository, &folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("src/a.rs")).unwrap(), "one\ntwo\n");
        assert!(!folder.join("old").exists() && !folder.join("link").is_symlink());
        assert_eq!(folder.join(".gitignore").metadata().unwrap().modified().unwrap(), kept);
    }

    #[test]
    fn no_repository_no_copy() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        assert!(Copy::make(&dir.join("none"), &dir.join("copy")).is_err());
    }
}
