//! Random sequences of operations against a naive model of what an allocator promises.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wrasse_allocator::{Heap, Options, Region, size_class};

#[derive(Clone, Debug)]
enum Step {
    Allocate { size: usize, zeroed: bool },
    Release { which: usize },
    Resize { which: usize, size: usize },
    Burst { size: usize, count: usize },
    ReleaseEvery { nth: usize },
    Trim,
    Limit(Option<usize>),
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0..=128usize,
        4 => 0..=1100usize,
        2 => 0..=9000usize,
        1 => 8000..=70_000usize,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (size(), any::<bool>()).prop_map(|(size, zeroed)| Step::Allocate { size, zeroed }),
        4 => any::<usize>().prop_map(|which| Step::Release { which }),
        3 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize { which, size }),
        1 => (0..600usize, 1..2000usize).prop_map(|(size, count)| Step::Burst { size, count }),
        1 => (1..4usize).prop_map(|nth| Step::ReleaseEvery { nth }),
        1 => Just(Step::Trim),
        1 => prop_oneof![Just(None), (0..8usize << 20).prop_map(Some)].prop_map(Step::Limit),
    ]
}

struct Block {
    address: *mut u8,
    size: usize,
    fill: u8,
}

struct Model<'r> {
    heap: &'r Heap,
    blocks: Vec<Block>,
    /// Start to end of each block.
    ranges: BTreeMap<usize, usize>,
    fills: u8,
}

impl Model<'_> {
    fn add(&mut self, address: *mut u8, size: usize) {
        if address.is_null() {
            return self.refused();
        }
        let start = address as usize;
        assert_eq!(start % size_class::ALIGNMENT, 0);
        let is_pooled = self.heap.owns(address);
        assert!(!is_pooled || size <= size_class::LARGEST, "{size}");
        let has_limit = self.heap.region().limit().get().is_some();
        assert!(
            is_pooled || size > size_class::LARGEST || has_limit,
            "{size}"
        );
        assert!(self.heap.region().size_of(address) >= size);
        let end = start + size.max(1);
        if let Some((_, below)) = self.ranges.range(..end).next_back() {
            assert!(*below <= start, "two blocks overlap");
        }
        self.ranges.insert(start, end);
        self.fills = self.fills.wrapping_add(1);
        let fill = self.fills;
        // SAFETY: the block has so many bytes.
        unsafe { address.write_bytes(fill, size) };
        self.blocks.push(Block {
            address,
            size,
            fill,
        });
    }

    fn remove(&mut self, which: usize) -> Option<Block> {
        if self.blocks.is_empty() {
            return None;
        }
        let block = self.blocks.swap_remove(which % self.blocks.len());
        self.ranges.remove(&(block.address as usize));
        check(&block, block.size);
        Some(block)
    }

    fn apply(&mut self, step: &Step) {
        // SAFETY: one thread; blocks are used as the model says.
        unsafe {
            match *step {
                Step::Allocate {
                    size,
                    zeroed: false,
                } => self.add(self.heap.allocate(size), size),
                Step::Allocate { size, zeroed: true } => {
                    let address = self.heap.allocate_zeroed(size);
                    assert!(address.is_null() || (0..size).all(|i| *address.add(i) == 0));
                    self.add(address, size);
                }
                Step::Release { which } => {
                    if let Some(block) = self.remove(which) {
                        assert!(self.heap.release(block.address));
                    }
                }
                Step::Resize { which, size } => {
                    if let Some(mut block) = self.remove(which) {
                        let moved = self.heap.resize(block.address, size).unwrap();
                        if moved.is_null() {
                            self.refused();
                            check(&block, block.size);
                            assert!(self.heap.release(block.address));
                            return;
                        }
                        let kept = block.size.min(size);
                        block.address = moved;
                        check(&block, kept);
                        // A block that got smaller may stay as it was.
                        if self.heap.region().size_of(moved) == size.max(1) || self.heap.owns(moved)
                        {
                            self.add(moved, size);
                        } else {
                            assert!(self.heap.release(moved));
                        }
                    }
                }
                Step::Burst { size, count } => {
                    for _ in 0..count {
                        let before = self.heap.region().limit().taken();
                        self.add(self.heap.allocate(size), size);
                        let limit = self.heap.region().limit();
                        let most = limit.get().unwrap_or(usize::MAX);
                        let need = wrasse_allocator::limit::NEED;
                        assert!(limit.taken() <= most.max(before).saturating_add(need));
                    }
                }
                Step::ReleaseEvery { nth } => {
                    for which in (0..self.blocks.len()).rev().step_by(nth) {
                        let block = self.remove(which).unwrap();
                        assert!(self.heap.release(block.address));
                    }
                }
                Step::Trim => {
                    self.heap.trim();
                }
                Step::Limit(limit) => self.heap.region().limit().set(limit),
            }
        }
    }

    /// Null came back: only a limit may do that, and nothing empty may be left
    /// that would have been enough for a block of any class.
    fn refused(&self) {
        let region = self.heap.region();
        assert!(region.limit().get().is_some(), "refused without a limit");
        assert!(region.limit().refused() > 0);
        assert_eq!(self.heap.kept(), 0, "refused while memory was kept empty");
    }

    fn compare(&self) {
        let stats = self.heap.region().stats();
        let (small, large): (Vec<_>, Vec<_>) = self
            .blocks
            .iter()
            .partition(|block| self.heap.owns(block.address));
        assert_eq!(stats.blocks, small.len());
        assert_eq!(self.heap.region().blocks(), small.len());
        assert_eq!(stats.large_blocks, large.len());
        assert_eq!(
            stats.large_bytes,
            large.iter().map(|block| block.size.max(1)).sum::<usize>()
        );
        assert_eq!(
            stats.taken,
            self.heap.region().committed() + stats.large_bytes
        );
        assert!(stats.peak >= stats.taken);
        let sizes = small
            .iter()
            .map(|block| self.heap.region().size_of(block.address));
        assert_eq!(stats.bytes, sizes.sum::<usize>());
        let mut seen: Vec<usize> = Vec::new();
        let mut places = std::collections::HashSet::new();
        // SAFETY: one thread, and the closure does not allocate from this heap.
        unsafe {
            self.heap.for_each_live(|address, size| {
                seen.push(address as usize);
                assert!(size >= 16);
                let place = self.heap.region().index_of(address);
                let inside = self.heap.region().index_of(address.add(size - 1));
                assert_eq!(place, inside);
                assert!(places.insert(place.flat()));
            });
        }
        seen.sort_unstable();
        let mut expected: Vec<usize> = small.iter().map(|block| block.address as usize).collect();
        expected.sort_unstable();
        assert_eq!(seen, expected);
    }
}

