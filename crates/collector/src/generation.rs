//! Counts, thresholds, and which generation is due.
//!
//! Objects start in generation 0 and move up one generation with each
//! collection they survive. Each generation has a count and a threshold;
//! generation 0 counts allocations less deallocations, the others count
//! collections of the next younger one. The rule that picks a generation, and
//! the quarter rule for the oldest, are CPython's (Antoine Pitrou, 2008): a full
//! collection is put off until the objects waiting for their first one are a
//! quarter of those that survived the last, which makes the total cost of full
//! collections linear in the number of objects created.

/// Number of generations.
pub const GENERATIONS: usize = 3;
/// The oldest generation.
pub const OLDEST: usize = GENERATIONS - 1;

/// A threshold for each generation; a count above it makes the generation due.
pub type Thresholds = [i32; GENERATIONS];

/// How far each generation is from its next collection.
///
/// The count of generation 0 belongs to the host's allocator, which passes it
/// to [`due`](Generations::due).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    counts: [i32; GENERATIONS],
    long_lived_total: usize,
    long_lived_pending: usize,
}

impl Generations {
    /// Goes on from a host's own bookkeeping.
    pub fn resume(counts: [i32; GENERATIONS], total: usize, pending: usize) -> Self {
        Self {
            counts: [0, counts[1], counts[2]],
            long_lived_total: total,
            long_lived_pending: pending,
        }
    }

    /// Collections of the next younger generation since `generation` was last
    /// collected; 0 for generation 0.
    pub fn count(&self, generation: usize) -> i32 {
        self.counts[generation]
    }

    /// Survivors of the last full collection, and objects that have reached the
    /// oldest generation since.
    pub fn long_lived(&self) -> (usize, usize) {
        (self.long_lived_total, self.long_lived_pending)
    }

    /// The oldest generation whose count is above its threshold.
    pub fn due(&self, young_count: i32, thresholds: &Thresholds) -> Option<usize> {
        (0..GENERATIONS).rev().find(|&generation| {
            let count = if generation == 0 {
                young_count
            } else {
                self.counts[generation]
            };
            count > thresholds[generation]
                && (generation != OLDEST || self.long_lived_pending >= self.long_lived_total / 4)
        })
    }

    /// A collection of `generation` begins.
    pub fn begin(&mut self, generation: usize) {
        if generation < OLDEST {
            self.counts[generation + 1] = self.counts[generation + 1].saturating_add(1);
        }
        for count in &mut self.counts[1..=generation] {
            *count = 0;
        }
    }

    /// A collection of `generation` left `survivors` objects alive.
    pub fn survived(&mut self, generation: usize, survivors: usize) {
        if generation == OLDEST {
            self.long_lived_pending = 0;
            self.long_lived_total = survivors;
        } else if generation == OLDEST - 1 {
            self.long_lived_pending += survivors;
        }
    }

    /// A collection of the oldest generation begins that will be done in parts.
    /// Until it is over all objects there are, with the `young` ones that join them,
    /// count as survivors of the last one.
    pub fn begin_in_parts(&mut self, young: usize) {
        self.begin(OLDEST);
        self.long_lived_total += std::mem::take(&mut self.long_lived_pending) + young;
    }

    /// A collection that was done in parts left `survivors` of the objects alive
    /// that were there when it began. What came since waits for the next one.
    pub fn end_in_parts(&mut self, survivors: usize) {
        self.long_lived_total = survivors;
    }

    /// So many objects reached the oldest generation without a collection.
    pub fn promoted(&mut self, objects: usize) {
        self.long_lived_pending += objects;
    }

    /// All objects were set aside: every count starts again.
    pub fn reset_counts(&mut self) {
        self.counts = [0; GENERATIONS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = [700, 10, 10];

    #[test]
    fn nothing_is_due_at_the_threshold() {
        assert_eq!(Generations::default().due(700, &THRESHOLDS), None);
        assert_eq!(Generations::default().due(701, &THRESHOLDS), Some(0));
    }

    #[test]
    fn ten_young_collections_make_the_middle_due() {
        let mut generations = Generations::default();
        for _ in 0..10 {
            generations.begin(0);
        }
        assert_eq!(generations.due(701, &THRESHOLDS), Some(0));
        generations.begin(0);
        assert_eq!(generations.due(701, &THRESHOLDS), Some(1));
        generations.begin(1);
        assert_eq!((generations.count(1), generations.count(2)), (0, 1));
    }

    #[test]
    fn what_comes_during_a_collection_in_parts_waits_for_the_next() {
        let mut generations = Generations::resume([0, 3, 11], 1000, 400);
        generations.begin_in_parts(50);
        assert_eq!(generations.long_lived(), (1450, 0));
        assert_eq!((generations.count(1), generations.count(2)), (0, 0));
        generations.survived(1, 30);
        generations.end_in_parts(900);
        assert_eq!(generations.long_lived(), (900, 30));
    }

    #[test]
    fn a_full_collection_waits_for_a_quarter_of_new_objects() {
        let mut generations = Generations::resume([0, 0, 11], 1000, 249);
        assert_eq!(generations.due(701, &THRESHOLDS), Some(0));
        generations.survived(1, 1);
        assert_eq!(generations.due(701, &THRESHOLDS), Some(2));
        generations.begin(2);
        generations.survived(2, 1200);
        assert_eq!(generations.long_lived(), (1200, 0));
        assert_eq!(generations.count(2), 0);
    }
}
