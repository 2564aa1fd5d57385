//! W204: a list that a loop fills, for another loop.

use wrasse_source::Builder;

use super::list::{COSTLY, needless};
use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W204",
    name: "needless-append-loop",
    summary: "a loop appends to a list that is only iterated over, once",
    explanation: include_str!("w204.md"),
    threshold: Quantity::Bytes(COSTLY),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let lists = needless(observations, |pass| {
        pass.builder == Builder::Append && pass.function.is_none()
    });
    let findings = lists.iter().map(|each| {
        let mut finding = each.finding(&RULE);
        let name = each.pass.name.as_deref().unwrap_or("the list");
        finding.fix = format!(
            "use each item where it is made, or move the loop into a generator function and write 'yield …' instead of '{name}.append(…)'"
        );
        finding
    });
    findings.collect()
}
