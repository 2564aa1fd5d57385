//! What becomes of pools that empty: which are kept, and for how long.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering;

use super::Heap;
use crate::pool::{Pool, Use};

/// No number of used blocks: a pool that need not be settled.
const NEVER: u32 = u32::MAX;

/// How long a kept pool may go unneeded, in seconds.
const PATIENCE: i64 = 1;

impl Heap {
    /// A pool has become empty, or has room again: puts it where it belongs.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn settle(&self, record: &Pool) {
        let address = ptr::from_ref(record).cast_mut();
        // SAFETY: the record's class is set while it is in use.
        unsafe {
            let bin = self.bins.get_unchecked(record.class.get() as usize);
            if record.usage.get() == Use::Full {
                record.usage.set(Use::Open);
                record.notify.set(0);
                let first = bin.first.get();
                bin.append(address, self.nothing);
                if first != self.nothing && (*first).notify.get() == NEVER {
                    // It is no longer the only one.
                    (*first).notify.set(0);
                    if (*first).used() == 0 {
                        self.settle(&*first);
                    }
                }
                return;
            }
            // The only open pool of its class stays: it may be in use again at
            // once, and then need not come here each time it is empty.
            if bin.first.get() == address && bin.last.get() == address {
                record.notify.set(NEVER);
                return;
            }
            bin.unlink(address, self.nothing);
            bin.set_count(bin.count() - 1);
            self.retire(address);
        }
    }

    /// Keeps an empty pool, and gives the one that was empty longest back if
    /// that makes too many.
    ///
    /// How many is too many follows what happens: each pool that has to get its
    /// memory anew shows that one more should have been kept, so a program that
    /// fills and empties the same memory again and again soon keeps it; what
    /// then goes unneeded for a while is given back, half at a time.
    unsafe fn retire(&self, record: *mut Pool) {
        // SAFETY: an empty pool on no list.
        unsafe {
            (*record).usage.set(Use::Kept);
            (*record).size.store(0, Ordering::Relaxed);
            self.kept.push(record, self.nothing);
            self.kept.set_count(self.kept() + 1);
            if self.kept() > self.keep.get() {
                self.give_oldest();
            }
            self.review();
        }
    }

    pub(super) unsafe fn unkeep(&self, record: *mut Pool) {
        // SAFETY: it is on the list of kept pools.
        unsafe { self.kept.unlink(record, self.nothing) };
        self.kept.set_count(self.kept() - 1);
    }

    unsafe fn give_oldest(&self) {
        let record = self.kept.last.get();
        if record != self.nothing {
            // SAFETY: the last of the list; it is empty.
            unsafe {
                self.unkeep(record);
                self.region().give_pool(record);
            }
        }
    }

    /// Gives back half of what has not been needed for some time.
    pub(super) unsafe fn review(&self) {
        let now = seconds();
        if now - self.since.get() <= PATIENCE {
            return;
        }
        let least = self.region().options().keep;
        let unneeded = self
            .fewest_kept
            .get()
            .min(self.kept())
            .saturating_sub(least);
        for _ in 0..unneeded.div_ceil(2) {
            // SAFETY: the caller's contract.
            unsafe { self.give_oldest() };
            self.keep.set(self.keep.get().saturating_sub(1).max(least));
        }
        self.fewest_kept.set(self.kept());
        self.since.set(now);
    }

    /// Gives all memory back that holds no block; no if there was none.
    ///
    /// # Safety
    /// The caller has the heap for itself.
    pub unsafe fn trim(&self) -> bool {
        let mut gave = false;
        // SAFETY: records on lists are this heap's.
        unsafe {
            self.collect_returned();
            for bin in &self.bins {
                // Only one that is alone on its list can be empty.
                let first = bin.first.get();
                if first != self.nothing && (*first).used() == 0 {
                    bin.unlink(first, self.nothing);
                    bin.set_count(bin.count() - 1);
                    self.region().give_pool(first);
                    gave = true;
                }
            }
            while self.kept() > 0 {
                self.give_oldest();
                gave = true;
            }
        }
        self.keep.set(self.region().options().keep);
        gave
    }

    /// As [`Heap::trim`], and keeps no more than it must from now on: for a heap
    /// that may not be used again.
    ///
    /// # Safety
    /// The caller has the heap for itself.
    pub unsafe fn retire_all(&self) {
        // SAFETY: the caller's contract.
        unsafe { self.trim() };
        self.keep.set(0);
    }
}

/// Seconds of a clock that only goes forward.
fn seconds() -> i64 {
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: a place for the answer, which is valid as zeros too.
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, now.as_mut_ptr());
        now.assume_init().tv_sec
    }
}
