//! What one thread at a time allocates from.
//!
//! For each size class a heap has a list of *open* pools, those with room. Blocks
//! come from the first; it leaves the list when it is full and joins the end when
//! one of its blocks comes back, so that by the time its turn comes it has many.
//! A pool whose last block is released is kept for any class, or given back to
//! the system when the heap keeps enough (see `heap/upkeep.rs`).
//!
//! A block that is released through another heap is pushed on its own heap's
//! queue, which that heap empties before it takes a new pool.

mod bin;
mod resize;
#[cfg(feature = "sanity")]
mod sanity;
mod spot;
mod upkeep;

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::pool::{self, Block, Pool, Use};
use crate::region::{Region, heap_of};
use crate::reserve::populate;
use crate::size_class::{self, CLASSES, LARGEST};
use bin::Bin;
pub use spot::Spot;

/// See the module. All methods but those that say so need the heap for
/// themselves: no other thread may be in one of them meanwhile.
#[repr(C)]
pub struct Heap {
    /// The region's, at hand.
    base: usize,
    length: usize,
    records: *mut Pool,
    region: *const Region,
    /// Stands for the first open pool where there is none.
    nothing: *mut Pool,
    bins: [Bin; CLASSES],
    /// Empty pools, latest first.
    kept: Bin,
    /// How many empty pools to keep before giving one back.
    keep: Cell<usize>,
    /// The fewest kept pools since `since`.
    fewest_kept: Cell<usize>,
    since: Cell<i64>,
    no_pool: Pool,
    /// Blocks that were released through other heaps.
    returned: AtomicPtr<Block>,
}

impl Heap {
    /// Makes a heap at `place`, which is zeroed.
    ///
    /// # Safety
    /// `place` is within the region's mapping and only used as this heap;
    /// the region does not move.
    pub(crate) unsafe fn write(place: *mut Heap, region: *const Region) {
        // SAFETY: the caller's contract. Zeroed memory is a valid heap but for
        // what is written here; a record of zeros has an empty free list.
        unsafe {
            let (base, length) = (*region).range();
            let nothing = &raw mut (*place).no_pool;
            (&raw mut (*place).base).write(base);
            (&raw mut (*place).length).write(length);
            (&raw mut (*place).records).write((*region).first_record());
            (&raw mut (*place).region).write(region);
            (&raw mut (*place).nothing).write(nothing);
            for class in 0..CLASSES {
                (*place).bins[class].first.set(nothing);
                (*place).bins[class].last.set(nothing);
            }
            (*place).kept.first.set(nothing);
            (*place).kept.last.set(nothing);
            (*place).keep.set((*region).options().keep);
        }
    }

    /// The region. Any thread.
    #[inline]
    pub fn region(&self) -> &Region {
        // SAFETY: the region outlives its heaps and does not move.
        unsafe { &*self.region }
    }

    /// Whether `address` is in a pool of the region. Any thread.
    #[inline(always)]
    pub fn owns(&self, address: *const u8) -> bool {
        (address as usize).wrapping_sub(self.base) < self.length
    }

    /// Whether a block that is in no pool surely is not a large one either. Any thread.
    #[inline(always)]
    pub fn is_foreign(&self, address: *const u8) -> bool {
        !self.owns(address) && !self.region().large().may_hold(address)
    }

    /// The size of a block that is known to be the region's. Any thread.
    ///
    /// # Safety
    /// [`Heap::owns`] the address, and its block is in use.
    #[inline(always)]
    pub unsafe fn size_of_owned(&self, address: *const u8) -> usize {
        // SAFETY: in the region, so it has a record, which is complete while a
        // block is in use.
        unsafe { (*self.record_of(address)).size() }
    }

    /// Empty pools kept. Any thread.
    pub fn kept(&self) -> usize {
        self.kept.count()
    }

    #[inline(always)]
    fn record_of(&self, address: *const u8) -> *mut Pool {
        let number = (address as usize).wrapping_sub(self.base) >> pool::SHIFT;
        self.records.wrapping_add(number)
    }

    /// A block of at least `size` bytes, aligned to 16; null if there is no
    /// memory or the limit forbids it. Where the limit leaves room for the block
    /// but not for a pool of such blocks, it is a large one, whatever its size.
    ///
    /// # Safety
    /// The caller has the heap for itself.
    #[inline(always)]
    pub unsafe fn allocate(&self, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe {
            let block = self.allocate_at_hand(size);
            if block.is_null() {
                return self.allocate_slow(size);
            }
            block
        }
    }

