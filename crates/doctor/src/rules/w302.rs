//! W302: a module's or class's container only grows, and nobody takes from it.

use wrasse_report::units::{count, size};
use wrasse_source::Module;

use super::w401;
use crate::finding::Finding;
use crate::modules;
use crate::observations::{Held, HolderKind, Observations};
use crate::quantity::Quantity;
use crate::rule::Rule;

pub const RULE: Rule = Rule {
    code: "W302",
    name: "unbounded-cache",
    summary: "a module's or class's container only grows, and nobody takes from it",
    explanation: include_str!("w302.md"),
    threshold: Quantity::Bytes(1 << 20),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    // What W401 tells of, with the path to it, is not told twice.
    let leaks = (w401::RULE.check)(observations);
    let mut findings = Vec::new();
    for held in &observations.heap.held {
        let own_name = held.name.rsplit('.').next().unwrap_or(&held.name);
        let is_told = |line: u32| {
            leaks.iter().any(|leak| {
                let words = leak.evidence.iter().chain([&leak.message]);
                leak.file == held.file
                    && (leak.line == line || words.into_iter().any(|text| text.contains(own_name)))
            })
        };
        let Some(module) = modules::read(&held.file) else {
            continue;
        };
        let found = match held.kind {
            HolderKind::Global | HolderKind::ClassAttribute => container(held, &module),
            HolderKind::Cache => cache(held, &module),
            HolderKind::Local | HolderKind::DefaultArgument => None,
        };
        findings.extend(found.filter(|finding| !is_told(finding.line)));
    }
    findings
}

fn container(held: &Held, module: &Module) -> Option<Finding> {
    let growing = module.growing();
    let growth = growing.get(&held.name)?;
    if growth.is_read && !growth.is_cache {
        return None;
    }
    let mut finding = RULE.finding(&held.file, growth.added_at);
    finding.bytes = Some(held.bytes);
    finding.message = format!(
        "'{}' grows with each new item and is never emptied: {} items",
        held.name,
        count(held.items)
    );
    finding.evidence.push(format!(
        "{}() adds to it (line {}); made in line {}; nothing in this file takes from it",
        growth.function, growth.added_at, growth.made_at
    ));
    finding
        .evidence
        .push(format!("only this name kept {}", size(held.bytes)));
    finding.fix = if growth.is_cache {
        "give it a bound: functools.lru_cache(maxsize=…) on the function, or remove the oldest entry when there are too many".into()
    } else {
        "do not keep what nobody reads, or keep the last ones only: collections.deque(maxlen=…)"
            .into()
    };
    Some(finding)
}

fn cache(held: &Held, module: &Module) -> Option<Finding> {
    let used = held.cache.as_ref()?;
    if used.is_bounded || used.hits >= used.misses {
        return None;
    }
    let line = module.defined_at(&held.name)?;
    let mut finding = RULE.finding(&held.file, line);
    finding.bytes = Some(held.bytes);
    finding.message = format!(
        "the cache of {}() has no bound and holds {} answers",
        held.name,
        count(used.misses)
    );
    finding.evidence.push(format!(
        "asked {} times, answered from the cache {} times",
        count(used.hits + used.misses),
        count(used.hits)
    ));
    finding
        .evidence
        .push(format!("only the cache kept {}", size(held.bytes)));
    finding.fix =
        "functools.lru_cache(maxsize=…), or no cache: most answers are not asked for again".into();
    Some(finding)
}
