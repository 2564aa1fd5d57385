//! The reserved range of addresses, its pools, and what its heaps share.
//!
//! ```text
//!   | heaps | pool records, 64 B each | pools, 64 KiB each |
//! ```
//!
//! Addresses are reserved once, at the largest size the system grants, and opened
//! for use in steps; memory comes behind them when a pool is first touched and
//! goes when a heap gives the pool back. The region's lock is held only to move a
//! pool or make a heap.
//!
//! All records can be read from the start, so that any address of the region has
//! one: a record whose pool was never taken is zeros, which say that nothing is
//! in use there. Only those of opened pools can be written.

use std::cell::Cell;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::heap::Heap;
use crate::large::Large;
use crate::limit::Limit;
use crate::lock::Lock;
use crate::pool::{self, BlockIndex, Pool, Use};
use crate::reserve::{decommit, fair_share, open, reserve_closed, show, unreserve};

/// The most heaps of a region.
pub const MOST_HEAPS: usize = 1024;

const GIB: usize = 1 << 30;
/// Smaller than this a region is of no use.
const SMALLEST: usize = 1 << 24;
const PAGE: usize = 4096;
/// So many pools are opened at a time, with their records: 16 MiB of addresses,
/// or 4 where that is too much. Whole pages of records, either way.
const STEPS: [usize; 2] = [256, 64];

/// How a region is made and how it treats its memory.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of addresses to ask for; less is taken where there is less.
    pub reserve: usize,
    /// Empty pools that a heap keeps at least before it gives one back.
    pub keep: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            reserve: 64 * GIB,
            keep: 64,
        }
    }
}

/// The system grants no addresses for a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the system grants no addresses for a memory region")
    }
}

impl std::error::Error for Unavailable {}

/// See the module.
pub struct Region {
    /// Address of the first pool.
    base: usize,
    /// Bytes of pools.
    length: usize,
    records: *mut Pool,
    heaps: *mut Heap,
    heaps_made: AtomicUsize,
    mapping: (*mut u8, usize),
    lock: Lock,
    /// Pools without memory, given back. Under the lock.
    unused: Cell<*mut Pool>,
    /// Pools that were ever taken: those below. Changed under the lock.
    taken: AtomicUsize,
    /// Pools whose addresses can be used. Under the lock.
    opened: Cell<usize>,
    /// Pools with memory.
    committed: AtomicUsize,
    /// Pools that were given back, in all.
    given_back: AtomicUsize,
    limit: Limit,
    large: Large,
    options: Options,
    _stays: PhantomPinned,
}

// SAFETY: cells and lists are used under the lock; the rest is atomic or fixed.
unsafe impl Sync for Region {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Region {}

impl Region {
    /// Reserves a region.
    ///
    /// # Errors
    /// [`Unavailable`] if not even a small one can be had.
    pub fn reserve(options: Options) -> Result<Pin<Box<Self>>, Unavailable> {
        let heaps = (MOST_HEAPS * size_of::<Heap>()).next_multiple_of(pool::SIZE);
        let mut length = options.reserve.min(fair_share()) & !(pool::SIZE - 1);
        while length >= SMALLEST.min(options.reserve) && length > 0 {
            let count = length >> pool::SHIFT;
            let records = (count * size_of::<Pool>()).next_multiple_of(pool::SIZE);
            // The mapping may begin anywhere: one pool more, to align.
            let bytes = heaps + records + length + pool::SIZE;
            let start = reserve_closed(bytes);
            let aligned = (start as usize).next_multiple_of(pool::SIZE);
            // SAFETY: the front of the mapping, and what follows it.
            let is_ready = |start: usize| unsafe {
                open(start as *mut u8, heaps) && show((start + heaps) as *mut u8, records)
            };
            if !start.is_null() && !is_ready(aligned) {
                // SAFETY: just mapped, not used.
                unsafe { unreserve(start, bytes) };
            } else if !start.is_null() {
                let at = |offset: usize| aligned.wrapping_add(offset);
                let region = Region {
                    base: at(heaps + records),
                    length,
                    records: at(heaps) as *mut Pool,
                    heaps: aligned as *mut Heap,
                    heaps_made: AtomicUsize::new(0),
                    mapping: (start, bytes),
                    lock: Lock::default(),
                    unused: Cell::new(ptr::null_mut()),
                    taken: AtomicUsize::new(0),
                    opened: Cell::new(0),
                    committed: AtomicUsize::new(0),
                    given_back: AtomicUsize::new(0),
                    limit: Limit::default(),
                    large: Large::default(),
                    options,
                    _stays: PhantomPinned,
                };
                return Ok(Box::pin(region));
            }
            length = (length / 4) & !(pool::SIZE - 1);
        }
        Err(Unavailable)
    }

