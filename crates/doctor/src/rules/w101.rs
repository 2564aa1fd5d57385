//! W101: cycles that only the collector can free.

use crate::finding::Finding;
use crate::observations::{Cycles, Observations};
use crate::quantity::Quantity;
use crate::rule::Rule;
use crate::rules::cycle::{counted, of_cycles, suggestion};

pub const RULE: Rule = Rule {
    code: "W101",
    name: "reference-cycle",
    summary: "objects that refer to each other in a circle, so that only the collector can free them",
    explanation: include_str!("w101.md"),
    threshold: Quantity::Bytes(128 << 10),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let plain = |cycles: &&Cycles| {
        !cycles.uncollectable && cycles.finalizers.is_empty() && cycles.exception.is_none()
    };
    let groups = observations.cycles.iter().filter(plain);
    groups.map(|cycles| finding(observations, cycles)).collect()
}

fn finding(observations: &Observations, cycles: &Cycles) -> Finding {
    let mut finding = of_cycles(&RULE, observations, cycles);
    finding.message = format!("{} only the collector could free", counted(cycles));
    finding.fix = suggestion(cycles, observations);
    finding
}
