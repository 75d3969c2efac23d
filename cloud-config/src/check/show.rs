//! Problems as text for people, and as JSON for machines.

use diagnostics::{Diagnostic, Mark};
use serde::Serialize;

use super::{Problem, Severity};

/// A problem in the manner of rustc: what, where, the line with a caret, and what to do.
#[must_use]
pub fn show(problem: &Problem) -> String {
    let kind = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = &problem.place;
    let mark = Mark { line: place.line, column: place.column, width: place.width, text: problem.line_text.clone() };
    let diagnostic = Diagnostic { message: String::new(), file: place.file.to_string(), mark: Some(mark), label: String::new() };
    let hint = problem.hint.as_ref().map_or(String::new(), |hint| format!("\n  = help: {hint}"));
    format!("{kind}[{}]: {}\n{}{hint}", problem.rule.id(), problem.message, diagnostic.excerpt())
}

/// All problems, as `--json` prints them.
#[derive(Debug, Serialize)]
pub struct Entries<'p> {
    entries: Vec<Entry<'p>>,
}

#[derive(Debug, Serialize)]
struct Entry<'p> {
    kind: Severity,
    file: &'p str,
    line: usize,
    column: usize,
    rule: &'static str,
    message: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'p str>,
}

impl<'p> Entries<'p> {
    /// The problems in their order.
    #[must_use]
    pub fn of(problems: &'p [Problem]) -> Self {
        let entry = |problem: &'p Problem| Entry {
            kind: problem.severity,
            file: &problem.place.file,
            line: problem.place.line,
            column: problem.place.column,
            rule: problem.rule.id(),
            message: &problem.message,
            hint: problem.hint.as_deref(),
        };
        Self { entries: problems.iter().map(entry).collect() }
    }
}
