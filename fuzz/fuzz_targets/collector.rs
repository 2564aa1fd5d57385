//! The collector on the mock heap of its tests, against the naive search.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "draw.rs"]
mod draw;
#[path = "../../crates/collector/tests/all/graphs.rs"]
#[allow(dead_code, reason = "the strategies are for the property tests")]
mod graphs;
#[path = "../../crates/collector/tests/all/mock.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod mock;
#[path = "../../crates/collector/tests/all/properties.rs"]
mod properties;

use graphs::{Features, Plan};

fuzz_target!(|data: &[u8]| draw::draw(data, check));

fn check(below: &mut dyn FnMut(usize) -> usize) {
    let property = below(5);
    let features = Features {
        surroundings: property != 2,
        foreign_code: property >= 3,
        quiet_code: property == 1,
        uncollectable: (1..=3).contains(&property),
    };
    let generation = below(3);
    let keep = below(8) == 1;
    let order: Vec<usize> = (0..below(5)).map(|_| below(3)).collect();
    let count = 1 + below(32);
    let limit = match below(2) {
        0 => usize::MAX,
        _ => below(count + 1),
    };
    let plans: Vec<Plan> = (0..count)
        .map(|_| Plan::draw(count, features, below))
        .collect();
    let result = match property {
        0 => properties::frees_what_a_search_finds(&plans, limit, generation),
        1 => properties::a_full_mark_stack_changes_nothing(&plans, limit, generation),
        2 => properties::keeps_what_uncollectable_objects_reach(&plans, limit),
        3 => properties::clears_only_what_is_still_unreachable(&plans, limit, generation, keep),
        _ => properties::ends_with_an_empty_heap(&plans, limit, &order),
    };
    if let Err(error) = result {
        panic!("{error}");
    }
}
