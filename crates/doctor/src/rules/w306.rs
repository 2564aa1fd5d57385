//! W306: a notebook's history keeps what a cell has shown.

use wrasse_report::units::{count, size};

use crate::finding::Finding;
use crate::modules;
use crate::observations::{HolderKind, Observations};
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W306",
    name: "notebook-history",
    summary: "a notebook's history (Out, _, _3) keeps a large object that a cell has shown",
    explanation: include_str!("w306.md"),
    threshold: Quantity::Bytes(1 << 20),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for held in &observations.heap.held {
        if held.kind != HolderKind::History {
            continue;
        }
        let cell = held.count;
        let line = modules::last_line_of_cell(cell as u32).unwrap_or(0);
        let mut finding = RULE.finding(&held.file, line);
        finding.bytes = Some(held.bytes);
        let items = match held.items {
            0 => String::new(),
            items => format!(" of {} items", count(items)),
        };
        finding.message = format!(
            "{} keeps the {}{items} that this cell has shown",
            held.name, held.type_name
        );
        finding.evidence.push(format!(
            "{}: no variable holds it, only the history ({}, and _ until three more results have come)",
            size(held.bytes),
            match cell {
                0 => "_, __, ___".to_string(),
                cell => format!("Out[{cell}], _{cell}"),
            }
        ));
        finding.fix = "end the cell's last line with ';', show a part (value[:10], frame.head()), or forget all results with '%reset -f out'; InteractiveShell.cache_size = 0 keeps none".into();
        findings.push(finding);
    }
    findings
}
