//! W201: a list comprehension that is iterated once.

use wrasse_source::Builder;

use super::list::{COSTLY, needless};
use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W201",
    name: "needless-comprehension",
    summary: "a list comprehension is only iterated over, once",
    explanation: include_str!("w201.md"),
    threshold: Quantity::Bytes(COSTLY),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let lists = needless(observations, |pass| {
        pass.builder == Builder::Comprehension && pass.function.is_none()
    });
    let findings = lists.iter().map(|each| {
        let mut finding = each.finding(&RULE);
        finding.fix = match (&each.pass.name, each.pass.consumer.as_str()) {
            (Some(name), _) => format!(
                "make '{name}' a generator: write ( … for … ) instead of [ … for … ]"
            ),
            (None, "for") => "write ( … for … ) instead of [ … for … ], or do that work at the beginning of the loop".into(),
            (None, consumer) => format!("leave the brackets out: {}", consumer.replace("()", "(… for …)")),
        };
        finding.fix.push_str(each.while_open());
        finding
    });
    findings.collect()
}
