//! W104: exceptions that are kept by the very frames in their tracebacks.

use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;
use crate::rules::cycle::{of_cycles, short};

pub const RULE: Rule = Rule {
    code: "W104",
    name: "stored-exception",
    summary: "an exception kept in a variable of a function that its traceback leads to",
    explanation: include_str!("w104.md"),
    threshold: Quantity::Bytes(64 << 10),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for cycles in observations
        .cycles
        .iter()
        .filter(|each| !each.uncollectable)
    {
        let Some(held) = &cycles.exception else {
            continue;
        };
        let kind = match short(&held.kind) {
            "" => "exception",
            kind => kind,
        };
        let article = match kind.starts_with(['A', 'E', 'I', 'O', 'a', 'e', 'i', 'o']) {
            true => "an",
            false => "a",
        };
        let function = &held.function;
        let mut finding = of_cycles(&RULE, observations, cycles);
        let times = match cycles.count {
            1 => String::new(),
            count => format!(", {} times", wrasse_report::units::count(count)),
        };
        let variable = match held.variable.as_str() {
            _ if held.is_item && !held.keeper.is_empty() => held.keeper.clone(),
            "" => "something that it holds".to_string(),
            name => format!("its variable '{name}'"),
        };
        finding.message = format!(
            "{function}() keeps {article} {kind} in {variable}, and the traceback keeps the function's variables: only the collector could free them{times}"
        );
        finding.fix = match held.variable.as_str() {
            variable if held.is_item && !(held.keeper.is_empty() && variable.is_empty()) => {
                let keeper = match held.keeper.as_str() {
                    "" => format!("'{variable}'"),
                    keeper => keeper.to_string(),
                };
                format!(
                    "keep errors in {keeper} without their tracebacks: error.with_traceback(None), or only their text: str(error)"
                )
            }
            _ if !held.keeper.is_empty() => {
                let keeper = &held.keeper;
                format!(
                    "set {keeper} to None when the {kind} has been dealt with, or keep it there without its traceback: error.with_traceback(None)"
                )
            }
            "" => format!(
                "clear what keeps the {kind} before {function}() returns, or keep only its text"
            ),
            name => format!(
                "del {name} (or set it to None) in a finally before {function}() returns, or keep only its text: str({name})"
            ),
        };
        findings.push(finding);
    }
    findings
}
