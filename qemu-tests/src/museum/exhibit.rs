//! One defect: what it is, what it would do to a user, and who is expected to notice.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::change::{Change, Misfit};

/// Largest exhibit in bytes; a defect is a few lines.
pub(super) const MAX_BYTES: u64 = 16 * 1024;

/// A planted defect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhibit {
    /// Its name, that of its file.
    pub name: String,
    /// What would happen to a user.
    pub story: String,
    /// The promise of the design that it breaks.
    pub promise: String,
    /// A test that hangs counts as noticing.
    pub hangs: bool,
    /// The defect.
    pub changes: Vec<Change>,
    /// Tests that are expected to fail.
    pub killers: Vec<Killer>,
}

/// Tests of one kind in one package.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Killer {
    /// The package, as cargo calls it.
    pub package: String,
    /// Which of its tests.
    pub kind: Kind,
    /// Parts of names, as the test programs take them; each must mean at least one test.
    pub filters: Vec<String>,
}

/// A target of a package; written `lib`, `bin` or `test NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Kind {
    /// The tests in the library.
    Lib,
    /// The tests in the programs.
    Bin,
    /// The integration test of that name.
    Test(String),
}

/// Why a file is no exhibit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExhibitError {
    /// Not the TOML that is expected.
    #[error("{name}: {source}")]
    Toml {
        /// The exhibit.
        name: String,
        /// Where and why.
        source: toml::de::Error,
    },
    /// Something is missing in it.
    #[error("{name}: {reason}")]
    Incomplete {
        /// The exhibit.
        name: String,
        /// What.
        reason: &'static str,
    },
    /// One of its changes is none.
    #[error("{name}: {source}")]
    Misfit {
        /// The exhibit.
        name: String,
        /// Which and why.
        source: Misfit,
    },
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    story: String,
    promise: String,
    #[serde(default)]
    hangs: bool,
    change: Vec<Change>,
    killers: Vec<Killer>,
}

impl Exhibit {
    /// Reads the exhibit `name` and checks what can be checked without the source.
    ///
    /// # Errors
    /// It is no exhibit; the error says why.
    pub fn parse(name: &str, text: &str) -> Result<Self, ExhibitError> {
        let raw: Raw = toml::from_str(text).map_err(|source| ExhibitError::Toml { name: name.to_owned(), source })?;
        let Raw { story, promise, hangs, change: changes, killers } = raw;
        let fault = match () {
            () if !is_name(name) => Some("a name is lower case letters, digits and hyphens, as in `missing-fsync.toml`"),
            () if story.trim().is_empty() => Some("`story` is empty: say what would happen to a user"),
            () if promise.trim().is_empty() => Some("`promise` is empty: say what was promised"),
            () if changes.is_empty() => Some("no `[[change]]`: there is no defect"),
            () if killers.is_empty() => Some("no `[[killers]]`: nobody is expected to notice"),
            () if killers.iter().any(|killer| killer.package.is_empty()) => Some("a killer without a package"),
            () if killers.iter().any(|killer| killer.filters.is_empty()) => Some("a killer without `filters` would be every test there is"),
            // A word that begins with a dash would be an option of the test program.
            () if killers.iter().flat_map(|killer| &killer.filters).any(|filter| filter.is_empty() || filter.starts_with('-')) => {
                Some("a filter is a part of the name of a test")
            }
            () => None,
        };
        if let Some(reason) = fault {
            return Err(ExhibitError::Incomplete { name: name.to_owned(), reason });
        }
        for change in &changes {
            change.check().map_err(|source| ExhibitError::Misfit { name: name.to_owned(), source })?;
        }
        Ok(Self { name: name.to_owned(), story, promise, hangs, changes, killers })
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.bytes().all(fits) && !name.starts_with('-')
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(' ') {
            None if text == "lib" => Ok(Self::Lib),
            None if text == "bin" => Ok(Self::Bin),
            Some(("test", name)) if !name.is_empty() && !name.contains(' ') => Ok(Self::Test(name.to_owned())),
            _ => Err(format!("`{text}` is no kind of tests; write `lib`, `bin` or `test NAME`")),
        }
    }
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lib => f.write_str("lib"),
            Self::Bin => f.write_str("bin"),
            Self::Test(name) => write!(f, "test {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "story = 'It hurts.'\npromise = 'It does not.'\n\
        [[change]]\nfile = 'a.rs'\nbefore = '''\nx\n'''\nafter = ''\n\
        [[killers]]\npackage = 'p'\nkind = 'test t'\nfilters = ['f']\n";

    #[test]
    fn an_exhibit_is_read() {
        let exhibit = Exhibit::parse("good", GOOD).unwrap();
        assert_eq!((exhibit.changes[0].before.as_str(), exhibit.changes[0].after.as_str()), ("x\n", ""));
        let killer = Killer { package: "p".into(), kind: Kind::Test("t".into()), filters: vec!["f".into()] };
        assert_eq!((exhibit.killers, exhibit.hangs), (vec![killer], false));
    }

    #[test]
    fn what_is_no_exhibit_is_refused_with_a_reason() {
        let cases = [
            ("story = 'It hurts.'\n", "", "missing field `story`"),
            ("It hurts.", " ", "what would happen"),
            ("It does not.", "", "what was promised"),
            ("story", "storey", "unknown field `storey`"),
            ("[[change]]", "change = []\n[x]", "unknown field `x`"),
            ("package = 'p'", "package = ''", "without a package"),
            ("['f']", "[]", "every test there is"),
            ("['f']", "['--list']", "part of the name"),
            ("test t", "test", "no kind of tests"),
            ("test t", "bench", "no kind of tests"),
            ("test t", "test a b", "no kind of tests"),
            ("a.rs", "../a.rs", "no path inside"),
            ("'''\nx\n'''", "'x'", "whole lines"),
            ("after = ''", "after = 'x\n'", "TOML"),
            ("after = ''", "after = \"x\\n\"", "must differ"),
        ];
        for (from, to, reason) in cases {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            let error = Exhibit::parse("bad", &text).unwrap_err().to_string();
            assert!(error.starts_with("bad: ") && error.contains(reason), "{from} -> {to}: {error}");
        }
        let (changes, killers) = GOOD.split_once("[[killers]]").unwrap();
        assert!(Exhibit::parse("bad", changes).unwrap_err().to_string().contains("killers"));
        assert!(Exhibit::parse("bad", &format!("killers = []\n{changes}")).unwrap_err().to_string().contains("expected to notice"));
        let head = GOOD.split_once("[[change]]").unwrap().0;
        let none = format!("{head}change = []\n[[killers]]{killers}");
        assert!(Exhibit::parse("bad", &none).unwrap_err().to_string().contains("there is no defect"));
        for name in ["", "Upper", "a b", "-x", "a_b", "../a"] {
            assert!(Exhibit::parse(name, GOOD).is_err(), "{name}");
        }
    }
}
