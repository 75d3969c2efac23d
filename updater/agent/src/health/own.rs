//! The operator's own checks: executables in a folder, run in the order of their names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Checks run at most; more is a mistake that should be seen.
const MAX_CHECKS: usize = 64;

/// The executables of the folder, by name.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Editors leave copies behind.
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let executable = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
        if executable {
            found.push(path);
        }
    }
    if found.len() > MAX_CHECKS {
        return Err(format!("{}: {} checks, {MAX_CHECKS} are the limit", folder.display(), found.len()));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("50-b", 0o755), ("10-a", 0o700), ("README", 0o644), (".hidden", 0o755), ("10-a~", 0o755)] {
            let path = dir.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(dir.path().join("20-folder")).unwrap();
        let names: Vec<_> = list(dir.path()).unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["10-a", "50-b"]);
        assert_eq!(list(&dir.path().join("none")).unwrap(), Vec::<PathBuf>::new());
        assert!(list(&dir.path().join("README")).is_err());
    }
}
