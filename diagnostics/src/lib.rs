//! The text of a problem in a recipe: what, where, a caret under it, and the nearest thing that would be right.
//!
//! Pure: from texts and spans to text.

mod causes;
#[cfg(feature = "toml")]
pub mod toml;

pub use causes::with_causes;

use std::fmt;
use std::ops::Range;

/// Longest part of a line that is shown, in characters; a generated recipe may have lines of any length.
const EXCERPT_CHARS: usize = 120;

/// One problem at one place of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in lower case.
    pub message: String,
    /// Recipe file name.
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
        let start = floor_char_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor_char_boundary(text, span.end).clamp(start, line_end);
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            text: text[line_start..line_end].trim_end_matches('\r').to_owned(),
        }
    }

    /// The last occurrence of the value `needle` in a line, quoted if it is; the whole line when it is not there.
    #[must_use]
    pub fn of_line(text: &str, line: usize, needle: &str) -> Self {
        let line_text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let quoted = [format!("\"{needle}\""), format!("'{needle}'"), needle.to_owned()];
        let found = quoted.iter().find_map(|form| Some((line_text.rfind(form.as_str())?, form.chars().count())));
        let indent = line_text.len() - line_text.trim_start().len();
        let (at, width) = found.unwrap_or((indent, line_text.trim().chars().count()));
        Self { line, column: line_text[..at].chars().count() + 1, width: width.max(1), text: line_text.to_owned() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        f.write_str("\n")?;
        f.write_str(&self.excerpt())
    }
}

impl Diagnostic {
    /// The place and the marked line, without the message.
    #[must_use]
    pub fn excerpt(&self) -> String {
        let Some(mark) = &self.mark else {
            let note = if self.label.is_empty() { String::new() } else { format!("\n   = {}", self.label) };
            return format!("  --> {}{note}", self.file);
        };
        let number = mark.line.to_string();
        let margin = " ".repeat(number.len());
        let (text, before, width) = window(&mark.text, mark.column - 1, mark.width);
        let underline = format!("{}{} {}", " ".repeat(before), "^".repeat(width), self.label);
        let place = format!("{}:{}:{}", self.file, mark.line, mark.column);
        format!("{margin} --> {place}\n{margin}  |\n{number}  | {text}\n{margin}  | {}", underline.trim_end())
    }
}

/// The last occurrence of `needle` in one line of a recipe, marked and labelled.
#[must_use]
pub fn excerpt_of_line(file: &str, text: &str, line: usize, needle: &str, label: &str) -> String {
    let mark = Some(Mark::of_line(text, line, needle));
    Diagnostic { message: String::new(), file: file.to_owned(), mark, label: label.to_owned() }.excerpt()
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
    if chars.len() <= EXCERPT_CHARS {
        return (chars.into_iter().collect(), before, width);
    }
    let from = before.saturating_sub(EXCERPT_CHARS / 3).min(chars.len());
    let to = (from + EXCERPT_CHARS).min(chars.len());
    let head = if from > 0 { "..." } else { "" };
    let tail = if to < chars.len() { "..." } else { "" };
    let middle: String = chars[from..to].iter().collect();
    let before = head.len() + before - from;
    (format!("{head}{middle}{tail}"), before, width.min((head.len() + to - from).saturating_sub(before)).max(1))
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str, span: Range<usize>, label: &str) -> String {
        let mark = Some(Mark::of_span(text, &span));
        Diagnostic { message: "something is wrong".to_owned(), file: "vm.toml".to_owned(), mark, label: label.to_owned() }.to_string()
    }

    #[test]
    fn a_problem_shows_its_line_with_a_caret() {
        insta::assert_snapshot!(problem("[image]\nidd = \"x\"\n", 8..11, "did you mean `id`?"), @r#"
        something is wrong
          --> vm.toml:2:1
           |
        2  | idd = "x"
           | ^^^ did you mean `id`?
        "#);
    }

    #[test]
    fn columns_count_characters_and_tabs_do_not_shift_the_caret() {
        insta::assert_snapshot!(problem("name = \"é\"\t# x\r\n", 12..15, ""), @r#"
        something is wrong
          --> vm.toml:1:12
           |
        1  | name = "é" # x
           |            ^^^
        "#);
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        let text = format!("install = [{}\"bad name\", {}]", "\"aaaa\", ".repeat(50), "\"bbbb\", ".repeat(50));
        let at = text.find("\"bad").unwrap();
        insta::assert_snapshot!(problem(&text, at..at + 10, "no"), @r#"
        something is wrong
          --> vm.toml:1:412
           |
        1  | ..."aaaa", "aaaa", "aaaa", "aaaa", "aaaa", "bad name", "bbbb", "bbbb", "bbbb", "bbbb", "bbbb", "bbbb", "bbbb", "bbbb", "bbb...
           |                                            ^^^^^^^^^^ no
        "#);
    }

    #[test]
    fn something_missing_has_no_line() {
        let missing = Diagnostic { message: "missing key".to_owned(), file: "vm.toml".to_owned(), mark: None, label: "add it".to_owned() };
        insta::assert_snapshot!(join(&[missing.clone(), missing]), @r"
        missing key
          --> vm.toml
           = add it

        error: missing key
          --> vm.toml
           = add it
        ");
    }

    #[test]
    fn a_value_is_found_again_in_its_line() {
        let text = "a\ninstall = [\"git-core\", \"git\"]\n";
        let column = |line, needle| (Mark::of_line(text, line, needle).column, Mark::of_line(text, line, needle).width);
        assert_eq!(column(2, "git"), (24, 5));
        assert_eq!(column(2, "git-core"), (12, 10));
        assert_eq!(column(2, "install"), (1, 7));
        assert_eq!(column(2, "absent"), (1, 29));
        assert_eq!(column(99, "absent"), (1, 1));
    }

    #[test]
    fn spans_outside_the_text_do_not_panic() {
        for span in [0..0, 5..90, 90..95, 1..2] {
            assert!(Mark::of_span("é\nü", &span).width >= 1);
        }
        assert_eq!(Mark::of_span("", &(0..1)).line, 1);
    }

    #[test]
    fn only_close_words_are_offered() {
        let keys = ["install", "exclude", "id"];
        let table = [("instal", Some("install")), ("isntall", Some("install")), ("di", Some("id")), ("remove", None), ("x", None)];
        for (word, found) in table {
            assert_eq!(nearest(word, keys), found, "{word}");
        }
        assert_eq!(nearest("x", []), None);
    }
}
