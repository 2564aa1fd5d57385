//! W301: a module's variable keeps memory that nobody uses any more.

use wrasse_report::units::size;

use super::list::{foreign, kept};
use crate::finding::Finding;
use crate::modules;
use crate::observations::{HolderKind, Observations};
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W301",
    name: "unused-global",
    summary: "a module's variable keeps memory that nobody uses any more",
    explanation: include_str!("w301.md"),
    threshold: Quantity::Bytes(1 << 20),
    check,
};

/// Of all that is traced it must be this part at least.
const SHARE: u64 = 20;

fn check(observations: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (held, module) in kept(observations, HolderKind::Global, SHARE) {
        let is_main = observations.sources.first() == Some(&held.file);
        // At the very end everything is unused.
        if is_main && held.at_line == 0 {
            continue;
        }
        let from = if held.at_line == 0 {
            u32::MAX
        } else {
            held.at_line
        };
        let is_used_elsewhere = foreign(observations, &held.file).contains(&held.name)
            || observations.sources.iter().any(|other| {
                !modules::is_same(other, &held.file)
                    && modules::read(other).is_some_and(|module| module.reads_attribute(&held.name))
            });
        if is_used_elsewhere || !module.is_unused_from(0, &held.name, from) {
            continue;
        }
        let line = module.bound_in(0, &held.name, from).unwrap_or(0);
        let mut finding = RULE.finding(&held.file, line);
        finding.bytes = Some(held.bytes);
        finding.message = format!(
            "the module's variable '{}' is not used any more, and keeps its {} alive",
            held.name, held.type_name
        );
        if let Some(last) = module.last_use(0, &held.name, from) {
            finding.evidence.push(modules::last_used(&held.file, last));
        }
        let when = match held.at_line {
            0 => "since the module was imported".to_string(),
            line => format!("while {} was running", modules::line(&held.file, line)),
        };
        finding.evidence.push(format!(
            "only this name kept {} {when}, of {} in all",
            size(held.bytes),
            size(held.traced_bytes)
        ));
        finding.fix = format!(
            "put that code in a function, whose variables end with it, or write 'del {}' after its last use",
            held.name
        );
        findings.push(finding);
    }
    findings
}
