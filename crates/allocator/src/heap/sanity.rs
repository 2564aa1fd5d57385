//! Checks of every free list as it is used, behind the feature `sanity`.

use super::Heap;
use crate::pool::{self, Block, Pool};
use crate::reserve::corrupted;

impl Heap {
    /// A block that is about to be handed out must be as it was left.
    pub(super) unsafe fn check_free(&self, record: &Pool, block: *mut Block) {
        // SAFETY: only what was found to be a block of the record's own pool is read.
        unsafe {
            if !self.is_block(record, block) {
                corrupted("a free list leads to no block", block as usize);
            }
            if (*block).mark != pool::mark(block) {
                corrupted("a block was written to after its release", block as usize);
            }
            let next = (*block).next;
            if !next.is_null() && !self.is_block(record, next) {
                corrupted("a block was written to after its release", block as usize);
            }
        }
    }

    /// A block that is being released must be one and in use.
    pub(super) unsafe fn check_used(&self, record: &Pool, block: *mut Block) {
        // SAFETY: as above.
        unsafe {
            if !self.is_block(record, block) {
                corrupted("release of an address that is no block", block as usize);
            }
            if (*block).mark == pool::mark(block) {
                let mut free = record.free.get();
                while !free.is_null() {
                    if free == block {
                        corrupted("a block was released twice", block as usize);
                    }
                    if !self.is_block(record, free) {
                        corrupted("a free list leads to no block", free as usize);
                    }
                    free = (*free).next;
                }
            }
            if record.used() == 0 {
                corrupted("a block was released twice", block as usize);
            }
        }
    }

    fn is_block(&self, record: &Pool, block: *mut Block) -> bool {
        let size = record.size();
        let offset = (block as usize).wrapping_sub(self.region().memory_of(record) as usize);
        size > 0 && offset.is_multiple_of(size) && offset / size < record.opened.get() as usize
    }
}
