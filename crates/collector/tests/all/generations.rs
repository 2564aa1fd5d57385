//! Counts, thresholds and totals.

use proptest::prelude::*;
use wrasse_collector::{Generations, OLDEST, Outcome, Stats, Thresholds};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The oldest generation above its threshold is due, and full collections
    /// wait for a quarter of new long-lived objects.
    #[test]
    fn the_oldest_due_generation_wins(
        young in 0..30_i32,
        counts in prop::array::uniform3(0..30_i32),
        thresholds in prop::array::uniform3(0..30_i32),
        total in 0..200_usize,
        pending in 0..200_usize,
    ) {
        let generations = Generations::resume(counts, total, pending);
        let above = [young > thresholds[0], counts[1] > thresholds[1], counts[2] > thresholds[2]];
        let expected = if above[2] && pending >= total / 4 {
            Some(2)
        } else if above[1] {
            Some(1)
        } else if above[0] {
            Some(0)
        } else {
            None
        };
        prop_assert_eq!(generations.due(young, &thresholds), expected);
    }

    /// A collection clears the counts of its own and of younger generations
    /// and adds one to the next older, whatever came before.
    #[test]
    fn a_collection_moves_the_counts(order in prop::collection::vec(0..3_usize, 0..60)) {
        let mut generations = Generations::default();
        let mut expected = [0, 0, 0];
        for generation in order {
            generations.begin(generation);
            if generation < OLDEST {
                expected[generation + 1] += 1;
            }
            expected[..=generation].fill(0);
            prop_assert_eq!(generations.count(1), expected[1]);
            prop_assert_eq!(generations.count(2), expected[2]);
            prop_assert_eq!(generations.count(0), 0);
        }
        generations.reset_counts();
        prop_assert_eq!([generations.count(1), generations.count(2)], [0, 0]);
    }

    /// Only survivors of the middle generation are waiting for their first
    /// full collection.
    #[test]
    fn survivors_are_counted_where_they_end(
        order in prop::collection::vec((0..3_usize, 0..1000_usize), 0..60),
    ) {
        let mut generations = Generations::default();
        let mut expected = (0, 0);
        for (generation, survivors) in order {
            generations.survived(generation, survivors);
            match generation {
                2 => expected = (survivors, 0),
                1 => expected.1 += survivors,
                _ => {}
            }
            prop_assert_eq!(generations.long_lived(), expected);
        }
    }
}

#[test]
fn counts_do_not_overflow() {
    let thresholds: Thresholds = [700, 10, 10];
    let mut generations = Generations::resume([0, i32::MAX, i32::MAX], 0, 0);
    generations.begin(0);
    assert_eq!(generations.count(1), i32::MAX);
    assert_eq!(generations.due(0, &thresholds), Some(2));
    generations.begin(2);
    assert_eq!(generations.due(0, &thresholds), None);
}

#[test]
fn stats_add_up() {
    let mut stats = Stats::default();
    let outcome = Outcome {
        candidates: 7,
        survivors: 4,
        collected: 2,
        uncollectable: 1,
        finalized: 1,
        bytes: 3000,
    };
    stats.record(1, &outcome, 0.5);
    stats.record(1, &outcome, 0.25);
    let generation = stats.generations[1];
    assert_eq!((generation.collections, generation.candidates), (2, 14));
    assert_eq!((generation.collected, generation.uncollectable), (4, 2));
    assert_eq!(generation.bytes, 6000);
    assert_eq!((generation.seconds, generation.longest), (0.75, 0.5));
    assert_eq!(stats.generations[0], Default::default());
}
