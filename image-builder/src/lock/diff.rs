//! What changed between two locks.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::format::{Lock, LockedPackage};

/// What changed between two locks, by name of package.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LockDiff {
    /// Only in the new one.
    pub added: Vec<Change>,
    /// Only in the old one.
    pub removed: Vec<Change>,
    /// In both, with another version or other bytes.
    pub updated: Vec<Change>,
}

/// One package that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// Binary package name.
    pub name: String,
    /// It belongs to the tools tree, not to the image.
    pub tool: bool,
    /// Version in the old lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Version in the new lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl LockDiff {
    /// Compares `new` with `old`; without an old lock everything is added.
    #[must_use]
    pub fn between(old: Option<&Lock>, new: &Lock) -> Self {
        let mut diff = Self::default();
        diff.compare(old.map_or(&[], |lock| &lock.packages), &new.packages, false);
        diff.compare(old.map_or(&[], |lock| &lock.tools), &new.tools, true);
        diff
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.updated.is_empty()
    }

    fn compare(&mut self, old: &[LockedPackage], new: &[LockedPackage], tool: bool) {
        let old: BTreeMap<&str, &LockedPackage> = old.iter().map(|package| (package.name.as_str(), package)).collect();
        let new: BTreeMap<&str, &LockedPackage> = new.iter().map(|package| (package.name.as_str(), package)).collect();
        let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        for name in names {
            let (from, to) = (old.get(name), new.get(name));
            let list = match (from, to) {
                (Some(from), Some(to)) if from.version == to.version && from.sha256 == to.sha256 => continue,
                (Some(_), Some(_)) => &mut self.updated,
                (Some(_), None) => &mut self.removed,
                _ => &mut self.added,
            };
            let version = |package: Option<&&LockedPackage>| package.map(|package| package.version.clone());
            list.push(Change { name: name.to_owned(), tool, from: version(from), to: version(to) });
        }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tool = if self.tool { " (tool)" } else { "" };
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if from == to => write!(f, "~ {} {to} (other bytes){tool}", self.name),
            (Some(from), Some(to)) => write!(f, "~ {} {from} -> {to}{tool}", self.name),
            (Some(from), None) => write!(f, "- {} {from}{tool}", self.name),
            (_, to) => write!(f, "+ {} {}{tool}", self.name, to.as_deref().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::{FORMAT, sample};
    use super::*;

    fn lock(packages: &[(&str, &str)], tools: &[(&str, &str)]) -> Lock {
        let list = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, version)| sample(name, version)).collect();
        Lock { format: FORMAT, packages_digest: String::new(), epoch: 0, suites: Vec::new(), packages: list(packages), tools: list(tools) }
    }

    fn text(diff: &LockDiff) -> Vec<String> {
        diff.added.iter().chain(&diff.removed).chain(&diff.updated).map(ToString::to_string).collect()
    }

    #[test]
    fn changes_are_told_apart() {
        let old = lock(&[("a1", "1"), ("b1", "1"), ("c1", "1")], &[("mtools", "4")]);
        let new = lock(&[("a1", "1"), ("b1", "2"), ("d1", "1")], &[("mtools", "5")]);
        let diff = LockDiff::between(Some(&old), &new);
        assert_eq!(text(&diff), ["+ d1 1", "- c1 1", "~ b1 1 -> 2", "~ mtools 4 -> 5 (tool)"]);
        assert!(!diff.is_empty());
    }

    #[test]
    fn the_same_packages_are_no_change_and_no_old_lock_is_all_new() {
        let lock = lock(&[("a1", "1")], &[("a1", "1")]);
        assert!(LockDiff::between(Some(&lock), &lock).is_empty());
        assert_eq!(text(&LockDiff::between(None, &lock)), ["+ a1 1", "+ a1 1 (tool)"]);
    }

    #[test]
    fn other_bytes_under_the_same_version_are_a_change() {
        let old = lock(&[("a1", "1")], &[]);
        let mut new = old.clone();
        new.packages[0].sha256 = "cd".repeat(32);
        assert_eq!(text(&LockDiff::between(Some(&old), &new)), ["~ a1 1 (other bytes)"]);
    }
}
