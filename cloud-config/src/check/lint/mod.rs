//! What is legal, value by value, and still wrong.

mod accounts;
mod etcd;
mod file;
mod host;
mod secret;
mod unit;

use super::{ImageUnits, Place, Problem, Rule};
use crate::model::{Config, Located, Problems};

/// Looks at the merged configuration.
pub(super) fn lint(config: &Config, units: &ImageUnits, problems: &mut Problems) {
    let complete = problems.errors() == 0;
    let mut lints = Lints { problems, complete };
    unit::lint(config, units, &mut lints);
    file::lint(config, &mut lints);
    etcd::lint(config, &mut lints);
    host::lint(config, &mut lints);
    secret::lint(config, &mut lints);
}

/// Takes problems, in the words of the lints.
struct Lints<'p> {
    problems: &'p mut Problems,
    /// Whether everything that was written could be read.
    complete: bool,
}

impl Lints<'_> {
    fn add(&mut self, rule: Rule, place: &Place, message: impl Into<String>, hint: &str) {
        let problem = Problem::new(rule, place.clone(), message);
        self.problems.add(if hint.is_empty() { problem } else { problem.with_hint(hint) });
    }

    /// Something that is not there; only known once everything that is there could be read.
    fn absent(&mut self, rule: Rule, place: &Place, message: impl Into<String>, hint: &str) {
        if self.complete {
            self.add(rule, place, message, hint);
        }
    }

    /// A text that goes onto one line of some file.
    fn one_line(&mut self, text: &Located<String>) {
        if text.chars().any(char::is_control) {
            self.add(Rule::InvalidValue, &text.place, "this has to be one line, without control characters", "");
        }
    }

    /// A text that stands for another one.
    fn placeholder(&mut self, text: &str, place: &Place) {
        if let Some(found) = find_placeholder(text) {
            self.add(Rule::Placeholder, place, format!("`{found}` looks like something to be replaced"), "write the real value");
        }
    }
}

/// Longest text between angle brackets that counts as a placeholder, in bytes.
const MAX_PLACEHOLDER_BYTES: usize = 40;
const PLACEHOLDERS: [&str; 5] = ["changeme", "change-me", "replace-me", "replace_me", "your-token"];
/// Names that nobody can own.
const EXAMPLE_HOSTS: [&str; 3] = ["example.com", "example.org", "example.net"];

/// The part of `text` that looks as if it should have been replaced: `<token>`, `CHANGEME`, an address at example.com.
fn find_placeholder(text: &str) -> Option<&str> {
    let in_brackets = text.match_indices('<').find_map(|(at, _)| {
        let near = text.as_bytes().iter().skip(at).take(MAX_PLACEHOLDER_BYTES + 2);
        let end = at + near.into_iter().position(|byte| *byte == b'>')?;
        let inner = &text[at + 1..end];
        let named = inner.starts_with(|c: char| c.is_ascii_alphabetic()) && inner.chars().all(|c| c.is_alphanumeric() || " _-".contains(c));
        named.then(|| &text[at..=end])
    });
    let lower = text.to_ascii_lowercase();
    let word = PLACEHOLDERS.iter().find_map(|word| lower.find(word).and_then(|at| text.get(at..at + word.len())));
    let host = || {
        let at = lower.find("://")? + 3;
        let end = lower[at..].find(['/', ':', '?']).map_or(lower.len(), |end| at + end);
        let host = &lower[at..end];
        EXAMPLE_HOSTS
            .iter()
            .any(|example| host.strip_suffix(example).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
            .then(|| text.get(at..end))?
    };
    in_brackets.or(word).or_else(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_look_like_it() {
        let table = [
            ("https://discovery.etcd.io/<token>", Some("<token>")),
            ("ssh-rsa <your key here>", Some("<your key here>")),
            ("CHANGEME", Some("CHANGEME")),
            ("http://www.example.com:80/x", Some("www.example.com")),
            ("http://myexample.com/", None),
            ("me@example.com", None),
            ("a < b > c", None),
            ("<1>", None),
            ("<", None),
            ("é<", None),
            (&"<".repeat(1_000_000), None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(find_placeholder(text), expected, "{text}");
        }
    }
}
