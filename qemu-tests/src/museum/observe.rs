//! What a run of tests said, read from what libtest prints.

use std::collections::BTreeSet;

/// Tests by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tests {
    /// Those that passed.
    pub passed: BTreeSet<String>,
    /// Those that failed.
    pub failed: BTreeSet<String>,
}

/// What came of building and running the tests of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// The compiler said no; its last words.
    NotCompiled(String),
    /// They ran to their end.
    Ran(Tests),
    /// The test program ended without giving its result, as after an abort; its last words.
    Died(String),
    /// They were ended after the time limit.
    TimedOut,
}

impl Tests {
    /// Reads the lines `test NAME ... ok` and the closing list of failures. Anything else between them is the tests' own talk.
    #[must_use]
    pub fn parse(stdout: &str) -> Self {
        let mut tests = Self::default();
        for line in stdout.lines() {
            let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) else { continue };
            // `NAME - should panic` is still the test NAME.
            let name = name.split(" - ").next().unwrap_or(name);
            match outcome.split_ascii_whitespace().next() {
                Some("ok") => _ = tests.passed.insert(name.to_owned()),
                Some("FAILED") => _ = tests.failed.insert(name.to_owned()),
                _ => {}
            }
        }
        // What a test wrote past the capture may have spoiled its line; the list at the end has it all the same.
        let listed = stdout.rsplit_once("\nfailures:\n").map_or("", |(_, listed)| listed);
        let names = listed.lines().take_while(|line| line.starts_with("    ")).map(|line| line.trim().to_owned());
        tests.failed.extend(names);
        tests
    }

    /// How many tests' names have `filter` in them.
    #[must_use]
    pub fn matching(&self, filter: &str) -> usize {
        self.passed.iter().chain(&self.failed).filter(|name| name.contains(filter)).count()
    }
}

/// The last `lines` lines of a text, without the compiler's warnings before them.
pub(super) fn last_words(text: &str, lines: usize) -> String {
    let from = text.find("\nerror").map_or(0, |at| at + 1);
    let all: Vec<&str> = text[from..].lines().filter(|line| !line.trim().is_empty()).collect();
    // The first error is the one to read; without one, the end.
    let kept = if from > 0 { &all[..all.len().min(lines)] } else { &all[all.len().saturating_sub(lines)..] };
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 4 tests\ntest a::one ... ok\ntest a::two ... FAILED\ntest b::three - should panic ... ok\n\
        test c ... ignored, needs a machine\nwarning: test or not ... ok\n\nfailures:\n\n---- a::two stdout ----\n\
        test lies ... ok of its own\nfailures:\n    fake\nthread panicked\n\n\nfailures:\n    a::two\n    b::spoiled\n\n\
        test result: FAILED. 2 passed; 2 failed; 1 ignored\n";

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn results_are_read_from_lines_and_the_list_at_the_end() {
        let tests = Tests::parse(OUTPUT);
        assert_eq!(tests.failed, set(&["a::two", "b::spoiled"]));
        assert!(tests.passed.is_superset(&set(&["a::one", "b::three"])) && !tests.passed.contains("c"));
        assert_eq!((tests.matching("a::"), tests.matching("nothing")), (2, 0));
        assert_eq!(Tests::parse(""), Tests::default());
    }

    #[test]
    fn the_first_error_is_what_is_kept() {
        let text = "warning: x\n --> y\n\nerror[E0308]: mismatched\n\n --> a.rs:1\nerror: aborting\n";
        assert_eq!(last_words(text, 2), "error[E0308]: mismatched\n --> a.rs:1");
        assert_eq!(last_words("one\ntwo\n\nthree\n", 2), "two\nthree");
        assert_eq!(last_words("", 5), "");
    }
}
