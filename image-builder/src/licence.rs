//! The licences of a package, from its Debian copyright file to an SPDX expression.
//!
//! Only machine-readable copyright files (DEP-5, <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>)
//! are understood; anything else is [`NOASSERTION`]. The result is what the file *declares*, nobody's legal advice.

mod expression;
mod names;

use std::collections::BTreeSet;

/// What SPDX calls "we make no claim".
pub const NOASSERTION: &str = "NOASSERTION";

/// Prefix of licences that SPDX has no identifier for.
pub const REF_PREFIX: &str = "LicenseRef-";

/// Most distinct licence terms of one package; more says nothing to anybody. The longest in Debian has about 80.
const MAX_TERMS: usize = 200;

/// The SPDX expression of all licences named in the `Files:` stanzas of a copyright file, joined with `AND`.
#[must_use]
pub fn from_copyright(text: &str) -> String {
    let mut stanzas = text.split("\n\n").flat_map(|block| block.split("\n \n")).map(Stanza::of).filter(|stanza| !stanza.fields.is_empty());
    let Some(header) = stanzas.next() else { return NOASSERTION.to_owned() };
    if !header.field("format").is_some_and(is_dep5) {
        return NOASSERTION.to_owned();
    }
    let terms: BTreeSet<String> = stanzas
        .filter(|stanza| stanza.field("files").is_some())
        .filter_map(|stanza| stanza.field("license"))
        .filter_map(expression::to_spdx)
        .flatten()
        .collect();
    if terms.is_empty() || terms.len() > MAX_TERMS {
        return NOASSERTION.to_owned();
    }
    expression::join(&terms)
}

/// The `LicenseRef-` names in an SPDX expression, each once.
#[must_use]
pub fn refs(expression: &str) -> BTreeSet<&str> {
    expression.split([' ', '(', ')']).filter(|word| word.starts_with(REF_PREFIX)).collect()
}

fn is_dep5(format: &str) -> bool {
    let format = format.to_ascii_lowercase();
    format.contains("copyright-format") || format.contains("dep5") || format.contains("dep-5")
}

/// One paragraph of a control file: field names and the first line of each value.
struct Stanza<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Stanza<'a> {
    fn of(block: &'a str) -> Self {
        let fields = block.lines().filter(|line| !line.starts_with([' ', '\t', '#'])).filter_map(|line| line.split_once(':'));
        Self { fields: fields.map(|(name, value)| (name.trim(), value.trim())).collect() }
    }

    fn field(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nSource: x\n\n";

    #[test]
    fn joins_the_licences_of_all_files() {
        let text = format!(
            "{HEADER}Files: *\nCopyright: 2020 A\nLicense: GPL-2+\n This program ...\n .\n more\n\n\
             Files: a/*\nCopyright: B\nLicense: Expat\n\nfiles: debian/*\nlicense: GPL-2+\n\n\
             License: Artistic\n stand-alone text, not a use\n"
        );
        assert_eq!(from_copyright(&text), "GPL-2.0-or-later AND MIT");
    }

    #[test]
    fn windows_line_ends_and_old_format_urls_are_read() {
        let text = "Format-Specification: x\r\nFormat: http://dep.debian.net/deps/dep5/\r\n\r\n".replace("\r\n", "\n")
            + "Files: *\nLicense: ISC\n";
        assert_eq!(from_copyright(&text), "ISC");
    }

    #[test]
    fn claims_nothing_about_what_is_not_machine_readable() {
        let table = [
            "",
            "\n\n\n",
            "This package was debianized by A on ...\n\nLicense: GPL\n",
            "Format: something-else\n\nFiles: *\nLicense: MIT\n",
            "Files: *\nLicense: MIT\n",
            &format!("{HEADER}License: MIT\n text only\n"),
            &format!("{HEADER}Files: *\nCopyright: nobody\n"),
            &format!("{HEADER}Files: *\nLicense:\n GPL-2+ on the wrong line\n"),
            &(0..=MAX_TERMS).fold(HEADER.to_owned(), |text, n| text + &format!("Files: {n}\nLicense: made-up-{n}\n\n")),
        ];
        for text in table {
            assert_eq!(from_copyright(text), NOASSERTION, "{text}");
        }
    }

    #[test]
    fn finds_references_inside_parentheses() {
        let found = refs("MIT AND (LicenseRef-a OR ISC) AND LicenseRef-b AND LicenseRef-a");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["LicenseRef-a", "LicenseRef-b"]);
        assert!(refs("MIT AND NOASSERTION").is_empty());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in any::<String>()) {
            let _ = from_copyright(&text);
        }

        #[test]
        fn any_licence_line_gives_a_well_formed_expression(line in "[ -~\u{80}-\u{1ff}]{0,80}") {
            let result = from_copyright(&format!("{HEADER}Files: *\nLicense: {line}\n"));
            let allowed = |c: char| c.is_ascii_alphanumeric() || " .-()".contains(c);
            prop_assert!(!result.is_empty() && result.chars().all(allowed), "{result}");
            prop_assert_eq!(result.matches('(').count(), result.matches(')').count());
            for word in result.split([' ', '(', ')']).filter(|word| !word.is_empty()) {
                prop_assert!(word != REF_PREFIX, "{}", result);
            }
        }
    }
}
