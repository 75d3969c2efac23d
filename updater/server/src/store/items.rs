//! Lists as parameters: a batch of any size is one statement that is prepared once.
//!
//! Postgres takes one array per column, which it reads without parsing anything. SQLite has no arrays: there the whole list
//! travels as one JSON text. Both become a table `item` with the columns' names.

use serde_json::Value;

use super::db::Arg;

/// One column of a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Items {
    /// BIGINT
    Ints(&'static str, Vec<Option<i64>>),
    /// TEXT
    Texts(&'static str, Vec<Option<String>>),
}

impl Items {
    /// A column of numbers.
    pub fn ints(name: &'static str, values: impl IntoIterator<Item = impl Into<Option<i64>>>) -> Self {
        Self::Ints(name, values.into_iter().map(Into::into).collect())
    }

    /// A column of texts.
    pub fn texts<'a>(name: &'static str, values: impl IntoIterator<Item = impl Into<Option<&'a str>>>) -> Self {
        Self::Texts(name, values.into_iter().map(|text| text.into().map(str::to_owned)).collect())
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Ints(name, _) | Self::Texts(name, _) => name,
        }
    }

    const fn len(&self) -> usize {
        match self {
            Self::Ints(_, values) => values.len(),
            Self::Texts(_, values) => values.len(),
        }
    }

    /// Appends the value of a row as JSON.
    fn json(&self, row: usize, list: &mut String) {
        match self {
            Self::Ints(_, values) => match values.get(row).copied().flatten() {
                Some(number) => list.push_str(&number.to_string()),
                None => list.push_str("null"),
            },
            Self::Texts(_, values) => match values.get(row).and_then(Option::as_deref) {
                // Most texts need no escapes: quotes around them will do.
                Some(text) if !text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') => {
                    list.push('"');
                    list.push_str(text);
                    list.push('"');
                }
                Some(text) => list.push_str(&Value::from(text).to_string()),
                None => list.push_str("null"),
            },
        }
    }
}

/// Adds the columns to the parameters in `args` and answers what stands behind `FROM` for them. Columns have the same length.
pub(super) fn bind(sqlite: bool, args: &mut Vec<Arg>, columns: Vec<Items>) -> String {
    let first = args.len() + 1;
    if sqlite {
        let rows = columns.iter().map(Items::len).max().unwrap_or(0);
        args.push(Arg::Text(Some(json(&columns, rows))));
        // ->> knows numbers from texts by itself.
        let names: Vec<String> =
            columns.iter().enumerate().map(|(index, column)| format!("value->>{index} AS {}", column.name())).collect();
        return format!("(SELECT {} FROM json_each(${first})) AS item", names.join(", "));
    }
    let names: Vec<&str> = columns.iter().map(Items::name).collect();
    let mut places = Vec::with_capacity(columns.len());
    for (number, column) in (first..).zip(&columns) {
        places.push(format!("${number}::{}", if matches!(column, Items::Ints(..)) { "bigint[]" } else { "text[]" }));
    }
    let from = format!("unnest({}) AS item({})", places.join(", "), names.join(", "));
    args.extend(columns.into_iter().map(Arg::Items));
    from
}

/// The whole list, row by row.
fn json(columns: &[Items], rows: usize) -> String {
    /// Bytes of an ordinary value.
    const USUAL: usize = 40;
    let mut list = String::with_capacity(2 + rows * columns.len() * USUAL);
    list.push('[');
    for row in 0..rows {
        list.push_str(if row == 0 { "[" } else { ",[" });
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                list.push(',');
            }
            column.json(row, &mut list);
        }
        list.push(']');
    }
    list.push(']');
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_see_the_same_table() {
        let columns = || vec![Items::ints("id", [1, 2]), Items::texts("name", [Some("a\"b\n\\"), None])];
        let mut args = vec![Arg::from(7)];
        assert_eq!(bind(true, &mut args, columns()), "(SELECT value->>0 AS id, value->>1 AS name FROM json_each($2)) AS item");
        assert_eq!(args[1], Arg::from(r#"[[1,"a\"b\n\\"],[2,null]]"#));
        let mut args = vec![Arg::from(7)];
        assert_eq!(bind(false, &mut args, columns()), "unnest($2::bigint[], $3::text[]) AS item(id, name)");
        assert_eq!(args[1..], columns().into_iter().map(Arg::Items).collect::<Vec<_>>());
    }
}