    /// A block that is at hand; null if one has to be looked for, as
    /// [`Heap::allocate`] does. For callers who want their own slow path.
    ///
    /// # Safety
    /// The caller has the heap for itself.
    #[inline(always)]
    pub unsafe fn allocate_at_hand(&self, size: usize) -> *mut u8 {
        let Some(class) = size_class::of_common_size(size) else {
            return ptr::null_mut();
        };
        // SAFETY: the class is one; a bin always leads to a record.
        unsafe {
            let record = &*self.bins.get_unchecked(class).first.get();
            let block = record.free.get();
            if block.is_null() {
                return ptr::null_mut();
            }
            self.hand_out(record, block)
        }
    }

    /// As [`Heap::allocate`], filled with zeros.
    ///
    /// # Safety
    /// The caller has the heap for itself.
    #[inline]
    pub unsafe fn allocate_zeroed(&self, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract; the block has `size` bytes.
        unsafe {
            if size > LARGEST {
                return self.or_refused(self.allocate_large(size, true));
            }
            let block = self.allocate(size);
            if !block.is_null() {
                block.write_bytes(0, size);
            }
            block
        }
    }

    /// Takes the first block off a record's free list.
    #[inline(always)]
    unsafe fn hand_out(&self, record: &Pool, block: *mut Block) -> *mut u8 {
        // SAFETY: `block` is free and the first of `record`'s list.
        unsafe {
            #[cfg(feature = "sanity")]
            self.check_free(record, block);
            record.free.set((*block).next);
            record.set_used(record.used() + 1);
            #[cfg(feature = "sanity")]
            (&raw mut (*block).mark).write(0);
        }
        block.cast()
    }

    /// Gives a block back; no if it did not come from the region.
    ///
    /// # Safety
    /// The caller has this heap for itself (the block may be another's), and
    /// nobody uses the block any more.
    #[inline(always)]
    pub unsafe fn release(&self, address: *mut u8) -> bool {
        if !self.owns(address) {
            // SAFETY: the caller's contract.
            return unsafe {
                self.region()
                    .large()
                    .release(self.region().limit(), address)
            };
        }
        // SAFETY: just compared.
        unsafe { self.release_owned(address) };
        true
    }

    /// As [`Heap::release`], for a block that is known to be the region's.
    ///
    /// # Safety
    /// As for [`Heap::release`], and [`Heap::owns`] the address.
    #[inline(always)]
    pub unsafe fn release_owned(&self, address: *mut u8) {
        // SAFETY: in the region, so it has a record, and the block has room for
        // the link.
        unsafe {
            let record = &*self.record_of(address);
            if heap_of(record).cast_const() == ptr::from_ref(self) {
                self.take_back(record, address.cast());
            } else {
                Heap::hand_back(record, address.cast());
            }
        }
    }

    /// Gives a block of the region back without having any heap: it goes on the
    /// queue of its own. Any thread. No if it did not come from the region.
    ///
    /// # Safety
    /// Nobody uses the block any more.
    pub unsafe fn release_from_outside(region: &Region, address: *mut u8) -> bool {
        // SAFETY: the caller's contract.
        unsafe {
            if !region.owns(address) {
                return region.large().release(region.limit(), address);
            }
            Heap::hand_back(region.record_of(address), address.cast());
        }
        true
    }

    /// Puts a block on its pool's free list.
    #[inline(always)]
    unsafe fn take_back(&self, record: &Pool, block: *mut Block) {
        // SAFETY: the block is `record`'s and nobody uses it any more.
        unsafe {
            #[cfg(feature = "sanity")]
            self.check_used(record, block);
            (&raw mut (*block).next).write(record.free.get());
            #[cfg(feature = "sanity")]
            (&raw mut (*block).mark).write(pool::mark(block));
            record.free.set(block);
            let used = record.used().wrapping_sub(1);
            record.set_used(used);
            if used == record.notify.get() {
                self.settle(record);
            }
        }
    }

    /// Queues a block for the heap it belongs to.
    #[cold]
    #[inline(never)]
    unsafe fn hand_back(record: &Pool, block: *mut Block) {
        let owner = heap_of(record);
        if owner.is_null() {
            #[cfg(feature = "sanity")]
            crate::reserve::corrupted("release of a block that is not in use", block as usize);
            #[cfg(not(feature = "sanity"))]
            return;
        }
        // SAFETY: a pool with a block in use keeps its heap, which lives as long
        // as the region; the block is nobody's until it is on the queue.
        unsafe {
            // The queue is only ever pushed to, or taken whole: an address that
            // comes back to its head between the two steps is no harm, because
            // the link is to whatever is the head then. `Release` makes the link,
            // and all that was done with the block before, come before its being
            // taken, which is an `Acquire`; later pushes continue the sequence
            // that it reads from, so they take nothing of that away.
            let queue = &(*owner).returned;
            let mut head = queue.load(Ordering::Relaxed);
            loop {
                (&raw mut (*block).next).write(head);
                match queue.compare_exchange_weak(head, block, Ordering::Release, Ordering::Relaxed)
                {
                    Ok(_) => return,
                    Err(now) => head = now,
                }
            }
        }
    }

