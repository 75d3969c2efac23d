//! The small part of XML that Omaha needs: elements with attributes. Text is checked and passed over, because nothing is in it.
//!
//! quick-xml splits the document; everything it leaves to its caller is decided here, on the strict side.

mod characters;
mod write;

use quick_xml::XmlVersion;
use quick_xml::errors::Error;
use quick_xml::escape::{EscapeError, resolve_xml_entity};
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use crate::ParseError;
use crate::limits::{MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, MAX_NAME_BYTES, MAX_VALUE_BYTES};
pub(crate) use write::Writer;

/// An element: its name, its attributes in their order, and the elements in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
}

impl Element {
    /// The value of attribute `name`, when it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// The value of attribute `name`; empty when it is not there.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// The elements in it that are called `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element in it that is called `name`.
    pub(crate) fn first(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// Reads a document whose outermost element is called `root`.
pub(crate) fn parse(bytes: &[u8], root: &'static str) -> Result<Element, ParseError> {
    if bytes.is_empty() {
        return Err(ParseError::Empty);
    }
    if bytes.len() > MAX_BYTES {
        return Err(ParseError::Long(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ParseError::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(position) = characters::first_forbidden(text) {
        return Err(ParseError::Character { position: position as u64 });
    }
    let element = Builder::new(text).build()?;
    if element.name != root {
        return Err(ParseError::Root { found: excerpt(&element.name), expected: root });
    }
    Ok(element)
}

/// Builds the tree, iteratively: depth costs no stack.
struct Builder<'a> {
    reader: Reader<&'a [u8]>,
    /// Elements that have begun and not ended, outermost first.
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    /// Where the current event begins.
    position: u64,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.enable_all_checks(true);
        config.allow_unmatched_ends = false;
        config.allow_dangling_amp = false;
        config.trim_markup_names_in_closing_tags = true;
        Self { reader, open: Vec::new(), root: None, elements: 0, position: 0 }
    }

    fn build(mut self) -> Result<Element, ParseError> {
        loop {
            self.position = self.reader.buffer_position();
            match self.reader.read_event().map_err(|error| self.xml(error))? {
                Event::Start(start) => {
                    let element = self.element(&start)?;
                    self.open.push(element);
                }
                Event::Empty(start) => {
                    let element = self.element(&start)?;
                    self.close(element)?;
                }
                Event::End(_) => match self.open.pop() {
                    Some(element) => self.close(element)?,
                    None => return Err(self.ill_formed("an end tag without its beginning")),
                },
                Event::Text(text) if !self.open.is_empty() || text.trim_ascii().is_empty() => {
                    if text.contains("]]>") {
                        return Err(self.ill_formed("`]]>` in text"));
                    }
                }
                Event::CData(_) if !self.open.is_empty() => {}
                Event::Text(_) | Event::CData(_) => return Err(self.ill_formed("text outside of the outermost element")),
                Event::Comment(_) => {}
                Event::GeneralRef(reference) => {
                    self.reference(&reference)?;
                }
                Event::Decl(declaration) => self.declaration(&declaration)?,
                Event::PI(_) => return Err(ParseError::Instruction { position: self.position }),
                Event::DocType(_) => return Err(ParseError::Doctype { position: self.position }),
                Event::Eof => break,
            }
        }
        if !self.open.is_empty() {
            return Err(self.ill_formed("it ends inside an element"));
        }
        self.root.take().ok_or(ParseError::Empty)
    }

    /// The XML declaration: only at the very beginning, only 1.0, only UTF-8.
    fn declaration(&self, declaration: &BytesDecl<'_>) -> Result<(), ParseError> {
        if self.position != 0 {
            return Err(ParseError::Instruction { position: self.position });
        }
        if declaration.version().ok().as_deref() != Some("1.0") {
            return Err(self.ill_formed("the XML declaration is not of version 1.0"));
        }
        match declaration.encoding() {
            None => Ok(()),
            Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") => Ok(()),
            Some(_) => Err(ParseError::Encoding),
        }
    }

    fn element(&mut self, start: &BytesStart<'_>) -> Result<Element, ParseError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(ParseError::Elements);
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(ParseError::Depth);
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.ill_formed("a second outermost element"));
        }
        let name = self.name(start.name().as_ref())?;
        let mut attributes = Vec::new();
        self.separated(start.attributes_raw())?;
        // The iterator refuses an attribute that is there twice.
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| self.xml(error.into()))?;
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(ParseError::Attributes(excerpt(&name)));
            }
            let key = self.name(attribute.key.as_ref())?;
            if attribute.value.len() > MAX_VALUE_BYTES {
                return Err(ParseError::ValueLong { element: excerpt(&name), attribute: excerpt(&key), limit: MAX_VALUE_BYTES });
            }
            let value = self.value(&attribute)?;
            attributes.push((key, value));
        }
        Ok(Element { name, attributes, children: Vec::new() })
    }

    fn close(&mut self, element: Element) -> Result<(), ParseError> {
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None if self.root.is_some() => return Err(self.ill_formed("a second outermost element")),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn name(&self, name: &str) -> Result<String, ParseError> {
        if name.len() > MAX_NAME_BYTES {
            return Err(ParseError::Name { position: self.position });
        }
        if !characters::is_name(name) {
            return Err(self.ill_formed("a name with characters that do not belong into one"));
        }
        Ok(name.to_owned())
    }

    /// Every attribute must have white space before it, which quick-xml does not ask for.
    fn separated(&self, attributes: &str) -> Result<(), ParseError> {
        let mut quote = None;
        let mut after_value = false;
        for character in attributes.chars() {
            match quote {
                Some(open) if character == open => (quote, after_value) = (None, true),
                Some(_) => {}
                None if after_value && !character.is_ascii_whitespace() => {
                    return Err(self.ill_formed("no white space between attributes"));
                }
                None => {
                    after_value = false;
                    quote = matches!(character, '"' | '\'').then_some(character);
                }
            }
        }
        Ok(())
    }

    /// Resolves references; entities of a document's own cannot exist, so nothing grows.
    fn value(&self, attribute: &Attribute<'_>) -> Result<String, ParseError> {
        if attribute.value.contains('<') {
            return Err(self.ill_formed("`<` in the value of an attribute"));
        }
        let value = attribute.normalized_value_with(XmlVersion::Implicit1_0, 1, resolve_xml_entity);
        let value = value.map_err(|error| match error {
            Error::Escape(EscapeError::UnrecognizedEntity(..)) => ParseError::Entity { position: self.position },
            Error::Escape(EscapeError::InvalidCharRef(_)) => ParseError::Character { position: self.position },
            other => self.xml(other),
        })?;
        if characters::first_forbidden(&value).is_some() {
            return Err(ParseError::Character { position: self.position });
        }
        Ok(value.into_owned())
    }

    /// Checks a reference in text, `&name;` or `&#number;`.
    fn reference(&self, reference: &BytesRef<'_>) -> Result<(), ParseError> {
        if self.open.is_empty() {
            return Err(self.ill_formed("text outside of the outermost element"));
        }
        match reference.resolve_char_ref() {
            Ok(None) if resolve_xml_entity(reference).is_some() => Ok(()),
            Ok(None) => Err(ParseError::Entity { position: self.position }),
            Ok(Some(character)) if characters::is_allowed(character) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(ParseError::Character { position: self.position }),
        }
    }

    fn ill_formed(&self, reason: &str) -> ParseError {
        ParseError::Xml { position: self.position, reason: reason.into() }
    }

    fn xml(&self, error: Error) -> ParseError {
        ParseError::Xml { position: self.reader.error_position().max(self.position), reason: excerpt(&error.to_string()) }
    }
}

/// True for the spellings of yes that clients use.
pub(crate) fn flag(value: Option<&str>) -> bool {
    value.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
}

/// The number in attribute `name`, when it is there and not empty. Only digits, and a minus where the type has one.
pub(crate) fn number<T: std::str::FromStr>(
    from: &Element,
    element: &'static str,
    attribute: &'static str,
) -> Result<Option<T>, ParseError> {
    let wrong = ParseError::Value { element, attribute, expected: "a whole number that fits" };
    match from.get(attribute) {
        None | Some("") => Ok(None),
        Some(text) if text.starts_with('+') => Err(wrong),
        Some(text) => text.parse().map(Some).map_err(|_| wrong),
    }
}

/// What `read` makes of the elements called `name` in `parent`, of which there may be `limit`.
pub(crate) fn some_of<T>(
    parent: &Element,
    name: &'static str,
    limit: usize,
    read: impl Fn(&Element) -> Result<T, ParseError>,
) -> Result<Vec<T>, ParseError> {
    if parent.all(name).count() > limit {
        return Err(ParseError::Count { element: name, limit });
    }
    parent.all(name).map(read).collect()
}

/// The beginning of text from the document, fit for a message: short and without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = 80;
    text.chars().take(CHARACTERS).map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests;
