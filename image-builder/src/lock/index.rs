//! Debian's package lists: the fields that a lock needs, by name.

use std::collections::BTreeMap;

use super::format::{ArchiveLabel, LockedPackage};
use crate::manifest::Reason;

/// One package of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stanza {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) arch: String,
    source: String,
    sha256: String,
    size: u64,
    path: String,
    pub(super) essential: bool,
    depends: String,
    provides: String,
}

/// All packages of all lists.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_name: BTreeMap<String, Vec<(ArchiveLabel, Stanza)>>,
    /// File name of the .deb -> names of packages; narrows the search by address.
    by_file: BTreeMap<String, String>,
}

impl Index {
    /// Adds the packages of one list.
    pub(super) fn add(&mut self, label: ArchiveLabel, list: &str) {
        for stanza in list.split("\n\n").filter_map(parse) {
            let file = stanza.path.rsplit('/').next().unwrap_or_default().to_owned();
            self.by_file.insert(file, stanza.name.clone());
            self.by_name.entry(stanza.name.clone()).or_default().push((label, stanza));
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Names of the packages marked `Essential: yes`.
    pub(super) fn essential(&self) -> impl Iterator<Item = &str> {
        self.by_name.iter().filter(|(_, stanzas)| stanzas.iter().any(|(_, stanza)| stanza.essential)).map(|(name, _)| name.as_str())
    }

    /// Names of the packages that provide the virtual package `name`.
    pub(super) fn providers(&self, name: &str) -> Vec<&str> {
        let provides = |stanzas: &Vec<(ArchiveLabel, Stanza)>| stanzas.iter().any(|(_, stanza)| stanza.provides().any(|it| it == name));
        self.by_name.iter().filter(|(_, stanzas)| provides(stanzas)).map(|(name, _)| name.as_str()).collect()
    }

    /// The package that apt would download from `address`; `bases` says where the archives live.
    pub(super) fn at_address(&self, address: &str, bases: &[(ArchiveLabel, String)]) -> Option<(ArchiveLabel, &Stanza)> {
        let address = percent_decoded(address);
        let name = self.by_file.get(address.rsplit('/').next()?)?;
        let same_path = |(_, stanza): &&(ArchiveLabel, Stanza)| address.ends_with(&format!("/{}", stanza.path));
        let from_base = |(label, stanza): &&(ArchiveLabel, Stanza)| {
            bases.iter().any(|(base_label, base)| base_label == label && address == format!("{base}/{}", stanza.path))
        };
        let stanzas = self.by_name.get(name)?;
        // apt may write an address in another way than we do (a password left out, ...); then the path has to do.
        let found = stanzas.iter().find(from_base).or_else(|| stanzas.iter().find(same_path))?;
        Some((found.0, &found.1))
    }
}

impl Stanza {
    /// Alternatives of each dependency, by name alone.
    pub(super) fn dependencies(&self) -> impl Iterator<Item = Vec<&str>> {
        self.depends.split(',').map(|group| group.split('|').map(bare_name).filter(|name| !name.is_empty()).collect())
    }

    pub(super) fn provides(&self) -> impl Iterator<Item = &str> {
        self.provides.split(',').map(bare_name).filter(|name| !name.is_empty())
    }

    /// As the lock records it.
    pub(super) fn locked(&self, archive: ArchiveLabel, reason: Reason) -> LockedPackage {
        let (source, source_version) = match self.source.split_once(' ') {
            Some((source, version)) => (source, version.trim_matches(['(', ')'])),
            None if self.source.is_empty() => (self.name.as_str(), self.version.as_str()),
            None => (self.source.as_str(), self.version.as_str()),
        };
        LockedPackage {
            name: self.name.clone(),
            version: self.version.clone(),
            arch: self.arch.clone(),
            source: source.to_owned(),
            source_version: source_version.to_owned(),
            sha256: self.sha256.clone(),
            size: self.size,
            path: self.path.clone(),
            archive,
            essential: self.essential,
            reason,
        }
    }
}

/// `name:any (>= 1)` -> `name`
fn bare_name(dependency: &str) -> &str {
    dependency.trim().split([' ', '(', ':', '[', '<']).next().unwrap_or_default()
}

fn parse(text: &str) -> Option<Stanza> {
    let mut stanza = Stanza::default();
    for line in text.lines() {
        // Lines that continue a field begin with a space; none of ours is ever folded in a list.
        let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])) else { continue };
        let value = value.trim();
        match key {
            "Package" => value.clone_into(&mut stanza.name),
            "Version" => value.clone_into(&mut stanza.version),
            "Architecture" => value.clone_into(&mut stanza.arch),
            "Source" => value.clone_into(&mut stanza.source),
            "SHA256" => value.clone_into(&mut stanza.sha256),
            "Size" => stanza.size = value.parse().ok()?,
            "Filename" => value.trim_start_matches("./").clone_into(&mut stanza.path),
            "Essential" => stanza.essential = value == "yes",
            "Provides" => value.clone_into(&mut stanza.provides),
            "Depends" | "Pre-Depends" => {
                stanza.depends.push_str(value);
                stanza.depends.push(',');
            }
            _ => {}
        }
    }
    let complete = [&stanza.name, &stanza.version, &stanza.arch, &stanza.sha256, &stanza.path].iter().all(|field| !field.is_empty());
    complete.then_some(stanza)
}

