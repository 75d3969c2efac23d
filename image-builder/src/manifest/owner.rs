use std::fmt;

use super::{Manifest, Origin, Package, Reason};

/// In a word or two: the package, the recipe line, or which step of the build.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package { name } => f.write_str(name),
            Self::Configure => f.write_str("(configuring packages)"),
            Self::RecipeTree { recipe, line, tree } => write!(f, "{tree} ({recipe}:{line})"),
            Self::RecipeSetting { recipe, line } => write!(f, "({recipe}:{line})"),
            Self::Builder => f.write_str("(image-builder)"),
        }
    }
}

impl Origin {
    /// The package that shipped the path, if one did.
    #[must_use]
    pub fn package(&self) -> Option<&str> {
        if let Self::Package { name } = self { Some(name) } else { None }
    }
}

/// As it ends a chain of reasons: `vm.toml:14`, `essential`, or the name of the package that needs it.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { recipe, line } => write!(f, "{recipe}:{line}"),
            Self::Essential => f.write_str("essential"),
            Self::DependencyOf { package } => f.write_str(package),
        }
    }
}

impl Manifest {
    /// The package called `name`.
    #[must_use]
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.binary_search_by(|package| package.name.as_str().cmp(name)).ok().map(|at| &self.packages[at])
    }

    /// The path exactly as written; symbolic links on the way are not followed.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&super::File> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|at| &self.files[at])
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn origins_and_reasons_read_as_one_word_or_two() {
        let recipe = || "vm.toml".to_owned();
        let table = [
            (Origin::Package { name: "runc".to_owned() }.to_string(), "runc"),
            (Origin::Configure.to_string(), "(configuring packages)"),
            (Origin::RecipeTree { recipe: recipe(), line: 30, tree: "files/base".to_owned() }.to_string(), "files/base (vm.toml:30)"),
            (Origin::RecipeSetting { recipe: recipe(), line: 8 }.to_string(), "(vm.toml:8)"),
            (Origin::Builder.to_string(), "(image-builder)"),
            (Reason::Asked { recipe: recipe(), line: 14 }.to_string(), "vm.toml:14"),
            (Reason::Essential.to_string(), "essential"),
            (Reason::DependencyOf { package: "containerd".to_owned() }.to_string(), "containerd"),
        ];
        for (text, expected) in table {
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn looks_up_exact_names_only() {
        let manifest = fixture::manifest();
        assert_eq!(manifest.package("runc").unwrap().name, "runc");
        assert_eq!(manifest.file("/usr/bin/runc").unwrap().path, "/usr/bin/runc");
        for absent in ["", "run", "runcc", "/usr/bin/runc/", "/usr/bin/run", "usr/bin/runc"] {
            assert!(manifest.package(absent).is_none() && manifest.file(absent).is_none(), "{absent}");
        }
    }
}
