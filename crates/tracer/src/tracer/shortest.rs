//! The shortest ways: for blocks whose word in the side table says all.
//!
//! The quick ones look at everything before they change anything, and call nothing:
//! where they do not apply they answer no, and the caller goes the ordinary way from
//! the beginning. So whoever inlines them needs few registers and no stack.

use super::{LEADER, Tracer};
use crate::owner::OwnerId;
use crate::side_table::{self, ELSEWHERE, SideTable, UNKNOWN};
use crate::view::ViewSet;

impl<S: SideTable> Tracer<S> {
    /// As [`Tracer::record_for`], for the common case that takes the fewest steps:
    /// nothing is known at the block's place, and all fits in its word. No, and
    /// nothing is done, otherwise.
    #[inline(always)]
    pub fn record_at(
        &mut self,
        place: S::Place,
        address: usize,
        size: usize,
        owner: OwnerId,
    ) -> bool {
        let room = self.side.room(place);
        let Some(word) = side_table::pack(owner, size, room) else {
            return false;
        };
        if self.side.word(place) != UNKNOWN || owner == OwnerId::NOBODY {
            return false;
        }
        self.side.set_word(place, word);
        if room > side_table::FINE {
            self.side.set_second(place, size as u32);
        }
        self.count(owner, size);
        self.recent.push(address);
        true
    }

    /// Can [`Tracer::release_at`] release this block?
    #[inline(always)]
    pub fn is_at(&self, place: S::Place) -> bool {
        self.side.word(place) != ELSEWHERE
    }

    /// As [`Tracer::release`], for the common case: all that is known of the block
    /// is in its word. No, and nothing is done, otherwise.
    #[inline(always)]
    pub fn release_at(&mut self, place: S::Place, address: usize) -> bool {
        let is_temporary = self.recent.contains(address);
        self.end_at(place, is_temporary)
    }

    /// As [`Tracer::moving`], for the common case.
    #[inline(always)]
    pub fn moving_at(&mut self, place: S::Place) -> bool {
        self.end_at(place, false)
    }

    #[inline(always)]
    fn end_at(&mut self, place: S::Place, is_temporary: bool) -> bool {
        let word = self.side.word(place);
        if word == UNKNOWN {
            return true;
        }
        if word == ELSEWHERE {
            return false;
        }
        let block = self.read(place, word);
        self.erase(place, UNKNOWN);
        self.discount(block.owner, block.size, is_temporary);
        true
    }

    /// May [`Tracer::record_quickly`] and [`Tracer::release_quickly`] be asked? Changes
    /// with [`Tracer::set_temporary`], and when views start and stop.
    pub fn can_be_quick(&self) -> bool {
        self.recent.is_plain() && self.active == ViewSet::only(self.leader)
    }

    /// As [`Tracer::record_at`], for a block that is by `slack` larger than `size`, or by
    /// as much as it likes where `size` is above [`side_table::FINE`] and `slack` 0. The
    /// owner is of this epoch, and [`OwnerId::fits_word`].
    #[inline(always)]
    pub fn record_quickly(
        &mut self,
        place: S::Place,
        address: usize,
        size: usize,
        slack: usize,
        owner: OwnerId,
    ) -> bool {
        debug_assert!(match size > side_table::FINE {
            true => slack == 0 && self.side.room(place) > side_table::FINE,
            false => self.side.room(place) == size + slack,
        });
        #[cfg(debug_assertions)]
        debug_assert!(self.can_be_quick() && self.owners.is_current(owner, self.active));
        let word = side_table::pack_fine(owner, slack);
        if self.side.word(place) != UNKNOWN {
            return false;
        }
        // The one view that records is the leader.
        let counters = &mut self.counters[LEADER];
        if !self.owners.add_quickly(owner, size, counters) {
            return false;
        }
        self.side.set_word(place, word);
        if size > side_table::FINE {
            self.side.set_second(place, size as u32);
        }
        self.recent.set_last(address);
        true
    }

    /// As [`Tracer::release_at`], for a block of which something is known, and whose owner
    /// is of this epoch.
    #[inline(always)]
    pub fn release_quickly(&mut self, place: S::Place, address: usize) -> bool {
        let word = self.side.word(place);
        if word == UNKNOWN || word == ELSEWHERE {
            return false;
        }
        let side = &mut self.side;
        let room = side.room(place);
        let (owner, size) = side_table::unpack(word, room);
        let size = || match room > side_table::FINE {
            false => size,
            true => {
                let size = side.second(place) as usize;
                side.set_second(place, 0);
                size
            }
        };
        let is_temporary = self.recent.is_last(address);
        let Some(size) = self.owners.subtract_quickly(owner, size, is_temporary) else {
            return false;
        };
        self.side.set_word(place, UNKNOWN);
        self.counters[LEADER].subtract(size);
        true
    }
}
