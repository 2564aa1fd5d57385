//! W503: a container has far more room than it needs.

use wrasse_report::units::{count, size};

use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W503",
    name: "oversized-container",
    summary: "a container has far more room than it needs",
    explanation: include_str!("w503.md"),
    threshold: Quantity::Bytes(1 << 20),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for each in &observations.heap.oversized {
        let mut finding = RULE.finding(&each.line.file, each.line.line);
        finding.bytes = Some(each.bytes.saturating_sub(each.fitting_bytes));
        let what = match each.count {
            1 => format!("a {} made large here has", each.type_name),
            more => format!("{} {}s made large here have", count(more), each.type_name),
        };
        finding.message = format!(
            "{what} {} items left in {}",
            count(each.items),
            size(each.bytes)
        );
        if !each.path.is_empty() {
            finding.evidence.push(format!("held by {}", each.path));
        }
        finding.evidence.push(format!(
            "new ones with the same items take {}",
            size(each.fitting_bytes)
        ));
        finding.fix = format!(
            "make a new one when most items are gone: {}",
            match each.type_name.as_str() {
                "dict" => "table = dict(table)",
                "set" => "members = set(members)",
                _ => "items = list(items)",
            }
        );
        findings.push(finding);
    }
    findings
}
