//! W305: a variable that functions share keeps memory that nobody uses any more.

use wrasse_report::units::{count, size};
use wrasse_source::Module;

use super::list::kept;
use crate::finding::Finding;
use crate::modules;
use crate::observations::{Held, HolderKind, Observations};
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W305",
    name: "unused-closure",
    summary: "a variable that a function shares with an inner one keeps memory that nobody uses",
    explanation: include_str!("w305.md"),
    threshold: Quantity::Bytes(1 << 20),
    check,
};

/// Of all that is traced it must be this part at least.
const SHARE: u64 = 10;

fn check(observations: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (held, module) in kept(observations, HolderKind::Closure, SHARE) {
        findings.extend(match held.at_line {
            0 => in_functions(held, &module),
            _ => in_frame(held, &module),
        });
    }
    findings
}

/// The function that the variable is of runs on, and no inner one is left.
fn in_frame(held: &Held, module: &Module) -> Option<Finding> {
    if !module.is_shared_unused_from(held.first_line, &held.name, held.at_line) {
        return None;
    }
    let bound = module.bound_in(held.first_line, &held.name, held.at_line);
    let mut finding = RULE.finding(&held.file, bound.unwrap_or(0));
    finding.bytes = Some(held.bytes);
    finding.message = format!(
        "the variable '{}' that {}() shares with a function in it is not used any more while {} runs, and keeps its {} alive",
        held.name,
        held.function,
        modules::line(&held.file, held.at_line),
        held.type_name
    );
    if let Some(last) = module.last_use(held.first_line, &held.name, held.at_line) {
        finding.evidence.push(modules::last_used(&held.file, last));
    }
    finding.evidence.push(format!(
        "{}() → closure variable '{}': {} of {} in all; the inner functions are gone",
        held.function,
        held.name,
        size(held.bytes),
        size(held.traced_bytes)
    ));
    finding.fix = format!(
        "write 'del {0}' after its last use, or hand it to the inner function as an argument: lambda x, {0}={0}: …",
        held.name
    );
    Some(finding)
}

/// The inner functions are there, and only want to know how large it is.
fn in_functions(held: &Held, module: &Module) -> Option<Finding> {
    let is_measured = |line: &u32| module.only_measures(*line, &held.name);
    if held.users.is_empty() || !held.users.iter().all(is_measured) {
        return None;
    }
    let mut finding = RULE.finding(&held.file, held.first_line);
    finding.bytes = Some(held.bytes);
    let all = match held.count {
        0 | 1 => format!("its {} of {} items", held.type_name, count(held.items)),
        more => format!(
            "{} of type {}, with {} items in all,",
            count(more),
            held.type_name,
            count(held.items)
        ),
    };
    finding.message = format!(
        "{}() only asks for the length of '{}', and keeps {all} alive",
        held.function.replace(".<locals>", ""),
        held.name
    );
    finding.evidence.push(format!(
        "only closure variable '{}' kept {}",
        held.name,
        size(held.bytes)
    ));
    if !held.path.is_empty() {
        finding.evidence.push(format!("held by {}", held.path));
    }
    finding.fix = format!(
        "compute len({0}) outside, and let the inner function use that number",
        held.name
    );
    Some(finding)
}
