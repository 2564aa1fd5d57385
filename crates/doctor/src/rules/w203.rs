//! W203: a whole file as a list of lines.

use wrasse_source::Builder;

use super::list::{COSTLY, needless};
use crate::finding::Finding;
use crate::observations::Observations;
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W203",
    name: "whole-file",
    summary: "all lines of a file are read before the first is used",
    explanation: include_str!("w203.md"),
    threshold: Quantity::Bytes(COSTLY),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let lists = needless(observations, |pass| {
        pass.builder == Builder::Lines && pass.function.is_none()
    });
    let findings = lists.iter().map(|each| {
        let mut finding = each.finding(&RULE);
        finding.fix =
            "iterate over the file itself: for line in file (each line ends with its newline)"
                .into();
        finding.fix.push_str(each.while_open());
        finding
    });
    findings.collect()
}
