//! W403: objects of one type, from many lines, that grow as long as the program runs.

use wrasse_report::units::{count, duration, size};

use crate::finding::Finding;
use crate::modules;
use crate::observations::{Observations, TypeGrowth};
use crate::quantity::Quantity;
use crate::rule::Rule;
use crate::rules::cycle::short;
use crate::rules::w302;
use crate::rules::w401::{self, containers, is_kept_by_others, is_late, is_steady, name_of};

/// Lines that are named.
const SHOWN: usize = 3;

pub const RULE: Rule = Rule {
    code: "W403",
    name: "growing-type",
    summary: "objects of one type, made in several lines, that grow in number as long as the program runs",
    explanation: include_str!("w403.md"),
    threshold: Quantity::Bytes(1 << 20),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let looks = &observations.growth.looks;
    let told = paths_told(observations);
    let types = observations.growth.types.iter().filter(|each| {
        let names = containers(&each.path);
        // One line is W401's.
        each.lines.len() > 1
            && is_steady(&each.bytes)
            && is_late(&each.bytes, looks)
            && is_held_for_good(each)
            && !told
                .iter()
                .any(|path| names.iter().any(|name| w302::names(path, name)))
            && !is_result(each, &names, observations)
    });
    types
        .map(|each| finding(each, looks.last().map_or(0.0, |look| look.seconds)))
        .collect()
}

/// What W401 and W302 tell of, which is not told twice: words with paths in them.
fn paths_told(observations: &Observations) -> Vec<String> {
    let lines = (w401::RULE.check)(observations).into_iter();
    let caches = (w302::RULE.check)(observations).into_iter();
    let both = lines.chain(caches);
    let large = both.filter(|finding| finding.bytes >= Some(w401::LEAST));
    large
        .flat_map(|finding| finding.evidence.into_iter().chain([finding.message]))
        .collect()
}

/// As for W401: a module leads there, by a container that was there before.
fn is_held_for_good(growth: &TypeGrowth) -> bool {
    let makers = growth.lines.iter().map(|each| each.function.as_str());
    growth.is_global && is_kept_by_others(makers, &growth.functions, &growth.holders)
}

fn is_result(growth: &TypeGrowth, names: &[&str], observations: &Observations) -> bool {
    let mut makers = growth.lines.iter().map(|each| &each.function);
    makers.any(|function| {
        names
            .iter()
            .any(|name| modules::is_result(observations, name, function))
    })
}

fn finding(growth: &TypeGrowth, seconds: f64) -> Finding {
    let first = growth.lines.first().map(|each| each.line.clone());
    let first = first.unwrap_or_default();
    let mut finding = RULE.finding(&first.file, first.line);
    let bytes = growth.bytes.last().copied().unwrap_or(0);
    let name = short(&growth.name);
    finding.bytes = Some(bytes);
    finding.message = format!(
        "objects of {name}, made in {} lines, went on growing in number to the end: {} with {}",
        count(growth.lines.len() as u64),
        count(growth.count),
        size(bytes)
    );
    if !growth.path.is_empty() {
        finding.evidence.push(format!("held by {}", growth.path));
    }
    let lines = growth.lines.iter().take(SHOWN);
    let lines: Vec<String> = lines
        .map(|each| {
            let line = modules::line(&each.line.file, each.line.line);
            format!("{}() in {line}", each.function)
        })
        .collect();
    finding
        .evidence
        .push(format!("made by {}", lines.join(", ")));
    if seconds > 0.0 {
        finding.evidence.push(format!(
            "{} a second over {}",
            size((bytes as f64 / seconds) as u64),
            duration(seconds)
        ));
    }
    let holder = name_of(&growth.container, &growth.path);
    finding.fix = format!(
        "remove each {name} from {holder} when it is done with, or hold it weakly there (weakref.WeakSet, WeakValueDictionary)"
    );
    finding
}
