//! W103: garbage that is found and kept.

use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;
use crate::rules::cycle::{counted, of_cycles, suggestion};

pub const RULE: Rule = Rule {
    code: "W103",
    name: "uncollectable",
    summary: "cycles that the collector finds but does not free: they stay in gc.garbage",
    explanation: include_str!("w103.md"),
    threshold: Quantity::Bytes(16 << 10),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let groups = observations
        .cycles
        .iter()
        .filter(|cycles| cycles.uncollectable);
    groups
        .map(|cycles| {
            let mut finding = of_cycles(&RULE, observations, cycles);
            finding.bytes = Some(cycles.bytes);
            finding.message = format!("{} the collector found but did not free", counted(cycles));
            finding.fix = format!(
                "take gc.DEBUG_SAVEALL (or gc.DEBUG_LEAK) out, if the program sets it; else {}",
                suggestion(cycles, observations)
            );
            finding
        })
        .collect()
}
