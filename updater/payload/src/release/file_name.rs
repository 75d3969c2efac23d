//! Which names a file of a release may have.

use super::FILE_NAME_MAX_BYTES;

/// True for a name that means the same file on every file system, in every URL and on every command line: letters, digits, `.`,
/// `_` and `-`, beginning with a letter or digit, not ending in a dot, and none of the names DOS reserved for devices.
#[must_use]
pub fn is_plain_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.len() <= FILE_NAME_MAX_BYTES
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(plain)
        && !name.contains("..")
        && !name.ends_with('.')
        && !is_device(name)
}

/// `CON`, `nul.txt`, `com1` and so on: a USB stick with a release may pass through Windows.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |prefix: &str| stem.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit());
    matches!(&*stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_names_are_plain() {
        for name in ["root.erofs.zst", "root.verity.zst", "slipway.efi.zst", "a", "0", "A-b_c.1", "console.txt", "com10", &"a".repeat(128)]
        {
            assert!(is_plain_file_name(name), "{name}");
        }
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_not() {
        let long = "a".repeat(129);
        let wrong = [
            "",
            ".",
            "..",
            "../root.zst",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "..\\a",
            "a\0",
            "\0",
            "a\nb",
            "a b",
            " a",
            "a ",
            ".hidden",
            "-rf",
            "_a",
            "a..b",
            "a.",
            "%2e%2e%2froot",
            "a%00",
            "a?b",
            "a#b",
            "a:b",
            "c:",
            "file:a",
            "http:a",
            "~a",
            "a~1",
            "é",
            "a\u{202e}b",
            "ａ",
            "con",
            "NUL",
            "nul.zst",
            "Aux.tar.zst",
            "COM1",
            "lpt9.efi",
            "a;b",
            "a|b",
            "a*",
            "$a",
            "a'b",
            "a\"b",
            &long,
        ];
        for name in wrong {
            assert!(!is_plain_file_name(name), "{name:?}");
        }
    }

    proptest! {
        /// Joined to any folder, a plain name stays directly inside it.
        #[test]
        fn a_plain_name_never_leaves_its_folder(name in any::<String>()) {
            if is_plain_file_name(&name) {
                let joined = std::path::Path::new("/folder").join(&name);
                prop_assert_eq!(joined.parent(), Some(std::path::Path::new("/folder")));
                prop_assert_eq!(joined.file_name().and_then(|name| name.to_str()), Some(&*name));
                prop_assert!(name.is_ascii());
            }
        }
    }
}
