//! The collector on the mock heap of its tests, against the naive search.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proptest::strategy::{Strategy, ValueTree};

#[path = "draw.rs"]
mod draw;
#[path = "../../crates/collector/tests/all/graphs.rs"]
mod graphs;
#[path = "../../crates/collector/tests/all/mock.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod mock;
#[path = "../../crates/collector/tests/all/properties.rs"]
mod properties;

use graphs::Features;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let property = choice % 5;
    let features = Features {
        surroundings: property != 2,
        foreign_code: property >= 3,
        quiet_code: property == 1,
        uncollectable: (1..=3).contains(&property),
    };
    let most = if choice >= 128 { 48 } else { 12 };
    let case = (
        graphs::heaps(most, features),
        proptest::collection::vec(0..3_usize, 1..6),
    );
    let Ok(case) = case.new_tree(&mut draw::runner(data)) else {
        return;
    };
    let ((plans, limit), order) = case.current();
    let result = match property {
        0 => properties::frees_what_a_search_finds(&plans, limit, order[0]),
        1 => properties::a_full_mark_stack_changes_nothing(&plans, limit, order[0]),
        2 => properties::keeps_what_uncollectable_objects_reach(&plans, limit),
        3 => properties::clears_only_what_is_still_unreachable(
            &plans,
            limit,
            order[0],
            order.len() == 5,
        ),
        _ => properties::ends_with_an_empty_heap(&plans, limit, &order),
    };
    if let Err(error) = result {
        panic!("{error}");
    }
});
