//! Package URLs (<https://github.com/package-url/purl-spec>), the names by which vulnerability scanners know a package.

use crate::manifest::Package;

/// The `distro` qualifier: scanners pick their security tracker by it. Our only base is Debian 13 (trixie).
const DISTRO: &str = "debian-13";

/// The package URL of a Debian package; `upstream` tells scanners the source package, which advisories are about.
pub(super) fn of(package: &Package) -> String {
    let (name, version, arch) = (encode(&package.name), encode(&package.version), encode(&package.arch));
    let mut url = format!("pkg:deb/debian/{name}@{version}?arch={arch}&distro={DISTRO}");
    let same_version = package.source_version == package.version;
    if package.source != package.name || !same_version {
        url.push_str("&upstream=");
        url.push_str(&encode(&package.source));
        if !same_version {
            url.push_str("%40");
            url.push_str(&encode(&package.source_version));
        }
    }
    url
}

/// Percent-encodes all but the characters that the specification keeps as they are.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Reason, fixture};

    fn check(name: &str, version: &str, source: &str, source_version: &str, expected: &str) {
        let mut package = fixture::package(name, version, "MIT", Reason::Essential);
        source.clone_into(&mut package.source);
        source_version.clone_into(&mut package.source_version);
        assert_eq!(of(&package), expected);
    }

    #[test]
    fn names_package_version_architecture_and_source() {
        let tail = "?arch=amd64&distro=debian-13";
        check("runc", "1.1.15+ds1-2", "runc", "1.1.15+ds1-2", &format!("pkg:deb/debian/runc@1.1.15%2Bds1-2{tail}"));
        check("libc6", "2.41-12", "glibc", "2.41-12", &format!("pkg:deb/debian/libc6@2.41-12{tail}&upstream=glibc"));
        check("bash", "5.2-2+b10", "bash", "5.2-2", &format!("pkg:deb/debian/bash@5.2-2%2Bb10{tail}&upstream=bash%405.2-2"));
        check(
            "openssh-server",
            "1:10.0p1-7",
            "openssh",
            "1:10.0p1-7",
            &format!("pkg:deb/debian/openssh-server@1:10.0p1-7{tail}&upstream=openssh"),
        );
    }

    #[test]
    fn encodes_what_would_end_or_split_the_url() {
        for (text, expected) in
            [("c++", "c%2B%2B"), ("a b", "a%20b"), ("a?b&c=d#e/f@g%", "a%3Fb%26c%3Dd%23e%2Ff%40g%25"), ("é", "%C3%A9"), ("1~rc1", "1~rc1")]
        {
            assert_eq!(encode(text), expected);
        }
    }
}
