//! W302: a module's or class's container only grows, and nobody takes from it.

use wrasse_report::units::{count, size};
use wrasse_source::Module;

use super::cycle::short;
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
    let mut leaks = (w401::RULE.check)(observations);
    leaks.retain(|leak| leak.bytes >= Some(w401::LEAST));
    let is_told = |name: &str, finding: &Finding| {
        leaks.iter().any(|leak| {
            let mut words = leak.evidence.iter().chain([&leak.message]);
            leak.file == finding.file
                && (leak.line == finding.line || words.any(|text| names(text, name)))
        })
    };
    let all = found(observations).into_iter();
    all.filter(|each| each.is_cache || !is_told(each.name, &each.finding))
        .map(|each| each.finding)
        .collect()
}

/// Caches without a bound by their names: W401 leaves what they hold to this rule,
/// which knows better what to do about it.
pub fn caches(observations: &Observations) -> Vec<(&str, Finding)> {
    let all = found(observations).into_iter();
    all.filter(|each| each.is_cache)
        .map(|each| (each.name, each.finding))
        .collect()
}

/// Whether `name` is one of the names in a path or a sentence.
pub fn names(text: &str, name: &str) -> bool {
    text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .any(|word| word == name)
}

struct Found<'a> {
    /// The container's, without its class's or module's.
    name: &'a str,
    is_cache: bool,
    finding: Finding,
}

fn found(observations: &Observations) -> Vec<Found<'_>> {
    let mut all = Vec::new();
    for held in &observations.heap.held {
        let Some(module) = modules::read(&held.file) else {
            continue;
        };
        let found = match held.kind {
            HolderKind::Global | HolderKind::ClassAttribute => {
                container(held, &module, observations)
            }
            HolderKind::Cache => cache(held, &module).map(|finding| (true, finding)),
            HolderKind::Local
            | HolderKind::DefaultArgument
            | HolderKind::Closure
            | HolderKind::History => None,
        };
        all.extend(found.map(|(is_cache, finding)| Found {
            name: short(&held.name),
            is_cache,
            finding,
        }));
    }
    all
}

/// And whether it is asked before it is added to.
fn container(held: &Held, module: &Module, observations: &Observations) -> Option<(bool, Finding)> {
    let growing = module.growing();
    let growth = growing.get(&held.name)?;
    if growth.is_read && !growth.is_cache
        || modules::is_result(observations, short(&held.name), &growth.function)
    {
        return None;
    }
    let mut finding = RULE.finding(&held.file, growth.added_at);
    // Captures from before have one amount only.
    let (bytes, items) = (held.bytes, held.items).max((held.most_bytes, held.most_items));
    finding.bytes = Some(bytes);
    finding.message = format!(
        "'{}' grows with each new item and is never emptied: {} items",
        held.name,
        count(items)
    );
    finding.evidence.push(format!(
        "{}() adds to it ({}); made in {}; nothing in this file takes from it",
        growth.function,
        modules::line(&held.file, growth.added_at),
        modules::line(&held.file, growth.made_at)
    ));
    finding
        .evidence
        .push(format!("only this name kept {}", size(bytes)));
    finding.fix = if growth.is_cache {
        "give it a bound: functools.lru_cache(maxsize=…) on the function, or remove the oldest entry when there are too many".into()
    } else if held.type_name == "set" {
        format!(
            "discard each item when it is done with (of an asyncio task: task.add_done_callback({}.discard)), or hold it weakly: weakref.WeakSet",
            held.name
        )
    } else {
        "do not keep what nobody reads, or keep the last ones only: collections.deque(maxlen=…)"
            .into()
    };
    Some((growth.is_cache, finding))
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
