//! Addresses of the machine in the text of a configuration: `$private_ipv4` and its kin.
//!
//! Pure text: it happens before YAML is read, in unit bodies and scripts as well. An address that is used and not known is an
//! error, never an empty string. Decisions the original left to chance:
//!
//! - A token ends where its name ends: `$private_ipv4_mask` is another name and stays. Tokens may follow each other directly.
//! - A backslash before the dollar keeps the token, and goes away.
//! - A comment, a line whose first sign is `#`, may speak of addresses that are not known.
//!
//! Addresses contain no line ends, so lines keep their numbers; [`written`] maps the rest.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::metadata::Metadata;

/// The tokens, without the dollar.
pub const NAMES: [&str; 4] = ["private_ipv4", "public_ipv4", "private_ipv6", "public_ipv6"];

/// An address that is used and not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`${name}` is used on line {line}, and this machine's {name} is not known")]
pub struct Missing {
    /// Name of the token, without the dollar.
    pub name: &'static str,
    /// Line, from 1.
    pub line: usize,
    /// The token, in bytes of the text.
    pub bytes: Range<usize>,
}

impl Missing {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let name = self.name;
        format!("give it with `--metadata`, use a data source that knows it, write the address itself, or `\\${name}` to keep the text")
    }
}

/// A part of the text that is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced, in bytes of the text as written.
    pub bytes: Range<usize>,
    /// What comes there.
    pub with: String,
}

/// `text` with the addresses of `metadata`.
///
/// # Errors
/// With every address that is used and not known.
pub fn substitute(text: &str, metadata: &Metadata) -> Result<String, Vec<Missing>> {
    Ok(apply(text, &edits(text, metadata)?))
}

/// What has to be replaced in `text`, in order.
///
/// # Errors
/// With every address that is used and not known.
pub fn edits(text: &str, metadata: &Metadata) -> Result<Vec<Edit>, Vec<Missing>> {
    let (mut edits, mut missing) = (Vec::new(), Vec::new());
    let (mut line, mut counted) = (1, 0);
    for (at, _) in text.match_indices('$') {
        let Some(name) = token(&text[at + 1..]) else { continue };
        let bytes = at..at + 1 + name.len();
        if text[..at].ends_with('\\') {
            edits.push(Edit { bytes: at - 1..at, with: String::new() });
            continue;
        }
        line += text[counted..at].matches('\n').count();
        counted = at;
        match value(name, metadata) {
            Some(with) => edits.push(Edit { bytes, with }),
            None if is_in_comment(text, at) => {}
            None => missing.push(Missing { name, line, bytes }),
        }
    }
    if missing.is_empty() { Ok(edits) } else { Err(missing) }
}

/// The tokens that `text` uses outside of comments, with their bytes.
pub fn used(text: &str) -> Vec<Missing> {
    edits(text, &Metadata::default()).err().unwrap_or_default()
}

/// Carries out `edits`, which are in order and do not overlap.
#[must_use]
pub fn apply(text: &str, edits: &[Edit]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut done = 0;
    for edit in edits {
        result.push_str(&text[done..edit.bytes.start]);
        result.push_str(&edit.with);
        done = edit.bytes.end;
    }
    result.push_str(&text[done..]);
    result
}

/// From bytes of the substituted text to bytes of the text as written; inside of an address, the token.
#[must_use]
pub fn written(edits: &[Edit], bytes: &Range<usize>) -> Range<usize> {
    let (mut start, mut end) = (bytes.start, bytes.end);
    // Where the edit begins in the substituted text.
    let (mut removed, mut added) = (0, 0);
    for edit in edits {
        let at = edit.bytes.start - removed + added;
        if at >= bytes.end {
            break;
        }
        let (old, new) = (edit.bytes.len(), edit.with.len());
        start = map(bytes.start, at, new, &edit.bytes, start, edit.bytes.start);
        end = map(bytes.end, at, new, &edit.bytes, end, edit.bytes.end);
        removed += old;
        added += new;
    }
    start..end.max(start)
}

/// One position after one more edit: behind it shifted, inside of it `inside`, before it as it was.
fn map(position: usize, at: usize, new: usize, edit: &Range<usize>, before: usize, inside: usize) -> usize {
    if position >= at + new {
        edit.end + (position - at - new)
    } else if position > at {
        inside
    } else {
        before
    }
}

