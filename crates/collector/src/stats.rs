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
    /// Bytes given back, as the host counts them.
    pub bytes: usize,
    /// Seconds spent, callbacks and finalizers included.
    pub seconds: f64,
    /// The longest pause, in seconds.
    pub longest: f64,
}

/// Why a collection ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// The program called for it.
    #[default]
    Asked,
    /// A count passed a threshold that the program has set.
    Threshold,
    /// The nursery was full.
    Nursery,
    /// The process had grown by as much as it may between two looks.
    Growth,
    /// The nursery had waited for long.
    Age,
    /// The middle generation was full, or garbage was found beside it.
    Middle,
    /// Objects new to the oldest generation were a large enough share of it.
    Share,
}

impl Reason {
    /// Number of reasons.
    pub const COUNT: usize = 7;
    /// All of them, each at the index that is its value.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Asked,
        Self::Threshold,
        Self::Nursery,
        Self::Growth,
        Self::Age,
        Self::Middle,
        Self::Share,
    ];

    /// In one word, for people and for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Threshold => "threshold",
            Self::Nursery => "nursery",
            Self::Growth => "growth",
            Self::Age => "age",
            Self::Middle => "middle",
            Self::Share => "share",
        }
    }
}

/// Steps of the histogram in each doubling of time.
const STEPS: usize = 4;
/// Doublings from one microsecond: more than an hour.
const DOUBLINGS: usize = 32;

/// How long collections took: a histogram whose steps are a fifth apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pauses {
    counts: [u32; STEPS * DOUBLINGS],
    /// The longest, in seconds.
    pub longest: f64,
    /// All of them together, in seconds.
    pub total: f64,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            counts: [0; STEPS * DOUBLINGS],
            longest: 0.0,
            total: 0.0,
        }
    }
}

impl Pauses {
    /// Adds a collection that took `seconds`.
    pub fn add(&mut self, seconds: f64) {
        let steps = (seconds * 1e6).max(1.0).log2() * STEPS as f64;
        let step = (steps as usize).min(self.counts.len() - 1);
        self.counts[step] = self.counts[step].saturating_add(1);
        self.longest = self.longest.max(seconds);
        self.total += seconds;
    }

    /// The time, in seconds, that a `share` of the collections (0 to 1) did not
    /// exceed, to about a fifth; 0 if there were none.
    pub fn quantile(&self, share: f64) -> f64 {
        let all: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let wanted = ((all as f64 * share).ceil() as u64).clamp(1, all.max(1));
        let mut seen = 0;
        for (step, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted {
                let upper = ((step + 1) as f64 / STEPS as f64).exp2() * 1e-6;
                return upper.min(self.longest);
            }
        }
        0.0
    }
}

/// Totals of every generation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Youngest first.
    pub generations: [GenerationStats; GENERATIONS],
    /// How long all of them took.
    pub pauses: Pauses,
    /// Parts of collections that were done in parts.
    pub slices: usize,
    /// How many ran for each [`Reason`].
    pub reasons: [usize; Reason::COUNT],
}

impl Stats {
    /// Adds one collection of `generation` that took `seconds`.
    pub fn record(&mut self, generation: usize, outcome: &Outcome, seconds: f64) {
        self.generations[generation].collections += 1;
        self.record_slice(generation, outcome, seconds);
    }

    /// Adds a part of a collection of `generation`, for which the program stood
    /// still for `seconds`. The collection counts when it is over.
    pub fn record_slice(&mut self, generation: usize, outcome: &Outcome, seconds: f64) {
        let stats = &mut self.generations[generation];
        stats.candidates += outcome.candidates;
        stats.collected += outcome.collected;
        stats.uncollectable += outcome.uncollectable;
        stats.bytes += outcome.bytes;
        stats.seconds += seconds;
        stats.longest = stats.longest.max(seconds);
        self.pauses.add(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pauses_are_no_time() {
        let pauses = Pauses::default();
        assert_eq!((pauses.quantile(0.5), pauses.quantile(1.0)), (0.0, 0.0));
    }

    #[test]
    fn quantiles_are_right_to_a_fifth() {
        let mut pauses = Pauses::default();
        for number in 1..=1000 {
            pauses.add(f64::from(number) * 1e-5);
        }
        for (share, exact) in [(0.01, 1e-4), (0.5, 5e-3), (0.99, 9.9e-3), (1.0, 1e-2)] {
            let found = pauses.quantile(share);
            assert!((exact..exact * 1.25).contains(&found), "{share}: {found}");
        }
        assert_eq!(pauses.longest, 1e-2);
    }

    #[test]
    fn times_outside_the_histogram_are_kept_at_its_ends() {
        let mut pauses = Pauses::default();
        pauses.add(0.0);
        assert_eq!(pauses.quantile(1.0), 0.0);
        pauses.add(1e9);
        assert!(pauses.quantile(1.0) > 1e3);
    }

    #[test]
    fn reasons_stand_at_their_own_index() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
