//! W505: many equal tuples are objects of their own.

use wrasse_report::units::{count, size};

use super::list::costly;
use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W505",
    name: "equal-tuples",
    summary: "many equal tuples are objects of their own",
    explanation: include_str!("w505.md"),
    threshold: Quantity::Bytes(1 << 20),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    // What should be in no list at all need not be shared.
    let needless = costly(observations);
    let mut findings = Vec::new();
    for each in &observations.heap.tuples {
        if !each.is_worth_sharing() || needless.iter().any(|list| list.is_from(&each.line)) {
            continue;
        }
        let mut finding = RULE.finding(&each.line.file, each.line.line);
        finding.bytes = Some(each.bytes);
        finding.message = format!(
            "{} tuples made here are equal to others: {} different ones would do",
            count(each.count),
            count(each.different)
        );
        finding.evidence.push(format!(
            "one of them: {}; the copies take {}, with what only they hold",
            each.example,
            size(each.bytes)
        ));
        finding.fix = "share them: look each up in a dict of those that are there already, as in key = known.setdefault(key, key)".into();
        findings.push(finding);
    }
    findings
}
