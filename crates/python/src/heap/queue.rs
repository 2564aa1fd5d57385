//! A short queue between finding an object and needing it, while its memory is on
//! the way.

use std::ptr;

use pyo3_ffi::PyObject;

/// A queue of at most `N`: what does not fit any more pushes out what has waited
/// longest.
pub struct Queue<const N: usize> {
    slots: [*mut PyObject; N],
    first: usize,
    length: usize,
}

impl<const N: usize> Queue<N> {
    /// An empty one.
    pub const fn new() -> Self {
        assert!(N.is_power_of_two());
        Self {
            slots: [ptr::null_mut(); N],
            first: 0,
            length: 0,
        }
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Puts `object` in; takes out the first if there is no room.
    #[inline]
    pub fn pass(&mut self, object: *mut PyObject) -> Option<*mut PyObject> {
        if self.length == N {
            let oldest = std::mem::replace(&mut self.slots[self.first % N], object);
            self.first = (self.first + 1) % N;
            return Some(oldest);
        }
        self.slots[(self.first + self.length) % N] = object;
        self.length += 1;
        None
    }

    /// Takes out the first.
    #[inline]
    pub fn take(&mut self) -> Option<*mut PyObject> {
        if self.length == 0 {
            return None;
        }
        let oldest = self.slots[self.first % N];
        self.first = (self.first + 1) % N;
        self.length -= 1;
        Some(oldest)
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
