//! One part of user-data.

use std::ops::Range;
use std::sync::Arc;

use super::Origin;
use crate::metadata::Metadata;
use crate::substitute::{Edit, Missing, edits};
use crate::yaml::{Place, Span};

/// What a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A configuration in YAML.
    CloudConfig,
    /// A script with its interpreter in the first line.
    Script,
    /// Somebody else's; the text says whose.
    Foreign(String),
}

/// One part of user-data: a text, and how its places map to the file a person can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: Kind,
    file: Arc<str>,
    first_line: usize,
    text: String,
    /// The text before substitution, and what was replaced in it, once that has happened.
    written: Option<(String, Vec<Edit>)>,
    /// Byte at which each line of the written text begins.
    lines: Vec<usize>,
}

impl Part {
    pub(super) fn new(origin: &Origin, kind: Kind, text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { kind, file: origin.file.clone(), first_line: origin.first_line, text, written: None, lines }
    }

    /// The text, with addresses filled in if that was done.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Name of the file or data source.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The text as a person wrote it.
    #[must_use]
    pub fn written(&self) -> &str {
        self.written.as_ref().map_or(&self.text, |(text, _)| text)
    }

    /// The same part with the addresses of `metadata` filled in; places still are those of the text as written.
    ///
    /// # Errors
    /// With every address that is used and not known.
    pub fn substituted(&self, metadata: &Metadata) -> Result<Self, Vec<Missing>> {
        if self.written.is_some() || matches!(self.kind, Kind::Foreign(_)) {
            return Ok(self.clone());
        }
        let edits = edits(&self.text, metadata)?;
        let text = crate::substitute::apply(&self.text, &edits);
        Ok(Self { text, written: Some((self.text.clone(), edits)), ..self.clone() })
    }

    /// Where a part of [`Part::text`] is in the file.
    #[must_use]
    pub fn place(&self, span: &Span) -> Place {
        let (line, column, bytes) = match &self.written {
            Some((_, edits)) if !edits.is_empty() => {
                let bytes = crate::substitute::written(edits, &span.bytes);
                let line = self.line_of(bytes.start);
                (line, self.chars(self.lines[line - 1]..bytes.start) + 1, bytes)
            }
            _ => (span.line, span.column, span.bytes.clone()),
        };
        let line_end = self.lines.get(line).map_or(self.written().len(), |next| next - 1);
        let width = self.chars(bytes.start..bytes.end.min(line_end)).max(1);
        Place { file: self.file.clone(), line: self.first_line + line - 1, column, width }
    }

    /// The place of bytes of the text as written.
    #[must_use]
    pub fn place_of_bytes(&self, bytes: Range<usize>) -> Place {
        let line = self.line_of(bytes.start);
        let column = self.chars(self.lines[line - 1]..bytes.start) + 1;
        let width = self.chars(bytes).max(1);
        Place { file: self.file.clone(), line: self.first_line + line - 1, column, width }
    }

    /// A line of the file, without its end, if it is in this part.
    #[must_use]
    pub fn line(&self, line: usize) -> Option<&str> {
        let index = line.checked_sub(self.first_line)?;
        let start = *self.lines.get(index)?;
        let end = self.lines.get(index + 1).map_or(self.written().len(), |next| next - 1);
        self.written().get(start..end).map(|text| text.trim_end_matches('\r'))
    }

    fn line_of(&self, byte: usize) -> usize {
        self.lines.partition_point(|start| *start <= byte).max(1)
    }

    fn chars(&self, range: Range<usize>) -> usize {
        self.written().get(range).map_or(0, |text| text.trim_end_matches('\n').chars().count())
    }
}
