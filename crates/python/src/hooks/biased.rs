//! The lock around the tracer's tables, biased towards whoever has the main GIL.
//!
//! Nearly every event comes from threads that a GIL keeps apart anyway. For them
//! even an uncontended lock would cost more than all the rest, so while the lock
//! is *biased* they only say that they are busy: two plain stores. Anybody else
//! first takes the bias away: he stores that, has every running thread of the
//! process pass a memory barrier (`membarrier`, so that the busy one need not
//! have any), and waits until nobody is busy. From then on all take the lock in
//! the ordinary way; after some turns of the favoured threads among themselves
//! it is biased again. Where the system has no `membarrier`, it never is.
//!
//! As long as it is biased there may be a *shortcut*: a pointer to what the favoured
//! threads nearly always want of the value. That it is there says that the lock is biased
//! and that what the value asks for (see [`Shortcut`]) holds, all in one comparison.
//!
//! As with `lock.rs`, nothing here allocates, and a fork handler may hold it.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering, compiler_fence};

use super::lock::{Lock, wait_until};

/// Turns that the favoured threads take in the ordinary way before the lock is
/// biased again: in sum about what it costs to take a bias away.
const TURNS: u32 = 1024;

/// What may have a shortcut.
pub trait Shortcut {
    /// What it leads to, which is part of the value and stays where it is.
    type To;

    /// The shortcut; null if there is none. It is asked for when the lock becomes biased,
    /// and the answer must hold as long as only favoured threads use the value.
    fn shortcut(&mut self) -> *mut Self::To;
}

/// A value that one thread at a time may use.
pub struct Biased<T: Shortcut> {
    lock: Lock<()>,
    is_biased: AtomicBool,
    /// A favoured thread uses the value without having taken the lock.
    is_busy: AtomicBool,
    /// Null unless the lock is biased.
    shortcut: AtomicPtr<T::To>,
    can_be_biased: AtomicBool,
    turns: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a guard. One that has taken the lock
// is alone: the lock lets only one exist, and with it taken and the bias gone
// nobody is busy. A favoured one is alone while the lock is biased, as the caller
// of `enter` vouches for the others like it.
unsafe impl<T: Shortcut + Send> Sync for Biased<T> {}

/// Access to the value; ends when dropped.
pub struct Guard<'a, T: Shortcut> {
    lock: &'a Biased<T>,
    is_favoured: bool,
}

/// Access to the value for a favoured thread; ends when dropped.
pub struct Busy<'a, T: Shortcut>(&'a Biased<T>);

impl<T: Shortcut> Biased<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> Self {
        Biased {
            lock: Lock::new(()),
            is_biased: AtomicBool::new(false),
            is_busy: AtomicBool::new(false),
            shortcut: AtomicPtr::new(ptr::null_mut()),
            can_be_biased: AtomicBool::new(false),
            turns: AtomicU32::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Let it be biased, where the system can take that away again.
    pub fn prepare(&self) {
        if !self.can_be_biased.load(Ordering::Relaxed) && barrier::prepare() {
            self.turns.store(TURNS, Ordering::Relaxed);
            self.can_be_biased.store(true, Ordering::Release);
        }
    }

    /// Wait for the value. Any thread.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        self.acquire();
        Guard {
            lock: self,
            is_favoured: false,
        }
    }

