//! W501: a class has so many instances that __slots__ would save memory.

use wrasse_report::units::count;

use crate::finding::Finding;
use crate::modules;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W501",
    name: "missing-slots",
    summary: "a class has so many instances that __slots__ would save memory",
    explanation: include_str!("w501.md"),
    threshold: Quantity::Bytes(1 << 20),
    check,
};

/// Fewer instances are not worth the change.
const FEWEST: u64 = 1000;

fn check(observations: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for each in &observations.heap.instances {
        if each.count < FEWEST || each.attributes == 0 {
            continue;
        }
        let Some(module) = modules::read(&each.file) else {
            continue;
        };
        // Attributes whose names are computed need a dict.
        let Some(line) = module
            .defined_at(&each.class)
            .filter(|_| !module.is_dynamic())
        else {
            continue;
        };
        let mut finding = RULE.finding(&each.file, line);
        finding.bytes = Some(each.bytes.saturating_sub(each.slots_bytes));
        finding.message = format!(
            "{} instances of {} each have room for any attribute, and use {} at most",
            count(each.count),
            each.class,
            each.attributes
        );
        finding.evidence.push(format!(
            "{} B each now, {} B with __slots__",
            each.bytes / each.count,
            each.slots_bytes / each.count
        ));
        finding.fix = "name the attributes in __slots__ (a dataclass: @dataclass(slots=True)); add '__weakref__' if there are weak references to them".into();
        findings.push(finding);
    }
    findings
}
