//! Property tests' strategies with the fuzzer's bytes in place of random numbers.

use std::sync::LazyLock;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What is drawn when the fuzzer's bytes are used up: numbers that are always the
/// same, so that a change of one byte changes little. Nothing but zeros would
/// not do: drawing a number below a limit may try again until it gets another.
static TAIL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0_u64;
    let numbers = std::iter::repeat_with(|| {
        // Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    });
    numbers.take(1 << 14).flat_map(u64::to_le_bytes).collect()
});

/// A runner whose random numbers are `data`.
pub fn runner(data: &[u8]) -> TestRunner {
    let numbers = TestRng::from_seed(RngAlgorithm::PassThrough, &[data, &TAIL].concat());
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, numbers)
}
