//! W205: a function that returns a list to callers who iterate over it once.

use wrasse_source::Builder;

use super::list::{COSTLY, needless};
use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W205",
    name: "list-returned",
    summary: "a function returns a list that every caller only iterates over, once",
    explanation: include_str!("w205.md"),
    threshold: Quantity::Bytes(COSTLY),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let lists = needless(observations, |pass| pass.function.is_some());
    let findings = lists.iter().map(|each| {
        let mut finding = each.finding(&RULE);
        let function = each.pass.function.as_deref().unwrap_or_default();
        finding.fix = match (&each.pass.builder, &each.pass.name) {
            (Builder::Append, Some(name)) => format!(
                "make {function}() a generator: 'yield …' instead of '{name}.append(…)', and no return"
            ),
            (Builder::Lines, _) => format!("make {function}() a generator: 'yield from file'"),
            _ => format!("make {function}() a generator: return ( … for … ), or yield each item"),
        };
        finding
    });
    findings.collect()
}
