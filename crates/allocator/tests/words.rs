//! Words beside blocks against a map by address.

use std::collections::HashMap;
use std::pin::Pin;

use proptest::prelude::*;
use wrasse_allocator::words::{FINE, Place};
use wrasse_allocator::{Heap, Options, Region, Words};

#[derive(Clone, Debug)]
enum Step {
    /// So many blocks of a size, about each of which something is written.
    Allocate {
        size: usize,
        count: usize,
    },
    /// So many about which nothing is.
    AllocateSilently {
        size: usize,
        count: usize,
    },
    /// All blocks of a size go, so that their pools may be another's.
    ReleaseAll(usize),
    Release(usize),
    Wipe,
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(16), Just(80), Just(112), 1usize..1025, 1025usize..8193]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (size(), 1..300usize).prop_map(|(size, count)| Step::Allocate { size, count }),
        1 => (size(), 1..300usize).prop_map(|(size, count)| Step::AllocateSilently { size, count }),
        3 => any::<usize>().prop_map(Step::ReleaseAll),
        3 => any::<usize>().prop_map(Step::Release),
        1 => Just(Step::Wipe),
    ]
}

struct Blocks<'r> {
    heap: &'r Heap,
    words: Words,
    /// Address, size, and what was written; 0 for nothing.
    live: Vec<(usize, usize, u32)>,
    next: u32,
}

impl Blocks<'_> {
    fn allocate(&mut self, size: usize, is_silent: bool) {
        // SAFETY: one thread has the heap.
        let block = unsafe { self.heap.allocate(size) } as usize;
        if is_silent {
            let found = self.words.place(block).map(|place| self.words.word(place));
            assert!(found.unwrap_or(0) == 0, "what was written of another block");
            return self.live.push((block, size, 0));
        }
        self.next += 1;
        let word = self.next;
        let place = self.words.place_for(block).unwrap();
        assert_eq!(
            self.words.word(place),
            0,
            "what was written of another block"
        );
        assert!(place.room() >= size);
        // SAFETY: a place by address; second words where there are some.
        unsafe {
            self.words.set_word(place, word);
            if place.room() > FINE {
                assert_eq!(self.words.second(place), 0);
                self.words.set_second(place, !word);
            }
        }
        self.live.push((block, size, word));
    }

    fn release(&mut self, number: usize) {
        let (block, _, word) = self.live.swap_remove(number);
        if word != 0 {
            let place = self.words.place(block).unwrap();
            // SAFETY: as in `allocate`.
            unsafe {
                self.words.set_word(place, 0);
                if place.room() > FINE {
                    self.words.set_second(place, 0);
                }
            }
        }
        // SAFETY: allocated here and not used any more.
        assert!(unsafe { self.heap.release(block as *mut u8) });
    }

    fn check(&self) {
        for &(block, _, word) in &self.live {
            let found = self.words.place(block).map(|place| self.words.word(place));
            assert_eq!(found.unwrap_or(0), word);
            // SAFETY: a block in use of the region.
            let spot = unsafe { self.heap.spot_of_owned(block as *mut u8) };
            let at = self.words.at(spot, spot.size());
            let quick = self.words.word(at);
            // A pool of which nothing is known yet reads as all ones.
            assert!(quick == word || (word == 0 && quick == u32::MAX));
            if word != 0 && at.room() > FINE {
                // SAFETY: something was written about it.
                assert_eq!(unsafe { self.words.second(at) }, !word);
            }
        }
        let mut expected: HashMap<u32, usize> =
            self.live.iter().fold(HashMap::new(), |mut m, b| {
                if b.2 != 0 {
                    m.insert(b.2, b.1);
                }
                m
            });
        self.words.for_each(&mut |place: Place| {
            let size = expected.remove(&self.words.word(place));
            assert!(size.is_some_and(|size| place.room() >= size));
        });
        assert!(
            expected.is_empty(),
            "{} blocks were not visited",
            expected.len()
        );
    }
}

/// A region that stays, as the words want it.
fn lasting() -> Pin<&'static Region> {
    let options = Options {
        reserve: 1 << 28,
        keep: 2,
    };
    Box::leak(Box::new(Region::reserve(options).unwrap())).as_ref()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_block_has_its_own_words(steps in proptest::collection::vec(step(), 1..60)) {
        let region = lasting();
        let heap = region.heap().unwrap();
        let words = Words::beside(region.get_ref()).unwrap();
        let mut blocks = Blocks { heap, words, live: Vec::new(), next: 0 };
        for step in steps {
            match step {
                Step::Allocate { size, count } => {
                    (0..count).for_each(|_| blocks.allocate(size, false));
                }
                Step::AllocateSilently { size, count } => {
                    (0..count).for_each(|_| blocks.allocate(size, true));
                }
                Step::ReleaseAll(which) if !blocks.live.is_empty() => {
                    let size = blocks.live[which % blocks.live.len()].1;
                    for number in (0..blocks.live.len()).rev() {
                        if blocks.live[number].1 == size {
                            blocks.release(number);
                        }
                    }
                }
                Step::Release(which) if !blocks.live.is_empty() => {
                    blocks.release(which % blocks.live.len());
                }
                Step::Wipe => {
                    blocks.words.wipe();
                    blocks.live.iter_mut().for_each(|block| block.2 = 0);
                }
                _ => {}
            }
            blocks.check();
        }
        prop_assert!(blocks.words.memory() <= region.taken() / 4 + (1 << 12));
    }
}

#[test]
fn words_take_no_more_room_than_there_are_blocks() {
    let region = lasting();
    let heap = region.heap().unwrap();
    let mut words = Words::beside(region.get_ref()).unwrap();
    for size in [80, 96, 112, 128] {
        let before = words.memory();
        let count = 100_000;
        for _ in 0..count {
            // SAFETY: one thread has the heap.
            let block = unsafe { heap.allocate(size) } as usize;
            words.place_for(block).unwrap();
        }
        let bytes = (words.memory() - before) as f64 / f64::from(count);
        assert!(bytes < 4.5, "{bytes} for blocks of {size}");
    }
}
