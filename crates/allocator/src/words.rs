//! A word for each block, beside the region: what a host knows about blocks and the
//! allocator need not know.
//!
//! The words of a pool lie together in a *row*. A pool gets one when the place of a word
//! is asked for that will be written to, as long as the number of its blocks asks for;
//! rows are taken from a range of addresses one behind the other, so that they take
//! no more memory than their words, and the pool's record leads to them. A
//! pool that comes to have blocks of another size gets another row, and the old one is
//! there for whoever needs one of its length.
//!
//! Blocks above [`FINE`] have a second word. Pools have so few of them that the second
//! ones lie in the same row, from `SECOND` on.

use std::ptr;
use std::sync::atomic::Ordering;

use crate::heap::Spot;
use crate::pool::{MOST_BLOCKS, SIZE};
use crate::region::Region;
use crate::reserve::{clear, reserve, unreserve};

/// The largest blocks that have one word only.
pub const FINE: usize = 1024;

/// Where in a row the second words begin.
const SECOND: usize = 64;
const _: () = assert!(SIZE / FINE <= SECOND && 2 * SECOND <= MOST_BLOCKS);

/// Words in a unit, of which rows are made.
const UNIT: usize = 64;
/// The most units of a row.
const MOST_UNITS: usize = MOST_BLOCKS / UNIT;
const PAGE: usize = 4096;

/// A pool's words.
#[derive(Clone, Copy)]
#[repr(C)]
struct Row {
    /// Null if it has none.
    words: *mut u32,
    /// The size of the blocks that they are of. As long as the pool has none of
    /// another size this holds, with or without words.
    room: u32,
    units: u32,
}

/// The words; see the module. All zero at first.
///
/// They may be asked for from any thread, by one at a time. Blocks are to be in use
/// while they are asked about, and for that short time before they are handed out and
/// after they were released that [`Spot`] is about.
pub struct Words {
    region: &'static Region,
    /// One for each pool; zeros for those that never had one.
    rows: Mapping<Row>,
    /// The range that rows are taken from.
    words: Mapping<u32>,
    /// Units taken from it.
    taken: usize,
    /// The first free row of each length, which leads to the next: the number of its
    /// first unit plus one.
    free: [u32; MOST_UNITS + 1],
}

// SAFETY: both mappings are the table's own and belong to no thread.
unsafe impl Send for Words {}

/// The place of a block's words.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    word: *mut u32,
    room: usize,
}

impl Place {
    /// How many bytes the block has.
    #[inline(always)]
    pub fn room(self) -> usize {
        self.room
    }
}

/// Units of the row for blocks of a size.
fn units_for(room: usize) -> usize {
    let count = SIZE / room;
    let words = if room > FINE { SECOND + count } else { count };
    words.div_ceil(UNIT)
}

impl Words {
    /// Words for the blocks of a region; nothing where there are no addresses for them.
    pub fn beside(region: &'static Region) -> Option<Self> {
        let pools = region.range().1 / SIZE;
        Some(Words {
            region,
            rows: Mapping::reserve(pools)?,
            words: Mapping::reserve(pools * MOST_BLOCKS)?,
            taken: 0,
            free: [0; MOST_UNITS + 1],
        })
    }

    #[inline]
    fn row(&self, pool: usize) -> Row {
        debug_assert!(pool < self.region.range().1 / SIZE);
        // SAFETY: there is one for each pool, and zeros are a row.
        unsafe { self.rows.start.add(pool).read() }
    }

    /// The place of the words of the block that begins at `address`, if its pool has
    /// some. Where it has none, nothing was ever written about its blocks.
    #[inline]
    pub fn place(&self, address: usize) -> Option<Place> {
        let (index, room) = self.region.block_at(address as *const u8)?;
        let row = self.row(index.pool as usize);
        let is_there = row.room as usize == room && !row.words.is_null();
        is_there.then(|| Place {
            word: row.words.wrapping_add(index.slot.into()),
            room,
        })
    }

    /// As [`Words::place`], for words that will be written to. Nothing where there is no
    /// such block; or no room for words, and then there is none for its whole pool
    /// as long as that has a block in use.
    #[inline]
    pub fn place_for(&mut self, address: usize) -> Option<Place> {
        let (index, room) = self.region.block_at(address as *const u8)?;
        let pool = index.pool as usize;
        let mut row = self.row(pool);
        if row.room as usize != room {
            row = self.renew(pool, row, room);
        }
        if row.words.is_null() {
            return None;
        }
        // SAFETY: a block of the pool is in use, so its record stays as it is but for
        // what is written here, by one thread at a time.
        let record = unsafe { self.region.record_of(address as *const u8) };
        record.words.store(row.words, Ordering::Relaxed);
        Some(Place {
            word: row.words.wrapping_add(index.slot.into()),
            room,
        })
    }

    /// The place of the words of a block that was found already and has `room` bytes, or
    /// of which it is known at least whether they are more than [`FINE`]. Where the
    /// block's pool has no words the first one reads as all ones, and must not be set.
    #[inline(always)]
    pub fn at(&self, spot: Spot<'_>, room: usize) -> Place {
        debug_assert!(room <= spot.size() && (room > FINE) == (spot.size() > FINE));
        Place {
            word: spot.word(),
            room,
        }
    }

    /// The pool has blocks of another size than it had when it got its row.
    #[cold]
    #[inline(never)]
    fn renew(&mut self, pool: usize, old: Row, room: usize) -> Row {
        let units = units_for(room);
        self.give(old);
        let row = Row {
            words: self.take(units),
            room: room as u32,
            units: units as u32,
        };
        // SAFETY: there is one for each pool.
        unsafe { self.rows.start.add(pool).write(row) };
        row
    }

