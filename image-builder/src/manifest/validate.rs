use std::collections::BTreeMap;

use super::{FORMAT, File, Kind, Manifest, ManifestError, Package};

/// Hex digits of a SHA-256.
const SHA256_HEX: usize = 64;

/// Largest file a manifest may claim, in bytes: no slot holds one, and the sum of all sizes cannot overflow.
const MAX_FILE_BYTES: u64 = 1 << 40;

/// Checks the rules that the types cannot express: order, paths, digests and links.
///
/// # Errors
/// Names the first entry that breaks a rule.
pub fn validate(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.format != FORMAT {
        return invalid("format", manifest.format, "is not the one this image-builder writes");
    }
    for (what, text) in
        [("image id", &manifest.image_id), ("variant", &manifest.variant), ("version", &manifest.version), ("arch", &manifest.arch)]
    {
        named(what, text)?;
    }
    plain("kernel", &manifest.kernel)?;
    plain("command line", &manifest.cmdline)?;
    sorted("package", manifest.packages.iter().map(|package| package.name.as_str()))?;
    sorted("file", manifest.files.iter().map(|file| file.path.as_str()))?;
    sorted("unit", manifest.units.iter().map(|unit| unit.name.as_str()))?;
    manifest.packages.iter().try_for_each(check_package)?;
    check_files(&manifest.files)?;
    for unit in &manifest.units {
        named("unit", &unit.name)?;
        unit.listens.iter().try_for_each(|listen| plain("unit", listen))?;
    }
    manifest.kernel_config.iter().try_for_each(|(name, value)| named("kernel option", name).and_then(|()| plain("kernel option", value)))
}

fn check_package(package: &Package) -> Result<(), ManifestError> {
    named("package", &package.name)?;
    for text in [&package.version, &package.arch, &package.source, &package.source_version, &package.licence] {
        plain("package", text)?;
    }
    if is_sha256(&package.sha256) { Ok(()) } else { invalid("package", &package.name, "has no SHA-256 in lower-case hex") }
}

fn check_files(files: &[File]) -> Result<(), ManifestError> {
    let mut regular = BTreeMap::new();
    for file in files {
        check_path(&file.path)?;
        plain("file", &file.content)?;
        if file.mode & !0o7777 != 0 {
            return invalid("file", &file.path, "has a mode with more than permission bits");
        }
        if file.kind != Kind::File && file.size != 0 {
            return invalid("file", &file.path, "has a size but is not a regular file");
        }
        if file.size > MAX_FILE_BYTES {
            return invalid("file", &file.path, "is larger than any image");
        }
        match file.kind {
            Kind::File if !is_sha256(&file.content) => return invalid("file", &file.path, "has no SHA-256 in lower-case hex"),
            Kind::Symlink if file.content.is_empty() => return invalid("file", &file.path, "is a symlink without a target"),
            Kind::Hardlink if !regular.contains_key(file.content.as_str()) => {
                return invalid("file", &file.path, "is a hard link to something that is no earlier regular file");
            }
            Kind::Directory | Kind::Special if !file.content.is_empty() => {
                return invalid("file", &file.path, "has content it cannot have");
            }
            Kind::File => drop(regular.insert(file.path.as_str(), ())),
            _ => {}
        }
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), ManifestError> {
    plain("file", path)?;
    let Some(relative) = path.strip_prefix('/') else {
        return invalid("file", path, "is not an absolute path");
    };
    // The root itself is the one path whose only component is empty.
    if !relative.is_empty() && relative.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return invalid("file", path, "has an empty, `.` or `..` component");
    }
    Ok(())
}

fn sorted<'a>(what: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), ManifestError> {
    let mut before = None;
    for name in names {
        if before >= Some(name) {
            return invalid(what, name, "is not sorted after the one before it");
        }
        before = Some(name);
    }
    Ok(())
}

fn named(what: &'static str, text: &str) -> Result<(), ManifestError> {
    if text.is_empty() { invalid(what, text, "is empty") } else { plain(what, text) }
}

/// Everything here ends up on terminals; an escape sequence in a file name must not.
fn plain(what: &'static str, text: &str) -> Result<(), ManifestError> {
    if text.chars().any(char::is_control) { invalid(what, text.escape_debug(), "has a control character") } else { Ok(()) }
}

fn is_sha256(text: &str) -> bool {
    text.len() == SHA256_HEX && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn invalid(what: &'static str, which: impl ToString, rule: &'static str) -> Result<(), ManifestError> {
    Err(ManifestError::Invalid { what, which: which.to_string(), rule })
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_fixture_is_valid() {
        validate(&fixture::manifest()).unwrap();
    }

    #[test]
    fn the_root_directory_is_a_path() {
        check_path("/").unwrap();
        check_path("/usr/share/ca-certificates/Főtanúsítvány.crt").unwrap();
    }

    #[test]
    fn refuses_paths_that_are_not_absolute_and_clean() {
        for path in ["", "usr", "./usr", "/usr/", "//usr", "/usr/../etc", "/..", "/usr/./bin", "/a\nb", "/a\x1b[2Jb", "/a\0"] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
    }

    /// A change to the fixture, and a word that the error must have.
    type Case = (&'static str, fn(&mut Manifest));

    #[test]
    fn refuses_each_broken_rule_and_names_it() {
        let table: &[Case] = &[
            ("not sorted", |m| m.packages.swap(0, 1)),
            ("not sorted", |m| m.files.swap(3, 4)),
            ("not sorted", |m| m.units.swap(0, 1)),
            ("not sorted", |m| m.files.insert(0, m.files[0].clone())),
            ("is empty", |m| m.version.clear()),
            ("is empty", |m| m.packages[0].name.clear()),
            ("control character", |m| m.cmdline.push('\n')),
            ("control character", |m| m.packages[0].licence.push('\x1b')),
            ("control character", |m| m.units[0].listens.push("\r".to_owned())),
            ("SHA-256", |m| m.packages[0].sha256.make_ascii_uppercase()),
            ("SHA-256", |m| m.packages[0].sha256.clear()),
            ("SHA-256", |m| fixture::file(m, "/usr/bin/runc").content = "abc".to_owned()),
            ("permission bits", |m| m.files[0].mode = 0o100_755),
            ("larger than any image", |m| fixture::file(m, "/usr/bin/runc").size = u64::MAX),
            ("not a regular file", |m| fixture::file(m, "/usr/bin").size = 4096),
            ("without a target", |m| fixture::file(m, "/bin").content.clear()),
            ("no earlier regular file", |m| fixture::file(m, "/usr/bin/perl5.40.1").content = "/usr/bin/python".to_owned()),
            ("cannot have", |m| fixture::file(m, "/usr/bin").content = "x".to_owned()),
            ("`0`", |m| m.format = 0),
        ];
        for (word, change) in table {
            let mut manifest = fixture::manifest();
            change(&mut manifest);
            let error = validate(&manifest).unwrap_err().to_string();
            assert!(error.contains(word), "{error} lacks {word}");
        }
    }
}
