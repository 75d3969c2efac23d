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

    fn json(&self, row: usize) -> Value {
        match self {
            Self::Ints(_, values) => values.get(row).copied().flatten().map_or(Value::Null, Value::from),
            Self::Texts(_, values) => values.get(row).cloned().flatten().map_or(Value::Null, Value::from),
        }
    }
}

/// Adds the columns to the parameters in `args` and answers what stands behind `FROM` for them. Columns have the same length.
pub(super) fn bind(sqlite: bool, args: &mut Vec<Arg>, columns: Vec<Items>) -> String {
    let first = args.len() + 1;
    if sqlite {
        let rows = columns.iter().map(Items::len).max().unwrap_or(0);
        let list: Vec<Value> = (0..rows).map(|row| columns.iter().map(|column| column.json(row)).collect()).collect();
        args.push(Arg::Text(Some(Value::Array(list).to_string())));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_see_the_same_table() {
        let columns = || vec![Items::ints("id", [1, 2]), Items::texts("name", [Some("a\"b"), None])];
        let mut args = vec![Arg::from(7)];
        assert_eq!(bind(true, &mut args, columns()), "(SELECT value->>0 AS id, value->>1 AS name FROM json_each($2)) AS item");
        assert_eq!(args[1], Arg::from(r#"[[1,"a\"b"],[2,null]]"#));
        let mut args = vec![Arg::from(7)];
        assert_eq!(bind(false, &mut args, columns()), "unnest($2::bigint[], $3::text[]) AS item(id, name)");
        assert_eq!(args[1..], columns().into_iter().map(Arg::Items).collect::<Vec<_>>());
    }
}
