//! Blocks that the host can number: one word for each, beside the memory it
//! describes.
//!
//! An allocator that knows the place of a block among all others needs no
//! search for what is known about it. The word holds the owner and by how much
//! the block is larger than what was asked for; blocks above `FINE` keep their
//! size in a second word. What does not fit (a block that shrank where it was, a
//! size of 0, one that is watched) is found in the table by address, and the
//! word says so.

use crate::owner::OwnerId;

/// A word: nothing is known about the block.
pub const UNKNOWN: u32 = 0;
/// A word: the block is in the table by address.
pub const ELSEWHERE: u32 = u32::MAX;
/// The largest blocks whose word has room for their size.
pub const FINE: usize = 1024;

const SLACK_BITS: u32 = 4;
const MOST_SLACK: usize = (1 << SLACK_BITS) - 1;
const MOST_OWNERS: u32 = (1 << (32 - SLACK_BITS)) - 1;

/// Words by the place of a block, kept by the host.
///
/// Words are 0, for a block that nothing is known about, until they are set.
pub trait SideTable {
    /// Where the words of a block are.
    type Place: Copy;

    /// Where the words of the live block at `address` are, if it has some. Until it was
    /// asked for them by [`SideTable::place_for`] a host may say that it has none.
    fn place(&self, address: usize) -> Option<Self::Place>;
    /// As [`SideTable::place`], for words that will be set. As long as the block lives
    /// the answer to both is the same from then on, whatever it is.
    fn place_for(&mut self, address: usize) -> Option<Self::Place> {
        self.place(address)
    }
    /// How many bytes the block at a place has, used or not.
    fn room(&self, place: Self::Place) -> usize;
    /// A block's word.
    fn word(&self, place: Self::Place) -> u32;
    /// Set it. Where it is `ELSEWHERE`, only at a place that [`SideTable::place`] or
    /// [`SideTable::place_for`] has given.
    fn set_word(&mut self, place: Self::Place, word: u32);
    /// A block's second word. Only used where `room` is above `FINE`.
    fn second(&self, place: Self::Place) -> u32;
    /// Set it.
    fn set_second(&mut self, place: Self::Place, word: u32);
    /// Call `visit` with every place whose word is not 0.
    fn for_each(&self, visit: &mut dyn FnMut(Self::Place));
    /// Make all words 0 and give their memory back.
    fn wipe(&mut self);
    /// Bytes held, about.
    fn memory(&self) -> usize;
}

/// For hosts whose blocks have no numbers: all are found by address.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSideTable;

/// No place at all.
#[derive(Clone, Copy, Debug)]
pub enum Nowhere {}

impl SideTable for NoSideTable {
    type Place = Nowhere;

    fn place(&self, _address: usize) -> Option<Nowhere> {
        None
    }
    fn room(&self, place: Nowhere) -> usize {
        match place {}
    }
    fn word(&self, place: Nowhere) -> u32 {
        match place {}
    }
    fn set_word(&mut self, place: Nowhere, _word: u32) {
        match place {}
    }
    fn second(&self, place: Nowhere) -> u32 {
        match place {}
    }
    fn set_second(&mut self, place: Nowhere, _word: u32) {
        match place {}
    }
    fn for_each(&self, _visit: &mut dyn FnMut(Nowhere)) {}
    fn wipe(&mut self) {}
    fn memory(&self) -> usize {
        0
    }
}

/// The word for a block with `room` bytes of which `size` were asked for;
/// nothing if it does not fit.
#[inline(always)]
pub(crate) fn pack(owner: OwnerId, size: usize, room: usize) -> Option<u32> {
    let slack = if room > FINE {
        0
    } else {
        room.wrapping_sub(size)
    };
    // All ones would be ELSEWHERE.
    let fits = slack <= MOST_SLACK && owner.0 < MOST_OWNERS && size <= room;
    fits.then_some(owner.0 << SLACK_BITS | slack as u32)
}

impl OwnerId {
    /// Has a word room for the owner? No for what is no owner.
    #[inline]
    pub fn fits_word(self) -> bool {
        self.0.wrapping_sub(1) < MOST_OWNERS - 1
    }
}

/// As [`pack`], for an owner that fits and a block that is at most [`FINE`] and by
/// `slack` larger than what was asked for.
#[inline(always)]
pub(crate) fn pack_fine(owner: OwnerId, slack: usize) -> u32 {
    debug_assert!(slack <= MOST_SLACK && owner.fits_word());
    owner.0 << SLACK_BITS | slack as u32
}

/// The owner and the size in a word of a block with `room` bytes, at most
/// [`FINE`]; above that the size is `room`.
#[inline(always)]
pub(crate) fn unpack(word: u32, room: usize) -> (OwnerId, usize) {
    let slack = (word & MOST_SLACK as u32) as usize;
    debug_assert!(slack <= room);
    (OwnerId(word >> SLACK_BITS), room.wrapping_sub(slack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_comes_back() {
        for owner in [1, 2, MOST_OWNERS - 1].map(OwnerId) {
            for room in (16..=FINE).step_by(16) {
                for size in room - 15..=room {
                    let word = pack(owner, size, room).unwrap();
                    assert_eq!(pack_fine(owner, room - size), word);
                    assert!(word != UNKNOWN && word != ELSEWHERE);
                    assert_eq!(unpack(word, room), (owner, size));
                }
                assert_eq!(pack(owner, room - 16, room), None);
            }
            assert_eq!(pack(owner, 16, 32), None);
            assert_eq!(pack(owner, 33, 32), None);
            assert_eq!(
                unpack(pack(owner, 1030, 1280).unwrap(), 1280),
                (owner, 1280)
            );
        }
        assert_eq!(pack(OwnerId(MOST_OWNERS), 16, 16), None);
        for owner in [0, MOST_OWNERS, u32::MAX].map(OwnerId) {
            assert!(!owner.fits_word());
        }
    }
}