fn token(text: &str) -> Option<&'static str> {
    let name = NAMES.into_iter().find(|name| text.starts_with(name))?;
    let ends = !text[name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    ends.then_some(name)
}

fn is_in_comment(text: &str, at: usize) -> bool {
    let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    text[line_start..at].trim_start().starts_with('#')
}

fn value(name: &str, metadata: &Metadata) -> Option<String> {
    let v4 = |address: Option<Ipv4Addr>| address.map(|address| address.to_string());
    let v6 = |address: Option<Ipv6Addr>| address.map(|address| address.to_string());
    match name {
        "private_ipv4" => v4(metadata.private_ipv4),
        "public_ipv4" => v4(metadata.public_ipv4),
        "private_ipv6" => v6(metadata.private_ipv6),
        _ => v6(metadata.public_ipv6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn metadata() -> Metadata {
        Metadata { private_ipv4: Some([10, 0, 0, 5].into()), private_ipv6: "fe80::1".parse().ok(), ..Metadata::default() }
    }

    #[test]
    fn known_addresses_are_filled_in() {
        let table = [
            ("addr: $private_ipv4:4001\n", "addr: 10.0.0.5:4001\n"),
            ("[$private_ipv6]", "[fe80::1]"),
            ("$private_ipv4$private_ipv4", "10.0.0.510.0.0.5"),
            ("# $private_ipv4", "# 10.0.0.5"),
            (r"\$private_ipv4", "$private_ipv4"),
            (r"\$public_ipv4", "$public_ipv4"),
            (r"\\$private_ipv4", r"\$private_ipv4"),
            ("$private_ipv4_mask $private_ipv44", "$private_ipv4_mask $private_ipv44"),
            ("$HOME ${private_ipv4} $$ $", "$HOME ${private_ipv4} $$ $"),
            ("$$private_ipv4", "$10.0.0.5"),
            ("# $public_ipv4 is not known", "# $public_ipv4 is not known"),
            ("  # $public_ipv4", "  # $public_ipv4"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(substitute(text, &metadata()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_unknown_address_is_never_an_empty_string() {
        let missing = substitute("a\nb: $public_ipv4 # x\n\nc: $public_ipv6, $public_ipv4", &metadata()).unwrap_err();
        let found: Vec<_> = missing.iter().map(|missing| (missing.name, missing.line)).collect();
        assert_eq!(found, [("public_ipv4", 2), ("public_ipv6", 4), ("public_ipv4", 4)]);
        insta::assert_snapshot!(missing[0], @"`$public_ipv4` is used on line 2, and this machine's public_ipv4 is not known");
        assert!(missing[0].hint().contains("--metadata"));
    }

    #[test]
    fn places_are_those_of_the_text_as_written() {
        let text = r"a: \$x $private_ipv4:1, \$public_ipv4 end";
        let edits = edits(text, &metadata()).unwrap();
        let result = apply(text, &edits);
        for word in ["a:", ":1", "$public_ipv4", "end"] {
            let at = result.find(word).unwrap();
            assert_eq!(&text[written(&edits, &(at..at + word.len()))], word);
        }
        let at = result.find("10.0.0.5").unwrap();
        assert_eq!(&text[written(&edits, &(at..at + 8))], "$private_ipv4");
        assert_eq!(&text[written(&edits, &(at + 2..at + 4))], "$private_ipv4");
        assert_eq!(&text[written(&edits, &(0..result.len()))], text);
    }

    proptest! {
        #[test]
        fn lines_keep_their_numbers(text in r"(\\|\$private_ipv4|\$public_ipv6|\n|[a-z# é])*") {
            let metadata = Metadata { public_ipv6: "::1".parse().ok(), ..metadata() };
            let edits = edits(&text, &metadata).unwrap();
            let result = apply(&text, &edits);
            prop_assert_eq!(result.matches('\n').count(), text.matches('\n').count());
            for (at, _) in result.char_indices() {
                let back = written(&edits, &(at..at + 1));
                prop_assert!(back.end <= text.len());
                prop_assert_eq!(text[..back.start].matches('\n').count(), result[..at].matches('\n').count());
            }
        }
    }
}
