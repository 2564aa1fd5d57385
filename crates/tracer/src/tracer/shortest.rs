//! The shortest ways: for blocks whose word in the side table says all.

use super::Tracer;
use crate::owner::OwnerId;
use crate::side_table::{self, ELSEWHERE, SideTable, UNKNOWN};

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
}
