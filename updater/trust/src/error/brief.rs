//! Quoting hostile files in messages.

/// A piece of foreign text, fit for a log and a terminal: short, and without control characters.
pub(crate) fn brief(text: &str) -> String {
    const MOST: usize = 200;
    let mut shown: String = text.chars().take(MOST).flat_map(printable).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// ASCII as it is, anything that could steer a terminal or turn text around as an escape.
fn printable(character: char) -> impl Iterator<Item = char> {
    let plain = character.is_ascii_graphic() || character == ' ' || character.is_alphanumeric();
    let escaped = if plain { None } else { Some(character.escape_unicode()) };
    plain.then_some(character).into_iter().chain(escaped.into_iter().flatten())
}
