//! W402: objects that nobody can be found to hold.

use wrasse_report::units::{count, size};

use crate::finding::Finding;
use crate::observations::{Observations, Unheld};
use crate::quantity::Quantity;
use crate::rule::Rule;
use crate::rules::cycle::{called_from, short};

pub const RULE: Rule = Rule {
    code: "W402",
    name: "lost-reference",
    summary: "objects with more references than anyone can be found to hold: a leak in C code",
    explanation: include_str!("w402.md"),
    threshold: Quantity::Bytes(64 << 10),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let groups = observations
        .growth
        .unheld
        .iter()
        .filter(|group| !is_of_import(group));
    groups
        .map(|group| {
            let mut finding = RULE.finding_in(observations, &group.frames, "");
            finding.bytes = Some(group.bytes);
            finding.message = format!(
                "{} objects of type {} are kept by {} references that nobody can be found to hold",
                count(group.count),
                short(&group.name),
                count(group.references)
            );
            finding.evidence.push(format!(
                "{} with what only they hold; no module, variable, frame or other object leads to them",
                size(group.bytes)
            ));
            finding.evidence.extend(called_from(&group.frames, observations));
            finding.fix = "look at the C code (an extension, ctypes, cffi) that these objects are passed to: it takes references (Py_INCREF) that it does not give back, or keeps objects in structures that the collector cannot see".into();
            finding
        })
        .collect()
}

/// Made by an extension while it was imported, which happens once: what it keeps from
/// then on in structures of its own is no leak.
fn is_of_import(group: &Unheld) -> bool {
    let innermost = group.frames.first();
    innermost.is_some_and(|line| line.file.starts_with("<frozen importlib"))
}