    /// A row of zeros; null if there is no room for it.
    fn take(&mut self, units: usize) -> *mut u32 {
        debug_assert!((1..=MOST_UNITS).contains(&units));
        let words = match self.free[units].checked_sub(1) {
            Some(first) => {
                let words = self.words.start.wrapping_add(first as usize * UNIT);
                // SAFETY: a free row of the range, of this length, whose first word
                // leads to the next one.
                self.free[units] = unsafe { words.read() };
                words
            }
            None => {
                let left = self.region.range().1 / SIZE * MOST_UNITS - self.taken;
                if units > left {
                    return ptr::null_mut();
                }
                let words = self.words.start.wrapping_add(self.taken * UNIT);
                self.taken += units;
                return words;
            }
        };
        // SAFETY: as above. What was left in it is of blocks that are no more.
        unsafe { words.write_bytes(0, units * UNIT) };
        words
    }

    fn give(&mut self, row: Row) {
        if row.words.is_null() {
            return;
        }
        let first = (row.words as usize - self.words.start as usize) / (UNIT * size_of::<u32>());
        // SAFETY: a row of the range that no pool has any more.
        unsafe { row.words.write(self.free[row.units as usize]) };
        // There are fewer than 2^26 units.
        self.free[row.units as usize] = first as u32 + 1;
    }

    /// A block's word.
    #[inline(always)]
    pub fn word(&self, place: Place) -> u32 {
        // SAFETY: places are made here, within a row or among those that are all ones, and
        // rows stay mapped as long as the table.
        unsafe { place.word.read() }
    }

    /// Set it.
    ///
    /// # Safety
    /// Not at a place of [`Words::at`] whose word is all ones.
    #[inline(always)]
    pub unsafe fn set_word(&mut self, place: Place, word: u32) {
        debug_assert!(self.has(place.word));
        // SAFETY: within a row.
        unsafe { place.word.write(word) };
    }

    /// A block's second word.
    ///
    /// # Safety
    /// The block is above [`FINE`], and this is no place of [`Words::at`] whose word is all
    /// ones.
    #[inline(always)]
    pub unsafe fn second(&self, place: Place) -> u32 {
        debug_assert!(place.room > FINE && self.has(place.word));
        // SAFETY: within a row of a pool that has second words.
        unsafe { place.word.add(SECOND).read() }
    }

    /// Set it.
    ///
    /// # Safety
    /// As for [`Words::second`].
    #[inline(always)]
    pub unsafe fn set_second(&mut self, place: Place, word: u32) {
        debug_assert!(place.room > FINE && self.has(place.word));
        // SAFETY: as in `second`.
        unsafe { place.word.add(SECOND).write(word) };
    }

    fn has(&self, word: *mut u32) -> bool {
        let number = (word as usize).wrapping_sub(self.words.start as usize) / size_of::<u32>();
        number < self.taken * UNIT
    }

    /// Calls `visit` with every place whose word is not 0.
    ///
    /// A pool that another thread takes or gives back meanwhile has no block in use that
    /// anything was written about; so its row, if it has one, is all zeros, whatever the
    /// size of its blocks is by now.
    pub fn for_each(&self, visit: &mut dyn FnMut(Place)) {
        for pool in 0..self.pools() {
            let row = self.row(pool);
            if row.words.is_null() {
                continue;
            }
            let room = row.room as usize;
            for slot in 0..SIZE / room {
                let word = row.words.wrapping_add(slot);
                let place = Place { word, room };
                if self.word(place) != 0 {
                    visit(place);
                }
            }
        }
    }

    /// Pools that were ever taken.
    fn pools(&self) -> usize {
        self.region.taken() / SIZE
    }

    /// Makes all words 0 and gives their memory back.
    pub fn wipe(&mut self) {
        for pool in 0..self.pools() {
            if !self.row(pool).words.is_null() {
                self.region.forget_words(pool);
            }
        }
        // SAFETY: records do not lead there any more, and nobody asks about a block
        // meanwhile.
        unsafe {
            self.rows.clear(self.pools());
            self.words.clear(self.taken * UNIT);
        }
        self.taken = 0;
        self.free = [0; MOST_UNITS + 1];
    }

    /// Bytes held, about.
    pub fn memory(&self) -> usize {
        self.taken * UNIT * size_of::<u32>() + self.pools() * size_of::<Row>()
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        for pool in 0..self.pools() {
            self.region.forget_words(pool);
        }
    }
}

/// Reserved addresses for zeros of a kind, given back in the end.
struct Mapping<T> {
    start: *mut T,
    bytes: usize,
}

impl<T> Mapping<T> {
    /// `None` where there are no addresses for so many.
    fn reserve(count: usize) -> Option<Self> {
        let bytes = (count * size_of::<T>()).next_multiple_of(PAGE);
        let start: *mut T = reserve(bytes).cast();
        if start.is_null() {
            // No mapping is made and dropped: it would give away what is at address 0.
            return None;
        }
        Some(Mapping { start, bytes })
    }

    /// Makes the first `count` zero again and gives their memory back.
    ///
    /// # Safety
    /// There are so many, and what is in their pages is not needed.
    unsafe fn clear(&mut self, count: usize) {
        let bytes = (count * size_of::<T>()).next_multiple_of(PAGE);
        debug_assert!(bytes <= self.bytes);
        // SAFETY: the caller's contract; all of it is whole pages.
        unsafe { clear(self.start.cast(), bytes) };
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: what was reserved, and it goes with who uses it; `Words` has seen to it
        // that no record leads there any more.
        unsafe { unreserve(self.start.cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_reserved_is_not_given_back() {
        // All addresses that a process has: none are free in a row, and to give them back
        // would end this process.
        assert!(Mapping::<u8>::reserve(0x7fff_ffff_0000).is_none());
    }
}
