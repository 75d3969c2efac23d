//! Finds the built images that are to be tested.

use std::fmt;

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};

/// Environment variable with the directory that holds one build output per variant.
pub const ENV: &str = "SLIPWAY_TEST_IMAGES";

/// Which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// For virtual machines.
    Vm,
    /// For real machines.
    Metal,
}

impl Variant {
    /// Its word in file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Metal => "metal",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A directory with build outputs: `vm/slipway-vm-VERSION.raw`, `metal/...`, and `keys/` in it or in each of them.
#[derive(Debug, Clone)]
pub struct Images {
    dir: Utf8PathBuf,
}

impl Images {
    /// The directory that the environment names, if it does.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        std::env::var(ENV).ok().filter(|dir| !dir.is_empty()).map(Self::at)
    }

    /// The build outputs below `dir`.
    #[must_use]
    pub fn at(dir: impl Into<Utf8PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The raw disk image of a variant.
    pub fn disk(&self, variant: Variant) -> anyhow::Result<Utf8PathBuf> {
        let dir = self.dir.join(variant.to_string());
        let prefix = format!("slipway-{variant}-");
        let mut found = Vec::new();
        for entry in dir.read_dir_utf8().with_context(|| format!("looking for the {variant} image in {dir}"))? {
            let entry = entry.with_context(|| format!("reading {dir}"))?;
            if entry.file_name().starts_with(&prefix) && entry.path().extension() == Some("raw") {
                found.push(entry.path().to_owned());
            }
        }
        match found.as_slice() {
            [disk] => Ok(disk.clone()),
            [] => bail!("no {prefix}VERSION.raw in {dir}; image-builder build makes it"),
            _ => bail!("more than one {prefix}VERSION.raw in {dir}; which one is to be tested?"),
        }
    }

    /// The raw disk image of a release that was built for updates: `releases/VERSION/`.
    pub fn release(&self, version: &str) -> anyhow::Result<Utf8PathBuf> {
        let disk = self.dir.join(format!("releases/{version}/slipway-vm-{version}.raw"));
        if !disk.exists() {
            bail!("there is no {disk}; scripts/releases.sh makes it");
        }
        Ok(disk)
    }

    /// The repository of signed releases.
    #[must_use]
    pub fn repository(&self) -> Utf8PathBuf {
        self.dir.join("repository")
    }

    /// The keys that a variant was signed with.
    pub fn keys(&self, variant: Variant) -> anyhow::Result<Utf8PathBuf> {
        let places = [self.dir.join(variant.to_string()).join("keys"), self.dir.join("keys")];
        let found = places.iter().find(|dir| dir.is_dir()).cloned();
        found.with_context(|| format!("no keys of the {variant} image: neither {} nor {} exists", places[0], places[1]))
    }
}

/// The images' directory itself, for messages.
impl AsRef<Utf8Path> for Images {
    fn as_ref(&self) -> &Utf8Path {
        &self.dir
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_per_variant_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let images = Images::at(Utf8Path::from_path(dir.path()).unwrap());
        let vm = dir.path().join("vm");
        assert!(images.disk(Variant::Vm).is_err());
        std::fs::create_dir(&vm).unwrap();
        for name in ["slipway-vm-1.0.0.json", "slipway-metal-1.0.0.raw", "slipway-vm-1.0.0.raw.zst"] {
            std::fs::write(vm.join(name), "").unwrap();
        }
        assert!(images.disk(Variant::Vm).unwrap_err().to_string().contains("no slipway-vm-"));
        std::fs::write(vm.join("slipway-vm-1.0.0.raw"), "").unwrap();
        assert_eq!(images.disk(Variant::Vm).unwrap().file_name(), Some("slipway-vm-1.0.0.raw"));
        std::fs::write(vm.join("slipway-vm-1.0.1.raw"), "").unwrap();
        assert!(images.disk(Variant::Vm).unwrap_err().to_string().contains("more than one"));

        assert!(images.keys(Variant::Vm).is_err());
        std::fs::create_dir(dir.path().join("keys")).unwrap();
        assert!(images.keys(Variant::Vm).unwrap().ends_with("keys"));
    }
}
