//! Typed access to the tables of one file. What is wrong is collected, so that one run reports everything.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Mark, nearest};

/// One file while it is read.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    name: &'t str,
    text: &'t str,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// A value and its line.
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(name: &'t str, text: &'t str) -> Self {
        Self { name, text, diagnostics: Vec::new() }
    }

    /// Parses the TOML; every syntax error is reported.
    pub(super) fn parse(&mut self) -> DeTable<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.problem(&error.span().unwrap_or(0..0), format!("this is not TOML: {}", error.message()), String::new());
        }
        // What recovery made up would only lead to complaints about things nobody wrote.
        if errors.is_empty() { table.into_inner() } else { DeTable::new() }
    }

    pub(super) fn text_of(&self) -> &'t str {
        self.text
    }

    pub(super) fn problem(&mut self, span: &Range<usize>, message: String, label: String) {
        let mark = Some(Mark::of_span(self.text, span));
        self.diagnostics.push(Diagnostic { message, file: self.name.to_owned(), mark, label });
    }

    /// Reports the keys of `table` that are not `known`.
    pub(super) fn check_keys(&mut self, table: &DeTable<'_>, section: &str, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let label = match nearest(key.get_ref(), known.iter().copied()) {
                Some(candidate) => format!("did you mean `{candidate}`?"),
                None => format!("known are: {}", known.join(", ")),
            };
            self.problem(&key.span(), format!("unknown key `{}` {section}", key.get_ref()), label);
        }
    }

    pub(super) fn table<'d>(&mut self, parent: &'d DeTable<'t>, key: &str) -> Option<&'d DeTable<'t>> {
        let value = get(parent, key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, "a table", value);
        }
        table
    }

    /// The tables `[[key]]`, with the span of each; `None` when there is no such key.
    pub(super) fn tables<'d>(&mut self, parent: &'d DeTable<'t>, key: &str) -> Option<Vec<(Range<usize>, &'d DeTable<'t>)>> {
        let value = get(parent, key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, &format!("a list of tables, written [[{key}]]"), value);
            return None;
        };
        let mut tables = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => tables.push((item.span(), table)),
                None => self.wrong_type(key, "a table", item),
            }
        }
        Some(tables)
    }

    pub(super) fn boolean(&mut self, table: &DeTable<'t>, key: &str) -> Option<Found<bool>> {
        let value = get(table, key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(key, "true or false", value);
        }
        found.map(|found| self.found(value, found))
    }

    /// The string `key`, made into a value by `parse`, whose error says what is expected.
    pub(super) fn text<T>(&mut self, table: &DeTable<'t>, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Found<T>> {
        let value = get(table, key)?;
        let parsed = self.one(key, value, "a string", &parse)?;
        Some(self.found(value, parsed))
    }

    /// The list of strings `key`.
    pub(super) fn texts<T>(&mut self, table: &DeTable<'t>, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Found<Vec<T>>> {
        let value = get(table, key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, "a list of strings", value);
            return None;
        };
        let values = array.iter().filter_map(|item| self.one(key, item, "a list of strings", &parse)).collect();
        Some(self.found(value, values))
    }

    /// The whole number `key`, at least `minimum`, where 0 stands for no limit.
    pub(super) fn limit(&mut self, table: &DeTable<'t>, key: &str, minimum: u64) -> Option<Found<Option<u64>>> {
        let value = get(table, key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, "a whole number", value);
            return None;
        };
        match u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()) {
            Ok(0) => Some(self.found(value, None)),
            Ok(number) if number >= minimum => Some(self.found(value, Some(number))),
            _ => {
                self.problem(&value.span(), format!("`{key}` is out of range"), format!("expected {minimum} or more, or 0 for none"));
                None
            }
        }
    }

    fn one<T>(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let Some(string) = value.get_ref().as_str() else {
            self.wrong_type(key, wanted, value);
            return None;
        };
        match parse(string) {
            Ok(parsed) => Some(parsed),
            Err(expected) => {
                self.problem(&value.span(), format!("{string:?} is not right for `{key}`"), expected);
                None
            }
        }
    }

    fn found<T>(&self, at: &Spanned<DeValue<'_>>, value: T) -> Found<T> {
        Found { value, line: Mark::of_span(self.text, &at.span()).line }
    }

    fn wrong_type(&mut self, key: &str, wanted: &str, value: &Spanned<DeValue<'_>>) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.problem(&value.span(), format!("`{key}` must be {wanted}"), format!("this is {found}"));
    }
}

/// The value of `key`.
pub(super) fn get<'d, 't>(table: &'d DeTable<'t>, key: &str) -> Option<&'d Spanned<DeValue<'t>>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
}

/// A duration such as `45m` or `1h 30m`, within `range`.
pub(super) fn duration(range: std::ops::RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let parsed = SignedDuration::from_str(text).ok().and_then(|signed| Duration::try_from(signed).ok());
        let expected =
            || format!("expected a duration such as `45m` or `1h 30m`, {:#} to {:#}", Shown(*range.start()), Shown(*range.end()));
        parsed.filter(|duration| range.contains(duration)).ok_or_else(expected)
    }
}

/// A duration as people write it.
pub(crate) struct Shown(pub(crate) Duration);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let signed = SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX);
        write!(f, "{signed:#}")
    }
}

/// `http://` or `https://`, a host, and nothing that would be lost when a path is added.
pub(super) fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if !good || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#' || c == '?') {
        return Err("expected a URL such as \"https://updates.example.org\"".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}
