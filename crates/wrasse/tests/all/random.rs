//! Random operations on real objects against a naive model.

use proptest::prelude::*;

use crate::world::{Operation, World};

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = any::<(u8, u16, u16)>().prop_map(|(kind, a, b)| Operation::new(kind, a, b));
    prop::collection::vec(operation, 0..150)
}

/// Fewer where each takes long.
const CASES: u32 = if cfg!(miri) { 5 } else { 250 };

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_operations(
        operations in operations(),
        threshold in prop_oneof![Just(10_000), 1..20_i32],
    ) {
        World::run(operations, threshold).map_err(|_| TestCaseError::fail("see above"))?;
    }
}
