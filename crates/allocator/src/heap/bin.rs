//! Lists of pools, linked through their records.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pool::Pool;

/// The open pools of one class in the order of their use, or the kept ones. Every
/// pool of the list, and the list, are one heap's; the end of a list is `nothing`,
/// the same for all lists of the heap.
pub(super) struct Bin {
    pub first: Cell<*mut Pool>,
    pub last: Cell<*mut Pool>,
    /// Pools of the class, open or full; or pools kept. Read by others for
    /// statistics.
    count: AtomicUsize,
}

impl Bin {
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn set_count(&self, count: usize) {
        self.count.store(count, Ordering::Relaxed);
    }

    /// Makes a pool the first.
    ///
    /// # Safety
    /// The caller has the heap for itself; `record` is one of its pools and on no
    /// list.
    pub unsafe fn push(&self, record: *mut Pool, nothing: *mut Pool) {
        let first = self.first.get();
        // SAFETY: the caller's contract; what the list leads to is a record unless it
        // is `nothing`.
        unsafe {
            (*record).previous.set(nothing);
            (*record).next.set(first);
            if first == nothing {
                self.last.set(record);
            } else {
                (*first).previous.set(record);
            }
        }
        self.first.set(record);
    }

    /// Makes a pool the last.
    ///
    /// # Safety
    /// As for [`Bin::push`].
    pub unsafe fn append(&self, record: *mut Pool, nothing: *mut Pool) {
        let last = self.last.get();
        // SAFETY: the caller's contract; what the list leads to is a record unless it
        // is `nothing`.
        unsafe {
            (*record).next.set(nothing);
            (*record).previous.set(last);
            if last == nothing {
                self.first.set(record);
            } else {
                (*last).next.set(record);
            }
        }
        self.last.set(record);
    }

    /// Takes a pool off the list.
    ///
    /// # Safety
    /// The caller has the heap for itself; `record` is on this list.
    pub unsafe fn unlink(&self, record: *mut Pool, nothing: *mut Pool) {
        // SAFETY: the caller's contract, so its neighbours are records of this list or
        // `nothing`.
        unsafe {
            let (previous, next) = ((*record).previous.get(), (*record).next.get());
            if previous == nothing {
                self.first.set(next);
            } else {
                (*previous).next.set(next);
            }
            if next == nothing {
                self.last.set(previous);
            } else {
                (*next).previous.set(previous);
            }
        }
    }
}
