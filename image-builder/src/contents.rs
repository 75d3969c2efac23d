//! What is inside an image's parts: the manifest in a root file system, the sections of a UKI.

use std::path::Path;

use crate::disk::read::{Disk, DiskError};
use crate::erofs::{Erofs, ErofsError};
use crate::extent::Extent;
use crate::manifest::source::SourceError;
use crate::manifest::{self, Manifest, PATH_IN_ROOT};
use crate::uki::{Pe, PeError};
use crate::verity::RootHash;

/// Why the content of a part could not be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentsError {
    /// The root file system could not be read.
    #[error(transparent)]
    Erofs(#[from] ErofsError),
    /// The manifest is not what we write.
    #[error("{object}: {PATH_IN_ROOT}: {problem}")]
    Manifest {
        /// The partition or file.
        object: String,
        /// What is wrong.
        problem: String,
    },
    /// The UKI is no PE file.
    #[error(transparent)]
    Pe(#[from] PeError),
    /// A section of the UKI is missing or not text.
    #[error("section {section}: {problem}")]
    Section {
        /// Name of the section.
        section: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The command line trusts no root, or several.
    #[error("section .cmdline: {0}")]
    RootHash(String),
}

/// Reads the manifest out of the root file system in `root`.
pub fn manifest(root: &Extent) -> Result<Manifest, ContentsError> {
    let packed = Erofs::open(root)?.read(PATH_IN_ROOT)?;
    manifest::read(&packed).map_err(|error| ContentsError::Manifest { object: root.name().to_owned(), problem: error.to_string() })
}

/// Reads the manifest of slot A of a disk image, or of a bare root image.
pub fn manifest_of_image(path: &Path) -> Result<Manifest, SourceError> {
    let unreadable = |problem: String| SourceError::Io { path: path.to_owned(), source: std::io::Error::other(problem) };
    let root = match Disk::open(path) {
        Ok(disk) => disk.partition("root-a").map_err(|error| unreadable(error.to_string()))?.extent.clone(),
        Err(DiskError::NotGpt { .. }) => Extent::open(path).map_err(|error| unreadable(error.to_string()))?,
        Err(error) => return Err(unreadable(error.to_string())),
    };
    manifest(&root).map_err(|error| unreadable(error.to_string()))
}

/// What a UKI says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UkiFacts {
    /// Kernel command line.
    pub cmdline: String,
    /// The root that the command line trusts.
    pub root_hash: RootHash,
    /// `IMAGE_VERSION` of its os-release.
    pub version: String,
    /// Kernel release.
    pub kernel: String,
}

/// Reads the text sections of a UKI.
pub fn uki(pe: &Pe<'_>) -> Result<UkiFacts, ContentsError> {
    let cmdline = text(pe, ".cmdline")?;
    let hashes: Vec<_> = cmdline.split_ascii_whitespace().filter_map(|word| word.strip_prefix("roothash=")).collect();
    let [hash] = hashes[..] else {
        return Err(ContentsError::RootHash(format!("{} roothash= parameters instead of one", hashes.len())));
    };
    let root_hash = hash.parse().map_err(|error| ContentsError::RootHash(format!("{error}")))?;
    let version = os_release(text(pe, ".osrel")?, "IMAGE_VERSION");
    let version = version.ok_or(ContentsError::Section { section: ".osrel", problem: "it has no IMAGE_VERSION" })?;
    Ok(UkiFacts { cmdline: cmdline.to_owned(), root_hash, version, kernel: text(pe, ".uname")?.to_owned() })
}

/// A section as text, without the zeros and newlines that may end it.
pub fn text<'a>(pe: &Pe<'a>, section: &'static str) -> Result<&'a str, ContentsError> {
    let bytes = pe.section(section).ok_or(ContentsError::Section { section, problem: "it is missing" })?;
    let text = std::str::from_utf8(bytes).map_err(|_| ContentsError::Section { section, problem: "it is not UTF-8" })?;
    Ok(text.trim_end_matches(['\0', '\n']))
}

/// The value of `key` in an os-release file.
fn os_release(content: &str, key: &str) -> Option<String> {
    let value = content.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uki::Uki;
    use crate::uki::assemble::tests::tiny_stub;

    fn facts(cmdline: &str, osrel: &[u8]) -> Result<UkiFacts, String> {
        let uki = Uki { osrel, cmdline, uname: "6.12", initrd: b"i", linux: b"l", sbat: None }.assemble(&tiny_stub()).unwrap();
        super::uki(&Pe::parse(&uki).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_uki_names_its_root_and_version() {
        let hash = "ab".repeat(32);
        let facts = facts(&format!("ro roothash={hash} quiet"), b"ID=slipway\nIMAGE_VERSION=\"1.2.3\"\n").unwrap();
        assert_eq!((facts.root_hash.to_string(), facts.version.as_str(), facts.kernel.as_str()), (hash, "1.2.3", "6.12"));
    }

    #[test]
    fn a_uki_without_one_root_is_refused() {
        let (hash, osrel) = ("ab".repeat(32), b"IMAGE_VERSION=1");
        assert_eq!(facts("ro", osrel).unwrap_err(), "section .cmdline: 0 roothash= parameters instead of one");
        assert_eq!(
            facts(&format!("roothash={hash} roothash={hash}"), osrel).unwrap_err(),
            "section .cmdline: 2 roothash= parameters instead of one"
        );
        assert_eq!(facts("roothash=zz", osrel).unwrap_err(), "section .cmdline: a root hash is 64 hexadecimal digits, not `zz`");
        assert_eq!(facts(&format!("roothash={hash}"), b"ID=x").unwrap_err(), "section .osrel: it has no IMAGE_VERSION");
        assert_eq!(facts(&format!("roothash={hash}"), b"\xff").unwrap_err(), "section .osrel: it is not UTF-8");
        assert_eq!(super::uki(&Pe::parse(&tiny_stub()).unwrap()).unwrap_err().to_string(), "section .cmdline: it is missing");
    }
}