    /// Makes one more heap; `None` once there are [`MOST_HEAPS`].
    ///
    /// It lives as long as the region.
    pub fn heap(self: Pin<&Self>) -> Option<&Heap> {
        let _held = self.lock.hold();
        let number = self.heaps_made.load(Ordering::Relaxed);
        if number >= MOST_HEAPS {
            return None;
        }
        // SAFETY: there is reserved room for so many, and this one is new.
        let heap = unsafe {
            let place = self.heaps.add(number);
            Heap::write(place, &raw const *self);
            &*place
        };
        self.heaps_made.store(number + 1, Ordering::Release);
        Some(heap)
    }

    /// The heaps made so far.
    pub fn heaps(&self) -> impl Iterator<Item = &Heap> {
        let made = self.heaps_made.load(Ordering::Acquire);
        // SAFETY: the first `made` are written and stay.
        (0..made).map(|number| unsafe { &*self.heaps.add(number) })
    }

    /// Address of the first pool, and bytes of pools.
    #[inline]
    pub fn range(&self) -> (usize, usize) {
        (self.base, self.length)
    }

    /// Whether `address` is in one of the region's pools.
    #[inline]
    pub fn owns(&self, address: *const u8) -> bool {
        (address as usize).wrapping_sub(self.base) < self.length
    }

    /// The pool that `address` is in: its number and its record; and how far into
    /// the pool the address is.
    ///
    /// # Safety
    /// The region owns the address.
    #[inline(always)]
    unsafe fn locate(&self, address: usize) -> (usize, &Pool, usize) {
        let offset = address.wrapping_sub(self.base);
        debug_assert!(offset < self.length);
        let number = offset >> pool::SHIFT;
        // SAFETY: in the region, so it has a record. Every record can be read; one
        // never taken is zeros, which are a valid record.
        let record = unsafe { &*self.records.add(number) };
        (number, record, offset & (pool::SIZE - 1))
    }

    /// The place of the block that `address` points into.
    ///
    /// # Safety
    /// `address` is in a block of a pool that is in use and stays so meanwhile.
    #[inline]
    pub unsafe fn index_of(&self, address: *const u8) -> BlockIndex {
        // SAFETY: pools in use are the region's.
        let (number, record, within) = unsafe { self.locate(address as usize) };
        record.index(number, within)
    }

    /// The place and the size of the block that begins at `address`, if the
    /// address is in a pool and where a block begins. Any thread; the answer
    /// means something while the block is in use.
    #[inline(always)]
    pub fn block_at(&self, address: *const u8) -> Option<(BlockIndex, usize)> {
        if !self.owns(address) {
            return None;
        }
        // SAFETY: just compared.
        let (number, record, within) = unsafe { self.locate(address as usize) };
        let index = record.index(number, within);
        let size = record.size();
        (size != 0 && index.slot as usize * size == within).then_some((index, size))
    }

    /// Whether a block begins `offset` bytes behind the first pool, as
    /// [`Region::block_at`] would find, for an offset within a block in use. Any thread.
    ///
    /// # Safety
    /// The offset is below the second number of [`Region::range`].
    #[inline(always)]
    pub unsafe fn begins_block(&self, offset: usize) -> bool {
        // SAFETY: the caller's contract.
        let (_, record, within) = unsafe { self.locate(self.base.wrapping_add(offset)) };
        record.begins_block(within)
    }

    /// Bytes of pools that were ever taken, from the first on: no block in use is
    /// beyond. Any thread.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire) << pool::SHIFT
    }

    /// The size of the block that `address` points to: at least what was asked
    /// for; 0 if the address is not in use.
    pub fn size_of(&self, address: *const u8) -> usize {
        if !self.owns(address) {
            return self.large.size_of(address).unwrap_or(0);
        }
        // SAFETY: just compared.
        let (_, record, _) = unsafe { self.locate(address as usize) };
        if record.used() == 0 { 0 } else { record.size() }
    }

    /// The limit on pools and large blocks together.
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// The blocks above [`crate::size_class::LARGEST`].
    pub fn large(&self) -> &Large {
        &self.large
    }

