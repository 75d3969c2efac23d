//! The museum as a web page.

use std::fmt::Write;

use super::report::{Report, Row};
use crate::report::escape;

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<title>The bug museum</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .5rem .75rem; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
td.seconds { text-align: right; font-variant-numeric: tabular-nums; }
code { overflow-wrap: anywhere; font-size: .875em; }
.escaped { font-weight: bold; }
.escaped td:first-child { border-left: .25rem solid #c62828; }
small { opacity: .8; }
</style>
</head>
<body>
<h1>The bug museum</h1>
<p>Defects that were planted into the source one after another. Each must be noticed by a test.</p>
";

const TABLE: &str = "<table>
<thead><tr><th scope=\"col\">defect</th><th scope=\"col\">promise it breaks</th><th scope=\"col\">killed by</th><th scope=\"col\">seconds</th></tr></thead>
<tbody>
";

/// The page: what escaped comes first.
pub(super) fn page(report: &Report) -> String {
    let mut page = String::from(HEAD);
    // Writing to a string cannot fail.
    let _ = writeln!(page, "<p><strong>{}</strong></p>", escape(&report.sum()));
    page.push_str(TABLE);
    let killed = report.rows.iter().filter(|row| row.verdict.is_killed());
    for row in report.escaped().chain(killed) {
        write_row(&mut page, row);
    }
    page.push_str("</tbody>\n</table>\n</body>\n</html>\n");
    page
}

fn write_row(page: &mut String, row: &Row) {
    let (class, word) = if row.verdict.is_killed() { ("killed", String::new()) } else { ("escaped", format!("{}: ", row.word())) };
    let [name, story, promise, files, detail, expected] =
        [&row.name, &row.story, &row.promise, &row.files.join(", "), &row.detail(), &row.expected.join("; ")].map(|text| escape(text));
    let _ = writeln!(
        page,
        "<tr class=\"{class}\"><td><strong>{word}{name}</strong><br>{story}<br><code>{files}</code></td><td>{promise}</td>\
         <td><code>{detail}</code><br><small>expected: <code>{expected}</code></small></td><td class=\"seconds\">{:.0}</td></tr>",
        row.seconds
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stands_alone_and_begins_with_what_escaped() {
        let page = page(&super::super::report::tests::report());
        let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not in the page"));
        assert!(place("ESCAPED: free") < place("BROKEN: wrong") && place("BROKEN: wrong") < place("<strong>one"));
        assert_eq!(page.matches("<tr class").count(), 5);
        for foreign in ["<script", "http:", "https:", "<link", "<img", "<b>bad", "<not>"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(page.contains("A &lt;b&gt;bad&lt;/b&gt; day &amp; &quot;night&quot;."));
    }
}
