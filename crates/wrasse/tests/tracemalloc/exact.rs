//! Patterns of allocation whose counts and bytes are known, line by line.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use wrasse::tracemalloc::{self, Key, take_snapshot};

use crate::{Lines, alone, lines_of, marked};

fn line(mark: &str) -> u32 {
    marked(include_str!("exact.rs"), mark)
}

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
            drop(std::hint::black_box(Box::new(1)));
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

#[test]
fn shared_and_dynamic() {
    let mut line = 0;
    let lines = traced(1, || {
        line = line!();
        let counted = Rc::new([0u64; 4]);
        let other = counted.clone();
        let atomic: Arc<str> = Arc::from("hello");
        let closure: Box<dyn Fn() -> usize> = {
            let big = [1usize; 20];
            Box::new(move || big.len())
        };
        let slice: Box<[u32]> = vec![7; 3].into_boxed_slice();
        let copy = slice.clone();
        let text = format!("{}-{}", "left", "right");
        let mut queue: VecDeque<u8> = VecDeque::with_capacity(33);
        queue.push_back(1);
        (counted, other, atomic, closure, slice, copy, text, queue)
    });
    // Two counts stand in front of what `Rc` and `Arc` hold.
    let text = lines.iter().find(|(at, ..)| *at == line + 10).unwrap().2;
    assert!((10..=32).contains(&text), "as `format!` guessed it");
    assert_eq!(
        lines,
        [
            (line + 1, 1, 16 + 32),
            (line + 3, 1, 24),
            (line + 6, 1, 160),
            (line + 8, 1, 12),
            (line + 9, 1, 12),
            (line + 10, 1, text),
            (line + 11, 1, 33),
        ]
    );
}

#[test]
fn maps_are_their_users() {
    let mut line = 0;
    let lines = traced(1, || {
        line = line!();
        let mut map: HashMap<u64, [u8; 24]> = HashMap::with_capacity(100);
        map.insert(1, [0; 24]);
        let mut tree = BTreeMap::new();
        for key in 0..5u64 {
            tree.insert(key, key);
        }
        let mut grown = HashMap::new();
        for key in 0..1000u64 {
            grown.insert(key, ());
        }
        (map, tree, grown)
    });
    // Whatever the standard library's maps need, it is one block each, of that line.
    let places: Vec<_> = lines.iter().map(|(at, count, _)| (*at, *count)).collect();
    assert_eq!(places, [(line + 1, 1), (line + 5, 1), (line + 9, 1)]);
    assert!(
        lines[0].2 >= 100 * 32 && lines[2].2 >= 1000 * 8,
        "{lines:?}"
    );
}

#[test]
fn the_allocators_own_interface() {
    let small = Layout::from_size_align(24, 8).unwrap();
    let aligned = Layout::from_size_align(100, 4096).unwrap();
    struct Blocks(Vec<(*mut u8, Layout)>);
    impl Drop for Blocks {
        fn drop(&mut self) {
            for (block, layout) in self.0.drain(..) {
                // SAFETY: allocated with this layout, below.
                unsafe { dealloc(block, layout) }
            }
        }
    }
    let mut line = 0;
    let lines = traced(1, || {
        let mut blocks = Vec::with_capacity(4); // raw
        // SAFETY: no layout is empty, and each block has the layout that it is
        // resized with.
        unsafe {
            line = line!();
            let first = alloc(small);
            let second = alloc_zeroed(aligned);
            let third = alloc(small);
            let third = realloc(third, small, 1 << 20);
            let fourth = alloc(Layout::from_size_align(1 << 20, 8).unwrap());
            let fourth = realloc(fourth, Layout::from_size_align(1 << 20, 8).unwrap(), 8);
            assert_eq!(second.addr() % 4096, 0);
            assert_eq!(*second, 0);
            blocks.push((first, small));
            blocks.push((second, aligned));
            blocks.push((third, Layout::from_size_align(1 << 20, 8).unwrap()));
            blocks.push((fourth, Layout::from_size_align(8, 8).unwrap()));
        }
        Blocks(blocks)
    });
    assert_eq!(
        lines,
        [
            (
                crate::exact::line("raw"),
                1,
                4 * size_of::<(*mut u8, Layout)>()
            ),
            (line + 1, 1, 24),
            (line + 2, 1, 100),
            (line + 4, 1, 1 << 20),
            (line + 6, 1, 8),
        ]
    );
}

