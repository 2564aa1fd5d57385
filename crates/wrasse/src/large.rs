//! Objects with a block of their own: big values, slices, unusual alignments.
//!
//! ```text
//!   block       | padding, so that the value is aligned |
//!   value - 48  | Prefix: heap, place in its registry, length of a slice |
//!   value - 16  | Header |
//!   value       | T ... |
//! ```

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;

use crate::header::{HEADER_SIZE, Object, value_of};
use crate::heap::Heap;

/// What stands in front of a large object's header.
#[repr(C)]
pub struct Prefix {
    /// The heap.
    pub heap: *const Heap,
    /// Which of the heap's registries of large objects holds it, and where.
    pub list: Cell<u32>,
    /// See `list`.
    pub index: Cell<usize>,
    /// Elements of a slice.
    pub length: usize,
}

const BEFORE: usize = HEADER_SIZE + size_of::<Prefix>();

/// The block for a value, and where in it the value begins.
fn block_for(value: Layout) -> (Layout, usize) {
    let header = Layout::from_size_align(BEFORE, 16).expect("a constant");
    header
        .extend(value)
        .expect("an object is too large for the address space")
}

/// A block for a value, with its prefix written and its header not.
pub fn allocate(value: Layout, prefix: Prefix) -> Object {
    let (layout, offset) = block_for(value);
    // SAFETY: the layout has at least the prefix in it; what is computed stays
    // in the block.
    unsafe {
        let Some(block) = NonNull::new(alloc(layout)) else {
            handle_alloc_error(layout)
        };
        let header: Object = block.add(offset - HEADER_SIZE).cast();
        prefix_of(header).write(prefix);
        header
    }
}

/// The prefix of a large object.
///
/// # Safety
/// `object` came from [`allocate`].
pub unsafe fn prefix_of(object: Object) -> NonNull<Prefix> {
    // SAFETY: the caller's contract.
    unsafe { object.cast::<Prefix>().sub(1) }
}

/// Gives the block of a large object back.
///
/// # Safety
/// `object` came from [`allocate`] with the layout `value`; nobody uses it.
pub unsafe fn free(object: Object, value: Layout) {
    let (layout, offset) = block_for(value);
    // SAFETY: the caller's contract.
    unsafe { dealloc(value_of(object).sub(offset).as_ptr(), layout) }
}
