//! Typed access to the tables of one TOML file. What is wrong is collected, so that one run reports everything.

use std::ops::{Range, RangeInclusive};

use ::toml::Spanned;
use ::toml::de::{DeInteger, DeTable, DeValue};

use crate::{Diagnostic, Mark, nearest};

/// One file while it is read.
#[derive(Debug)]
pub struct Reader<'t> {
    name: &'t str,
    text: &'t str,
    /// What has been found wrong so far.
    pub diagnostics: Vec<Diagnostic>,
}

/// A value and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// The value.
    pub value: T,
    /// Its line, from 1.
    pub line: usize,
}

impl<'t> Reader<'t> {
    /// A reader of `text`, which a person knows as `name`.
    #[must_use]
    pub fn new(name: &'t str, text: &'t str) -> Self {
        Self { name, text, diagnostics: Vec::new() }
    }

    /// What the file is called.
    #[must_use]
    pub fn name(&self) -> &'t str {
        self.name
    }

    /// Parses the TOML; every syntax error is reported.
    pub fn parse(&mut self) -> DeTable<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.problem(&error.span().unwrap_or(0..0), format!("this is not TOML: {}", error.message()), String::new());
        }
        // What recovery made up would only lead to complaints about things nobody wrote.
        if errors.is_empty() { table.into_inner() } else { DeTable::new() }
    }

    /// Reports a problem: what is wrong with the bytes in `span`, and behind the caret why, or what to write instead.
    pub fn problem(&mut self, span: &Range<usize>, message: String, label: String) {
        let mark = Some(Mark::of_span(self.text, span));
        self.diagnostics.push(Diagnostic { message, file: self.name.to_owned(), mark, label });
    }

    /// The line in which `span` begins, from 1.
    #[must_use]
    pub fn line(&self, span: &Range<usize>) -> usize {
        Mark::of_span(self.text, span).line
    }

    /// Reports the keys of `table` that are not `known`. `section` is how a person calls the table, e.g. `in [image]`.
    pub fn check_keys(&mut self, table: &DeTable<'_>, section: &str, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let label = match nearest(key.get_ref(), known.iter().copied()) {
                Some(candidate) => format!("did you mean `{candidate}`?"),
                None => format!("known are: {}", known.join(", ")),
            };
            self.problem(&key.span(), format!("unknown key `{}` {section}", key.get_ref()), label);
        }
    }

    /// The table `key` of `parent`.
    pub fn table<'d>(&mut self, parent: &'d DeTable<'t>, key: &str) -> Option<&'d DeTable<'t>> {
        let value = get(parent, key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, "a table", value);
        }
        table
    }

    /// The tables `[[key]]`, with the span of each; `None` when there is no such key.
    pub fn tables<'d>(&mut self, parent: &'d DeTable<'t>, key: &str) -> Option<Vec<(Range<usize>, &'d DeTable<'t>)>> {
        let items = self.list(parent, key, &format!("a list of tables, written [[{key}]]"))?;
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref().as_table() {
                Some(table) => tables.push((item.span(), table)),
                None => self.wrong_type(key, "a table", item),
            }
        }
        Some(tables)
    }

    /// The truth value `key`.
    pub fn boolean(&mut self, table: &DeTable<'t>, key: &str) -> Option<Found<bool>> {
        let value = get(table, key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(key, "true or false", value);
        }
        found.map(|found| self.found(value, found))
    }

    /// The string `key`, made into a value by `parse`, whose error says what is expected.
    pub fn string<T>(&mut self, table: &DeTable<'t>, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Found<T>> {
        self.one(key, get(table, key)?, "a string", &parse)
    }

    /// The list of strings `key`, each made into a value; wrong ones are left out. The outer line is the list's own.
    pub fn strings<T>(
        &mut self,
        table: &DeTable<'t>,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Found<Vec<Found<T>>>> {
        const WANTED: &str = "a list of strings";
        let values = self.list(table, key, WANTED)?.filter_map(|item| self.one(key, item, WANTED, &parse)).collect();
        Some(Found { value: values, line: self.line(&get(table, key)?.span()) })
    }

    /// The whole number `key`, within `range`.
    pub fn number(&mut self, table: &DeTable<'t>, key: &str, range: RangeInclusive<u64>) -> Option<Found<u64>> {
        let expected = format!("expected {} to {}", range.start(), range.end());
        self.integer(table, key, &expected, |number| range.contains(&number))
    }

    /// The whole number `key`, at least `minimum`, where 0 stands for no limit.
    pub fn limit(&mut self, table: &DeTable<'t>, key: &str, minimum: u64) -> Option<Found<Option<u64>>> {
        let expected = format!("expected {minimum} or more, or 0 for none");
        let found = self.integer(table, key, &expected, |number| number == 0 || number >= minimum)?;
        Some(Found { value: Some(found.value).filter(|number| *number > 0), line: found.line })
    }

    fn integer(&mut self, table: &DeTable<'t>, key: &str, expected: &str, good: impl Fn(u64) -> bool) -> Option<Found<u64>> {
        let value = get(table, key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, "a whole number", value);
            return None;
        };
        match unsigned(integer).filter(|number| good(*number)) {
            Some(number) => Some(self.found(value, number)),
            None => {
                self.problem(&value.span(), format!("`{key}` is out of range"), expected.to_owned());
                None
            }
        }
    }

    fn list<'d>(
        &mut self,
        table: &'d DeTable<'t>,
        key: &str,
        wanted: &str,
    ) -> Option<impl Iterator<Item = &'d Spanned<DeValue<'t>>> + use<'d, 't>> {
        let value = get(table, key)?;
        let array = value.get_ref().as_array();
        if array.is_none() {
            self.wrong_type(key, wanted, value);
        }
        array.map(|array| array.iter())
    }

    fn one<T>(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Found<T>> {
        let Some(string) = value.get_ref().as_str() else {
            self.wrong_type(key, wanted, value);
            return None;
        };
        match parse(string) {
            Ok(parsed) => Some(self.found(value, parsed)),
            Err(expected) => {
                self.problem(&value.span(), format!("{string:?} is not right for `{key}`"), expected);
                None
            }
        }
    }

    fn found<T>(&self, at: &Spanned<DeValue<'_>>, value: T) -> Found<T> {
        Found { value, line: self.line(&at.span()) }
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
#[must_use]
pub fn get<'d, 't>(table: &'d DeTable<'t>, key: &str) -> Option<&'d Spanned<DeValue<'t>>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
}

fn unsigned(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "yes = true\nname = \"a\"\nmany = [\n  \"b\",\n  \"c\",\n]\nsize = 0x10\nnone = 0\n[[part]]\nx = 1\n";

    fn letter(text: &str) -> Result<char, String> {
        let mut chars = text.chars();
        chars.next().filter(|_| chars.next().is_none()).ok_or_else(|| "expected one letter".to_owned())
    }

    #[test]
    fn values_come_with_their_lines() {
        let mut reader = Reader::new("x.toml", TEXT);
        let table = reader.parse();
        assert_eq!(reader.boolean(&table, "yes"), Some(Found { value: true, line: 1 }));
        assert_eq!(reader.string(&table, "name", letter), Some(Found { value: 'a', line: 2 }));
        let many = reader.strings(&table, "many", letter).unwrap();
        assert_eq!((many.line, many.value), (3, vec![Found { value: 'b', line: 4 }, Found { value: 'c', line: 5 }]));
        assert_eq!(reader.number(&table, "size", 1..=16).map(|found| found.value), Some(16));
        assert_eq!(reader.limit(&table, "size", 8).map(|found| found.value), Some(Some(16)));
        assert_eq!(reader.limit(&table, "none", 8).map(|found| found.value), Some(None));
        assert_eq!(reader.tables(&table, "part").unwrap().len(), 1);
        assert!(reader.string(&table, "absent", letter).is_none() && reader.tables(&table, "absent").is_none());
        assert_eq!(reader.diagnostics, []);
    }

    #[test]
    fn what_is_wrong_is_collected_with_what_is_expected() {
        let mut reader = Reader::new("x.toml", TEXT);
        let table = reader.parse();
        reader.check_keys(&table, "at the top", &["yes", "nam", "many", "size", "none", "part"]);
        reader.boolean(&table, "name");
        reader.string(&table, "size", letter);
        reader.string(&table, "name", |_| Err::<(), _>("expected nothing".to_owned()));
        reader.strings(&table, "yes", letter);
        reader.number(&table, "size", 1..=15);
        reader.limit(&table, "size", 17);
        reader.table(&table, "part");
        reader.tables(&table, "many");
        let told: Vec<String> = reader.diagnostics.iter().map(|had| format!("{} ({})", had.message, had.label)).collect();
        let expected = [
            "unknown key `name` at the top (did you mean `nam`?)",
            "`name` must be true or false (this is a string)",
            "`size` must be a string (this is a whole number)",
            "\"a\" is not right for `name` (expected nothing)",
            "`yes` must be a list of strings (this is true or false)",
            "`size` is out of range (expected 1 to 15)",
            "`size` is out of range (expected 17 or more, or 0 for none)",
            "`part` must be a table (this is a list)",
            "`many` must be a table (this is a string)",
            "`many` must be a table (this is a string)",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_file_that_is_no_toml_is_one_problem_and_not_many() {
        let mut reader = Reader::new("x.toml", "name = \n");
        assert!(reader.parse().is_empty());
        assert_eq!(reader.diagnostics.len(), 1);
        assert!(reader.diagnostics[0].message.starts_with("this is not TOML"));
    }
}
