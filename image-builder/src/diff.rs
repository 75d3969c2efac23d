//! What changed between two images: packages, files, units, kernel options, command line.
//!
//! A [`Diff`] is empty exactly when the two manifests are equal. It is what `diff` prints, and what `build --against`
//! leaves as `changes.txt` and `changes.json`. Where the kernel differs, its release reads [`PLACEHOLDER`] in names.

mod files;
mod kernel;
mod packages;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::manifest::{Manifest, UnitState};

pub use files::{FileChange, FileGroup, SetId};
pub use kernel::PLACEHOLDER;
pub use packages::PackageChange;
pub use text::{DEFAULT_FILES_PER_GROUP, text};

/// What happened to something that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only in the new image.
    Added,
    /// Only in the old image.
    Removed,
    /// In both, not equal.
    Changed,
}

/// A value before and after; one of them may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BeforeAfter<T = String> {
    /// In the old image.
    pub before: Option<T>,
    /// In the new image.
    pub after: Option<T>,
}

/// How much is in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Sum of all file contents, in bytes.
    pub bytes: u64,
    /// Number of paths.
    pub paths: usize,
    /// Number of packages.
    pub packages: usize,
}

impl Totals {
    /// The totals of one image.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self { bytes: manifest.files.iter().map(|file| file.size).sum(), paths: manifest.files.len(), packages: manifest.packages.len() }
    }
}

/// A systemd unit that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnitChange {
    /// Its name.
    pub name: String,
    /// Its state before and after.
    pub state: BeforeAfter<UnitState>,
    /// Addresses it no longer listens on.
    pub listens_removed: Vec<String>,
    /// Addresses it did not listen on before.
    pub listens_added: Vec<String>,
}

/// All differences between two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diff {
    /// The old image, e.g. `slipway-vm 1.0.0 amd64`.
    pub before: String,
    /// The new image.
    pub after: String,
    /// Sums over the old image.
    pub totals_before: Totals,
    /// Sums over the new image.
    pub totals_after: Totals,
    /// Identity of the image (id, variant, version, architecture, kernel, command line) by field name, where changed.
    pub identity: BTreeMap<&'static str, BeforeAfter>,
    /// Packages that changed, by name.
    pub packages: Vec<PackageChange>,
    /// Files that changed, by who puts them there; the group with the largest change of size first.
    pub files: Vec<FileGroup>,
    /// Files that run with the rights of their owner or group and did not before.
    pub new_set_id: Vec<SetId>,
    /// Units that changed, by name.
    pub units: Vec<UnitChange>,
    /// Kernel options that changed.
    pub kernel_config: BTreeMap<String, BeforeAfter>,
}

impl Diff {
    /// Compares two images.
    #[must_use]
    pub fn new(before: &Manifest, after: &Manifest) -> Self {
        match kernel::neutral(before, after) {
            Some((before, after)) => Self::by_name(&before, &after),
            None => Self::by_name(before, after),
        }
    }

    fn by_name(before: &Manifest, after: &Manifest) -> Self {
        Self {
            before: title(before),
            after: title(after),
            totals_before: Totals::of(before),
            totals_after: Totals::of(after),
            identity: identity(before, after),
            packages: packages::changes(&before.packages, &after.packages),
            files: files::groups(&before.files, &after.files),
            new_set_id: files::new_set_id(before, after),
            units: units(before, after),
            kernel_config: kernel_config(before, after),
        }
    }

    /// The files that `build --against` leaves: their names and contents, for people and for machines.
    ///
    /// # Errors
    /// Only if the data cannot be written as JSON, which would be a bug.
    pub fn documents(&self) -> serde_json::Result<[(&'static str, String); 2]> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        Ok([("changes.txt", text(self, false)), ("changes.json", json)])
    }

    /// Whether the two images are described by equal manifests.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.identity.is_empty()
            && self.packages.is_empty()
            && self.files.is_empty()
            && self.units.is_empty()
            && self.kernel_config.is_empty()
    }
}

fn title(manifest: &Manifest) -> String {
    format!("{}-{} {} {}", manifest.image_id, manifest.variant, manifest.version, manifest.arch)
}

fn identity(before: &Manifest, after: &Manifest) -> BTreeMap<&'static str, BeforeAfter> {
    // No `..`: a field added to the manifest must be compared somewhere.
    let fields = |manifest: &Manifest| {
        let Manifest { format: _, image_id, variant, version, arch, kernel, kernel_config: _, cmdline, packages: _, files: _, units: _ } =
            manifest.clone();
        [("image-id", image_id), ("variant", variant), ("version", version), ("arch", arch), ("kernel", kernel), ("cmdline", cmdline)]
    };
    let pairs = fields(before).into_iter().zip(fields(after)).filter(|(before, after)| before != after);
    pairs.map(|((name, before), (_, after))| (name, BeforeAfter { before: Some(before), after: Some(after) })).collect()
}

