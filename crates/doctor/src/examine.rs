//! Asks all rules, and decides what is told and in which order.

use std::cmp::Ordering;

use crate::cells::{self, NOTEBOOK};
use crate::finding::Finding;
use crate::modules;
use crate::observations::Observations;
use crate::pragma::Sources;
use crate::quantity::Quantity;
use crate::rule::rules;
use crate::settings::Settings;

/// Bytes that weigh as much as a millisecond where findings are ranked: what a
/// program of usual size could read in that time from memory.
const BYTES_A_MILLISECOND: f64 = 1e6;

/// What the rules find, what saves most first; what is in libraries after what is in
/// the program, whose author can do something about it.
#[must_use]
pub fn examine(observations: &Observations, settings: &Settings) -> Vec<Finding> {
    let (joined, cells) = cells::join(observations).unzip();
    let observations = joined.as_ref().unwrap_or(observations);
    let is_notebook = cells.is_some();
    modules::begin(observations, cells);
    let mut sources = Sources::default();
    let mut findings = Vec::new();
    for rule in rules().iter().filter(|rule| settings.wants(rule)) {
        let threshold = settings.threshold(rule);
        findings.extend((rule.check)(observations).into_iter().filter(|finding| {
            debug_assert_eq!(finding.code, rule.code);
            is_worth_it(finding, threshold)
                && (!is_notebook || !is_machinery(finding, observations))
                && !settings.excludes(match finding.file.as_str() {
                    NOTEBOOK => &observations.program,
                    file => file,
                })
                && !sources.ignores(&finding.file, finding.line, rule.code)
        }));
    }
    findings.iter_mut().for_each(modules::name);
    findings.sort_by(|a, b| {
        let is_library = |finding: &Finding| observations.is_library(&finding.file);
        let by_place = is_library(a).cmp(&is_library(b));
        let by_weight = weight(b).partial_cmp(&weight(a)).unwrap_or(Ordering::Equal);
        by_place
            .then(by_weight)
            .then_with(|| (&a.code, &a.file, a.line).cmp(&(&b.code, &b.file, b.line)))
    });
    findings
}

/// Whether it is about the memory of what runs a notebook: libraries that no cell has
/// called, as far as is known.
fn is_machinery(finding: &Finding, observations: &Observations) -> bool {
    !finding.code.starts_with("W6") && observations.is_library(&finding.file)
}

/// Whether a finding has an amount of the threshold's kind that reaches it.
fn is_worth_it(finding: &Finding, threshold: Quantity) -> bool {
    match threshold {
        Quantity::Bytes(least) => finding
            .bytes
            .is_some_and(|bytes| bytes > 0 && bytes >= least),
        Quantity::Milliseconds(least) => finding
            .milliseconds
            .is_some_and(|amount| amount > 0.0 && amount >= least),
    }
}

fn weight(finding: &Finding) -> f64 {
    finding.bytes.unwrap_or(0) as f64 + finding.milliseconds.unwrap_or(0.0) * BYTES_A_MILLISECOND
}
