//! A lock for what allocator hooks use; `biased.rs` builds on it.
//!
//! It is taken in those hooks, so it must not allocate, must be cheap when
//! nobody else wants it (one atomic exchange to take it, a plain store to give
//! it back), and must be usable in the child of a `fork`: [`Lock::acquire`] and
//! [`Lock::release`] let a fork handler hold it across the call, so that the
//! child finds whole tables and a lock that nobody who is gone still holds.

use std::cell::UnsafeCell;
use std::hint;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::process::Errno;

/// A value that one thread at a time may use.
pub struct Lock<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a guard, and the flag lets only
// one guard exist at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

/// Access to the value; gives the lock back when dropped.
pub struct Guard<'a, T> {
    lock: &'a Lock<T>,
}

impl<T> Lock<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> Self {
        Lock {
            taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Wait for the value.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        self.acquire();
        Guard { lock: self }
    }

    /// Wait for the lock and keep it, without a guard.
    #[inline]
    pub fn acquire(&self) {
        if self.taken.swap(true, Ordering::Acquire) {
            self.wait();
        }
    }

    /// Give back what [`Lock::acquire`] took.
    #[inline]
    pub fn release(&self) {
        self.taken.store(false, Ordering::Release);
    }

    #[cold]
    fn wait(&self) {
        wait_until(|| {
            !self.taken.load(Ordering::Relaxed) && !self.taken.swap(true, Ordering::Acquire)
        });
    }
}

/// Wait for something that another thread is about to do, without a lock.
#[cold]
pub fn wait_until(is_done: impl Fn() -> bool) {
    let mut rounds = 0u32;
    while !is_done() {
        rounds += 1;
        if rounds < 100 {
            hint::spin_loop();
        } else if rounds < 200 {
            // SAFETY: takes no arguments and touches no memory.
            unsafe { libc::sched_yield() };
        } else {
            // The holder is copying or growing a table: that takes a while.
            pause(50_000);
        }
    }
}

/// Sleep, for less than a second.
pub fn pause(nanoseconds: libc::c_long) {
    // A signal may end it early. Somebody above an allocator's hook may be about
    // to read the number.
    let _errno = Errno::keep();
    let pause = libc::timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    };
    // SAFETY: `pause` is valid; no remainder is asked for.
    unsafe { libc::nanosleep(&pause, std::ptr::null_mut()) };
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: a guard exists only while its holder has the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.release();
    }
}