fn check(block: &Block, bytes: usize) {
    // SAFETY: the block has so many bytes.
    let intact = (0..bytes).all(|i| unsafe { *block.address.add(i) } == block.fill);
    assert!(intact, "the contents of a block changed");
}

fn case() -> impl Strategy<Value = (Vec<Step>, usize)> {
    (prop::collection::vec(step(), 1..200), 0..5usize)
}

fn run((steps, keep): (Vec<Step>, usize)) {
    let options = Options {
        reserve: 1 << 28,
        keep,
    };
    let region = Region::reserve(options).unwrap();
    assert_eq!(region.committed(), 0);
    let heap = region.as_ref().heap().unwrap();
    let mut model = Model {
        heap,
        blocks: Vec::new(),
        ranges: BTreeMap::new(),
        fills: 0,
    };
    for step in &steps {
        model.apply(step);
    }
    model.compare();
    while let Some(block) = model.remove(0) {
        // SAFETY: one thread; the block is no longer used.
        assert!(unsafe { heap.release(block.address) });
    }
    model.compare();
    // SAFETY: one thread.
    unsafe { heap.trim() };
    assert_eq!(region.limit().taken(), 0);
    assert_eq!(region.committed(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn behaves_as_an_allocator(case in case()) {
        run(case);
    }
}

/// One case from the fuzzer's numbers: `below` draws one below its argument.
#[allow(dead_code, reason = "called by fuzz/")]
pub fn draw(steps: usize, below: &mut dyn FnMut(usize) -> usize) {
    let keep = below(5);
    let steps = (0..steps.min(400)).map(|_| Step::draw(below)).collect();
    run((steps, keep));
}

impl Step {
    fn draw(below: &mut dyn FnMut(usize) -> usize) -> Self {
        fn size(below: &mut dyn FnMut(usize) -> usize) -> usize {
            let most = [129, 129, 129, 1101, 1101, 9001, 70_001][below(7)];
            below(most)
        }
        match below(16) {
            0..=5 => Self::Allocate {
                size: size(below),
                zeroed: below(2) == 1,
            },
            6..=9 => Self::Release {
                which: below(1 << 16),
            },
            10..=12 => Self::Resize {
                which: below(1 << 16),
                size: size(below),
            },
            13 => Self::Burst {
                size: below(600),
                count: 1 + below(2000),
            },
            14 => Self::ReleaseEvery { nth: 1 + below(3) },
            _ => Self::Trim,
        }
    }
}
