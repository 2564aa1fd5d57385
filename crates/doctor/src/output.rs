//! Findings as text for people and as JSON for programs.

use std::fmt::Write;

use serde::Serialize;
use wrasse_report::{printable, units};

use crate::finding::Finding;

/// Version of the JSON form; see `docs/doctor.md`.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    findings: &'a [Finding],
}

/// Findings as one JSON document, with a newline at the end.
#[must_use]
pub fn to_json(findings: &[Finding]) -> String {
    let document = Document {
        schema: SCHEMA,
        findings,
    };
    // Plain data always have a JSON form.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// Findings as text: for each a line with place and code, its evidence, and what
/// to do; last how many there are.
#[must_use]
pub fn to_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let saved = saved(finding);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}: {} {}{saved}",
            printable(&finding.place()),
            finding.code,
            printable(&finding.message)
        );
        for line in &finding.evidence {
            let _ = writeln!(text, "    {}", printable(line));
        }
        if !finding.fix.is_empty() {
            let _ = writeln!(text, "    fix: {}", printable(&finding.fix));
        }
        text.push('\n');
    }
    let _ = match findings.len() {
        0 => writeln!(text, "wrasse doctor: nothing found"),
        1 => writeln!(
            text,
            "wrasse doctor: 1 finding (wrasse explain {})",
            findings[0].code
        ),
        count => writeln!(
            text,
            "wrasse doctor: {count} findings, what saves most first (wrasse explain {})",
            findings[0].code
        ),
    };
    text
}

fn saved(finding: &Finding) -> String {
    let bytes = finding.bytes.map(units::size);
    let time = finding.milliseconds.map(|ms| units::duration(ms / 1e3));
    let amounts: Vec<String> = bytes.into_iter().chain(time).collect();
    match amounts.as_slice() {
        [] => String::new(),
        all => format!(" (saves {})", all.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_named_stays_in_its_line() {
        let finding = Finding {
            code: "W101".into(),
            file: "a\x1b]0;title\x07.py".into(),
            line: 3,
            message: "a\nb".into(),
            evidence: vec!["c\rd".into(), "é → \u{9b}2J".into()],
            fix: "e\x7f".into(),
            ..Finding::default()
        };
        let text = to_text(&[finding]);
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(
            lines[..4],
            [
                "a?]0;title?.py:3: W101 a?b",
                "    c?d",
                "    é → ?2J",
                "    fix: e?"
            ]
        );
        assert!(lines.iter().all(|line| !line.contains(char::is_control)));
    }
}
