//! What a command says: data on standard output, talk on standard error, colour on a terminal only.

use std::io::{IsTerminal, Write};

use serde::Serialize;

/// How to talk to the user of one command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ui {
    /// Whether data is wanted as JSON.
    pub json: bool,
}

impl Ui {
    /// Writes one line of data to standard output. A reader that went away is not an error.
    pub fn line(self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
    }

    /// Writes text as it is to standard output.
    pub fn text(self, text: &str) {
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    /// Writes one line of talk to standard error.
    pub fn note(self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
    }

    /// Writes `value` as indented JSON to standard output.
    ///
    /// # Errors
    /// `value` cannot be written as JSON.
    pub fn data(self, value: &impl Serialize) -> serde_json::Result<()> {
        self.line(serde_json::to_string_pretty(value)?);
        Ok(())
    }

    /// `text` with an SGR attribute (ECMA-48, `1` is bold, `31` red) on a terminal, plain in a pipe.
    #[must_use]
    pub fn styled(self, attribute: &str, text: &str) -> String {
        if std::io::stdout().is_terminal() { format!("\x1b[{attribute}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// `text` in bold on a terminal.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.styled("1", text)
    }
}
