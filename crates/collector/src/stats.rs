//! What has been done so far, per generation.

use crate::collect::Outcome;
use crate::generation::GENERATIONS;

/// Totals of one generation since the collector started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GenerationStats {
    /// Collections run.
    pub collections: usize,
    /// Objects looked at.
    pub candidates: usize,
    /// Unreachable objects cleared.
    pub collected: usize,
    /// Unreachable objects that could not be freed.
    pub uncollectable: usize,
    /// Seconds spent, callbacks and finalizers included.
    pub seconds: f64,
    /// The longest single collection, in seconds.
    pub longest: f64,
}

/// Totals of every generation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Youngest first.
    pub generations: [GenerationStats; GENERATIONS],
}

impl Stats {
    /// Adds one collection of `generation` that took `seconds`.
    pub fn record(&mut self, generation: usize, outcome: &Outcome, seconds: f64) {
        let stats = &mut self.generations[generation];
        stats.collections += 1;
        stats.candidates += outcome.candidates;
        stats.collected += outcome.collected;
        stats.uncollectable += outcome.uncollectable;
        stats.seconds += seconds;
        stats.longest = stats.longest.max(seconds);
    }
}
