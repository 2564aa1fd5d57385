//! A lock for what is shared and rarely used: one atomic exchange, no memory,
//! and usable across a `fork`.

use std::hint;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::reserve::keeping_errno;

/// Held by one thread at a time.
#[derive(Default)]
pub struct Lock(AtomicBool);

/// Gives the lock back when dropped.
pub struct Held<'a>(&'a Lock);

impl Lock {
    /// Waits for the lock.
    pub fn hold(&self) -> Held<'_> {
        self.acquire();
        Held(self)
    }

    /// Waits for the lock and keeps it, without a guard.
    pub fn acquire(&self) {
        if self.0.swap(true, Ordering::Acquire) {
            keeping_errno(|| self.wait());
        }
    }

    #[cold]
    fn wait(&self) {
        let mut rounds = 0u32;
        while self.0.swap(true, Ordering::Acquire) {
            rounds = rounds.saturating_add(1);
            if rounds < 50 {
                hint::spin_loop();
            } else if rounds < 200 {
                // SAFETY: takes no arguments and touches no memory of ours.
                unsafe { libc::sched_yield() };
            } else {
                // The holder may be a thread that this one, by its priority,
                // keeps from running: yielding would never let it go on.
                let pause = libc::timespec {
                    tv_sec: 0,
                    tv_nsec: 50_000,
                };
                // SAFETY: `pause` is valid; no remainder is asked for.
                unsafe { libc::nanosleep(&pause, std::ptr::null_mut()) };
            }
        }
    }

    /// Gives back what [`Lock::acquire`] took.
    pub fn release(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}
