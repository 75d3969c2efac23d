//! Administration: one file per noun.

pub mod access;
pub mod fleet;
pub mod groups;
pub mod machines;
pub mod publish;
pub mod releases;
pub mod rollouts;
pub mod turns;

use super::problem::Problem;

/// Longest name of a group, channel, tag or token, in bytes.
const NAME_MAX: usize = 64;
/// Longest reason that a person gives, in bytes.
const WHY_MAX: usize = 500;

/// A name that can stand in URLs, tables and track attributes.
pub(super) fn name(what: &str, text: &str) -> Result<(), Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.is_empty() && text.len() <= NAME_MAX && text.chars().all(plain) {
        return Ok(());
    }
    let shown: String = text.chars().take(NAME_MAX).filter(|c| !c.is_control()).collect();
    Err(Problem::invalid(format!("`{shown}` is no name for a {what}"), format!("use 1 to {NAME_MAX} letters, digits and . _ -")))
}

/// A line of text from a person, for other people.
pub(super) fn line(what: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.len() > WHY_MAX || text.chars().any(char::is_control) {
        return Err(Problem::invalid(format!("the {what} is one line of at most {WHY_MAX} bytes"), ""));
    }
    Ok(text.to_owned())
}
