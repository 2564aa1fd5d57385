//! What the tracer is told of objects.
//!
//! While tracing is on, no more than one block is at hand at a time, so each
//! allocation goes the slow way; and a heap with objects that the tracer knows
//! has [`TRACED`](super::state::TRACED) set, which each release looks at anyway,
//! together with the other reasons to go the slow way. So as long as nobody
//! traces, objects cost what they cost without a tracer.
//!
//! Objects are told apart by the addresses of their headers. What the heap
//! allocates for itself, and pages, are not traced: objects are. That holds for
//! collections too, but not for the finalizers, callbacks and destructors that
//! they run: what needs [`Quiet`] has it where no code of the program runs but
//! `Trace`.

use super::{HEAP, Heap, state};
use crate::header::{HEADER_SIZE, Object};
use crate::tracemalloc::record;

pub use record::{Quiet, is_tracing};

/// Tracing began or ended: the next allocation of this thread is to notice.
///
/// Other threads notice when they have nothing at hand any more.
pub fn tracing_changed() {
    // SAFETY: see `current`.
    if let Some(heap) = unsafe { HEAP.get().as_ref() } {
        heap.recall();
    }
}

impl Heap {
    /// A block was handed out for an object with a value of `size` bytes.
    #[cold]
    pub(super) fn trace(&self, object: Object, size: usize) {
        self.mark(state::TRACED);
        record::object_allocated(object.addr().get(), HEADER_SIZE + size);
    }

    /// The block of an object is about to be freed.
    #[cold]
    pub(super) fn untrace(&self, object: Object) {
        if is_tracing() {
            record::object_released(object.addr().get());
        } else {
            self.unmark(state::TRACED);
        }
    }
}
