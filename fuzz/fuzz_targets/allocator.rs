//! Blocks of the allocator against the naive model that the property tests use.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "draw.rs"]
mod draw;
#[path = "../../crates/allocator/tests/model.rs"]
#[allow(dead_code, reason = "the strategies are for the property tests")]
mod model;

fuzz_target!(|data: &[u8]| draw::draw(data, |below| model::draw(data.len() / 3, below)));
