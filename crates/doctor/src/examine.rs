//! Asks all rules, and decides what is told and in which order.

use std::cmp::Ordering;

use crate::finding::Finding;
use crate::observations::Observations;
use crate::pragma::Sources;
use crate::quantity::Quantity;
use crate::rule::rules;
use crate::settings::Settings;

/// Bytes that weigh as much as a millisecond where findings are ranked: what a
/// program of usual size could read in that time from memory.
const BYTES_A_MILLISECOND: f64 = 1e6;

/// What the rules find, what saves most first.
#[must_use]
pub fn examine(observations: &Observations, settings: &Settings) -> Vec<Finding> {
    let mut sources = Sources::default();
    let mut findings = Vec::new();
    for rule in rules().iter().filter(|rule| settings.wants(rule)) {
        let threshold = settings.threshold(rule);
        findings.extend((rule.check)(observations).into_iter().filter(|finding| {
            debug_assert_eq!(finding.code, rule.code);
            is_worth_it(finding, threshold)
                && !settings.excludes(&finding.file)
                && !sources.ignores(&finding.file, finding.line, rule.code)
        }));
    }
    findings.sort_by(|a, b| {
        let by_weight = weight(b).partial_cmp(&weight(a)).unwrap_or(Ordering::Equal);
        by_weight.then_with(|| (&a.code, &a.file, a.line).cmp(&(&b.code, &b.file, b.line)))
    });
    findings
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