    /// How it was made.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Bytes of pools that have memory behind them, if only for one block.
    pub fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed) * pool::SIZE
    }

    /// Bytes of pools that were given back to the system since the start.
    pub fn given_back(&self) -> usize {
        self.given_back.load(Ordering::Relaxed) * pool::SIZE
    }

    /// Holds every lock, for a `fork`, until [`Region::after_fork`].
    pub fn before_fork(&self) {
        self.lock.acquire();
        self.large.before_fork();
    }

    /// Gives the locks back, in the parent and in the child.
    pub fn after_fork(&self) {
        self.large.after_fork();
        self.lock.release();
    }

    /// The record of the pool that `address` is in.
    ///
    /// # Safety
    /// The region owns the address.
    pub(crate) unsafe fn record_of(&self, address: *const u8) -> &Pool {
        // SAFETY: the caller's contract.
        unsafe { self.locate(address as usize).1 }
    }

    /// No words are kept any more for the blocks of a pool that was taken once.
    pub(crate) fn forget_words(&self, number: usize) {
        debug_assert!(number < self.taken.load(Ordering::Relaxed));
        // SAFETY: its record can be written. Another thread that gives the pool a class
        // meanwhile stores the same.
        let record = unsafe { &*self.records.add(number) };
        record.words.store(pool::nothing(), Ordering::Relaxed);
    }

    pub(crate) fn first_record(&self) -> *mut Pool {
        self.records
    }

    /// The memory of a pool.
    #[inline]
    pub(crate) fn memory_of(&self, record: *const Pool) -> *mut u8 {
        // SAFETY: `record` is one of this region's.
        let number = unsafe { record.offset_from(self.records) } as usize;
        (self.base + (number << pool::SHIFT)) as *mut u8
    }

    /// The records of all pools that were ever taken.
    pub(crate) fn records(&self) -> impl Iterator<Item = *mut Pool> {
        let taken = self.taken.load(Ordering::Acquire);
        let records = self.records;
        (0..taken).map(move |number| records.wrapping_add(number))
    }

    /// Takes a pool for a heap; null if there is none or the limit forbids it.
    pub(crate) fn take_pool(&self) -> *mut Pool {
        if !self.limit.take(pool::SIZE) {
            return ptr::null_mut();
        }
        let _held = self.lock.hold();
        let mut record = self.unused.get();
        if record.is_null() {
            let number = self.taken.load(Ordering::Relaxed);
            if number == self.opened.get() && !self.open_more() {
                self.limit.give(pool::SIZE);
                return ptr::null_mut();
            }
            record = self.records.wrapping_add(number);
            self.taken.store(number + 1, Ordering::Release);
        } else {
            // SAFETY: on the list of unused pools, under the lock.
            unsafe { self.unused.set((*record).next.get()) };
        }
        self.committed.fetch_add(1, Ordering::Relaxed);
        self.limit.confirm();
        record
    }

    /// Opens the next step of pools; no if the region is full, or the system has
    /// no more to give. Under the lock.
    #[cold]
    fn open_more(&self) -> bool {
        let opened = self.opened.get();
        let left = (self.length >> pool::SHIFT) - opened;
        for count in STEPS.map(|step| step.min(left)) {
            let records = self.records.wrapping_add(opened);
            let pools = (self.base + (opened << pool::SHIFT)) as *mut u8;
            let record_bytes = (count * size_of::<Pool>()).next_multiple_of(PAGE);
            // SAFETY: pools of this region and their records, which nobody uses
            // yet; the room for records is whole pages.
            let is_open = count > 0
                && unsafe {
                    open(records.cast(), record_bytes) && open(pools, count << pool::SHIFT)
                };
            if is_open {
                self.opened.set(opened + count);
                return true;
            }
        }
        false
    }

    /// Takes an empty pool back, and its memory from it.
    ///
    /// # Safety
    /// `record` is a pool that nobody uses; the caller had it.
    pub(crate) unsafe fn give_pool(&self, record: *mut Pool) {
        // SAFETY: the caller's contract. The memory goes before anybody else can
        // take the pool.
        unsafe {
            decommit(self.memory_of(record), pool::SIZE);
            (*record).usage.set(Use::Unused);
            (*record).was_decommitted.set(true);
            (*record).size.store(0, Ordering::Relaxed);
            (*record).heap.store(ptr::null_mut(), Ordering::Relaxed);
            let _held = self.lock.hold();
            (*record).next.set(self.unused.get());
            self.unused.set(record);
        }
        self.committed.fetch_sub(1, Ordering::Relaxed);
        self.given_back.fetch_add(1, Ordering::Relaxed);
        self.limit.give(pool::SIZE);
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.large.clear();
        let (start, bytes) = self.mapping;
        // SAFETY: heaps borrow the region, so none is in use; blocks are the
        // business of whoever promised to give them back.
        unsafe { unreserve(start, bytes) };
    }
}

/// The heap pointer in a record, for comparison.
///
/// Whoever asks has a block of the pool, or is its heap: a pool changes its heap
/// only while it has no block in use, so the answer cannot change meanwhile, and
/// it was written before the block was handed out, which the caller's having the
/// block comes after. `Relaxed` therefore reads the right one.
#[inline(always)]
pub(crate) fn heap_of(record: &Pool) -> *mut Heap {
    AtomicPtr::load(&record.heap, Ordering::Relaxed)
}