fn kernel_config(before: &Manifest, after: &Manifest) -> BTreeMap<String, BeforeAfter> {
    let names: BTreeSet<&String> = before.kernel_config.keys().chain(after.kernel_config.keys()).collect();
    let changes = names.into_iter().map(|name| {
        let value = |manifest: &Manifest| manifest.kernel_config.get(name).cloned();
        (name.clone(), BeforeAfter { before: value(before), after: value(after) })
    });
    changes.filter(|(_, change)| change.before != change.after).collect()
}

fn units(before: &Manifest, after: &Manifest) -> Vec<UnitChange> {
    let changed = pairs(&before.units, &after.units, |unit| unit.name.as_str());
    let listens = |unit: Option<&crate::manifest::Unit>| unit.map(|unit| unit.listens.clone()).unwrap_or_default();
    let missing_in = |from: &[String], other: &[String]| from.iter().filter(|listen| !other.contains(listen)).cloned().collect();
    let change = |(before, after): (Option<&crate::manifest::Unit>, Option<&crate::manifest::Unit>)| {
        let (old, new) = (listens(before), listens(after));
        UnitChange {
            name: before.or(after).map(|unit| unit.name.clone()).unwrap_or_default(),
            state: BeforeAfter { before: before.map(|unit| unit.state), after: after.map(|unit| unit.state) },
            listens_removed: missing_in(&old, &new),
            listens_added: missing_in(&new, &old),
        }
    };
    changed.into_iter().map(change).collect()
}

/// Walks two sorted lists side by side; equal entries are left out.
fn pairs<'a, T: PartialEq>(before: &'a [T], after: &'a [T], name: fn(&T) -> &str) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let mut result = Vec::new();
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (Some(old), Some(new)) => name(old).cmp(name(new)),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return result,
        };
        let pair = (if order.is_le() { before.next() } else { None }, if order.is_ge() { after.next() } else { None });
        if pair.0 != pair.1 {
            result.push(pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Kind, Origin, fixture};

    #[test]
    fn equal_manifests_have_no_differences() {
        let diff = Diff::new(&fixture::manifest(), &fixture::manifest());
        assert!(diff.is_empty(), "{diff:?}");
    }

    #[test]
    fn a_change_of_any_field_is_a_difference_in_both_directions() {
        let changes: &[fn(&mut Manifest)] = &[
            |m| m.image_id.push('x'),
            |m| m.variant.push('x'),
            |m| m.version.push('x'),
            |m| m.arch.push('x'),
            |m| m.kernel.push('x'),
            |m| m.cmdline.push('x'),
            |m| drop(m.kernel_config.remove("CONFIG_HZ")),
            |m| drop(m.kernel_config.insert("CONFIG_HZ".to_owned(), "100".to_owned())),
            |m| drop(m.packages.pop()),
            |m| m.packages[0].version.push('x'),
            |m| m.packages[0].arch.push('x'),
            |m| m.packages[0].source.push('x'),
            |m| m.packages[0].source_version.push('x'),
            |m| m.packages[0].sha256.replace_range(..1, "x"),
            |m| m.packages[0].licence.push('x'),
            |m| m.packages[0].reason = fixture::asked(1),
            |m| drop(m.files.remove(5)),
            |m| m.files[3].kind = Kind::Special,
            |m| m.files[3].mode = 0o600,
            |m| m.files[3].uid = 1,
            |m| m.files[3].gid = 1,
            |m| m.files[3].size = 9,
            |m| m.files[3].content.push('x'),
            |m| m.files[3].origin = Origin::Builder,
            |m| drop(m.units.remove(0)),
            |m| m.units[0].state = UnitState::Masked,
            |m| m.units[4].listens.swap(0, 1),
            |m| drop(m.units[4].listens.pop()),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = fixture::manifest();
            change(&mut changed);
            assert!(!Diff::new(&fixture::manifest(), &changed).is_empty(), "change {number}");
            assert!(!Diff::new(&changed, &fixture::manifest()).is_empty(), "change {number} reversed");
        }
    }

    #[test]
    fn a_build_leaves_its_changes_as_text_and_as_json() {
        let diff = Diff::new(&fixture::manifest(), &Manifest { version: "2".to_owned(), ..fixture::manifest() });
        let [(text_name, text), (json_name, json)] = diff.documents().unwrap();
        assert_eq!((text_name, json_name), ("changes.txt", "changes.json"));
        assert!(text.contains("~ version 1.0.0 -> 2\n") && json.ends_with("}\n"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["identity"]["version"]["before"], "1.0.0");
    }

    #[test]
    fn sorted_lists_pair_up_by_name() {
        fn name<'a>(entry: &'a (&'static str, i32)) -> &'a str {
            entry.0
        }
        let (a, b) = ([("a", 1), ("b", 1), ("d", 1)], [("b", 2), ("c", 1), ("d", 1), ("e", 1)]);
        let names: Vec<_> = pairs(&a, &b, name).into_iter().map(|(old, new)| (old.map(|e| e.0), new.map(|e| e.0))).collect();
        assert_eq!(names, [(Some("a"), None), (Some("b"), Some("b")), (None, Some("c")), (None, Some("e"))]);
        assert!(pairs(&a, &a, name).is_empty() && pairs(&[], &[], name).is_empty());
    }
}
