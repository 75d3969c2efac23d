//! Paths in the image, as its kernel would look them up.

use serde::Serialize;

use super::{ExplainError, nearest};
use crate::manifest::{File, Kind, Manifest};

/// How many symbolic links a lookup follows; the kernel's own limit (Linux, MAXSYMLINKS).
const MAX_LINKS: usize = 40;

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The link's text, or the other name of a hard link.
    pub written: String,
    /// The path it leads to after all links; absent when there is nothing in the image (often it is made at run time).
    pub path: Option<String>,
}

/// A path that was found.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) file: &'a File,
    pub(super) via: Vec<String>,
}

/// Finds `path`, following the links in its directories but not a link at its end.
pub(super) fn lookup<'a>(manifest: &'a Manifest, path: &str) -> Result<Found<'a>, ExplainError> {
    walk(manifest, path, false)
}

/// Where `file` leads, if it is a link.
pub(super) fn target(manifest: &Manifest, file: &File) -> Option<Target> {
    let path = match file.kind {
        Kind::Hardlink => Some(file.content.clone()),
        Kind::Symlink => walk(manifest, &file.path, true).ok().map(|found| found.file.path.clone()),
        _ => return None,
    };
    Some(Target { written: file.content.clone(), path })
}

fn walk<'a>(manifest: &'a Manifest, path: &str, follow_last: bool) -> Result<Found<'a>, ExplainError> {
    let absent = |near: String| ExplainError::NoPath { path: path.to_owned(), nearest: nearest::paths(manifest, &near) };
    let mut todo: Vec<String> = parts(path).rev().collect();
    let mut at = String::new();
    let mut via = Vec::new();
    while let Some(part) = todo.pop() {
        if part == ".." {
            at.truncate(at.rfind('/').unwrap_or(0));
            continue;
        }
        let here = format!("{at}/{part}");
        let file = manifest.file(&here).ok_or_else(|| {
            // With the links so far followed, the neighbours of what was meant are found.
            absent(todo.iter().rev().fold(here.clone(), |path, part| path + "/" + part))
        })?;
        if file.kind != Kind::Symlink || (todo.is_empty() && !follow_last) {
            at = here;
            continue;
        }
        if via.len() >= MAX_LINKS {
            return Err(ExplainError::Loop { path: path.to_owned() });
        }
        via.push(format!("{here} -> {}", file.content));
        if file.content.starts_with('/') {
            at.clear();
        }
        todo.extend(parts(&file.content).rev());
    }
    let file = manifest.file(if at.is_empty() { "/" } else { &at }).ok_or_else(|| absent(at.clone()))?;
    Ok(Found { file, via })
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = String> {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::fixture;

    fn check(path: &str, expected: &str, links: usize) {
        let manifest = fixture::manifest();
        let found = lookup(&manifest, path).unwrap();
        assert_eq!((found.file.path.as_str(), found.via.len()), (expected, links), "{path}");
    }

    #[test]
    fn follows_links_in_directories_but_not_at_the_end() {
        check("/usr/bin/runc", "/usr/bin/runc", 0);
        check("usr/bin//./runc/", "/usr/bin/runc", 0);
        check("/bin/runc", "/usr/bin/runc", 1);
        check("/bin", "/bin", 0);
        check("/etc/systemd/system/docker.socket", "/usr/lib/systemd/system/docker.socket", 1);
        check("/bin/../lib/os-release", "/usr/lib/os-release", 1);
        check("/../../etc/hostname", "/etc/hostname", 0);
        check("/", "/", 0);
        check("", "/", 0);
    }

    #[test]
    fn refuses_what_is_not_there() {
        let manifest = fixture::manifest();
        for path in ["/nope", "/usr/bin/nope", "/bin/nope", "/usr/bin/runc/x"] {
            assert!(matches!(lookup(&manifest, path), Err(ExplainError::NoPath { .. })), "{path}");
        }
    }

    #[test]
    fn refuses_circles() {
        let mut manifest = fixture::manifest();
        fixture::file(&mut manifest, "/bin").content = "bin".to_owned();
        assert!(matches!(lookup(&manifest, "/bin/runc"), Err(ExplainError::Loop { .. })));
        assert_eq!(target(&manifest, manifest.file("/bin").unwrap()).unwrap().path, None);
    }

    #[test]
    fn links_lead_somewhere_or_nowhere() {
        let mut manifest = fixture::manifest();
        fixture::file(&mut manifest, "/lib").content = "/run/made-later".to_owned();
        let leads = |path: &str| target(&manifest, manifest.file(path).unwrap()).and_then(|target| target.path);
        assert_eq!(leads("/bin").as_deref(), Some("/usr/bin"));
        assert_eq!(leads("/usr/bin/perl5.40.1").as_deref(), Some("/usr/bin/perl"));
        assert_eq!(leads("/lib"), None);
        assert!(target(&manifest, manifest.file("/usr/bin/runc").unwrap()).is_none());
    }
}
