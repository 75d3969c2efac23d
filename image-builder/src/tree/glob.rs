//! Ordered lists of globs in which the last match wins and `!` takes back, as in a `.gitignore`.

use globset::{GlobBuilder, GlobMatcher};

/// An ordered list of patterns.
#[derive(Debug, Clone, Default)]
pub struct GlobList {
    patterns: Vec<(bool, GlobMatcher)>,
}

/// A pattern that is not a glob.
#[derive(Debug, thiserror::Error)]
#[error("`{pattern}` is not a valid pattern: {reason}")]
pub struct BadGlob {
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl GlobList {
    /// Compiles `patterns`; `*` does not cross a `/`, `**` does.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, BadGlob> {
        let compile = |pattern: S| {
            let pattern = pattern.as_ref();
            let (positive, glob) = pattern.strip_prefix('!').map_or((true, pattern), |rest| (false, rest));
            let glob = GlobBuilder::new(glob)
                .literal_separator(true)
                .build()
                .map_err(|error| BadGlob { pattern: pattern.to_owned(), reason: error.kind().to_string() })?;
            Ok((positive, glob.compile_matcher()))
        };
        Ok(Self { patterns: patterns.into_iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// Whether the last pattern that matches `path` is a positive one.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.patterns.iter().rev().find(|(_, glob)| glob.is_match(path)).is_some_and(|(positive, _)| *positive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_match_wins() {
        let list = GlobList::new(["/usr/share/doc/**", "!/usr/share/doc/*/copyright", "/usr/bin/ctr"]).unwrap();
        let table = [
            ("/usr/share/doc/bash/README", true),
            ("/usr/share/doc/bash/copyright", false),
            ("/usr/share/doc/a/b/copyright", true),
            ("/usr/bin/ctr", true),
            ("/usr/bin/ctrl", false),
            ("/usr/share/doc", false),
        ];
        for (path, expected) in table {
            assert_eq!(list.matches(path), expected, "{path}");
        }
        assert!(!GlobList::default().matches("/x"));
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let error = GlobList::new(["/ok/*", "/bad[/x"]).unwrap_err();
        assert!(error.to_string().starts_with("`/bad[/x` is not a valid pattern: "), "{error}");
    }
}
