//! Writing elements: whatever the values are, the document is well-formed and its reader takes it.

use super::characters;
use crate::limits::MAX_VALUE_BYTES;

/// A document that grows.
pub(crate) struct Writer {
    out: String,
}

impl Writer {
    /// A document with its declaration.
    pub(crate) fn new() -> Self {
        Self { out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".into() }
    }

    /// An element without content.
    pub(crate) fn empty(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.begin(name, attributes);
        self.out.push_str("/>");
    }

    /// An element with what `content` writes in it.
    pub(crate) fn element(&mut self, name: &'static str, attributes: &[(&'static str, &str)], content: impl FnOnce(&mut Self)) {
        self.begin(name, attributes);
        self.out.push('>');
        content(self);
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// The document, with a newline at its end.
    pub(crate) fn finish(mut self) -> String {
        self.out.push('\n');
        self.out
    }

    fn begin(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.out.push('<');
        self.out.push_str(name);
        for (key, value) in attributes {
            self.out.push(' ');
            self.out.push_str(key);
            self.out.push_str("=\"");
            self.value(value);
            self.out.push('"');
        }
    }

    /// White space becomes references, because a reader turns it into spaces otherwise.
    fn value(&mut self, value: &str) {
        let limit = self.out.len() + MAX_VALUE_BYTES;
        for character in value.chars() {
            let mut buffer = [0; 4];
            let written: &str = match character {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\'' => "&apos;",
                '\t' => "&#9;",
                '\n' => "&#10;",
                '\r' => "&#13;",
                other if characters::is_allowed(other) => other.encode_utf8(&mut buffer),
                _ => "\u{fffd}",
            };
            if self.out.len() + written.len() > limit {
                break;
            }
            self.out.push_str(written);
        }
    }
}
