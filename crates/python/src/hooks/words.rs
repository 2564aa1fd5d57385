//! The side table of blocks that wrasse's allocator serves: the words that the
//! allocator keeps beside its region, as the tracer wants them.

use wrasse_allocator::heap::Spot;
use wrasse_allocator::words;
use wrasse_tracer::{FINE, SideTable};

use crate::small_objects;

// Blocks have two words where the tracer wants two, and what has none reads as what
// is somewhere else.
const _: () = assert!(words::FINE == FINE);

/// The words; none as long as there is no region.
#[derive(Default)]
pub struct Words(Option<words::Words>);

/// A block's words.
pub type Place = words::Place;

impl Words {
    /// Reserve the addresses, once there is a region. Without them blocks are
    /// found in the table by address, as those from elsewhere are.
    pub fn prepare(&mut self) {
        if self.0.is_none() {
            self.0 = small_objects::installed().and_then(words::Words::beside);
        }
    }

    /// Is there a table?
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// As [`SideTable::place`], for a block that was found already. Where its pool has no
    /// words yet, its word is the one of blocks that are elsewhere.
    ///
    /// # Safety
    /// There is a table, and the block is one of the allocator's, in use or about to be. It
    /// has `room` bytes, or more but not more than [`FINE`], or both are more than that.
    #[inline(always)]
    pub unsafe fn place_at(&self, spot: Spot<'_>, room: usize) -> Place {
        self.table().at(spot, room)
    }

    /// The table. Asked for by who has a [`Place`], or knows that there is one.
    #[inline(always)]
    fn table(&self) -> &words::Words {
        debug_assert!(self.is_there());
        // SAFETY: a place was made by a table, which stays once it is there (`prepare`);
        // without one there is the contract of `place_at`.
        unsafe { self.0.as_ref().unwrap_unchecked() }
    }

    /// As [`Words::table`].
    #[inline(always)]
    fn table_mut(&mut self) -> &mut words::Words {
        debug_assert!(self.is_there());
        // SAFETY: as in `table`.
        unsafe { self.0.as_mut().unwrap_unchecked() }
    }
}

impl SideTable for Words {
    type Place = Place;

    #[inline]
    fn place(&self, address: usize) -> Option<Place> {
        self.0.as_ref()?.place(address)
    }

    #[inline]
    fn place_for(&mut self, address: usize) -> Option<Place> {
        self.0.as_mut()?.place_for(address)
    }

    #[inline(always)]
    fn room(&self, place: Place) -> usize {
        place.room()
    }

    #[inline(always)]
    fn word(&self, place: Place) -> u32 {
        self.table().word(place)
    }

    #[inline(always)]
    fn set_word(&mut self, place: Place, word: u32) {
        // SAFETY: the tracer sets no word that says the block is elsewhere but where it
        // has asked for the place by address.
        unsafe { self.table_mut().set_word(place, word) };
    }

    #[inline(always)]
    fn second(&self, place: Place) -> u32 {
        // SAFETY: asked for where `room` is above FINE, and the word is known.
        unsafe { self.table().second(place) }
    }

    #[inline(always)]
    fn set_second(&mut self, place: Place, word: u32) {
        // SAFETY: as in `second`; or the place was asked for by address.
        unsafe { self.table_mut().set_second(place, word) };
    }

    fn for_each(&self, visit: &mut dyn FnMut(Place)) {
        if let Some(table) = &self.0 {
            table.for_each(visit);
        }
    }

    fn wipe(&mut self) {
        if let Some(table) = &mut self.0 {
            table.wipe();
        }
    }

    fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, words::Words::memory)
    }
}
