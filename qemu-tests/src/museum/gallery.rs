//! All exhibits there are.

use anyhow::{Context, ensure};
use camino::Utf8Path;

use super::exhibit::{Exhibit, MAX_BYTES};

/// The folder of the exhibits, relative to the repository.
pub const FOLDER: &str = "qemu-tests/museum";

/// Reads all exhibits, sorted by name.
///
/// # Errors
/// One cannot be read or is none; the error names it.
pub fn gallery(repository: &Utf8Path) -> anyhow::Result<Vec<Exhibit>> {
    let folder = repository.join(FOLDER);
    let mut exhibits = Vec::new();
    for entry in folder.read_dir_utf8().with_context(|| format!("looking for exhibits in {folder}"))? {
        let entry = entry.with_context(|| format!("looking for exhibits in {folder}"))?;
        let path = entry.path();
        if path.extension() != Some("toml") {
            continue;
        }
        let length = entry.metadata().with_context(|| format!("looking at {path}"))?.len();
        ensure!(length <= MAX_BYTES, "{path} has {length} bytes, more than the {MAX_BYTES} of an exhibit");
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
        exhibits.push(Exhibit::parse(path.file_stem().unwrap_or_default(), &text)?);
    }
    exhibits.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(exhibits)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Fewer than this are no museum; a folder that was moved would otherwise pass as "all killed".
    const LEAST: usize = 20;

    fn here() -> &'static Utf8Path {
        Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn every_defect_can_be_planted_in_the_source_of_today() {
        let exhibits = gallery(here()).unwrap();
        assert!(exhibits.len() >= LEAST, "{} exhibits", exhibits.len());
        for exhibit in &exhibits {
            for change in &exhibit.changes {
                let text = std::fs::read_to_string(here().join(&change.file)).unwrap_or_else(|error| {
                    panic!("{}: {}: {error}", exhibit.name, change.file);
                });
                let planted = change.plant(&text).unwrap_or_else(|misfit| panic!("{}: {misfit}", exhibit.name));
                assert_ne!(planted, text, "{}", exhibit.name);
            }
        }
    }

    #[test]
    fn no_defect_is_there_twice() {
        let exhibits = gallery(here()).unwrap();
        let names: BTreeSet<_> = exhibits.iter().map(|exhibit| &exhibit.name).collect();
        assert_eq!(names.len(), exhibits.len());
        let defects: BTreeSet<_> = exhibits.iter().map(|exhibit| format!("{:?}", exhibit.changes)).collect();
        assert_eq!(defects.len(), exhibits.len());
        let stories: BTreeSet<_> = exhibits.iter().map(|exhibit| &exhibit.story).collect();
        assert_eq!(stories.len(), exhibits.len());
    }

    #[test]
    fn a_folder_without_exhibits_or_with_a_wrong_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let repository = Utf8Path::from_path(dir.path()).unwrap();
        assert!(gallery(repository).is_err());
        std::fs::create_dir_all(repository.join(FOLDER)).unwrap();
        std::fs::write(repository.join(FOLDER).join("README.md"), "not an exhibit").unwrap();
        assert_eq!(gallery(repository).unwrap(), []);
        std::fs::write(repository.join(FOLDER).join("wrong.toml"), "x = 1").unwrap();
        assert!(gallery(repository).unwrap_err().to_string().contains("wrong: "));
        std::fs::write(repository.join(FOLDER).join("wrong.toml"), vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
        assert!(gallery(repository).unwrap_err().to_string().contains("wrong.toml has"));
    }
}
