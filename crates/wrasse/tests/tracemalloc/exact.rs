//! Patterns of allocation whose counts and bytes are known, line by line.

use wrasse::tracemalloc::{self, take_snapshot};

use crate::{Lines, alone, lines_of};

/// Runs `work` traced; what lives at its end is what it returns.
fn traced<T>(nframe: usize, work: impl FnOnce() -> T) -> Lines {
    let _alone = alone();
    tracemalloc::start(nframe);
    let alive = work();
    let snapshot = take_snapshot().unwrap();
    drop(alive);
    let after = take_snapshot().unwrap();
    assert_eq!(lines_of(&after, file!()), [], "all of it was freed");
    lines_of(&snapshot, file!())
}

#[test]
fn boxes_and_vectors() {
    for nframe in [1, 2, 25] {
        let mut line = 0;
        let lines = traced(nframe, || {
            line = line!();
            let one = Box::new([0u8; 100]);
            let many: Vec<Box<u64>> = (0..10).map(Box::new).collect();
            let exact: Vec<u16> = Vec::with_capacity(50);
            let mut grown = Vec::new();
            for number in 0..100u32 {
                grown.push(number);
            }
            let zeroed = vec![0u8; 777];
            let text = "abc".repeat(5);
            drop(Box::new(1));
            (one, many, exact, grown, zeroed, text)
        });
        assert_eq!(
            lines,
            [
                (line + 1, 1, 100),
                (line + 2, 11, 10 * 8 + 80),
                (line + 3, 1, 100),
                (line + 6, 1, 512),
                (line + 8, 1, 777),
                (line + 9, 1, 15),
            ]
        );
    }
}
