use serde::Serialize;

use super::{BeforeAfter, Change, pairs};
use crate::manifest::Package;

/// A package that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub change: Change,
    /// Its version before and after.
    pub version: BeforeAfter,
    /// Its source package, of the new image if it is there.
    pub source: String,
    /// What differs, in field names of the manifest; empty unless changed.
    pub fields: Vec<&'static str>,
}

pub(super) fn changes(before: &[Package], after: &[Package]) -> Vec<PackageChange> {
    let pairs = pairs(before, after, |package| package.name.as_str());
    pairs.into_iter().filter_map(|(old, new)| change(old, new)).collect()
}

fn change(old: Option<&Package>, new: Option<&Package>) -> Option<PackageChange> {
    let one = new.or(old)?;
    let (change, fields) = match (old, new) {
        (None, _) => (Change::Added, Vec::new()),
        (_, None) => (Change::Removed, Vec::new()),
        (Some(old), Some(new)) => (Change::Changed, fields(old, new)),
    };
    let version = |package: &Package| package.version.clone();
    let version = BeforeAfter { before: old.map(version), after: new.map(version) };
    Some(PackageChange { name: one.name.clone(), change, version, source: one.source.clone(), fields })
}

fn fields(old: &Package, new: &Package) -> Vec<&'static str> {
    // No `..`: a field added to the manifest must be compared here.
    let Package { name: _, version, arch, source, source_version, sha256, licence, reason } = old;
    let table = [
        ("version", *version == new.version),
        ("arch", *arch == new.arch),
        ("source", *source == new.source),
        ("source-version", *source_version == new.source_version),
        ("sha256", *sha256 == new.sha256),
        ("licence", *licence == new.licence),
        ("reason", *reason == new.reason),
    ];
    table.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Reason, fixture};

    fn check(old: &[(&str, &str)], new: &[(&str, &str)], expected: &[(&str, Change, &[&'static str])]) {
        let list = |table: &[(&str, &str)]| {
            table.iter().map(|(name, version)| fixture::package(name, version, "MIT", Reason::Essential)).collect::<Vec<_>>()
        };
        let found = changes(&list(old), &list(new));
        let found: Vec<_> = found.iter().map(|change| (change.name.as_str(), change.change, change.fields.as_slice())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn tells_added_removed_and_changed() {
        check(
            &[("a", "1"), ("b", "1"), ("c", "1")],
            &[("b", "2"), ("c", "1"), ("d", "1")],
            &[("a", Change::Removed, &[]), ("b", Change::Changed, &["version", "source-version", "sha256"]), ("d", Change::Added, &[])],
        );
    }

    #[test]
    fn says_nothing_about_the_same() {
        check(&[], &[], &[]);
        check(&[("a", "1")], &[("a", "1")], &[]);
    }

    #[test]
    fn names_what_differs_when_the_version_does_not() {
        let old = fixture::package("a", "1", "MIT", Reason::Essential);
        let mut new = fixture::package("a", "1", "ISC", fixture::asked(3));
        assert_eq!(fields(&old, &new), ["licence", "reason"]);
        new = old.clone();
        new.sha256.clear();
        assert_eq!(fields(&old, &new), ["sha256"]);
    }
}
