//! One edit of one source file.

use camino::Utf8PathBuf;
use serde::Deserialize;

/// Whole lines of a file, and what stands in their place in the defective program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The file, relative to the repository.
    pub file: Utf8PathBuf,
    /// The lines as they are today; they occur exactly once.
    pub before: String,
    /// The lines of the defect; none at all removes them.
    pub after: String,
}

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// The path leads out of the repository.
    #[error("`{0}` is no path inside the repository")]
    Path(Utf8PathBuf),
    /// Half a line would be matched or left behind.
    #[error("{file}: `{field}` must be whole lines: end it with a line break")]
    Lines {
        /// The file.
        file: Utf8PathBuf,
        /// Which of the two texts.
        field: &'static str,
    },
    /// There is nothing to look for, or nothing changes.
    #[error("{0}: `before` and `after` must differ, and `before` must not be empty")]
    NoChange(Utf8PathBuf),
    /// The source has moved on, or the text is too short to mean one place.
    #[error("{file}: `before` occurs {count} times, and must occur exactly once; take it anew from the source of today")]
    Count {
        /// The file.
        file: Utf8PathBuf,
        /// How often it is there.
        count: usize,
    },
}

impl Change {
    /// What can be checked without the file.
    pub(super) fn check(&self) -> Result<(), Misfit> {
        let file = || self.file.clone();
        let inside = self.file.components().all(|part| matches!(part, camino::Utf8Component::Normal(_)));
        if !inside || self.file.as_str().is_empty() {
            return Err(Misfit::Path(file()));
        }
        if self.before.trim().is_empty() || self.before == self.after {
            return Err(Misfit::NoChange(file()));
        }
        for (field, text) in [("before", &self.before), ("after", &self.after)] {
            if !text.is_empty() && !text.ends_with('\n') {
                return Err(Misfit::Lines { file: file(), field });
            }
        }
        Ok(())
    }

    /// The file's text with the defect in it.
    ///
    /// # Errors
    /// `before` is not there, or more than once.
    pub fn plant(&self, text: &str) -> Result<String, Misfit> {
        let places: Vec<usize> = text.match_indices(&self.before).map(|(at, _)| at).filter(|&at| begins_line(text, at)).collect();
        match places[..] {
            [at] => Ok([&text[..at], &self.after, &text[at + self.before.len()..]].concat()),
            _ => Err(Misfit::Count { file: self.file.clone(), count: places.len() }),
        }
    }
}

fn begins_line(text: &str, at: usize) -> bool {
    at == 0 || text.as_bytes()[at - 1] == b'\n'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: &str, after: &str) -> Change {
        Change { file: "a/b.rs".into(), before: before.into(), after: after.into() }
    }

    #[test]
    fn whole_lines_are_replaced_or_removed() {
        let text = "one\ntwo\nthree two\n";
        assert_eq!(change("two\n", "2\n").plant(text).unwrap(), "one\n2\nthree two\n");
        assert_eq!(change("one\ntwo\n", "").plant(text).unwrap(), "three two\n");
    }

    #[test]
    fn what_is_not_there_exactly_once_is_refused() {
        for (before, count) in [("four\n", 0), ("wo\n", 0), ("x\n", 2)] {
            let misfit = change(before, "").plant("x\ntwo\nx\n").unwrap_err();
            assert_eq!(misfit, Misfit::Count { file: "a/b.rs".into(), count }, "{before:?}");
        }
    }

    #[test]
    fn a_change_must_be_one() {
        for (before, after) in [("", "x\n"), ("\n", "x\n"), ("x\n", "x\n")] {
            assert!(matches!(change(before, after).check(), Err(Misfit::NoChange(_))), "{before:?}");
        }
        assert!(matches!(change("x", "").check(), Err(Misfit::Lines { field: "before", .. })));
        assert!(matches!(change("x\n", "y").check(), Err(Misfit::Lines { field: "after", .. })));
        for file in ["", "/etc/passwd", "../other.rs", "a/../../b.rs"] {
            let outside = Change { file: file.into(), ..change("x\n", "") };
            assert!(matches!(outside.check(), Err(Misfit::Path(_))), "{file}");
        }
        assert_eq!(change("x\n", "").check(), Ok(()));
    }
}
