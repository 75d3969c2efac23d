//! Pieces of HTML. Text gets into a page only through [`text`], so nothing from an image can become markup.

use std::fmt::Write;

/// Markup that is safe to put into a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// Markup written by us; never anything that came from an image.
    pub(super) fn ours(markup: &'static str) -> Self {
        Self(markup.to_owned())
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(pieces: I) -> Self {
        Self(pieces.into_iter().map(|piece| piece.0).collect())
    }
}

/// Text, with everything that means something to HTML escaped.
pub(super) fn text(text: impl AsRef<str>) -> Html {
    Html(escape(text.as_ref()))
}

/// `<tag attribute="value" ...>content</tag>`; values are escaped.
pub(super) fn tag(tag: &'static str, attributes: &[(&'static str, &str)], content: impl IntoIterator<Item = Html>) -> Html {
    let mut markup = format!("<{tag}");
    for (name, value) in attributes {
        // Writing to a string cannot fail.
        let _ = write!(markup, " {name}=\"{}\"", escape(value));
    }
    markup.push('>');
    markup.extend(content.into_iter().map(|piece| piece.0));
    let _ = write!(markup, "</{tag}>");
    Html(markup)
}

/// Shorthand for an element that holds one text.
pub(super) fn say(name: &'static str, class: &str, content: impl AsRef<str>) -> Html {
    let class = [("class", class)];
    tag(name, if class[0].1.is_empty() { &[] } else { &class }, [text(content)])
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Controls and marks that turn the direction of text could make a name read like another.
            c if c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                escaped.push('\u{fffd}');
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_means_something_to_html() {
        let table = [
            ("plain /usr/bin/a-b_c.d", "plain /usr/bin/a-b_c.d"),
            ("<script>", "&lt;script&gt;"),
            ("a&b", "a&amp;b"),
            ("&lt;", "&amp;lt;"),
            ("\"' onload='x", "&quot;&#39; onload=&#39;x"),
            ("nul\0esc\x1b", "nul\u{fffd}esc\u{fffd}"),
            ("exe.\u{202e}txt", "exe.\u{fffd}txt"),
            ("Főtanúsítvány", "Főtanúsítvány"),
        ];
        for (plain, escaped) in table {
            assert_eq!(escape(plain), escaped);
        }
    }

    #[test]
    fn attributes_cannot_be_left() {
        let markup = tag("a", &[("title", "\"><script>")], [text("<")]).into_string();
        assert_eq!(markup, "<a title=\"&quot;&gt;&lt;script&gt;\">&lt;</a>");
    }

    #[test]
    fn an_element_without_a_class_has_no_attribute() {
        assert_eq!(say("td", "", "x").into_string(), "<td>x</td>");
        assert_eq!(say("td", "n", "x").into_string(), "<td class=\"n\">x</td>");
    }
}
