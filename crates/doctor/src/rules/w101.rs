//! W101: cycles that only the collector can free.

use wrasse_report::units::{count, duration, size};

use crate::finding::Finding;
use crate::observations::{Cycles, Observations};
use crate::quantity::Quantity;
use crate::rule::Rule;
use crate::rules::cycle::{drawn, suggestion};

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
    let line = observations.own_line(&cycles.frames);
    let mut finding = match line {
        Some(line) => RULE.finding(&line.file, line.line),
        None => RULE.finding("", 0),
    };
    let what = match cycles.count {
        1 => "a reference cycle".to_string(),
        number => format!("{} reference cycles", count(number)),
    };
    finding.message = format!(
        "{what} of {} only the collector could free",
        crate::rules::cycle::types(cycles)
    );
    finding.bytes = Some(cycles.most_bytes);
    finding.milliseconds = (cycles.seconds > 0.0).then_some(cycles.seconds * 1e3);
    finding.evidence = evidence(cycles, observations);
    finding.fix = suggestion(cycles);
    finding
}

/// What is known of cycles of any kind, in lines.
pub fn evidence(cycles: &Cycles, observations: &Observations) -> Vec<String> {
    let mut lines = vec![drawn(cycles)];
    let sampled = if cycles.looked_at < cycles.count {
        format!(" ({} of them looked at closely)", count(cycles.looked_at))
    } else {
        String::new()
    };
    lines.push(format!(
        "{} objects, {} in all, up to {} waiting at one time{sampled}",
        count(cycles.objects),
        size(cycles.bytes),
        size(cycles.most_bytes)
    ));
    if let Some(seconds) = cycles.seconds_until_freed {
        lines.push(format!(
            "freed {} after they were made, on average",
            duration(seconds)
        ));
    }
    lines.extend(crate::rules::cycle::called_from(
        &cycles.frames,
        observations,
    ));
    lines
}
