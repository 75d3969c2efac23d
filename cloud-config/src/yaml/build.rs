//! From parser events to the tree, within the budgets.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use super::{Entry, Key, Kind, MAX_ALIAS_BYTES, MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, Scalar, Span, Style, Tag};

/// What parsing gave: a tree as far as there is one, and what is wrong with the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The document; `None` if there is nothing in the text, or nothing that can be understood.
    pub root: Option<Node>,
    /// What is wrong. A tree beside it is good enough to look for more mistakes, not to act on.
    pub problems: Vec<YamlProblem>,
}

/// One thing that is wrong with a text as YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum YamlProblem {
    /// The text is no YAML.
    #[error("this is not YAML: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
        /// Where it stopped.
        span: Span,
    },
    /// A mapping has a key twice.
    #[error("the key `{key}` is already on line {first_line}")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Line of the first.
        first_line: usize,
        /// The second.
        span: Span,
    },
    /// A budget is used up.
    #[error("this document is too large: more than {limit} {what}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How many there may be.
        limit: usize,
        /// Where the limit was passed.
        span: Span,
    },
}

impl YamlProblem {
    /// Where it is.
    #[must_use]
    pub fn span(&self) -> &Span {
        match self {
            Self::Syntax { span, .. } | Self::DuplicateKey { span, .. } | Self::TooLarge { span, .. } => span,
        }
    }
}

/// Reads one YAML document.
#[must_use]
pub fn parse(text: &str) -> Parsed {
    if text.len() > MAX_BYTES {
        let span = Span { line: 1, column: 1, bytes: 0..0 };
        return Parsed { root: None, problems: vec![YamlProblem::TooLarge { what: "bytes", limit: MAX_BYTES, span }] };
    }
    let mut builder = Builder::new(text);
    match builder.document() {
        Ok(root) => Parsed { root, problems: builder.problems },
        Err(stop) => {
            builder.problems.push(*stop);
            Parsed { root: None, problems: builder.problems }
        }
    }
}

