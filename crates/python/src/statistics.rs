//! Totals of all collections of the process, over every interpreter, for the
//! summary of `wrasse run`.
//!
//! Each interpreter's own totals (`gc.get_stats()`) die with it; these stay.

use std::sync::atomic::{AtomicU64, Ordering};

use wrasse_collector::{GENERATIONS, Outcome};

use crate::census;

struct Totals {
    collections: AtomicU64,
    collected: AtomicU64,
    uncollectable: AtomicU64,
    nanoseconds: AtomicU64,
}

static TOTALS: [Totals; GENERATIONS] = [const {
    Totals {
        collections: AtomicU64::new(0),
        collected: AtomicU64::new(0),
        uncollectable: AtomicU64::new(0),
        nanoseconds: AtomicU64::new(0),
    }
}; GENERATIONS];
static LONGEST_NANOSECONDS: AtomicU64 = AtomicU64::new(0);

/// One generation's totals.
#[derive(Clone, Copy, Debug, Default)]
pub struct GenerationReport {
    /// Collections run.
    pub collections: u64,
    /// Objects freed.
    pub collected: u64,
    /// Objects that could not be freed.
    pub uncollectable: u64,
    /// Seconds spent.
    pub seconds: f64,
}

/// What the collector has done so far.
#[derive(Clone, Debug, Default)]
pub struct CollectorReport {
    /// Youngest first.
    pub generations: [GenerationReport; GENERATIONS],
    /// Seconds spent in all collections.
    pub total_pause_seconds: f64,
    /// The longest pause, in seconds.
    pub longest_pause_seconds: f64,
    /// Types found in unreachable cycles, most frequent first; empty unless
    /// [`enable_type_census`] was called.
    pub cycle_types: Vec<(String, u64)>,
}

/// Adds one collection.
pub fn record(generation: usize, outcome: &Outcome, seconds: f64) {
    record_end(generation);
    record_slice(generation, outcome, seconds);
}

/// A collection that was done in parts is over.
pub fn record_end(generation: usize) {
    TOTALS[generation]
        .collections
        .fetch_add(1, Ordering::Relaxed);
}

/// Adds a part of a collection.
pub fn record_slice(generation: usize, outcome: &Outcome, seconds: f64) {
    let totals = &TOTALS[generation];
    let nanoseconds = (seconds * 1e9) as u64;
    totals
        .collected
        .fetch_add(outcome.collected as u64, Ordering::Relaxed);
    totals
        .uncollectable
        .fetch_add(outcome.uncollectable as u64, Ordering::Relaxed);
    totals.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    LONGEST_NANOSECONDS.fetch_max(nanoseconds, Ordering::Relaxed);
}

/// Adds objects that CPython's own pass freed after a collection of `generation`.
pub fn add_collected(generation: usize, collected: usize) {
    let total = &TOTALS[generation].collected;
    total.fetch_add(collected as u64, Ordering::Relaxed);
}

/// The totals so far.
pub fn snapshot() -> CollectorReport {
    let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
    let generations = std::array::from_fn(|generation| {
        let totals: &Totals = &TOTALS[generation];
        GenerationReport {
            collections: read(&totals.collections),
            collected: read(&totals.collected),
            uncollectable: read(&totals.uncollectable),
            seconds: read(&totals.nanoseconds) as f64 / 1e9,
        }
    });
    CollectorReport {
        total_pause_seconds: generations.iter().map(|report| report.seconds).sum(),
        generations,
        longest_pause_seconds: read(&LONGEST_NANOSECONDS) as f64 / 1e9,
        cycle_types: census::totals(),
    }
}

/// Starts counting the types found in unreachable cycles.
pub fn enable_type_census() {
    census::enable();
}
