//! W304: a function's variable keeps memory long after its last use.

use wrasse_report::units::size;

use super::list::kept;
use crate::finding::Finding;
use crate::modules;
use crate::observations::{HolderKind, Observations};
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W304",
    name: "unused-local",
    summary: "a function's variable keeps memory long after its last use",
    explanation: include_str!("w304.md"),
    threshold: Quantity::Bytes(1 << 20),
    check,
};

/// Of all that is traced it must be this part at least.
const SHARE: u64 = 10;

fn check(observations: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (held, module) in kept(observations, HolderKind::Local, SHARE) {
        if !module.is_unused_from(held.first_line, &held.name, held.at_line) {
            continue;
        }
        let bound = module.bound_in(held.first_line, &held.name, held.at_line);
        let mut finding = RULE.finding(&held.file, bound.unwrap_or(0));
        finding.bytes = Some(held.bytes);
        finding.message = format!(
            "the variable '{}' of {}() is not used any more while {} runs, and keeps its {} alive",
            held.name,
            held.function,
            modules::line(&held.file, held.at_line),
            held.type_name
        );
        if let Some(last) = module.last_use(held.first_line, &held.name, held.at_line) {
            finding.evidence.push(modules::last_used(&held.file, last));
        }
        finding.evidence.push(format!(
            "only this variable kept {} of {} in all",
            size(held.bytes),
            size(held.traced_bytes)
        ));
        finding.fix = format!(
            "write 'del {}' after its last use, or do that part in a function of its own",
            held.name
        );
        findings.push(finding);
    }
    findings
}
