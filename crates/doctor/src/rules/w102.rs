//! W102: finalizers that wait for the collector.

use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;
use crate::rules::cycle::{counted, of_cycles, short, suggestion};

pub const RULE: Rule = Rule {
    code: "W102",
    name: "finalizer-in-cycle",
    summary: "a __del__ that runs only when the collector comes, since its object is in a cycle",
    explanation: include_str!("w102.md"),
    threshold: Quantity::Bytes(32 << 10),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let groups = observations.cycles.iter().filter(|cycles| {
        !cycles.uncollectable && cycles.exception.is_none() && !cycles.finalizers.is_empty()
    });
    groups
        .map(|cycles| {
            let mut finding = of_cycles(&RULE, observations, cycles);
            finding.message = format!(
                "{} only the collector could free, with {}",
                counted(cycles),
                finalizers(&cycles.finalizers)
            );
            finding.fix = format!(
                "{}; or release what __del__ releases in a close() or with a context manager",
                suggestion(cycles, observations)
            );
            finding
        })
        .collect()
}

fn finalizers(types: &[String]) -> String {
    let names: Vec<String> = types
        .iter()
        .map(|name| format!("{}.__del__", short(name)))
        .collect();
    names.join(" and ")
}
