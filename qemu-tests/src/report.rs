//! The result of a run as JUnit XML, which every CI system reads.

use std::fmt::Write;
use std::time::Duration;

/// One scenario's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Name of the scenario.
    pub name: String,
    /// Image variant it ran on.
    pub variant: String,
    /// The promise it proves.
    pub promise: String,
    /// How long it took, without waiting for its turn.
    pub took: Duration,
    /// Why it failed.
    pub failure: Option<String>,
}

/// Writes `cases` as one JUnit test suite.
#[must_use]
pub fn junit(cases: &[Case]) -> String {
    let failures = cases.iter().filter(|case| case.failure.is_some()).count();
    let seconds: f64 = cases.iter().map(|case| case.took.as_secs_f64()).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(xml, "<testsuite name=\"qemu-tests\" tests=\"{}\" failures=\"{failures}\" time=\"{seconds:.1}\">", cases.len());
    for case in cases {
        let (name, variant, promise) = (escape(&case.name), escape(&case.variant), escape(&case.promise));
        let _ = writeln!(xml, "  <testcase name=\"{name}\" classname=\"{variant}\" time=\"{:.1}\">", case.took.as_secs_f64());
        let _ = writeln!(xml, "    <properties><property name=\"promise\" value=\"{promise}\"/></properties>");
        if let Some(failure) = &case.failure {
            let first = escape(failure.lines().next().unwrap_or_default());
            let _ = writeln!(xml, "    <failure message=\"{first}\">{}</failure>", escape(failure));
        }
        xml.push_str("  </testcase>\n");
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn escape(text: &str) -> String {
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
    use super::*;

    #[test]
    fn a_report_with_a_success_and_a_failure() {
        let case = |name: &str, failure: Option<&str>| Case {
            name: name.into(),
            variant: "vm".into(),
            promise: "it <boots> & stays".into(),
            took: Duration::from_millis(1500),
            failure: failure.map(str::to_owned),
        };
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuite name=\"qemu-tests\" tests=\"2\" failures=\"1\" time=\"3.0\">
  <testcase name=\"boots\" classname=\"vm\" time=\"1.5\">
    <properties><property name=\"promise\" value=\"it &lt;boots&gt; &amp; stays\"/></properties>
  </testcase>
  <testcase name=\"stays\" classname=\"vm\" time=\"1.5\">
    <properties><property name=\"promise\" value=\"it &lt;boots&gt; &amp; stays\"/></properties>
    <failure message=\"said &quot;no&quot;\">said &quot;no&quot;
\u{fffd}[31mred</failure>
  </testcase>
</testsuite>
";
        assert_eq!(junit(&[case("boots", None), case("stays", Some("said \"no\"\n\x1b[31mred"))]), expected);
    }
}
