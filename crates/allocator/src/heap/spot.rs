//! A block together with its pool's record, found once for several uses: for
//! callers who keep tables beside the region.

use std::sync::atomic::Ordering;

use super::Heap;
use crate::pool::{self, Block, Pool};
use crate::region::heap_of;
use crate::size_class;

/// Where a block of the region is.
#[derive(Clone, Copy)]
pub struct Spot<'a> {
    record: &'a Pool,
    block: *mut Block,
}

impl Spot<'_> {
    /// The block.
    #[inline(always)]
    pub fn address(&self) -> *mut u8 {
        self.block.cast()
    }

    /// The size of the pool's blocks.
    #[inline(always)]
    pub fn size(&self) -> usize {
        self.record.size()
    }

    /// The word that is kept beside the block; all ones, and not to be written to,
    /// where none is.
    #[inline(always)]
    pub(crate) fn word(&self) -> *mut u32 {
        // A pool's memory is aligned to its size.
        let within = self.block as usize & (pool::SIZE - 1);
        let words = self.record.words.load(Ordering::Relaxed);
        words.wrapping_add(self.record.slot(within).into())
    }
}

impl Heap {
    /// Where a block is that is known to be the region's. Any thread.
    ///
    /// # Safety
    /// [`Heap::owns`] the address, and its block is in use as long as the answer.
    #[inline(always)]
    pub unsafe fn spot_of_owned(&self, address: *mut u8) -> Spot<'_> {
        // SAFETY: in the region, so it has a record.
        let record = unsafe { &*self.record_of(address) };
        Spot {
            record,
            block: address.cast(),
        }
    }

    /// The block that [`Heap::allocate_at_hand`] would hand out next; nothing where
    /// that would answer null.
    ///
    /// # Safety
    /// The caller has the heap for itself.
    #[inline(always)]
    pub unsafe fn spot_at_hand(&self, size: usize) -> Option<Spot<'_>> {
        let class = size_class::of_common_size(size)?;
        // SAFETY: the class is one; a bin always leads to a record.
        let record = unsafe { &*self.bins.get_unchecked(class).first.get() };
        let block = record.free.get();
        (!block.is_null()).then_some(Spot { record, block })
    }

    /// Hands out the block of [`Heap::spot_at_hand`].
    ///
    /// # Safety
    /// The caller has the heap for itself, and has done nothing with it since.
    #[inline(always)]
    pub unsafe fn hand_out_spot(&self, spot: Spot<'_>) -> *mut u8 {
        debug_assert_eq!(spot.record.free.get(), spot.block);
        // SAFETY: still the first free block of its record, by the caller's contract.
        unsafe { self.hand_out(spot.record, spot.block) }
    }

    /// As [`Heap::release_owned`], for a block whose spot is known.
    ///
    /// # Safety
    /// As for [`Heap::release_owned`]; the spot is of [`Heap::spot_of_owned`].
    #[inline(always)]
    pub unsafe fn release_spot(&self, spot: Spot<'_>) {
        // SAFETY: the caller's contract.
        unsafe {
            if heap_of(spot.record).cast_const() == std::ptr::from_ref(self) {
                self.take_back(spot.record, spot.block);
            } else {
                Heap::hand_back(spot.record, spot.block);
            }
        }
    }
}
