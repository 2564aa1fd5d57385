//! Blocks made larger or smaller, where they are or elsewhere.

use std::ptr;

use super::Heap;
use crate::size_class::{self, LARGEST};

impl Heap {
    /// The block at `address` with at least `size` bytes and the contents it
    /// had, perhaps elsewhere. `None` if it did not come from the region; null,
    /// with the block as it was, if there is no memory.
    ///
    /// # Safety
    /// As for [`Heap::release`]; the block is no longer used at `address` unless
    /// null or `address` itself is returned.
    #[inline]
    pub unsafe fn resize(&self, address: *mut u8, size: usize) -> Option<*mut u8> {
        if !self.owns(address) {
            // SAFETY: the caller's contract.
            return unsafe { self.resize_large(address, size) };
        }
        // SAFETY: the block is in use, so its record is complete; copies stay
        // within both blocks.
        unsafe {
            let old = (*self.record_of(address)).size();
            // Not worth moving for less than a quarter.
            if size <= old && size > old - old / 4 {
                return Some(address);
            }
            if size <= LARGEST && size_class::block_size(size_class::of_size_unchecked(size)) == old
            {
                return Some(address);
            }
            let moved = self.try_allocate(size);
            if moved.is_null() {
                if size <= old {
                    return Some(address);
                }
                return Some(self.or_refused(moved));
            }
            ptr::copy_nonoverlapping(address, moved, old.min(size));
            self.release_owned(address);
            Some(moved)
        }
    }

    #[cold]
    unsafe fn resize_large(&self, address: *mut u8, size: usize) -> Option<*mut u8> {
        let (large, limit) = (self.region().large(), self.region().limit());
        if size <= LARGEST {
            let old = large.size_of(address)?;
            // SAFETY: the caller's contract; both blocks have so many bytes.
            unsafe {
                let moved = self.try_allocate(size);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(address, moved, size.min(old));
                    large.release(limit, address);
                    return Some(moved);
                }
            }
        }
        // SAFETY: the caller's contract.
        unsafe {
            let mut moved = large.resize(limit, address, size)?;
            if moved.is_null() && self.trim() {
                moved = large.resize(limit, address, size)?;
            }
            Some(self.or_refused(moved))
        }
    }

    /// As [`Heap::allocate`], for who has a way out: nothing counts as refused.
    ///
    /// # Safety
    /// The caller has the heap for itself.
    #[inline]
    unsafe fn try_allocate(&self, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe {
            let block = self.allocate_at_hand(size);
            if block.is_null() {
                return self.look_for(size);
            }
            block
        }
    }
}
