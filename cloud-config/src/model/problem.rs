//! One thing that is wrong, and where.

use super::{Place, Rule, Severity};

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the configuration from being used.
    pub severity: Severity,
    /// The rule it breaks.
    pub rule: Rule,
    /// Where.
    pub place: Place,
    /// What is wrong, in lower case, on one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line it is about, without its end; empty when there is none.
    pub line_text: String,
}

impl Problem {
    /// A problem as bad as its rule says, without a hint.
    #[must_use]
    pub fn new(rule: Rule, place: Place, message: impl Into<String>) -> Self {
        Self { severity: rule.severity(), rule, place, message: message.into(), hint: None, line_text: String::new() }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Most errors, and most warnings, that are kept; a file that is wrong throughout is known to be wrong after these.
pub const MAX_PROBLEMS: usize = 200;

/// Problems as they are found. Beyond [`MAX_PROBLEMS`] of a severity further ones are not kept, so an error is never lost
/// behind many warnings.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    errors: usize,
}

impl Problems {
    /// Adds one.
    pub fn add(&mut self, problem: Problem) {
        if !self.is_full(problem.severity) {
            self.errors += usize::from(problem.severity == Severity::Error);
            self.list.push(problem);
        }
    }

    /// How many errors there are among them.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Whether further ones of this severity are not kept, so that nobody need look for what to say about them.
    #[must_use]
    pub fn is_full(&self, severity: Severity) -> bool {
        let same = match severity {
            Severity::Error => self.errors,
            Severity::Warning => self.list.len() - self.errors,
        };
        same >= MAX_PROBLEMS
    }

    /// All of them, in the order they were found.
    #[must_use]
    pub fn into_list(self) -> Vec<Problem> {
        self.list
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, problems: I) {
        problems.into_iter().for_each(|problem| self.add(problem));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_never_lost_behind_warnings() {
        let problem = |rule| Problem::new(rule, Place::start_of("x"), "wrong");
        let mut problems = Problems::default();
        problems.extend((0..MAX_PROBLEMS + 5).map(|_| problem(Rule::EmptyValue)));
        problems.extend((0..MAX_PROBLEMS + 5).map(|_| problem(Rule::UnknownKey)));
        assert_eq!(problems.errors(), MAX_PROBLEMS);
        assert_eq!(problems.into_list().len(), 2 * MAX_PROBLEMS);
    }
}
