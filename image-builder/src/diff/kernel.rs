use crate::manifest::{Manifest, Origin, Reason};

/// What stands for the kernel release in names that have it inside.
pub const PLACEHOLDER: &str = "{kernel}";

/// Both manifests with their kernel's release replaced in the names of packages and paths, when it differs.
///
/// Debian puts the release into the name of the kernel's package and of its modules' directory. Compared by name, every
/// kernel update would be a thousand files removed and a thousand added; what one wants to know is what changed in them.
pub(super) fn neutral(before: &Manifest, after: &Manifest) -> Option<(Manifest, Manifest)> {
    let differ = before.kernel != after.kernel && !before.kernel.is_empty() && !after.kernel.is_empty();
    differ.then(|| (without_release(before), without_release(after)))
}

fn without_release(manifest: &Manifest) -> Manifest {
    let mut manifest = manifest.clone();
    let release = manifest.kernel.clone();
    let replace = |text: &mut String| {
        if text.contains(&release) {
            *text = text.replace(&release, PLACEHOLDER);
        }
    };
    for package in &mut manifest.packages {
        replace(&mut package.name);
        if let Reason::DependencyOf { package } = &mut package.reason {
            replace(package);
        }
    }
    for file in &mut manifest.files {
        replace(&mut file.path);
        // The digest of a regular file stays as it is: no release is all hex digits.
        replace(&mut file.content);
        if let Origin::Package { name } = &mut file.origin {
            replace(name);
        }
    }
    manifest.packages.sort_by(|a, b| a.name.cmp(&b.name));
    manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
    manifest
}

#[cfg(test)]
mod tests {
    use super::super::{Change, Diff};
    use super::*;
    use crate::manifest::fixture;

    fn with_kernel(release: &str, content: &str) -> Manifest {
        let mut manifest = fixture::manifest();
        let (old, name) = (manifest.kernel.clone(), format!("linux-image-{release}"));
        release.clone_into(&mut manifest.kernel);
        for package in manifest.packages.iter_mut().filter(|package| package.name.contains(&old)) {
            package.name.clone_from(&name);
            release.clone_into(&mut package.version);
        }
        for file in manifest.files.iter_mut().filter(|file| file.origin.package().is_some_and(|name| name.contains(&old))) {
            file.path = file.path.replace("/modules", &format!("/modules/{release}"));
            file.origin = fixture::from(&name);
        }
        content.clone_into(&mut fixture::file(&mut manifest, &format!("/usr/lib/modules/{release}/erofs.ko")).content);
        manifest
    }

    #[test]
    fn a_new_kernel_is_a_change_of_its_package_and_of_the_modules_that_differ() {
        let diff = Diff::new(&with_kernel("6.12.107-cloud", "a"), &with_kernel("6.12.117-cloud", "b"));
        assert_eq!(diff.identity["kernel"].after.as_deref(), Some("6.12.117-cloud"));
        let packages: Vec<_> = diff.packages.iter().map(|package| (package.name.as_str(), package.change)).collect();
        assert_eq!(packages, [("linux-image-{kernel}", Change::Changed)]);
        assert_eq!(diff.files.len(), 1);
        let files: Vec<_> = diff.files[0].files.iter().map(|file| (file.path.as_str(), file.change)).collect();
        assert_eq!(files, [("/usr/lib/modules/{kernel}/erofs.ko", Change::Changed)]);
    }

    #[test]
    fn names_stay_as_they_are_when_the_kernel_does_or_is_not_known() {
        let manifest = fixture::manifest();
        assert!(neutral(&manifest, &manifest).is_none());
        let unknown = Manifest { kernel: String::new(), ..fixture::manifest() };
        assert!(neutral(&manifest, &unknown).is_none() && neutral(&unknown, &manifest).is_none());
    }
}