/// `%2b` -> `+`; what is no escape stays.
fn percent_decoded(address: &str) -> String {
    let mut bytes = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| first == b'%').and_then(|digits| hex::decode(digits).ok());
        match escaped {
            Some(byte) => {
                bytes.extend(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "Package: bash\nSource: bash-src (5.2-1)\nVersion: 5.2-1+b1\nEssential: yes\nArchitecture: amd64\n\
        Depends: base-files (>= 2.1), debianutils\nPre-Depends: libc6 (>= 2.38) | libc7, libtinfo6:any\nDescription: shell\n Depends: nothing\n\
        Filename: pool/main/b/bash/bash_5.2-1+b1_amd64.deb\nSize: 1500000\nSHA256: aa\n\n\
        Package: broken\nVersion: 1\n\n\
        Package: mta\nVersion: 1\nArchitecture: all\nProvides: mail-agent (= 1), x\nFilename: ./pool/mta_1_all.deb\nSize: 1\nSHA256: bb\n";

    fn index() -> Index {
        let mut index = Index::default();
        index.add(ArchiveLabel::Debian, LIST);
        index
    }

    #[test]
    fn the_fields_of_a_lock_are_found() {
        let index = index();
        let (label, bash) = index.at_address("http://m/debian/pool/main/b/bash/bash_5.2-1%2bb1_amd64.deb", &[]).unwrap();
        let locked = bash.locked(label, Reason::Essential);
        assert_eq!((locked.source.as_str(), locked.source_version.as_str()), ("bash-src", "5.2-1"));
        assert_eq!((locked.version.as_str(), locked.size, locked.essential), ("5.2-1+b1", 1_500_000, true));
        let names: Vec<Vec<&str>> = bash.dependencies().filter(|group| !group.is_empty()).collect();
        assert_eq!(names, [vec!["base-files"], vec!["debianutils"], vec!["libc6", "libc7"], vec!["libtinfo6"]]);
    }

    #[test]
    fn names_essentials_and_providers_are_known() {
        let index = index();
        assert_eq!(index.names().collect::<Vec<_>>(), ["bash", "mta"]);
        assert_eq!(index.essential().collect::<Vec<_>>(), ["bash"]);
        assert_eq!(index.providers("mail-agent"), ["mta"]);
        assert!(index.providers("mail").is_empty());
        assert!(!index.contains("broken"));
    }

    #[test]
    fn the_archive_is_told_by_its_address() {
        let mut index = index();
        index.add(ArchiveLabel::DebianSecurity, LIST);
        let bases = [(ArchiveLabel::Debian, "file:/a".to_owned()), (ArchiveLabel::DebianSecurity, "file:/b".to_owned())];
        let label = |address| index.at_address(address, &bases).map(|(label, _)| label);
        assert_eq!(label("file:/b/pool/mta_1_all.deb"), Some(ArchiveLabel::DebianSecurity));
        assert_eq!(label("file:/a/pool/mta_1_all.deb"), Some(ArchiveLabel::Debian));
        assert_eq!(label("file:/c/pool/mta_1_all.deb"), Some(ArchiveLabel::Debian));
        assert_eq!(label("file:/a/pool/other/mta_1_all.deb"), None);
        assert_eq!(label("file:/a/xpool/mta_1_all.deb"), None);
        assert_eq!(label(""), None);
    }

    #[test]
    fn escapes_are_decoded_and_nonsense_is_kept() {
        for (from, to) in [("a%2bb%7e1", "a+b~1"), ("%", "%"), ("%zz", "%zz"), ("%2", "%2"), ("%é", "%é")] {
            assert_eq!(percent_decoded(from), to);
        }
    }
}
