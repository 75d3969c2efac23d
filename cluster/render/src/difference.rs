//! What would change in a file, for people.

use std::path::Path;

use similar::TextDiff;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

/// What would change, as a unified diff; says so where one side is no text.
#[must_use]
pub fn difference(dest: &Path, old: Option<&[u8]>, new: &[u8]) -> String {
    let name = dest.display().to_string();
    match (std::str::from_utf8(old.unwrap_or_default()), std::str::from_utf8(new)) {
        (Ok(before), Ok(after)) => {
            let from = if old.is_some() { name.as_str() } else { "/dev/null" };
            TextDiff::from_lines(before, after).unified_diff().context_radius(CONTEXT).header(from, &name).to_string()
        }
        _ => format!("{name} is no text, and would change\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_its_surroundings() {
        let told = difference(Path::new("/etc/a"), Some(b"1\n2\n3\n"), b"1\n2\nx\n");
        assert!(told.ends_with("@@ -1,3 +1,3 @@\n 1\n 2\n-3\n+x\n"), "{told}");
        assert!(difference(Path::new("/etc/a"), None, b"x\n").starts_with("--- /dev/null\n"));
        assert_eq!(difference(Path::new("/etc/a"), Some(&[0xff]), b"x"), "/etc/a is no text, and would change\n");
    }
}
