//! Ordered globs with exceptions: `"kernel/net/**", "!kernel/net/bluetooth/**"`; the last match wins.

use globset::{GlobBuilder, GlobMatcher};

use super::model::{Located, Place};

/// One glob of a list, with or without `!`.
#[derive(Debug, Clone)]
pub struct Rule {
    /// As the recipe writes it.
    pub written: String,
    /// Without `!`.
    pub includes: bool,
    matcher: GlobMatcher,
}

impl Rule {
    /// Parses one glob. `*` and `?` stay within a path component, `**` crosses components.
    pub fn parse(written: &str) -> Result<Self, globset::Error> {
        let (includes, glob) = match written.strip_prefix('!') {
            Some(rest) => (false, rest),
            None => (true, written),
        };
        let matcher = GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build()?.compile_matcher();
        Ok(Self { written: written.to_owned(), includes, matcher })
    }

    /// Whether the glob matches `path`, whatever it then says about it.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }
}

/// A list of globs in the order of the recipe.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The globs.
    pub rules: Vec<Located<Rule>>,
}

impl Rules {
    /// A list that no recipe wrote, for globs that travelled as text.
    pub fn parse<'a>(globs: impl IntoIterator<Item = &'a String>) -> Result<Self, globset::Error> {
        let nowhere = Place { recipe: String::new(), line: 0 };
        let rule = |glob: &String| Ok(Located { value: Rule::parse(glob)?, at: nowhere.clone() });
        Ok(Self { rules: globs.into_iter().map(rule).collect::<Result<_, _>>()? })
    }

    /// The rule that decides about `path`: the last one that matches. A path inside a matched folder is not matched
    /// by itself; write `folder/**` for what is below it.
    #[must_use]
    pub fn decide(&self, path: &str) -> Option<&Located<Rule>> {
        self.rules.iter().rev().find(|rule| rule.value.matches(path))
    }

    /// Whether the list selects `path`, that is, the last match exists and has no `!`.
    #[must_use]
    pub fn selects(&self, path: &str) -> bool {
        self.decide(path).is_some_and(|rule| rule.value.includes)
    }

    /// Whether there are no rules at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Places of the rules that match none of `paths`; a rule that does nothing is usually a typing mistake.
    pub fn unused<'a>(&'a self, paths: &'a [impl AsRef<str>]) -> impl Iterator<Item = (&'a Rule, &'a Place)> {
        let unused = |rule: &&Located<Rule>| !paths.iter().any(|path| rule.value.matches(path.as_ref()));
        self.rules.iter().filter(unused).map(|rule| (&rule.value, &rule.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(list: &[&str]) -> Rules {
        let at = |line| Place { recipe: "vm.toml".to_owned(), line };
        Rules { rules: list.iter().enumerate().map(|(i, glob)| Located { value: Rule::parse(glob).unwrap(), at: at(i + 1) }).collect() }
    }

    #[test]
    fn the_last_match_wins() {
        let net = ["kernel/net/**", "!kernel/net/bluetooth/**", "kernel/net/bluetooth/ecdh.ko*"];
        let table = [
            ("kernel/net/ipv4/ip.ko", true),
            ("kernel/net/bluetooth/bt.ko", false),
            ("kernel/net/bluetooth/ecdh.ko.xz", true),
            ("kernel/sound/snd.ko", false),
            ("kernel/net", false),
            ("usr/kernel/net/a.ko", false),
        ];
        for (path, selected) in table {
            assert_eq!(rules(&net).selects(path), selected, "{path}");
        }
        let reversed = rules(&["!kernel/net/bluetooth/**", "kernel/net/**"]);
        assert!(reversed.selects("kernel/net/bluetooth/bt.ko"));
    }

    #[test]
    fn a_star_stays_within_its_folder() {
        assert!(!rules(&["/usr/share/*"]).selects("/usr/share/doc/x"));
        assert!(rules(&["/usr/share/**"]).selects("/usr/share/doc/x"));
        assert!(rules(&["/usr/share/locale/{de,fr}/**"]).selects("/usr/share/locale/fr/a"));
        assert!(!Rules::default().selects("/usr"));
    }

    #[test]
    fn rules_that_match_nothing_are_named_with_their_place() {
        let rules = rules(&["/usr/share/doc/**", "/usr/share/dcc/**"]);
        let unused: Vec<_> = rules.unused(&["/usr/share/doc/a"]).map(|(rule, at)| (rule.written.clone(), at.to_string())).collect();
        assert_eq!(unused, [("/usr/share/dcc/**".to_owned(), "vm.toml:2".to_owned())]);
    }

    #[test]
    fn broken_globs_are_refused() {
        for glob in ["a[", "{a", "a{b,c", "!x[!"] {
            assert!(Rule::parse(glob).is_err(), "{glob}");
        }
    }
}
