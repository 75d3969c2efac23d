//! The `License:` line of a stanza: names joined by `and`, `or` and commas.

use std::collections::BTreeSet;

use super::names;

/// The terms of one `License:` line, to be joined with `AND`; `None` when the line is empty.
pub(super) fn to_spdx(line: &str) -> Option<BTreeSet<String>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    // A comma binds weaker than a bare `and` or `or`: "A or B, and C" is "(A or B) and C".
    let mut clauses: Vec<(Operator, String)> = Vec::new();
    let mut operator = Operator::And;
    for clause in words.split_inclusive(|word| word.ends_with(',')) {
        let mut clause: Vec<&str> = clause.iter().map(|word| word.trim_end_matches(',')).filter(|word| !word.is_empty()).collect();
        if let Some(first) = clause.first().and_then(|word| Operator::of(word)) {
            operator = first;
            clause.remove(0);
        }
        if let Some(text) = one_clause(&clause) {
            clauses.push((operator, text));
        }
        operator = Operator::And;
    }
    let mut terms: Vec<String> = Vec::new();
    for (operator, text) in clauses {
        match terms.pop() {
            Some(before) if operator == Operator::Or => terms.push(format!("{} OR {}", grouped(&before), grouped(&text))),
            before => terms.extend(before.into_iter().chain([text])),
        }
    }
    // "A and B" is two terms, so that a B named elsewhere too is not said twice.
    let terms = terms.iter().flat_map(|term| if term.contains(" OR ") { vec![term.as_str()] } else { term.split(" AND ").collect() });
    let terms: BTreeSet<String> = terms.map(str::to_owned).collect();
    (!terms.is_empty()).then_some(terms)
}

/// Terms joined with `AND`; those with an `OR` inside get parentheses.
pub(super) fn join(terms: &BTreeSet<String>) -> String {
    let [alone] = Vec::from_iter(terms)[..] else {
        return terms.iter().map(|term| grouped(term)).collect::<Vec<_>>().join(" AND ");
    };
    alone.clone()
}

fn grouped(term: &str) -> String {
    if term.contains(" OR ") { format!("({term})") } else { term.to_owned() }
}

/// A clause without commas. `and` binds stronger than `or`, in Debian's syntax as in that of SPDX.
fn one_clause(words: &[&str]) -> Option<String> {
    let alternatives: Vec<String> = words
        .split(|word| Operator::of(word) == Some(Operator::Or))
        .filter_map(|alternative| {
            let names = alternative.split(|word| Operator::of(word) == Some(Operator::And));
            let names: Vec<String> = names.filter(|name| !name.is_empty()).filter_map(names::to_spdx).collect();
            (!names.is_empty()).then(|| names.join(" AND "))
        })
        .collect();
    (!alternatives.is_empty()).then(|| alternatives.join(" OR "))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
}

impl Operator {
    fn of(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "and" | "and/or" => Some(Self::And),
            "or" | "|" => Some(Self::Or),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let text = to_spdx(line).map(|terms| join(&terms)).unwrap_or_default();
        assert_eq!(text, expected, "{line}");
    }

    #[test]
    fn keeps_the_grouping_of_the_line() {
        check("MIT", "MIT");
        check("GPL-2+ or Artistic", "GPL-2.0-or-later OR Artistic-1.0");
        check("GPL-2 and Expat", "GPL-2.0-only AND MIT");
        check("GPL-2+ or Artistic-2.0, and BSD-3-clause", "BSD-3-Clause AND (GPL-2.0-or-later OR Artistic-2.0)");
        check("MIT, or ISC and Zlib", "MIT OR ISC AND Zlib");
        check("GPL-3+ with Bison exception, and ISC", "GPL-3.0-or-later WITH Bison-exception-2.2 AND ISC");
        check("MIT, ISC", "ISC AND MIT");
        check("Zlib and MIT, and MIT", "MIT AND Zlib");
        check("Zlib, MIT, or ISC", "(MIT OR ISC) AND Zlib");
    }

    #[test]
    fn forgives_operators_with_nothing_to_join() {
        check("", "");
        check("and", "");
        check(", or ,", "");
        check("or MIT", "MIT");
        check("MIT and", "MIT");
        check("MIT and and ISC", "ISC AND MIT");
        check("MIT,, ISC,", "ISC AND MIT");
        check("with", "LicenseRef-with");
    }
}