    /// The value, if it can be had without taking the lock.
    ///
    /// # Safety
    /// The caller is one of the favoured threads, which something else (the
    /// GIL) keeps from doing this at the same time, and does not have a guard.
    #[inline(always)]
    pub unsafe fn try_enter(&self) -> Option<Busy<'_, T>> {
        self.is_busy.store(true, Ordering::Relaxed);
        // Keeps the compiler from changing the order; the processor is kept from
        // it by whoever takes the bias away.
        compiler_fence(Ordering::SeqCst);
        if self.is_biased.load(Ordering::Acquire) {
            return Some(Busy(self));
        }
        self.is_busy.store(false, Ordering::Release);
        None
    }

    /// Where the shortcut leads, if there is one. It may be used while the guard lives.
    ///
    /// # Safety
    /// As for [`Biased::try_enter`].
    #[inline(always)]
    pub unsafe fn try_shortcut(&self) -> Option<(Busy<'_, T>, *mut T::To)> {
        self.is_busy.store(true, Ordering::Relaxed);
        // As in `try_enter`.
        compiler_fence(Ordering::SeqCst);
        let shortcut = self.shortcut.load(Ordering::Acquire);
        if !shortcut.is_null() {
            return Some((Busy(self), shortcut));
        }
        self.is_busy.store(false, Ordering::Release);
        None
    }

    /// Wait for the value.
    ///
    /// # Safety
    /// As for [`Biased::try_enter`].
    #[inline]
    pub unsafe fn enter(&self) -> Guard<'_, T> {
        // SAFETY: the caller's contract.
        match unsafe { self.try_enter() } {
            Some(busy) => {
                std::mem::forget(busy);
                Guard {
                    lock: self,
                    is_favoured: true,
                }
            }
            None => self.enter_unbiased(),
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_unbiased(&self) -> Guard<'_, T> {
        self.acquire();
        if self.can_be_biased.load(Ordering::Acquire) {
            let turns = self.turns.load(Ordering::Relaxed) + 1;
            self.turns.store(turns, Ordering::Relaxed);
            if turns > TURNS {
                // SAFETY: the lock is held, and no guard made yet.
                let shortcut = unsafe { (*self.value.get()).shortcut() };
                // Takes effect with the next turn of a favoured thread, for which
                // this one is over.
                self.shortcut.store(shortcut, Ordering::Release);
                self.is_biased.store(true, Ordering::Release);
            }
        }
        Guard {
            lock: self,
            is_favoured: false,
        }
    }

    /// Wait for the lock and keep it, without a guard.
    #[inline]
    pub fn acquire(&self) {
        self.lock.acquire();
        if self.is_biased.load(Ordering::Relaxed) {
            self.take_bias();
        }
    }

    /// Give back what [`Biased::acquire`] took.
    #[inline]
    pub fn release(&self) {
        self.lock.release();
    }

    #[cold]
    fn take_bias(&self) {
        self.is_biased.store(false, Ordering::SeqCst);
        self.shortcut.store(ptr::null_mut(), Ordering::SeqCst);
        self.turns.store(0, Ordering::Relaxed);
        // After it every thread either sees that the bias is gone, or its being
        // busy is seen here.
        barrier::pass();
        wait_until(|| !self.is_busy.load(Ordering::Acquire));
    }
}

mod barrier {
    //! A memory barrier in all threads of the process.

    use crate::hooks::lock::pause;
    use crate::process::Errno;

    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn membarrier(command: libc::c_int) -> bool {
        // Somebody above us may be about to read it.
        let _errno = Errno::keep();
        // SAFETY: touches no memory.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Whether the system can do it for this process.
    pub fn prepare() -> bool {
        membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED)
    }

    pub fn pass() {
        // In the child of a fork the process may have to be registered anew.
        if membarrier(PRIVATE_EXPEDITED) || prepare() {
            return;
        }
        // It worked before and does no more (a sandbox was entered, say). What a
        // processor has stored becomes visible by itself within microseconds.
        pause(10_000_000);
    }
}

impl<T: Shortcut> Busy<'_, T> {
    /// The value.
    #[inline(always)]
    pub fn value(&mut self) -> &mut T {
        // SAFETY: as long as a favoured thread is busy it is alone; the reference
        // lives no longer than this is borrowed.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T: Shortcut> Drop for Busy<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.is_busy.store(false, Ordering::Release);
    }
}

impl<T: Shortcut> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: a guard exists only while its holder is alone.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: Shortcut> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: Shortcut> Drop for Guard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.is_favoured {
            self.lock.is_busy.store(false, Ordering::Release);
        } else {
            self.lock.release();
        }
    }
}
