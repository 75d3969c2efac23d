//! From a package up to what asked for it, and down again.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::manifest::{Manifest, Package, Reason};

/// One package on the way up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The packages from one up to the one that was asked for, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// The package itself first.
    pub packages: Vec<Step>,
    /// Why the last of them is here. It is a dependency when the package that needs it did its work during the build and is
    /// not in the image; it is absent when the reasons lead in a circle.
    pub end: Option<Reason>,
}

impl Chain {
    /// Follows the reasons of `package` upwards.
    pub(super) fn of(manifest: &Manifest, package: &Package) -> Self {
        let mut chain = Self { packages: Vec::new(), end: None };
        let (mut next, mut seen) = (Some(package), BTreeSet::new());
        while let Some(package) = next {
            // A circle of reasons ends the chain instead of the program.
            if !seen.insert(package.name.as_str()) {
                break;
            }
            chain.packages.push(Step { name: package.name.clone(), version: package.version.clone() });
            next = parent(package).and_then(|name| manifest.package(name));
            if next.is_none() {
                chain.end = Some(package.reason.clone());
            }
        }
        chain
    }

    /// The package at the top, when a recipe asks for it.
    #[must_use]
    pub fn asked(&self) -> Option<&str> {
        let asked = matches!(self.end, Some(Reason::Asked { .. }));
        self.packages.last().filter(|_| asked).map(|step| step.name.as_str())
    }

    /// `runc 1.1.15 <- containerd <- docker.io <- vm.toml:14`
    #[must_use]
    pub fn line(&self) -> String {
        let first = self.packages.first().map(|step| format!("{} {}", step.name, step.version));
        let others = self.packages.iter().skip(1).map(|step| step.name.clone());
        let end = match &self.end {
            Some(Reason::DependencyOf { package }) => format!("{package} (not in the image)"),
            Some(end) => end.to_string(),
            None => "(a circle)".to_owned(),
        };
        first.into_iter().chain(others).chain([end]).collect::<Vec<_>>().join(" <- ")
    }
}

/// Packages that `name` directly brings in.
pub(super) fn brought_by(manifest: &Manifest, name: &str) -> Vec<String> {
    manifest.packages.iter().filter(|package| parent(package) == Some(name)).map(|package| package.name.clone()).collect()
}

/// `name` and all packages whose chain of reasons leads to it.
pub(super) fn below<'a>(manifest: &'a Manifest, name: &'a str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::from([name]);
    let mut todo = vec![name];
    while let Some(name) = todo.pop() {
        let children = manifest.packages.iter().filter(|package| parent(package) == Some(name));
        todo.extend(children.map(|package| package.name.as_str()).filter(|child| found.insert(child)));
    }
    found
}

fn parent(package: &Package) -> Option<&str> {
    if let Reason::DependencyOf { package } = &package.reason { Some(package) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::fixture;

    fn check(manifest: &Manifest, name: &str, line: &str) {
        assert_eq!(Chain::of(manifest, manifest.package(name).unwrap()).line(), line);
    }

    #[test]
    fn leads_up_to_the_recipe_line() {
        let manifest = fixture::manifest();
        check(&manifest, "libseccomp2", "libseccomp2 2.6.0-2 <- runc <- containerd <- docker.io <- vm.toml:14");
        check(&manifest, "sudo", "sudo 1.9.16p2-3 <- vm.toml:17");
        check(&manifest, "libc6", "libc6 2.41-12 <- base-files <- essential");
    }

    #[test]
    fn a_circle_or_a_gap_ends_it() {
        let mut manifest = fixture::manifest();
        let set = |manifest: &mut Manifest, name: &str, reason| {
            manifest.packages.iter_mut().find(|package| package.name == name).unwrap().reason = reason;
        };
        set(&mut manifest, "containerd", fixture::needed_by("runc"));
        check(&manifest, "runc", "runc 1.1.15+ds1-2 <- containerd <- (a circle)");
        assert_eq!(below(&manifest, "runc"), BTreeSet::from(["containerd", "libseccomp2", "runc"]));
        set(&mut manifest, "runc", fixture::needed_by("gone"));
        check(&manifest, "runc", "runc 1.1.15+ds1-2 <- gone (not in the image)");
        set(&mut manifest, "runc", fixture::needed_by("runc"));
        check(&manifest, "runc", "runc 1.1.15+ds1-2 <- (a circle)");
    }

    #[test]
    fn only_an_asked_for_package_can_be_dropped() {
        let manifest = fixture::manifest();
        let asked = |name: &str| Chain::of(&manifest, manifest.package(name).unwrap()).asked().map(str::to_owned);
        assert_eq!(asked("runc").as_deref(), Some("docker.io"));
        assert_eq!(asked("libc6"), None);
    }
}