    /// Takes back what other heaps released; no if there was nothing.
    unsafe fn collect_returned(&self) -> bool {
        if self.returned.load(Ordering::Relaxed).is_null() {
            return false;
        }
        let mut block = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
        while !block.is_null() {
            // SAFETY: queued blocks are this heap's, each once.
            unsafe {
                let next = (*block).next;
                self.take_back(&*self.record_of(block.cast()), block);
                block = next;
            }
        }
        true
    }

    #[cold]
    unsafe fn allocate_large(&self, size: usize, zeroed: bool) -> *mut u8 {
        let (large, limit) = (self.region().large(), self.region().limit());
        let mut block = large.allocate(limit, size, zeroed);
        // What is kept for later may be what is missing now.
        // SAFETY: the caller's contract.
        if block.is_null() && unsafe { self.trim() } {
            block = large.allocate(limit, size, zeroed);
        }
        if block.is_null() {
            block = large.allocate_in_need(limit, size, zeroed);
        }
        block
    }

    /// The answer to a request: if there is no block, it is a refusal. Asked for
    /// once a request, where nothing else is left to try.
    fn or_refused(&self, block: *mut u8) -> *mut u8 {
        if block.is_null() {
            self.region().limit().refuse();
        }
        block
    }

    #[cold]
    #[inline(never)]
    unsafe fn allocate_slow(&self, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        self.or_refused(unsafe { self.look_for(size) })
    }

    /// Finds a pool with a free block and hands it out, or makes a large block.
    #[cold]
    unsafe fn look_for(&self, size: usize) -> *mut u8 {
        let Some(class) = size_class::of_size(size) else {
            // SAFETY: the caller's contract.
            return unsafe { self.allocate_large(size, false) };
        };
        // SAFETY: the class is one; records and memory are the region's.
        unsafe {
            let bin = self.bins.get_unchecked(class);
            loop {
                let first = bin.first.get();
                if first != self.nothing {
                    let record = &*first;
                    let block = record.free.get();
                    if !block.is_null() {
                        return self.hand_out(record, block);
                    }
                    if !record.open(self.region().memory_of(first)) {
                        bin.unlink(first, self.nothing);
                        record.usage.set(Use::Full);
                        record.notify.set(u32::from(record.capacity.get()) - 1);
                    }
                    continue;
                }
                if self.collect_returned() {
                    continue;
                }
                let record = self.take_pool(bin.count() > 0);
                if record.is_null() {
                    // Pools that other classes keep open, though empty, may be
                    // what is missing.
                    if self.trim() {
                        continue;
                    }
                    if self.region().limit().get().is_none() {
                        return ptr::null_mut();
                    }
                    // There may be room for this block, if not for a pool.
                    return self.allocate_large(size, false);
                }
                (*record).assign(class);
                bin.push(record, self.nothing);
                bin.set_count(bin.count() + 1);
            }
        }
    }

    /// A kept pool, or one from the region; null if there is none. One that is
    /// likely to fill up gets its memory at once.
    unsafe fn take_pool(&self, fills_up: bool) -> *mut Pool {
        let record = self.kept.first.get();
        // SAFETY: records and memory are the region's.
        unsafe {
            if record != self.nothing {
                self.unkeep(record);
                self.fewest_kept
                    .set(self.fewest_kept.get().min(self.kept()));
                self.review();
                return record;
            }
            self.fewest_kept.set(0);
            let record = self.region().take_pool();
            if record.is_null() {
                return record;
            }
            (*record)
                .heap
                .store(ptr::from_ref(self).cast_mut(), Ordering::Relaxed);
            if (*record).was_decommitted.get() {
                // Keeping one more would have saved the system's work.
                self.keep.set(self.keep.get() + 1);
            }
            if fills_up {
                populate(self.region().memory_of(record), pool::SIZE);
            }
            record
        }
    }

    /// Calls `visit` with each block in use from this heap's pools, and its size.
    ///
    /// # Safety
    /// The caller has the heap for itself, and `visit` does not use it.
    pub unsafe fn for_each_live(&self, mut visit: impl FnMut(*mut u8, usize)) {
        // SAFETY: the caller's contract; records of this heap change through it only,
        // and of others nothing but the heap is read.
        unsafe {
            self.collect_returned();
            for record in self.region().records() {
                if heap_of(&*record).cast_const() == ptr::from_ref(self)
                    && matches!((*record).usage.get(), Use::Open | Use::Full)
                {
                    crate::live::blocks(&*record, self.region().memory_of(record), &mut visit);
                }
            }
        }
    }
}
