use std::collections::BTreeMap;

use serde::Serialize;

use super::{Change, pairs};
use crate::manifest::{File, Manifest};

/// Setuid and setgid bits of a mode.
const SET_ID: u32 = 0o6000;

/// A path that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileChange {
    /// Absolute path.
    pub path: String,
    /// What happened to it.
    pub change: Change,
    /// Bytes after minus bytes before.
    pub delta: i64,
    /// What differs, in field names of the manifest; empty unless changed.
    pub fields: Vec<&'static str>,
}

/// Changed paths that the same package (or step of the build) puts there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileGroup {
    /// The package, or the step in parentheses.
    pub owner: String,
    /// Bytes after minus bytes before, over the whole group.
    pub delta: i64,
    /// The paths, those with the largest change of size first.
    pub files: Vec<FileChange>,
}

impl FileGroup {
    /// How many paths of the group had `change` happen to them.
    #[must_use]
    pub fn count(&self, change: Change) -> usize {
        self.files.iter().filter(|file| file.change == change).count()
    }
}

/// A file that runs with the rights of its owner or group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetId {
    /// Absolute path.
    pub path: String,
    /// Permission bits in octal, e.g. `4755`.
    pub mode: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Who puts it there.
    pub owner: String,
}

impl SetId {
    /// The record of `file`, if it is one.
    #[must_use]
    pub fn of(file: &File) -> Option<Self> {
        // On a directory setgid only passes the group on.
        let counts = file.mode & SET_ID != 0 && file.kind != crate::manifest::Kind::Directory;
        let record = || Self {
            path: file.path.clone(),
            mode: format!("{:04o}", file.mode),
            uid: file.uid,
            gid: file.gid,
            owner: file.origin.to_string(),
        };
        counts.then(record)
    }
}

pub(super) fn groups(before: &[File], after: &[File]) -> Vec<FileGroup> {
    let mut groups: BTreeMap<String, Vec<FileChange>> = BTreeMap::new();
    for (old, new) in pairs(before, after, |file| file.path.as_str()) {
        if let Some(one) = new.or(old) {
            groups.entry(one.origin.to_string()).or_default().push(change(one, old, new));
        }
    }
    let group = |(owner, mut files): (String, Vec<FileChange>)| {
        files.sort_by_key(|file| std::cmp::Reverse(file.delta.unsigned_abs()));
        FileGroup { owner, delta: files.iter().map(|file| file.delta).sum(), files }
    };
    let mut groups: Vec<FileGroup> = groups.into_iter().map(group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.delta.unsigned_abs()));
    groups
}

fn change(one: &File, old: Option<&File>, new: Option<&File>) -> FileChange {
    let (change, fields) = match (old, new) {
        (None, _) => (Change::Added, Vec::new()),
        (_, None) => (Change::Removed, Vec::new()),
        (Some(old), Some(new)) => (Change::Changed, fields(old, new)),
    };
    let size = |file: Option<&File>| file.map_or(0, |file| i64::try_from(file.size).unwrap_or(i64::MAX));
    FileChange { path: one.path.clone(), change, delta: size(new) - size(old), fields }
}

fn fields(old: &File, new: &File) -> Vec<&'static str> {
    // No `..`: a field added to the manifest must be compared here.
    let File { path: _, kind, mode, uid, gid, size, content, origin } = old;
    let table = [
        ("type", *kind == new.kind),
        ("mode", *mode == new.mode),
        ("uid", *uid == new.uid),
        ("gid", *gid == new.gid),
        ("size", *size == new.size),
        ("content", *content == new.content),
        ("origin", *origin == new.origin),
    ];
    table.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
}

/// Files of `after` whose setuid or setgid rights `before` did not have: new ones, and those whose mode or owner changed.
pub(super) fn new_set_id(before: &Manifest, after: &Manifest) -> Vec<SetId> {
    let had = |new: &File| {
        let rights = |file: &File| (file.mode & SET_ID, file.uid, file.gid);
        before.file(&new.path).is_some_and(|old| SetId::of(old).is_some() && rights(old) == rights(new))
    };
    after.files.iter().filter(|file| !had(file)).filter_map(SetId::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::fixture;

    #[test]
    fn groups_by_owner_with_the_largest_change_first() {
        let before = fixture::manifest();
        let mut after = fixture::manifest();
        fixture::file(&mut after, "/usr/bin/containerd").size -= 5_000;
        fixture::file(&mut after, "/usr/bin/dockerd").size += 1_000;
        fixture::file(&mut after, "/usr/lib/systemd/system/docker.service").mode = 0o600;
        let groups = groups(&before.files, &after.files);
        let summary: Vec<_> = groups.iter().map(|group| (group.owner.as_str(), group.delta, group.files[0].path.as_str())).collect();
        assert_eq!(summary, [("containerd", -5_000, "/usr/bin/containerd"), ("docker.io", 1_000, "/usr/bin/dockerd")]);
        assert_eq!(groups[1].files[1].fields, ["mode"]);
        assert_eq!((groups[1].count(Change::Changed), groups[1].count(Change::Added)), (2, 0));
    }

    #[test]
    fn a_path_that_moves_between_packages_is_listed_once_under_the_new_one() {
        let mut after = fixture::manifest();
        fixture::file(&mut after, "/usr/bin/runc").origin = fixture::from("crun");
        let groups = groups(&fixture::manifest().files, &after.files);
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].owner.as_str(), groups[0].delta), ("crun", 0));
    }

    fn flagged(change: impl FnOnce(&mut Manifest)) -> Vec<String> {
        let mut after = fixture::manifest();
        change(&mut after);
        new_set_id(&fixture::manifest(), &after).into_iter().map(|file| format!("{} {}", file.path, file.mode)).collect()
    }

    #[test]
    fn flags_files_that_gain_rights() {
        let path = "/usr/bin/runc";
        assert_eq!(flagged(|m| fixture::file(m, path).mode = 0o4755), ["/usr/bin/runc 4755"]);
        assert_eq!(flagged(|m| fixture::file(m, path).mode = 0o2755), ["/usr/bin/runc 2755"]);
        assert_eq!(flagged(|m| fixture::file(m, "/usr/bin/sudo").mode = 0o6755), ["/usr/bin/sudo 6755"]);
        assert_eq!(flagged(|m| fixture::file(m, "/usr/bin/sudo").gid = 7), ["/usr/bin/sudo 4755"]);
    }

    #[test]
    fn flags_nothing_else() {
        assert!(flagged(|_| ()).is_empty());
        assert!(flagged(|m| fixture::file(m, "/usr/bin/sudo").mode = 0o755).is_empty());
        assert!(flagged(|m| fixture::file(m, "/usr/bin/sudo").size += 1).is_empty());
        assert!(flagged(|m| fixture::file(m, "/usr/bin").mode = 0o2775).is_empty(), "setgid on a directory");
        assert!(flagged(|m| fixture::file(m, "/etc/hostname").mode = 0o1755).is_empty(), "sticky");
    }
}
