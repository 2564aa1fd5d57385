//! A short queue between finding an object and needing it, while its memory is on
//! the way.

use std::ptr;

use pyo3_ffi::PyObject;

/// A queue of at most `N`: what does not fit any more pushes out what has waited
/// longest.
pub struct Queue<const N: usize> {
    /// Null where nothing waits.
    slots: [*mut PyObject; N],
    /// Where the next one goes; if none is free, the oldest one is there.
    next: usize,
    waiting: usize,
}

impl<const N: usize> Queue<N> {
    /// An empty one.
    pub const fn new() -> Self {
        assert!(N.is_power_of_two());
        Self {
            slots: [ptr::null_mut(); N],
            next: 0,
            waiting: 0,
        }
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Puts `object` in, which is not null; takes out the first if there is no room.
    #[inline(always)]
    pub fn pass(&mut self, object: *mut PyObject) -> Option<*mut PyObject> {
        debug_assert!(!object.is_null());
        let oldest = std::mem::replace(&mut self.slots[self.next], object);
        self.next = (self.next + 1) % N;
        if oldest.is_null() {
            self.waiting += 1;
            return None;
        }
        Some(oldest)
    }

    /// Takes out the first.
    #[inline(always)]
    pub fn take(&mut self) -> Option<*mut PyObject> {
        if self.waiting == 0 {
            return None;
        }
        let place = self.next.wrapping_sub(self.waiting) % N;
        self.waiting -= 1;
        Some(std::mem::replace(&mut self.slots[place], ptr::null_mut()))
    }
}

/// Asks for the memory at `address`, whatever is there.
#[inline]
pub fn prefetch<T>(address: *const T) {
    // SAFETY: prefetching faults on no address; SSE is part of x86-64.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
