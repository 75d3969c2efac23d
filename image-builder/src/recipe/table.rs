//! Typed access to the tables of one recipe file. What is wrong is collected, so that one run reports everything.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Mark, nearest};
use super::model::{Located, Place};

/// Checks the syntax of one value; the error says what is expected.
pub(super) type Check = fn(&str) -> Result<(), String>;

/// One recipe file while it is read.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    name: &'t str,
    text: &'t str,
    /// What has been found wrong so far.
    pub(super) diagnostics: Vec<Diagnostic>,
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

    pub(super) fn problem(&mut self, span: &Range<usize>, message: String, label: String) {
        let mark = Some(Mark::of_span(self.text, span));
        self.diagnostics.push(Diagnostic { message, file: self.name.to_owned(), mark, label });
    }

    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        Place { recipe: self.name.to_owned(), line: Mark::of_span(self.text, span).line }
    }

    /// Reports the keys of `table` that are not `known`. `section` is how a person calls the table, e.g. `[image]`.
    pub(super) fn check_keys(&mut self, table: &DeTable<'_>, section: &str, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let label = match nearest(key.get_ref(), known.iter().copied()) {
                Some(candidate) => format!("did you mean `{candidate}`?"),
                None => format!("known are: {}", known.join(", ")),
            };
            self.problem(&key.span(), format!("unknown key `{}` {section}", key.get_ref()), label);
        }
    }

    /// The table `key` of `parent`.
    pub(super) fn table<'d>(&mut self, parent: &'d DeTable<'t>, key: &str) -> Option<&'d DeTable<'t>> {
        let value = get(parent, key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, "a table", value);
        }
        table
    }

    /// The tables `[[key]]`, with the span of each.
    pub(super) fn tables<'d>(&mut self, parent: &'d DeTable<'t>, key: &str) -> Vec<(Range<usize>, &'d DeTable<'t>)> {
        let Some(value) = get(parent, key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, &format!("a list of tables, written [[{key}]]"), value);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => tables.push((item.span(), table)),
                None => self.wrong_type(key, "a table", item),
            }
        }
        tables
    }

    /// The string `key` of `table`.
    pub(super) fn string(&mut self, table: &DeTable<'t>, key: &str, check: Check) -> Option<Located<String>> {
        self.one_string(key, get(table, key)?, "a string", check)
    }

    /// The list of strings `key` of `table`; empty when it is not there.
    pub(super) fn strings(&mut self, table: &DeTable<'t>, key: &str, check: Check) -> Vec<Located<String>> {
        let Some(value) = get(table, key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, "a list of strings", value);
            return Vec::new();
        };
        array.iter().filter_map(|item| self.one_string(key, item, "a list of strings", check)).collect()
    }

    /// The whole number `key` of `table`, within `range`.
    pub(super) fn number(&mut self, table: &DeTable<'t>, key: &str, range: std::ops::RangeInclusive<u32>) -> Option<Located<u32>> {
        let value = get(table, key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, "a whole number", value);
            return None;
        };
        let number = u32::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok().filter(|number| range.contains(number));
        match number {
            Some(value_) => Some(Located { value: value_, at: self.place(&value.span()) }),
            None => {
                let label = format!("expected {} to {}", range.start(), range.end());
                self.problem(&value.span(), format!("`{key}` is out of range"), label);
                None
            }
        }
    }

    fn one_string(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str, check: Check) -> Option<Located<String>> {
        let Some(string) = value.get_ref().as_str() else {
            self.wrong_type(key, wanted, value);
            return None;
        };
        match check(string) {
            Ok(()) => Some(Located { value: string.to_owned(), at: self.place(&value.span()) }),
            Err(expected) => {
                self.problem(&value.span(), format!("{string:?} is not right for `{key}`"), expected);
                None
            }
        }
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
