//! Random heaps against the naive search.

use proptest::prelude::*;

use crate::graphs::{Features, heaps};
use crate::properties;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn frees_what_a_search_finds(
        (plans, limit) in heaps(24, Features { surroundings: true, ..Features::default() }),
        generation in 0..3_usize,
    ) {
        properties::frees_what_a_search_finds(&plans, limit, generation)?;
    }

    #[test]
    fn a_full_mark_stack_changes_nothing(
        (plans, limit) in heaps(
            24,
            Features { surroundings: true, uncollectable: true, quiet_code: true, ..Features::default() },
        ),
        generation in 0..3_usize,
    ) {
        properties::a_full_mark_stack_changes_nothing(&plans, limit, generation)?;
    }

    #[test]
    fn keeps_what_uncollectable_objects_reach(
        (plans, limit) in heaps(24, Features { uncollectable: true, ..Features::default() }),
    ) {
        properties::keeps_what_uncollectable_objects_reach(&plans, limit)?;
    }

    #[test]
    fn clears_only_what_is_still_unreachable_after_foreign_code(
        (plans, limit) in heaps(
            16,
            Features { surroundings: true, foreign_code: true, uncollectable: true, ..Features::default() },
        ),
        generation in 0..3_usize,
        keep in prop::bool::weighted(0.1),
    ) {
        properties::clears_only_what_is_still_unreachable(&plans, limit, generation, keep)?;
    }

    #[test]
    fn ends_with_an_empty_heap(
        (plans, limit) in heaps(16, Features { surroundings: true, foreign_code: true, ..Features::default() }),
        order in prop::collection::vec(0..3_usize, 0..6),
    ) {
        properties::ends_with_an_empty_heap(&plans, limit, &order)?;
    }
}
