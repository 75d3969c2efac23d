//! Debian's licence short names and their SPDX identifiers.

use super::REF_PREFIX;

/// Longest reference made from an unknown name, in characters; some files put a sentence there.
const MAX_REF: usize = 80;

/// Licences with a version in the name: Debian's family, SPDX family, known versions (lowest first, which a name
/// without version means), and whether SPDX tells `-only` from `-or-later`.
const FAMILIES: &[(&str, &str, &[&str], bool)] = &[
    ("gpl", "GPL", &["1.0", "2.0", "3.0"], true),
    ("lgpl", "LGPL", &["2.0", "2.1", "3.0"], true),
    ("agpl", "AGPL", &["1.0", "3.0"], true),
    ("gfdl", "GFDL", &["1.1", "1.2", "1.3"], true),
    ("apache", "Apache", &["1.0", "1.1", "2.0"], false),
    ("artistic", "Artistic", &["1.0", "2.0"], false),
    ("mpl", "MPL", &["1.0", "1.1", "2.0"], false),
    ("epl", "EPL", &["1.0", "2.0"], false),
    ("cddl", "CDDL", &["1.0", "1.1"], false),
    ("cc-by", "CC-BY", &["1.0", "2.0", "2.5", "3.0", "4.0"], false),
    ("cc-by-sa", "CC-BY-SA", &["1.0", "2.0", "2.5", "3.0", "4.0"], false),
    ("cc0", "CC0", &["1.0"], false),
    ("ofl", "OFL", &["1.0", "1.1"], false),
    ("sil", "OFL", &["1.0", "1.1"], false),
    ("bsl", "BSL", &["1.0"], false),
    ("psf", "PSF", &["2.0"], false),
    ("zpl", "ZPL", &["1.1", "2.0", "2.1"], false),
    ("afl", "AFL", &["1.1", "1.2", "2.0", "2.1", "3.0"], false),
    ("eupl", "EUPL", &["1.0", "1.1", "1.2"], false),
    ("ecl", "ECL", &["1.0", "2.0"], false),
];

/// Licences with one fixed name, in SPDX spelling; Debian's may differ in case.
const FIXED: &[&str] = &[
    "0BSD",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-2-Clause-Patent",
    "BSD-3-Clause",
    "BSD-4-Clause",
    "BSD-4-Clause-UC",
    "Beerware",
    "FSFAP",
    "FSFUL",
    "FSFULLR",
    "FTL",
    "HPND",
    "ICU",
    "IJG",
    "ISC",
    "Latex2e",
    "Libpng",
    "LPPL-1.3c",
    "MIT",
    "MIT-0",
    "MS-PL",
    "NAIST-2003",
    "NIST-PD",
    "NTP",
    "OLDAP-2.8",
    "OpenSSL",
    "PHP-3.01",
    "PostgreSQL",
    "Python-2.0",
    "QPL-1.0",
    "Ruby",
    "SMLNJ",
    "SSH-short",
    "Sleepycat",
    "TCL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Vim",
    "W3C",
    "WTFPL",
    "X11",
    "Zlib",
    "blessing",
    "bzip2-1.0.6",
    "curl",
    "gnuplot",
    "libtiff",
    "zlib-acknowledgement",
];

/// Other names in use, in lower case.
const ALIASES: &[(&str, &str)] = &[
    ("boost", "BSL-1.0"),
    ("boost-1.0", "BSL-1.0"),
    ("bsd-2clause", "BSD-2-Clause"),
    ("bsd-3clause", "BSD-3-Clause"),
    ("bsd-4clause", "BSD-4-Clause"),
    ("expat", "MIT"),
    ("gfdl-niv-1.1+", "GFDL-1.1-no-invariants-or-later"),
    ("gfdl-niv-1.2+", "GFDL-1.2-no-invariants-or-later"),
    ("gfdl-niv-1.3+", "GFDL-1.3-no-invariants-or-later"),
    ("gfdl-niv-1.3", "GFDL-1.3-no-invariants-only"),
    ("python", "Python-2.0"),
];

/// Exceptions that SPDX has an identifier for: the word before `exception`, in lower case.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("autoconf", "Autoconf-exception-generic"),
    ("bison", "Bison-exception-2.2"),
    ("classpath", "Classpath-exception-2.0"),
    ("font", "Font-exception-2.0"),
    ("gcc", "GCC-exception-3.1"),
    ("gcc-runtime-library", "GCC-exception-3.1"),
    ("libtool", "Libtool-exception"),
    ("linux-syscall-note", "Linux-syscall-note"),
    ("llvm", "LLVM-exception"),
];

