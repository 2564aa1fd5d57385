//! The side table of blocks that wrasse's allocator serves: one word for each
//! block of the region, in a mapping beside it.
//!
//! Each pool has a row of as many words as it can have blocks of the smallest
//! size. Addresses are reserved for all rows at once; memory comes behind a page
//! of words when the first of them is written. Pools of large blocks have few,
//! so the second words of those lie in the same page, from [`SECOND`] on.

use std::ptr;

use wrasse_allocator::Region;
use wrasse_allocator::heap::Spot;
use wrasse_allocator::pool::{MOST_BLOCKS, SIZE};
use wrasse_tracer::{FINE, SideTable};

use crate::small_objects;

/// Where in a row the second words begin.
const SECOND: usize = 64;
const _: () = assert!(SIZE / FINE <= SECOND && 2 * SECOND <= MOST_BLOCKS);

const ROW: usize = MOST_BLOCKS * size_of::<u32>();

struct Table {
    region: &'static Region,
    words: *mut u32,
    bytes: usize,
}

/// The words; none as long as there is no region.
#[derive(Default)]
pub struct Words(Option<Table>);

// SAFETY: the mapping is the table's own and belongs to no thread.
unsafe impl Send for Words {}

/// A block's word.
#[derive(Clone, Copy)]
pub struct Place {
    number: usize,
    room: usize,
}

impl Words {
    /// Reserve the addresses, once there is a region. Without them blocks are
    /// found in the table by address, as those from elsewhere are.
    pub fn prepare(&mut self) {
        if self.0.is_some() {
            return;
        }
        let Some(region) = small_objects::installed() else {
            return;
        };
        let (_, length) = region.range();
        let bytes = length / SIZE * ROW;
        // SAFETY: a new private mapping anywhere touches nothing that exists.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if address != libc::MAP_FAILED {
            self.0 = Some(Table {
                region,
                words: address.cast(),
                bytes,
            });
        }
    }

    /// As [`SideTable::place`], where it is known that there is one.
    ///
    /// # Safety
    /// A block in use of wrasse's allocator, from one of its pools, begins there.
    #[inline(always)]
    pub unsafe fn place_of(&self, address: usize) -> Option<Place> {
        let table = self.0.as_ref()?;
        // SAFETY: the caller's contract.
        let (index, room) = unsafe { table.region.block_from(address as *const u8) };
        Some(Place {
            number: index.flat(),
            room,
        })
    }

    /// Is there a table?
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// As [`Words::place_of`], for a block that was found already.
    ///
    /// # Safety
    /// There is a table, and the block is one of the allocator's, in use or about to be.
    #[inline(always)]
    pub unsafe fn place_at(&self, spot: Spot<'_>) -> Place {
        debug_assert!(self.is_there());
        if self.0.is_none() {
            // SAFETY: the caller's contract. Said so that nobody asks again.
            unsafe { std::hint::unreachable_unchecked() };
        }
        Place {
            number: spot.index().flat(),
            room: spot.size(),
        }
    }

    #[inline(always)]
    fn at(&self, number: usize) -> *mut u32 {
        match &self.0 {
            Some(table) => {
                debug_assert!(number < table.bytes / size_of::<u32>());
                // SAFETY: a `Place` is made by this table from an index that the
                // region gave out: a pool of it and a block below MOST_BLOCKS; a
                // second word is within the same row.
                unsafe { table.words.add(number) }
            }
            None => unreachable!("a place of a table that does not exist"),
        }
    }
}

impl SideTable for Words {
    type Place = Place;

    #[inline(always)]
    fn place(&self, address: usize) -> Option<Place> {
        let table = self.0.as_ref()?;
        let (index, room) = table.region.block_at(address as *const u8)?;
        Some(Place {
            number: index.flat(),
            room,
        })
    }

    #[inline(always)]
    fn room(&self, place: Place) -> usize {
        place.room
    }

    #[inline(always)]
    fn word(&self, place: Place) -> u32 {
        // SAFETY: within the mapping, see `at`; under the tracer's lock.
        unsafe { self.at(place.number).read() }
    }

    #[inline(always)]
    fn set_word(&mut self, place: Place, word: u32) {
        // SAFETY: as in `word`.
        unsafe { self.at(place.number).write(word) }
    }

    #[inline(always)]
    fn second(&self, place: Place) -> u32 {
        debug_assert!(place.room > FINE && place.number % MOST_BLOCKS < SECOND);
        // SAFETY: as in `word`.
        unsafe { self.at(place.number + SECOND).read() }
    }

    #[inline(always)]
    fn set_second(&mut self, place: Place, word: u32) {
        debug_assert!(place.room > FINE && place.number % MOST_BLOCKS < SECOND);
        // SAFETY: as in `word`.
        unsafe { self.at(place.number + SECOND).write(word) }
    }

    fn for_each(&self, visit: &mut dyn FnMut(Place)) {
        let Some(table) = &self.0 else {
            return;
        };
        // A pool that another interpreter takes or gives back meanwhile has no
        // block in use and so only words that say nothing: it may only do so with
        // blocks that are not recorded yet, or no more.
        for (pool, room) in table
            .region
            .pools()
            .enumerate()
            .filter(|(_, room)| *room > 0)
        {
            for slot in 0..SIZE / room {
                let number = pool * MOST_BLOCKS + slot;
                let place = Place { number, room };
                if self.word(place) != 0 {
                    visit(place);
                }
            }
        }
    }

    fn wipe(&mut self) {
        if let Some(table) = &self.0 {
            let used = table.region.pools().count() * ROW;
            // SAFETY: part of the mapping, whose words are zero again afterwards.
            unsafe {
                if libc::madvise(table.words.cast(), used, libc::MADV_DONTNEED) != 0 {
                    ptr::write_bytes(table.words.cast::<u8>(), 0, used);
                }
            }
        }
    }

    fn memory(&self) -> usize {
        const PAGE: usize = 4096;
        let Some(table) = &self.0 else {
            return 0;
        };
        let rooms = table.region.pools().filter(|room| *room > 0);
        rooms
            .map(|room| (SIZE / room * size_of::<u32>()).next_multiple_of(PAGE))
            .sum()
    }
}
