//! W502: many equal strings are objects of their own.

use wrasse_report::units::{count, size};

use super::list::costly;
use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W502",
    name: "equal-strings",
    summary: "many equal strings are objects of their own",
    explanation: include_str!("w502.md"),
    threshold: Quantity::Bytes(1 << 20),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    // What should be in no list at all need not be shared.
    let needless = costly(observations);
    let mut findings = Vec::new();
    for each in &observations.heap.duplicates {
        if !each.is_worth_sharing() || needless.iter().any(|list| list.is_from(&each.line)) {
            continue;
        }
        let mut finding = RULE.finding(&each.line.file, each.line.line);
        finding.bytes = Some(each.bytes);
        finding.message = format!(
            "{} strings made here are equal to others: {} different ones would do",
            count(each.count),
            count(each.different)
        );
        finding.evidence.push(format!(
            "one of them: {:?}; the copies take {}",
            each.example,
            size(each.bytes)
        ));
        if let Some(made_in) = &each.made_in {
            finding.evidence.push(format!(
                "allocated in {}:{}, called from here",
                made_in.file, made_in.line
            ));
        }
        finding.fix = "share them: sys.intern(text), or look each up in a dict of those that are there already".into();
        findings.push(finding);
    }
    findings
}
