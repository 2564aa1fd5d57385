//! [`Allocator`]: a global allocator that can be watched.

use std::alloc::{GlobalAlloc, Layout, System};

use super::record;

/// A global allocator that passes everything on to `A`, and while
/// [tracing](super::start) tells the tracer.
///
/// While nobody traces, that costs one load and one branch for each call.
///
/// ```
/// use wrasse::tracemalloc;
///
/// #[global_allocator]
/// static ALLOCATOR: tracemalloc::Allocator = tracemalloc::Allocator::new();
///
/// tracemalloc::start(1);
/// let buffer = vec![0u8; 1000];
/// assert!(tracemalloc::get_traced_memory().0 >= buffer.len());
/// tracemalloc::stop();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator<A = System> {
    inner: A,
}

impl Allocator {
    /// A watched [`System`] allocator.
    pub const fn new() -> Self {
        Self::around(System)
    }
}

impl<A> Allocator<A> {
    /// Any allocator, watched.
    ///
    /// ```
    /// # use std::alloc::System;
    /// # use wrasse::tracemalloc::Allocator;
    /// static ALLOCATOR: Allocator<System> = Allocator::around(System);
    /// ```
    pub const fn around(inner: A) -> Self {
        Self { inner }
    }
}

// SAFETY: every call goes on to `inner` with the arguments of the caller, and its
// answer goes back; what is recorded meanwhile touches no block and does not unwind.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Allocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        let block = unsafe { self.inner.alloc(layout) };
        if record::is_tracing() {
            record::allocated(block, layout.size());
        }
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        if record::is_tracing() {
            record::allocated(block, layout.size());
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // Before: as soon as the block is free, another thread may get its address.
        if record::is_tracing() {
            record::releasing(block);
        }
        // SAFETY: the caller's contract.
        unsafe { self.inner.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !record::is_tracing() {
            // SAFETY: the caller's contract.
            return unsafe { self.inner.realloc(block, layout, size) };
        }
        let known = record::releasing_for_now(block);
        // SAFETY: the caller's contract.
        let moved = unsafe { self.inner.realloc(block, layout, size) };
        if moved.is_null() {
            record::restore(block, known);
        } else {
            record::allocated(moved, size);
        }
        moved
    }
}
