//! What reading values needs: where it reads, and where problems go.

use super::schema::Key;
use super::text::FromText;
use super::{Place, Problem, Problems, Rule, Severity, Value};
use crate::document::Part;
use crate::yaml::{Entry, Kind, Node, Span, Tag, scalar};

/// Reads the tree of one part, and collects everything that is wrong with it.
#[derive(Debug)]
pub struct Reader<'p> {
    part: &'p Part,
    lenient: bool,
    /// Everything found so far.
    pub problems: Problems,
}

impl<'p> Reader<'p> {
    /// A reader for `part`; `lenient` makes unknown keys warnings.
    #[must_use]
    pub fn new(part: &'p Part, lenient: bool) -> Self {
        Self { part, lenient, problems: Problems::default() }
    }

    /// Where `span` is in the file that a person can open.
    #[must_use]
    pub fn place(&self, span: &Span) -> Place {
        self.part.place(span)
    }

    /// The key with underscores, as keys are declared.
    pub(super) fn normalised(&self, key: &str) -> String {
        key.replace('-', "_")
    }

    /// Whether a value says that there is none.
    pub(super) fn is_absent(&self, node: &Node) -> bool {
        node.is_null()
    }

    /// The entries of a mapping, or a report that it is none.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, wanted: &str) -> Option<&'n [Entry]> {
        match &node.kind {
            Kind::Mapping(entries) => Some(entries),
            Kind::Scalar(_) | Kind::Sequence(_) => {
                self.wrong_type(node, wanted);
                None
            }
        }
    }

    /// The text of a scalar, of whatever type it looks; binary data if it is UTF-8.
    pub(super) fn text(&mut self, node: &Node, wanted: &str) -> Option<String> {
        let scalar = node.as_scalar().filter(|_| !node.is_null());
        let Some(scalar) = scalar else {
            self.wrong_type(node, wanted);
            return None;
        };
        if scalar.tag != Some(Tag::Binary) {
            return Some(scalar.text.clone());
        }
        let text = scalar::binary(scalar).and_then(|bytes| String::from_utf8(bytes).ok());
        if text.is_none() {
            self.invalid(node, Rule::WrongType, format!("binary data where {wanted} is wanted"), None);
        }
        text
    }

    /// The text of a scalar that is not quoted, for numbers.
    pub(super) fn plain_text(&mut self, node: &Node, wanted: &str) -> Option<String> {
        match node.as_scalar() {
            Some(scalar) if scalar.style == crate::yaml::Style::Plain => Some(scalar.text.clone()),
            _ => {
                self.wrong_type(node, wanted);
                None
            }
        }
    }

    pub(super) fn parse<T: FromText>(&mut self, node: &Node) -> Option<T> {
        let text = self.text(node, T::WANTED)?;
        self.accept(T::from_text(&text), node)
    }

    pub(super) fn parse_list<T: FromText>(&mut self, node: &Node) -> Option<Vec<T>> {
        let scalar = node.as_scalar().filter(|_| !node.is_null())?;
        let words = T::list_from_text(&scalar.text)?;
        Some(words.into_iter().filter_map(|word| self.accept(T::from_text(word), node)).collect())
    }

    fn accept<T>(&mut self, result: Result<T, super::text::Refused>, node: &Node) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(refused) => {
                self.invalid(node, refused.rule, refused.message, refused.hint);
                None
            }
        }
    }

    /// Reports a value that breaks `rule`.
    pub(super) fn invalid(&mut self, node: &Node, rule: Rule, message: String, hint: Option<String>) {
        let problem = Problem { hint, ..Problem::new(rule, self.place(&node.span), message) };
        self.problems.add(problem);
    }

    pub(super) fn wrong_type(&mut self, node: &Node, wanted: &str) {
        let message = format!("this is {}, wanted is {wanted}", node.describe());
        let quoted = node.as_scalar().is_some_and(|scalar| scalar.style == crate::yaml::Style::Quoted);
        let hint = (quoted && (wanted.contains("number") || wanted == bool::WANTED)).then(|| "leave the quotes out".to_owned());
        self.invalid(node, Rule::WrongType, message, hint);
    }

    pub(super) fn unknown_key(&mut self, entry: &Entry, keys: fn() -> Vec<Key>) {
        let severity = if self.lenient { Severity::Warning } else { Severity::Error };
        if self.problems.is_full(severity) {
            return;
        }
        let name = self.normalised(&entry.key.text);
        let keys = keys();
        let known = keys.iter().filter(|key| !key.is_ignored()).flat_map(|key| key.aliases.iter().copied().chain([key.name]));
        let nearest = diagnostics::nearest(&name, known)
            .map(|near| if entry.key.text.contains('-') { near.replace('_', "-") } else { near.to_owned() });
        let hint = match nearest {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => super::foreign::advice(&name).map(str::to_owned),
        };
        let mut problem =
            Problem::new(Rule::UnknownKey, self.place(&entry.key.span), format!("the key `{}` is not known here", entry.key.text));
        problem.hint = hint;
        problem.severity = severity;
        self.problems.add(problem);
    }

    pub(super) fn ignored_key(&mut self, entry: &Entry, why: &str) {
        let message = format!("`{}` does nothing here: {why}", entry.key.text);
        self.problems.add(Problem::new(Rule::IgnoredKey, self.place(&entry.key.span), message));
    }

    pub(super) fn empty_value(&mut self, entry: &Entry) {
        let message = format!("`{}` has no value and counts as not written", entry.key.text);
        self.problems
            .add(Problem::new(Rule::EmptyValue, self.place(&entry.key.span), message).with_hint("give it a value, or remove the line"));
    }

    pub(super) fn empty_item(&mut self, item: &Node) {
        let place = self.place(&item.span);
        self.problems.add(
            Problem::new(Rule::EmptyValue, place, "this entry of the list is empty")
                .with_hint("remove the dash, or write something behind it"),
        );
    }

    pub(super) fn duplicate_entry(&mut self, name: &str, second: &Place, first: &Place) {
        let message = format!("`{name}` is already described on line {}; the two are merged, and what is here wins", first.line);
        self.problems.add(Problem::new(Rule::DuplicateEntry, second.clone(), message).with_hint("describe it once"));
    }
}

/// The keys of a section that were there, under the names they are declared with.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<(&'static str, usize)>);

impl Seen {
    /// Notes a key; `false`, and a report, if it says nothing or was there already under another spelling.
    pub(super) fn first(&mut self, name: &'static str, entry: &Entry, reader: &mut Reader<'_>) -> bool {
        if let Some((_, line)) = self.0.iter().find(|(seen, _)| *seen == name) {
            let message = format!("`{}` says the same as the key on line {line}", entry.key.text);
            let problem = Problem::new(Rule::DuplicateKey, reader.place(&entry.key.span), message).with_hint("keep one of the two");
            reader.problems.add(problem);
            return false;
        }
        self.0.push((name, reader.place(&entry.key.span).line));
        if reader.is_absent(&entry.value) {
            reader.empty_value(entry);
            return false;
        }
        true
    }

    /// Reports a key without which the section means nothing.
    pub(super) fn require(&self, name: &'static str, node: &Node, reader: &mut Reader<'_>) {
        if !self.0.iter().any(|(seen, _)| *seen == name) {
            reader.invalid(node, Rule::MissingKey, format!("`{name}` is missing"), Some(format!("add `{name}:`")));
        }
    }
}
