//! W602: one long pause.

use wrasse_report::units::{count, duration};

use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W602",
    name: "long-pause",
    summary: "the program stands still for a long time while the collector works",
    explanation: include_str!("w602.md"),
    threshold: Quantity::Milliseconds(100.0),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let Some(pause) = &observations.collector.longest else {
        return Vec::new();
    };
    let mut finding = RULE.finding_in(observations, &pause.frames, &observations.program);
    finding.milliseconds = Some(pause.seconds * 1e3);
    finding.message = format!(
        "the program stood still for {} while generation {} was collected",
        duration(pause.seconds),
        pause.generation
    );
    let looked_at = match pause.candidates {
        0 => String::new(),
        number => format!("{} objects looked at, ", count(number)),
    };
    finding.evidence.push(format!(
        "{looked_at}{} freed, {} after the start",
        count(pause.collected),
        duration(pause.start)
    ));
    finding.fix = if pause.collected.saturating_mul(10) > pause.candidates.max(1) {
        "most of it was freeing: break the cycles (W101), so that objects go one by one when they are done with".into()
    } else {
        "call gc.freeze() when the objects that stay have been made, so that they are not looked at again; or gc.collect() at a moment when a pause does no harm".into()
    };
    vec![finding]
}