#[inline(always)]
fn inlined(size: usize) -> Vec<u8> {
    Vec::with_capacity(size) // inlined
}

#[inline(never)]
fn called(size: usize) -> Vec<u8> {
    let result = inlined(size); // called
    std::hint::black_box(&result);
    result
}

struct Reader<'a>(&'a str);

impl Iterator for Reader<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let (word, rest) = self.0.split_once(' ')?;
        self.0 = rest;
        Some(word.to_owned()) // next
    }
}

#[test]
fn inlined_functions_are_frames() {
    let _alone = alone();
    tracemalloc::start(3);
    let alive = called(123);
    let here = line!() - 1;
    let snapshot = take_snapshot().unwrap();
    let trace = snapshot.traces().find(|trace| trace.size == 123).unwrap();
    let lines: Vec<u32> = trace
        .traceback
        .frames()
        .iter()
        .map(|f| f.lineno())
        .collect();
    assert_eq!(
        lines,
        [here, line("called"), line("inlined")],
        "{}",
        trace.traceback.format()
    );
    let functions: Vec<_> = trace
        .traceback
        .frames()
        .iter()
        .map(|f| f.function())
        .collect();
    assert!(functions[1].ends_with("called"), "{functions:?}");
    assert!(functions[2].ends_with("inlined"), "{functions:?}");
    assert!(
        trace
            .traceback
            .format()
            .contains("    Vec::with_capacity(size)")
    );
    drop(alive);
}

#[test]
fn code_of_the_program_that_the_library_calls_is_seen() {
    let _alone = alone();
    tracemalloc::start(2);
    let words: Vec<String> = Reader("a bc def ").collect();
    let here = line!() - 1;
    let snapshot = take_snapshot().unwrap();
    assert_eq!(
        lines_of(&snapshot, file!()),
        [(line("next"), 3, 6), (here, 1, 4 * size_of::<String>())]
    );
    let statistics = snapshot.statistics(Key::Traceback);
    let of_next = statistics.iter().find(|s| s.count == 3).unwrap();
    assert_eq!(
        of_next.traceback[0].lineno(),
        here,
        "the standard library is left out"
    );
    drop(words);
}

#[test]
fn recursion_is_cut_at_the_limit() {
    fn dive(depth: usize) -> Vec<u8> {
        if depth == 0 {
            return vec![1; 4321]; // deepest
        }
        let result = dive(depth - 1); // dive
        std::hint::black_box(&result);
        result
    }
    for (limit, depth) in [
        (1, 0),
        (1, 50),
        (5, 50),
        (25, 20),
        (200, 150),
        (100_000, 3000),
    ] {
        let _alone = alone();
        tracemalloc::start(limit);
        let alive = dive(depth);
        let here = line!() - 1;
        let snapshot = take_snapshot().unwrap();
        let trace = snapshot.traces().find(|trace| trace.size == 4321).unwrap();
        let lines: Vec<u32> = trace
            .traceback
            .frames()
            .iter()
            .map(|f| f.lineno())
            .collect();
        let recent: Vec<u32> = lines.iter().rev().copied().collect();
        let limit = limit.min(tracemalloc::MAX_FRAMES);
        assert!(recent.len() <= limit);
        let mut wanted = vec![line("deepest")];
        wanted.extend(vec![line("dive"); depth]);
        wanted.push(here);
        let common = wanted.len().min(limit);
        assert_eq!(recent[..common], wanted[..common], "{limit} {depth}");
        drop(alive);
    }
}
