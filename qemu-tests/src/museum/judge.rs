//! What an observation says about a defect. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::observe::Observed;

/// What became of a defect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// Tests failed because of it.
    Killed {
        /// Which.
        by: BTreeSet<String>,
        /// How it was noticed.
        how: How,
    },
    /// No test failed.
    Survived,
    /// It proves nothing: the exhibit itself is wrong.
    Broken {
        /// Why.
        reason: String,
    },
}

/// How a defect was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// By the tests that the exhibit names.
    AsNamed,
    /// By other tests of the same target: the exhibit should name these.
    ByOthers,
    /// A test did not come to its end, as the exhibit says.
    TimeLimit,
    /// The test program died.
    Crash,
}

impl Verdict {
    /// Whether the defect was noticed.
    #[must_use]
    pub const fn is_killed(&self) -> bool {
        matches!(self, Self::Killed { .. })
    }
}

/// What the named tests said. `hangs`: the exhibit expects a test that does not end.
#[must_use]
pub fn named(observed: &Observed, hangs: bool) -> Verdict {
    match observed {
        Observed::NotCompiled(words) => Verdict::Broken { reason: format!("it does not compile, which no test has to notice: {words}") },
        Observed::Ran(tests) if tests.failed.is_empty() => Verdict::Survived,
        Observed::Ran(tests) => Verdict::Killed { by: tests.failed.clone(), how: How::AsNamed },
        Observed::Died(words) => Verdict::Killed { by: BTreeSet::from([format!("the test program died: {words}")]), how: How::Crash },
        Observed::TimedOut if hangs => Verdict::Killed { by: BTreeSet::from(["a test that does not end".to_owned()]), how: How::TimeLimit },
        Observed::TimedOut => {
            let reason =
                "the tests did not end in time, and the exhibit does not say `hangs = true`; a slow machine is no proof".to_owned();
            Verdict::Broken { reason }
        }
    }
}

/// What all tests of the targets said after the named ones let the defect pass. `usual`: what fails without any defect.
#[must_use]
pub fn others(observed: &Observed, usual: &Observed) -> Verdict {
    match (observed, usual) {
        (Observed::Ran(tests), Observed::Ran(usual)) => {
            let by: BTreeSet<String> = tests.failed.difference(&usual.failed).cloned().collect();
            if by.is_empty() { Verdict::Survived } else { Verdict::Killed { by, how: How::ByOthers } }
        }
        (Observed::Died(words), Observed::Ran(_)) => {
            Verdict::Killed { by: BTreeSet::from([format!("the test program died: {words}")]), how: How::ByOthers }
        }
        // Whatever else happened, the named tests have passed, and nothing certain can be said of the others.
        _ => Verdict::Survived,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::museum::Tests;

    fn ran(failed: &[&str]) -> Observed {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Observed::Ran(Tests { passed: set(&["fine"]), failed: set(failed) })
    }

    fn how(verdict: &Verdict) -> Option<How> {
        match verdict {
            Verdict::Killed { how, .. } => Some(*how),
            _ => None,
        }
    }

    #[test]
    fn only_a_failing_test_kills() {
        assert_eq!(how(&named(&ran(&["a"]), false)), Some(How::AsNamed));
        assert_eq!(named(&ran(&[]), false), Verdict::Survived);
        assert_eq!(how(&named(&Observed::Died("stack overflow".into()), false)), Some(How::Crash));
    }

    #[test]
    fn what_does_not_compile_is_no_kill() {
        let verdict = named(&Observed::NotCompiled("E0308".into()), true);
        assert!(matches!(&verdict, Verdict::Broken { reason } if reason.contains("E0308")) && !verdict.is_killed());
    }

    #[test]
    fn a_hanging_test_kills_only_where_that_is_expected() {
        assert_eq!(how(&named(&Observed::TimedOut, true)), Some(How::TimeLimit));
        assert!(matches!(named(&Observed::TimedOut, false), Verdict::Broken { .. }));
    }

    #[test]
    fn other_tests_count_when_they_pass_without_the_defect() {
        assert_eq!(how(&others(&ran(&["a"]), &ran(&[]))), Some(How::ByOthers));
        let verdict = others(&ran(&["a", "always"]), &ran(&["always"]));
        assert_eq!(verdict, Verdict::Killed { by: BTreeSet::from(["a".to_owned()]), how: How::ByOthers });
        assert_eq!(others(&ran(&["always"]), &ran(&["always"])), Verdict::Survived);
        assert_eq!(others(&ran(&[]), &ran(&[])), Verdict::Survived);
        assert_eq!(how(&others(&Observed::Died("abort".into()), &ran(&[]))), Some(How::ByOthers));
        assert_eq!(others(&Observed::TimedOut, &ran(&[])), Verdict::Survived);
        assert_eq!(others(&ran(&["a"]), &Observed::TimedOut), Verdict::Survived);
    }
}
