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
