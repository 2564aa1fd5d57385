//! Pools: 64 KiB of blocks of one size, and the record of each, kept apart.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::heap::Heap;
use crate::size_class::{self, ALIGNMENT};

/// A pool's memory is aligned to its size.
pub const SIZE: usize = 1 << SHIFT;
/// An address shifted right by this, from the region's first pool, is a pool's number.
pub(crate) const SHIFT: u32 = 16;
/// The most blocks in a pool.
pub const MOST_BLOCKS: usize = SIZE / ALIGNMENT;

/// How much of a fresh pool is put on its free list at a time: what is not
/// needed is not touched.
const STRETCH: usize = 4096;

/// A free block: the first word leads to the next one.
#[repr(C)]
pub(crate) struct Block {
    pub next: *mut Block,
    #[cfg(feature = "sanity")]
    pub mark: usize,
}

/// A block's place among all blocks of a region, for tables beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockIndex {
    /// The pool.
    pub pool: u32,
    /// The block in it, below [`MOST_BLOCKS`]; without gaps.
    pub slot: u16,
}

impl BlockIndex {
    /// One number for both.
    #[inline]
    pub fn flat(self) -> usize {
        self.pool as usize * MOST_BLOCKS + self.slot as usize
    }
}

/// What a pool is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Use {
    /// No memory behind it; the region's. The first, because records begin as zeros.
    Unused,
    /// Empty, with memory; kept by a heap for any class.
    Kept,
    /// On its class's list: has free blocks, or room for them.
    Open,
    /// On no list: every block is in use.
    Full,
}

/// A pool's record. Written by the pool's heap only, but for `next` while the
/// region has it.
#[repr(C, align(64))]
pub(crate) struct Pool {
    /// Free blocks, last in first out.
    pub free: Cell<*mut Block>,
    /// Blocks in use. Read by others for statistics.
    pub used: AtomicU32,
    /// Falling to this number of used blocks changes what the pool is used for.
    pub notify: Cell<u32>,
    /// The heap that has the pool.
    pub heap: AtomicPtr<Heap>,
    /// Neighbours on the list it is on.
    pub next: Cell<*mut Pool>,
    pub previous: Cell<*mut Pool>,
    /// Turns an offset into a block number by multiplication.
    pub reciprocal: Cell<u32>,
    /// The blocks' size; 0 while it has no class.
    pub size: AtomicU32,
    pub capacity: Cell<u16>,
    /// Blocks that have been on the free list at all.
    pub opened: Cell<u16>,
    pub class: Cell<u8>,
    pub usage: Cell<Use>,
    /// It has had memory before and lost it.
    pub was_decommitted: Cell<bool>,
    /// A word for each block, kept by whoever keeps some beside the region (`words.rs`);
    /// leads to [`NOTHING`] from when the pool gets a class until they are there.
    pub words: AtomicPtr<u32>,
}

/// Words of blocks for which none are kept. Never written to.
static NOTHING: [u32; MOST_BLOCKS] = [u32::MAX; MOST_BLOCKS];

/// What the words of a pool lead to for which none are kept.
pub(crate) const fn nothing() -> *mut u32 {
    NOTHING.as_ptr().cast_mut()
}

const _: () = assert!(size_of::<Pool>() == 64);
const _: () = assert!(Use::Unused as u8 == 0);

impl Pool {
    #[inline(always)]
    pub fn used(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub fn set_used(&self, used: u32) {
        self.used.store(used, Ordering::Relaxed);
    }

    /// The blocks' size; 0 while it has no class.
    #[inline(always)]
    pub fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed) as usize
    }

    /// The place of the block that `within` bytes into the pool is in; `number`
    /// is the pool's.
    #[inline(always)]
    pub fn index(&self, number: usize, within: usize) -> BlockIndex {
        BlockIndex {
            pool: number as u32,
            slot: self.slot(within),
        }
    }

    /// Makes it a pool of `class` with nothing in use and nothing opened yet.
    pub fn assign(&self, class: usize) {
        let size = size_class::block_size(class);
        self.free.set(ptr::null_mut());
        self.set_used(0);
        self.notify.set(0);
        self.class.set(class as u8);
        self.reciprocal.set(reciprocal(size));
        self.size.store(size as u32, Ordering::Relaxed);
        self.capacity.set((SIZE / size) as u16);
        self.opened.set(0);
        self.words.store(nothing(), Ordering::Relaxed);
        self.usage.set(Use::Open);
    }

    /// Puts the next stretch of never used blocks on the empty free list; no if
    /// there are none left.
    ///
    /// # Safety
    /// `memory` is the pool's, with a class assigned; the caller has its heap.
    pub unsafe fn open(&self, memory: *mut u8) -> bool {
        let first = self.opened.get() as usize;
        let size = self.size();
        let count = (STRETCH / size)
            .max(1)
            .min(self.capacity.get() as usize - first);
        if count == 0 {
            return false;
        }
        let mut next = self.free.get();
        for slot in (first..first + count).rev() {
            // SAFETY: below the capacity, so within the pool's memory, and never
            // handed out before.
            unsafe {
                let block: *mut Block = memory.add(slot * size).cast();
                #[cfg(feature = "sanity")]
                (&raw mut (*block).mark).write(mark(block));
                (&raw mut (*block).next).write(next);
                next = block;
            }
        }
        self.free.set(next);
        self.opened.set((first + count) as u16);
        true
    }

    /// Whether a block begins `offset` bytes into the pool, which has a class: whether
    /// the size divides the offset, told by one multiplication (Lemire, Kaser and
    /// Kurz: Faster remainder by direct computation, 2019).
    #[inline(always)]
    pub fn begins_block(&self, offset: usize) -> bool {
        let reciprocal = self.reciprocal.get();
        (offset as u32).wrapping_mul(reciprocal) < reciprocal
    }

    /// The number of the block that `offset` bytes into the pool is in.
    #[inline]
    pub fn slot(&self, offset: usize) -> u16 {
        ((offset as u64 * u64::from(self.reciprocal.get())) >> 32) as u16
    }
}

/// `offset * reciprocal >> 32` is `offset / size` for every offset in a pool.
const fn reciprocal(size: usize) -> u32 {
    ((1u64 << 32).div_ceil(size as u64)) as u32
}

/// What the second word of a free block holds.
#[cfg(feature = "sanity")]
pub(crate) fn mark(block: *mut Block) -> usize {
    block as usize ^ 0x5afe_b10c_f4ee_b10c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplication_knows_where_blocks_begin() {
        // SAFETY: a record of zeros is a valid one.
        let pool: Pool = unsafe { std::mem::zeroed() };
        assert!(!pool.begins_block(0), "there are no blocks without a class");
        for class in 0..size_class::CLASSES {
            pool.assign(class);
            for offset in 0..SIZE {
                let begins = offset % pool.size() == 0;
                assert_eq!(pool.begins_block(offset), begins, "{offset} {class}");
            }
        }
    }

    #[test]
    fn multiplication_divides_every_offset() {
        for class in 0..size_class::CLASSES {
            let size = size_class::block_size(class);
            let factor = u64::from(reciprocal(size));
            for offset in 0..SIZE {
                assert_eq!(
                    (offset as u64 * factor) >> 32,
                    (offset / size) as u64,
                    "{offset} / {size}"
                );
            }
        }
    }
}
