//! The result of a run as JUnit XML, which every CI system reads.

use std::fmt::Write;

use super::{Case, Outcome};

/// Writes `cases` as one JUnit test suite.
#[must_use]
pub fn junit(cases: &[Case]) -> String {
    let count = |word: &str| cases.iter().filter(|case| case.outcome.word() == word).count();
    let (failures, skipped) = (count("failed"), count("snoozed"));
    let seconds: f64 = cases.iter().map(|case| case.took.as_secs_f64()).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(
        xml,
        "<testsuite name=\"qemu-tests\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\" time=\"{seconds:.1}\">",
        cases.len()
    );
    for case in cases {
        let (name, variant, promise) = (escape(&case.name), escape(&case.variant), escape(&case.promise));
        let _ = writeln!(xml, "  <testcase name=\"{name}\" classname=\"{variant}\" time=\"{:.1}\">", case.took.as_secs_f64());
        let _ = writeln!(xml, "    <properties><property name=\"promise\" value=\"{promise}\"/></properties>");
        // A known failure is no success either: CI systems show what was skipped with its reason.
        let _ = match &case.outcome {
            Outcome::Passed => Ok(()),
            Outcome::Failed(story) => {
                let first = escape(story.lines().next().unwrap_or_default());
                writeln!(xml, "    <failure message=\"{first}\">{}</failure>", escape(story))
            }
            Outcome::Snoozed { story, excuse } => {
                writeln!(xml, "    <skipped message=\"{}\"/>\n    <system-out>{}</system-out>", escape(excuse), escape(story))
            }
        };
        xml.push_str("  </testcase>\n");
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Text as it may stand in XML and in HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(char),
            // XML 1.0 has no way to write control characters, not even as references.
            _ if char.is_control() || char == '\u{fffe}' || char == '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_report_with_every_outcome() {
        let case = |name: &str, outcome: Outcome| Case {
            name: name.into(),
            variant: "vm".into(),
            promise: "it <boots> & stays".into(),
            took: Duration::from_millis(1500),
            outcome,
            logs: "logs".into(),
        };
        let cases = [
            case("boots", Outcome::Passed),
            case("stays", Outcome::Failed("said \"no\"\n\x1b[31mred".into())),
            case("leaves", Outcome::Snoozed { story: "too <late>".into(), excuse: "known until 2027".into() }),
        ];
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuite name=\"qemu-tests\" tests=\"3\" failures=\"1\" skipped=\"1\" time=\"4.5\">
  <testcase name=\"boots\" classname=\"vm\" time=\"1.5\">
    <properties><property name=\"promise\" value=\"it &lt;boots&gt; &amp; stays\"/></properties>
  </testcase>
  <testcase name=\"stays\" classname=\"vm\" time=\"1.5\">
    <properties><property name=\"promise\" value=\"it &lt;boots&gt; &amp; stays\"/></properties>
    <failure message=\"said &quot;no&quot;\">said &quot;no&quot;
\u{fffd}[31mred</failure>
  </testcase>
  <testcase name=\"leaves\" classname=\"vm\" time=\"1.5\">
    <properties><property name=\"promise\" value=\"it &lt;boots&gt; &amp; stays\"/></properties>
    <skipped message=\"known until 2027\"/>
    <system-out>too &lt;late&gt;</system-out>
  </testcase>
</testsuite>
";
        assert_eq!(junit(&cases), expected);
    }
}
