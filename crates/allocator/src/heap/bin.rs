//! Lists of pools, linked through their records.

use std::cell::Cell;

use crate::pool::Pool;

/// The open pools of one class, in the order of their use.
pub(super) struct Bin {
    pub first: Cell<*mut Pool>,
    pub last: Cell<*mut Pool>,
    /// Pools of the class, open or full.
    pub count: Cell<usize>,
}

impl Bin {
    pub unsafe fn push(&self, record: *mut Pool, nothing: *mut Pool) {
        let first = self.first.get();
        // SAFETY: `record` is on no list.
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

    pub unsafe fn append(&self, record: *mut Pool, nothing: *mut Pool) {
        let last = self.last.get();
        // SAFETY: `record` is on no list.
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

    pub unsafe fn unlink(&self, record: *mut Pool, nothing: *mut Pool) {
        // SAFETY: `record` is on this list.
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