/// What ends parsing.
type Stop = Box<YamlProblem>;

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    offsets: Offsets,
    anchors: BTreeMap<usize, Node>,
    problems: Vec<YamlProblem>,
    nodes: usize,
    alias_bytes: usize,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            parser: Parser::new_from_str(text),
            offsets: Offsets::of(text),
            anchors: BTreeMap::new(),
            problems: Vec::new(),
            nodes: 0,
            alias_bytes: 0,
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(_) if root.is_some() => {
                    let message = "a second document starts here; there is one per file".to_owned();
                    return Err(Box::new(YamlProblem::Syntax { message, span }));
                }
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = self.offsets.span(span);
                Ok((event, span))
            }
            Some(Err(error)) => Err(Box::new(self.syntax(&error))),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn syntax(&self, error: &ScanError) -> YamlProblem {
        let at = *error.marker();
        YamlProblem::Syntax { message: error.info().to_owned(), span: self.offsets.span(saphyr_parser::Span::empty(at)) }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Stop> {
        self.count(1, &span)?;
        if depth >= MAX_DEPTH {
            return Err(Box::new(YamlProblem::TooLarge { what: "levels", limit: MAX_DEPTH, span }));
        }
        let (kind, anchor, end) = match event {
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| self.tag(&tag, &span)).transpose()?.flatten();
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                (Kind::Scalar(Scalar { text: text.into_owned(), style, tag }), anchor, span.bytes.end)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                let end = loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break span.bytes.end;
                    }
                    items.push(self.node(event, span, depth + 1)?);
                };
                (Kind::Sequence(items), anchor, end)
            }
            Event::MappingStart(anchor, _) => {
                let (entries, end) = self.mapping(depth)?;
                (Kind::Mapping(entries), anchor, end)
            }
            _ => return Err(Box::new(YamlProblem::Syntax { message: "something is missing here".to_owned(), span })),
        };
        let bytes = span.bytes.start..end.max(span.bytes.start);
        let node = Node { kind, span: Span { bytes, ..span } };
        if anchor > 0 {
            self.charge(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, depth: usize) -> Result<(Vec<Entry>, usize), Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        let mut inherited: Vec<Node> = Vec::new();
        let end = loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break span.bytes.end;
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Kind::Scalar(scalar) = key.kind else {
                let message = "a key is text, not a list or a mapping".to_owned();
                return Err(Box::new(YamlProblem::Syntax { message, span: key.span }));
            };
            if scalar.text == "<<" && scalar.style == Style::Plain {
                inherited.push(value);
                continue;
            }
            let first = lines.get(&scalar.text).copied();
            if let Some(first_line) = first {
                self.problems.push(YamlProblem::DuplicateKey { key: scalar.text, first_line, span: key.span });
                continue;
            }
            lines.insert(scalar.text.clone(), key.span.line);
            entries.push(Entry { key: Key { text: scalar.text, span: key.span }, value });
        };
        for node in inherited {
            self.inherit(&mut entries, &mut lines, node)?;
        }
        Ok((entries, end))
    }

    /// Merge keys: what the mapping has itself wins, then what comes first.
    fn inherit(&mut self, entries: &mut Vec<Entry>, lines: &mut BTreeMap<String, usize>, node: Node) -> Result<(), Stop> {
        match node.kind {
            Kind::Mapping(more) => {
                for entry in more {
                    if !lines.contains_key(&entry.key.text) {
                        lines.insert(entry.key.text.clone(), entry.key.span.line);
                        entries.push(entry);
                    }
                }
                Ok(())
            }
            Kind::Sequence(items) if items.iter().all(|item| matches!(item.kind, Kind::Mapping(_))) => {
                items.into_iter().try_for_each(|item| self.inherit(entries, lines, item))
            }
            _ => {
                let message = "`<<` takes a mapping, or a list of mappings, usually as aliases".to_owned();
                Err(Box::new(YamlProblem::Syntax { message, span: node.span }))
            }
        }
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(Box::new(YamlProblem::Syntax { message: "an alias cannot be inside of what it stands for".to_owned(), span }));
        };
        self.charge(&node)?;
        if depth + height(&node) > MAX_DEPTH {
            return Err(Box::new(YamlProblem::TooLarge { what: "levels", limit: MAX_DEPTH, span }));
        }
        // The place of the alias is of no use to who looks for the mistake in the value: keep that of the value.
        Ok(node)
    }

    fn tag(&mut self, tag: &saphyr_parser::Tag, span: &Span) -> Result<Option<Tag>, Stop> {
        if tag.is_yaml_core_schema() {
            match tag.suffix.as_str() {
                "binary" => return Ok(Some(Tag::Binary)),
                "str" => return Ok(Some(Tag::Str)),
                "null" => return Ok(Some(Tag::Null)),
                "bool" | "int" | "float" | "timestamp" => return Ok(Some(Tag::Core)),
                _ => {}
            }
        }
        if tag.handle.is_empty() && tag.suffix == "!" || tag.handle == "!" && tag.suffix.is_empty() {
            return Ok(Some(Tag::Str));
        }
        let message = format!("the type `{}{}` is not known; leave it out", tag.handle, tag.suffix);
        Err(Box::new(YamlProblem::Syntax { message, span: span.clone() }))
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(Box::new(YamlProblem::TooLarge { what: "values", limit: MAX_NODES, span: span.clone() }));
        }
        Ok(())
    }

    /// Takes a copy of `node` from the budgets, before it is made.
    fn charge(&mut self, node: &Node) -> Result<(), Stop> {
        let (nodes, bytes) = weight(node);
        self.count(nodes, &node.span)?;
        self.alias_bytes = self.alias_bytes.saturating_add(bytes);
        if self.alias_bytes > MAX_ALIAS_BYTES {
            let span = node.span.clone();
            return Err(Box::new(YamlProblem::TooLarge { what: "bytes through aliases", limit: MAX_ALIAS_BYTES, span }));
        }
        Ok(())
    }
}

/// How many nodes a tree has, and how many bytes of text.
fn weight(node: &Node) -> (usize, usize) {
    let add = |(nodes, bytes): (usize, usize), (more_nodes, more_bytes): (usize, usize)| (nodes + more_nodes, bytes + more_bytes);
    match &node.kind {
        Kind::Scalar(scalar) => (1, scalar.text.len()),
        Kind::Sequence(items) => items.iter().map(weight).fold((1, 0), add),
        Kind::Mapping(entries) => entries.iter().map(|entry| add(weight(&entry.value), (1, entry.key.text.len()))).fold((1, 0), add),
    }
}

fn height(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Scalar(_) => 0,
        Kind::Sequence(items) => items.iter().map(height).max().unwrap_or(0),
        Kind::Mapping(entries) => entries.iter().map(|entry| height(&entry.value)).max().unwrap_or(0),
    }
}

/// From characters, which the parser counts, to bytes.
struct Offsets {
    /// Byte of each character; empty if each character is one byte.
    bytes: Vec<u32>,
    end: usize,
}

impl Offsets {
    fn of(text: &str) -> Self {
        let bytes =
            if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX)).collect() };
        Self { bytes, end: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        if self.bytes.is_empty() {
            return character.min(self.end);
        }
        self.bytes.get(character).map_or(self.end, |at| *at as usize)
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        let start = self.byte(span.start.index());
        let end = self.byte(span.end.index()).max(start);
        Span { line: span.start.line().max(1), column: span.start.col() + 1, bytes: start..end }
    }
}
