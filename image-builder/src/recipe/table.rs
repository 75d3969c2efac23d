//! What a recipe wants of a TOML file beyond typed access: the place of every value.

use std::ops::RangeInclusive;

use diagnostics::toml::Found;
pub(super) use diagnostics::toml::{Reader, get};
use toml::de::DeTable;

use super::model::{Located, Place};

/// Checks the syntax of one value; the error says what is expected.
pub(super) type Check = fn(&str) -> Result<(), String>;

/// Values with their places.
pub(super) trait Places<'t> {
    /// `found` with its place.
    fn located<T>(&self, found: Found<T>) -> Located<T>;
    /// The string `key` of `table`.
    fn checked(&mut self, table: &DeTable<'t>, key: &str, check: Check) -> Option<Located<String>>;
    /// The list of strings `key` of `table`; empty when it is not there.
    fn all_checked(&mut self, table: &DeTable<'t>, key: &str, check: Check) -> Vec<Located<String>>;
    /// The whole number `key` of `table`, within `range`.
    fn small_number(&mut self, table: &DeTable<'t>, key: &str, range: RangeInclusive<u32>) -> Option<Located<u32>>;
}

impl<'t> Places<'t> for Reader<'t> {
    fn located<T>(&self, found: Found<T>) -> Located<T> {
        Located { value: found.value, at: Place { recipe: self.name().to_owned(), line: found.line } }
    }

    fn checked(&mut self, table: &DeTable<'t>, key: &str, check: Check) -> Option<Located<String>> {
        let found = self.string(table, key, |text| check(text).map(|()| text.to_owned()))?;
        Some(self.located(found))
    }

    fn all_checked(&mut self, table: &DeTable<'t>, key: &str, check: Check) -> Vec<Located<String>> {
        let found = self.strings(table, key, |text| check(text).map(|()| text.to_owned()));
        found.map_or_else(Vec::new, |found| found.value.into_iter().map(|found| self.located(found)).collect())
    }

    fn small_number(&mut self, table: &DeTable<'t>, key: &str, range: RangeInclusive<u32>) -> Option<Located<u32>> {
        let found = self.number(table, key, u64::from(*range.start())..=u64::from(*range.end()))?;
        let value = u32::try_from(found.value).ok()?;
        Some(self.located(Found { value, line: found.line }))
    }
}