/// One licence name, possibly with an exception, as an SPDX term. `None` when there is nothing in it to name.
pub(super) fn to_spdx(words: &[&str]) -> Option<String> {
    if let Some(at) = words.iter().position(|word| word.eq_ignore_ascii_case("with")) {
        let exception = words[at + 1..].join("-").to_ascii_lowercase();
        let exception = exception.strip_suffix("-exception").unwrap_or(&exception);
        let known = EXCEPTIONS.iter().find(|(name, _)| *name == exception);
        if let (Some(licence), Some((_, exception))) = (known_name(&words[..at].join("-")), known) {
            return Some(format!("{licence} WITH {exception}"));
        }
    }
    let name = words.join("-");
    known_name(&name).or_else(|| reference(&name))
}

fn known_name(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let fixed = FIXED.iter().copied().find(|spdx| spdx.eq_ignore_ascii_case(&name));
    let alias = || ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, spdx)| *spdx);
    fixed.or_else(alias).map(str::to_owned).or_else(|| family(&name))
}

fn family(name: &str) -> Option<String> {
    let or_later = ["+", "-or-later"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let bare = or_later.or_else(|| name.strip_suffix("-only")).unwrap_or(name);
    FAMILIES.iter().find_map(|(debian, spdx, versions, graded)| {
        let rest = bare.strip_prefix(debian)?;
        let wanted = match rest.strip_prefix('-') {
            Some(version) => version.trim_start_matches('v'),
            None if rest.is_empty() => versions.first()?.trim_end_matches(".0"),
            None => return None,
        };
        let version = versions.iter().find(|known| **known == wanted || known.strip_suffix(".0") == Some(wanted))?;
        match (graded, or_later) {
            (true, Some(_)) => Some(format!("{spdx}-{version}-or-later")),
            (true, None) => Some(format!("{spdx}-{version}-only")),
            (false, Some(_)) => None,
            (false, None) => Some(format!("{spdx}-{version}")),
        }
    })
}

fn reference(name: &str) -> Option<String> {
    let name = format!("{name}-").replace("+-", "-or-later-");
    let safe = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' });
    let safe: String = safe.take(MAX_REF).collect();
    let safe = safe.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    (!safe.is_empty()).then(|| format!("{REF_PREFIX}{safe}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &[(&str, &str)]) {
        for (line, expected) in table {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(to_spdx(&words).as_deref().unwrap_or_default(), *expected, "{line}");
        }
    }

    #[test]
    fn knows_debians_names() {
        check(&[
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-2.0+", "GPL-2.0-or-later"),
            ("GPL-3", "GPL-3.0-only"),
            ("gpl-2.0-or-later", "GPL-2.0-or-later"),
            ("GPL-2.0-only", "GPL-2.0-only"),
            ("GPL", "GPL-1.0-only"),
            ("GPL+", "GPL-1.0-or-later"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("LGPL-2", "LGPL-2.0-only"),
            ("Apache-2.0", "Apache-2.0"),
            ("apache-2", "Apache-2.0"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("Expat", "MIT"),
            ("zlib", "Zlib"),
            ("CC-BY-SA-4.0", "CC-BY-SA-4.0"),
            ("CC0-1.0", "CC0-1.0"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("GPL-2+ with Libtool exception", "GPL-2.0-or-later WITH Libtool-exception"),
            ("GPL-2 with Linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note"),
        ]);
    }

    #[test]
    fn names_the_unknown_without_guessing() {
        check(&[
            ("public-domain", "LicenseRef-public-domain"),
            ("GPL-9", "LicenseRef-GPL-9"),
            ("GPL2", "LicenseRef-GPL2"),
            ("Apache-2.0+", "LicenseRef-Apache-2.0-or-later"),
            ("BSD", "LicenseRef-BSD"),
            ("GPL-2+ with OpenSSL exception", "LicenseRef-GPL-2-or-later-with-OpenSSL-exception"),
            ("with Libtool exception", "LicenseRef-with-Libtool-exception"),
            ("made_up (really!)", "LicenseRef-made-up-really"),
            ("../../etc/passwd", "LicenseRef-..-..-etc-passwd"),
            ("ü", ""),
            ("---", ""),
        ]);
        assert_eq!(to_spdx(&["x".repeat(1000).as_str()]).unwrap().len(), REF_PREFIX.len() + MAX_REF);
    }

    #[test]
    fn tables_are_in_lower_case_where_they_are_compared_so() {
        for name in ALIASES.iter().chain(EXCEPTIONS).map(|(name, _)| name).chain(FAMILIES.iter().map(|(name, ..)| name)) {
            assert_eq!(*name, name.to_ascii_lowercase());
        }
    }
}
