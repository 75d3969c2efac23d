//! `ovf-env.xml`, as Azure and VMware write it: elements, attributes and text, without name spaces' meaning.
//!
//! Formats: DMTF DSP0243 (OVF environment); Azure's variant of it.

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::error::SourceError;
use super::facts;

/// Levels of nesting, at most.
const MAX_DEPTH: usize = 24;
/// Elements, at most.
const MAX_ELEMENTS: usize = 2000;

/// An element; names are without their prefix.
#[derive(Debug, Default)]
pub(super) struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The first element called `name` below this one, however deep.
    pub(super) fn find(&self, name: &str) -> Option<&Self> {
        self.all(name).into_iter().next()
    }

    /// All elements called `name` below this one, in their order.
    pub(super) fn all(&self, name: &str) -> Vec<&Self> {
        let mut found = Vec::new();
        for child in &self.children {
            if child.name == name {
                found.push(child);
            }
            // Depth is limited when the document is read.
            found.extend(child.all(name));
        }
        found
    }

    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The text directly inside.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Reads a document. Document types, and with them entities of its own, are refused.
pub(super) fn parse(place: &str, bytes: Vec<u8>) -> Result<Element, SourceError> {
    let text = facts::text(place, bytes)?;
    build(text.strip_prefix('\u{feff}').unwrap_or(&text)).map_err(|reason| SourceError::malformed(place, "XML", reason))
}

fn build(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.enable_all_checks(true);
    config.allow_unmatched_ends = false;
    config.allow_dangling_amp = false;
    let (mut open, mut elements) = (vec![Element::default()], 0);
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        if matches!(event, Event::Start(_) | Event::Empty(_)) {
            elements += 1;
        }
        if elements > MAX_ELEMENTS || open.len() > MAX_DEPTH {
            return Err(format!("more than {MAX_ELEMENTS} elements or {MAX_DEPTH} levels"));
        }
        let Some(here) = open.last_mut() else { return Err("an end without its beginning".to_owned()) };
        match event {
            Event::Start(start) => open.push(element(&start)?),
            Event::Empty(start) => here.children.push(element(&start)?),
            Event::End(_) => {
                let ended = open.pop().unwrap_or_default();
                match open.last_mut() {
                    Some(parent) => parent.children.push(ended),
                    None => return Err("an end without its beginning".to_owned()),
                }
            }
            Event::Text(text) => here.text.push_str(&text),
            Event::CData(text) => here.text.push_str(&text),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                Some(c) => here.text.push(c),
                None => here.text.push_str(resolve_xml_entity(&reference).ok_or("an entity that nobody knows")?),
            },
            Event::DocType(_) => return Err("a document type, which is not taken".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match open.pop() {
        Some(root) if open.is_empty() && !root.children.is_empty() => Ok(root),
        _ => Err("it ends too early".to_owned()),
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let local = |name: &str| name.rsplit(':').next().unwrap_or_default().to_owned();
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| error.to_string())?;
        attributes.push((local(attribute.key.as_ref()), value.into_owned()));
    }
    Ok(Element { name: local(start.name().as_ref()), attributes, ..Element::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Element, SourceError> {
        parse("ovf-env.xml", text.as_bytes().to_vec())
    }

    #[test]
    fn elements_are_found_by_their_local_name() {
        let root = parsed(
            "\u{feff}<?xml version=\"1.0\"?><e:Environment xmlns:e='x'><wa:Set><wa:Host>a&amp;b</wa:Host><P k:key='n' k:value='1&lt;2'/></wa:Set><P/></e:Environment>",
        )
        .unwrap();
        assert_eq!(root.find("Host").map(Element::text), Some("a&b"));
        let property = root.find("P").unwrap();
        assert_eq!((property.attribute("key"), property.attribute("value"), property.attribute("x")), (Some("n"), Some("1<2"), None));
        assert_eq!(root.all("P").len(), 2);
        assert!(root.find("Nobody").is_none());
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = format!("{}{}", "<a>".repeat(MAX_DEPTH + 1), "</a>".repeat(MAX_DEPTH + 1));
        let wide = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS));
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a b=c/>",
            "<a>&unknown;</a>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            &deep,
            &wide,
        ] {
            assert!(parsed(text).is_err(), "{text:.60}");
        }
        assert!(parse("x", vec![0xff]).is_err());
    }
}
