//! Operations on `Gc`s against the naive model that the property tests use.

#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/wrasse/tests/all/world.rs"]
mod world;

use world::{Operation, PLANNED, World};

/// A panic ends the process, but for those that are part of the test.
fn let_planned_panics_pass() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<String>();
            if text.is_none_or(|text| text != PLANNED) {
                before(info);
            }
        }));
    });
}

fuzz_target!(|input: (u8, Vec<(u8, u16, u16)>)| {
    let_planned_panics_pass();
    let (threshold, steps) = input;
    // One input in two collects by itself all the time.
    let threshold = if threshold < 128 {
        10_000
    } else {
        i32::from(threshold - 127) % 20
    };
    let operations = steps
        .iter()
        .take(300)
        .map(|&(kind, a, b)| Operation::new(kind, a, b));
    assert!(World::run(operations.collect(), threshold).is_ok());
});
