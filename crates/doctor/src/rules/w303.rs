//! W303: a parameter's default value is changed and keeps what is put into it.

use wrasse_report::units::{count, size};

use crate::finding::Finding;
use crate::modules;
use crate::observations::{HolderKind, Observations};
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W303",
    name: "growing-default",
    summary: "a parameter's default value is changed and keeps what is put into it",
    explanation: include_str!("w303.md"),
    threshold: Quantity::Bytes(256 << 10),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for held in &observations.heap.held {
        if held.kind != HolderKind::DefaultArgument {
            continue;
        }
        let Some(module) = modules::read(&held.file) else {
            continue;
        };
        let Some(line) = module.changed_default(held.first_line, &held.name) else {
            continue;
        };
        let mut finding = RULE.finding(&held.file, line);
        finding.bytes = Some(held.bytes);
        finding.message = format!(
            "the default value of '{}' in {}() is changed: all calls share one {}, of {} items by now",
            held.name,
            held.function,
            held.type_name,
            count(held.items)
        );
        finding.evidence.push(format!(
            "{}() ({}) → default argument '{}': {}",
            held.function,
            modules::line(&held.file, held.first_line),
            held.name,
            size(held.bytes)
        ));
        finding.fix = format!(
            "write '{0}=None', and make a new one in the function: if {0} is None: …",
            held.name
        );
        findings.push(finding);
    }
    findings
}
