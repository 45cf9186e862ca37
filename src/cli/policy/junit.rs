//! `JUnit` reports, as pipelines read them: a suite for each file of cases.

use std::fmt::Write as _;

use super::test::Filed;
use crate::policy::cases::{Outcome, Report};

/// The whole document.
pub(super) fn render(cases: &[Filed], report: &Report) -> String {
    let results: Vec<(&Filed, &Outcome)> = cases.iter().zip(&report.outcomes).collect();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(text, "<testsuites name=\"tidegate policy test\" {}>", counts(&results));
    for suite in results.chunk_by(|(one, _), (other, _)| one.file == other.file) {
        let name = suite.first().map_or("", |(filed, _)| filed.file.as_str());
        let _ = writeln!(text, "  <testsuite name=\"{}\" {}>", escaped(name), counts(suite));
        for (filed, outcome) in suite {
            case(&mut text, filed, outcome);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn counts(results: &[(&Filed, &Outcome)]) -> String {
    let failed = results.iter().filter(|(_, outcome)| !outcome.passed()).count();
    format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\"", results.len())
}

fn case(text: &mut String, filed: &Filed, outcome: &Outcome) {
    let (name, file) = (escaped(&filed.case.name), escaped(&filed.file));
    let line = filed.case.line;
    let _ =
        write!(text, "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\"");
    let Some(first) = outcome.failures.first() else {
        text.push_str("/>\n");
        return;
    };
    let whole = escaped(&outcome.failures.join("\n"));
    let _ =
        writeln!(text, ">\n      <failure message=\"{}\" type=\"policy\">{whole}</failure>", escaped(first));
    text.push_str("    </testcase>\n");
}

/// For attributes and for text. Characters that XML 1.0 cannot hold at all (§2.2) are replaced.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&apos;"),
            // In an attribute these would be read as spaces.
            '\t' | '\n' | '\r' => {
                let _ = write!(shown, "&#{};", u32::from(character));
            }
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => shown.push('\u{fffd}'),
            plain => shown.push(plain),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_attribute() {
        assert_eq!(
            escaped("\"><failure a='&'>\n\u{1}\u{7f}é"),
            "&quot;&gt;&lt;failure a=&apos;&amp;&apos;&gt;&#10;\u{fffd}\u{7f}é"
        );
    }
}
