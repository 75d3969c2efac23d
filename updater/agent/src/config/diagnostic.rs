//! The text of a problem in a configuration file: what, where, a caret under it, and the nearest thing that would be right.

use std::fmt;
use std::ops::Range;

/// Longest part of a line that is shown, in characters.
const EXCERPT_CHARS: usize = 120;

/// One problem at one place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in lower case.
    pub message: String,
    /// The file.
    pub file: String,
    /// Where in the file, unless the problem is something that is not there.
    pub mark: Option<Mark>,
    /// What stands behind the caret: why, or what to write instead.
    pub label: String,
}

/// Part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters to underline; at least one.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl Mark {
    /// The part of `text` in `span` (in bytes); of a span over several lines only the first counts.
    #[must_use]
    pub fn of_span(text: &str, span: &Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = text.floor_char_boundary(span.end).clamp(start, line_end);
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            text: text[line_start..line_end].trim_end_matches('\r').to_owned(),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let Some(mark) = &self.mark else {
            write!(f, "\n  --> {}", self.file)?;
            return if self.label.is_empty() { Ok(()) } else { write!(f, "\n   = {}", self.label) };
        };
        let margin = " ".repeat(mark.line.to_string().len());
        let (text, before, width) = window(&mark.text, mark.column - 1, mark.width);
        let underline = format!("{}{} {}", " ".repeat(before), "^".repeat(width), self.label);
        let (line, column) = (mark.line, mark.column);
        write!(f, "\n{margin} --> {}:{line}:{column}\n{margin}  |\n{line}  | {text}\n{margin}  | {}", self.file, underline.trim_end())
    }
}

/// Several problems as one error text, to be printed behind `error: `.
#[must_use]
pub fn join(diagnostics: &[Diagnostic]) -> String {
    let texts: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    texts.join("\n\nerror: ")
}

/// The candidate a person most likely meant by `word`, if any is close enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One typing mistake per three letters is a mistake; more is another word.
    let limit = (word.chars().count() / 3).max(1);
    let distances = candidates.into_iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    distances.filter(|(distance, _)| *distance <= limit).min().map(|(_, candidate)| candidate)
}

/// Cuts a long line to the surroundings of the mark and replaces what would move the cursor of a terminal.
fn window(text: &str, before: usize, width: usize) -> (String, usize, usize) {
    let chars: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let from = if chars.len() <= EXCERPT_CHARS { 0 } else { before.saturating_sub(EXCERPT_CHARS / 3).min(chars.len()) };
    let to = (from + EXCERPT_CHARS).min(chars.len());
    let before = before - from;
    (chars[from..to].iter().collect(), before, width.min((to - from).saturating_sub(before)).max(1))
}
