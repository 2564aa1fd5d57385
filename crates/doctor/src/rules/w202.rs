//! W202: `list(…)`, `tuple(…)` or `sorted(…)` around what could be iterated itself.

use wrasse_source::Builder;

use super::list::{COSTLY, needless};
use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W202",
    name: "needless-copy",
    summary: "list(), tuple() or sorted() copies what is only iterated over, once",
    explanation: include_str!("w202.md"),
    threshold: Quantity::Bytes(COSTLY),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let lists = needless(observations, |pass| {
        matches!(pass.builder, Builder::Copy(_)) && pass.function.is_none()
    });
    let findings = lists.iter().map(|each| {
        let mut finding = each.finding(&RULE);
        let function = match &each.pass.builder {
            Builder::Copy(name) => name.as_str(),
            _ => "list",
        };
        finding.fix = match function {
            "sorted" => format!(
                "leave sorted() out: the order does not matter to {}",
                each.pass.consumer
            ),
            _ => format!("leave {function}() out, and iterate over its argument itself"),
        };
        finding.fix.push_str(each.while_open());
        finding
    });
    findings.collect()
}
