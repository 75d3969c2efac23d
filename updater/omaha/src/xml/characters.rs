//! Which characters XML 1.0 has: <https://www.w3.org/TR/xml/#charsets>.

/// True for a character that a document may hold.
pub(super) fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// The byte position of the first character that a document may not hold.
pub(super) fn first_forbidden(text: &str) -> Option<usize> {
    text.char_indices().find(|(_, character)| !is_allowed(*character)).map(|(position, _)| position)
}

/// True for the names of elements and attributes: XML's rule for ASCII, and any letter or digit beyond.
pub(super) fn is_name(name: &str) -> bool {
    let begins = |character: char| character.is_alphabetic() || matches!(character, '_' | ':');
    let continues = |character: char| begins(character) || character.is_numeric() || matches!(character, '-' | '.' | '\u{b7}');
    name.chars().next().is_some_and(begins) && name.chars().all(continues)
}
