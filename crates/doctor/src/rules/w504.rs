//! W504: a list of numbers that stays would be far smaller as an array.

use wrasse_report::units::{count, size};

use super::list::costly;
use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W504",
    name: "numbers-in-list",
    summary: "a list of numbers that stays would be far smaller as an array",
    explanation: include_str!("w504.md"),
    threshold: Quantity::Bytes(4 << 20),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    // What should be no list at all need not be a better one.
    let needless = costly(observations);
    let mut findings = Vec::new();
    for each in &observations.heap.numbers {
        if !each.stays || needless.iter().any(|list| list.is_from(&each.line)) {
            continue;
        }
        let mut finding = RULE.finding(&each.line.file, each.line.line);
        finding.bytes = Some(each.bytes.saturating_sub(each.array_bytes));
        finding.message = format!(
            "a list of {} {}s takes {}, an array {}",
            count(each.items),
            each.type_name,
            size(each.bytes),
            size(each.array_bytes)
        );
        if !each.path.is_empty() {
            finding.evidence.push(format!("held by {}", each.path));
        }
        let code = if each.type_name == "float" { 'd' } else { 'q' };
        finding.fix =
            format!("array.array('{code}', …) from the standard library, or a numpy array");
        findings.push(finding);
    }
    findings
}
