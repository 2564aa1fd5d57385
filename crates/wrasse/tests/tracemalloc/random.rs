//! Any order of allocations, growth and releases, against a model.
//!
//! In a file of its own: what the strategy itself allocates, before it is this
//! test's turn, is of this file's lines too.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wrasse::tracemalloc::{self, take_snapshot};

use crate::{Lines, alone, lines_of, marked};

fn line(mark: &str) -> u32 {
    marked(include_str!("random.rs"), mark)
}

/// One of several places that allocate: one line each.
fn place(number: usize, size: usize) -> Vec<u8> {
    match number {
        0 => Vec::with_capacity(size), // place
        1 => Vec::with_capacity(size),
        2 => Vec::with_capacity(size),
        _ => Vec::with_capacity(size),
    }
}
#[derive(Clone, Debug)]
enum Step {
    Allocate { place: usize, size: usize },
    Grow { which: usize, size: usize },
    Free { which: usize },
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..4usize, 1..5000usize).prop_map(|(place, size)| Step::Allocate { place, size }),
        2 => (any::<usize>(), 1..9000usize).prop_map(|(which, size)| Step::Grow { which, size }),
        4 => any::<usize>().prop_map(|which| Step::Free { which }),
        1 => Just(Step::Clear),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_order_of_steps_adds_up(steps in steps(), nframe in 1..4usize) {
        let _alone = alone();
        tracemalloc::start(nframe);
        // Each block with the line that it counts for, if it is known.
        let mut blocks: Vec<(Vec<u8>, Option<u32>)> = Vec::with_capacity(100);
        let mut grown_at = 0;
        let places = line("place");
        for step in steps {
            match step {
                Step::Allocate { place: number, size } => {
                    let block = place(number, size);
                    blocks.push((block, Some(places + number as u32)));
                }
                Step::Grow { which, size } if !blocks.is_empty() => {
                    let which = which % blocks.len();
                    let (block, line) = &mut blocks[which];
                    let before = block.capacity();
                    block.reserve_exact(size);
                    grown_at = line!() - 1;
                    if block.capacity() != before {
                        *line = Some(grown_at);
                    }
                }
                Step::Free { which } if !blocks.is_empty() => {
                    let which = which % blocks.len();
                    blocks.swap_remove(which);
                }
                Step::Clear => {
                    tracemalloc::clear_traces();
                    blocks.iter_mut().for_each(|(_, line)| *line = None);
                }
                _ => {}
            }
        }
        let snapshot = take_snapshot().unwrap();
        let mut wanted: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
        for (block, line) in &blocks {
            if let Some(line) = line {
                let total = wanted.entry(*line).or_default();
                total.0 += 1;
                total.1 += block.capacity();
            }
        }
        let mut lines = lines_of(&snapshot, file!());
        lines.retain(|(line, ..)| (places..places + 4).contains(line) || *line == grown_at);
        let wanted: Lines = wanted.into_iter().map(|(line, (n, size))| (line, n, size)).collect();
        prop_assert_eq!(lines, wanted);
    }
}
