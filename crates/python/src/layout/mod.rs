//! What this extension knows about the inside of CPython, one file a version.
//!
//! Everything here is an offset in bytes into a struct that CPython does not
//! publish. Each number was read from the interpreter's own debug information;
//! none of them is trusted at run time before a self-check has confirmed it on
//! the running process: `probe.rs` the collector's, `heap/roots.rs` those that
//! marking reads of frames, `frame/check.rs` and `heap_graph/layout.rs` all that
//! the tracer and pictures of the heap read, `dict.rs`, `instance.rs`, `slots.rs` and
//! `fixed.rs` their own. The wheel is built per CPython version, so exactly one of the numbered
//! files is compiled in.

use std::ffi::{c_int, c_ulong, c_void};

use pyo3_ffi::{Py_TPFLAGS_HAVE_GC, Py_ssize_t, PyObject, PyTypeObject};

mod dict;
mod fixed;
mod instance;
mod slots;
mod told;
pub use dict::DICT;
pub use fixed::Fixed;
pub use instance::{INSTANCE, Values};
pub use slots::Slots;

#[cfg(not(Py_3_12))]
mod v311;
#[cfg(not(Py_3_12))]
pub use v311::{CODE_LOCALS, FRAME, FRAME_LOCALS, GC};

#[cfg(all(Py_3_12, not(Py_3_13)))]
mod v312;
#[cfg(all(Py_3_12, not(Py_3_13)))]
pub use v312::{CODE_LOCALS, FRAME, FRAME_LOCALS, GC};

#[cfg(Py_3_13)]
mod v313;
#[cfg(Py_3_13)]
pub use v313::{CODE_LOCALS, FRAME, FRAME_LOCALS, GC};

/// [`FrameLayout::owner`]: a generator, coroutine or asynchronous generator.
pub const OWNED_BY_GENERATOR: u8 = 1;
/// [`FrameLayout::owner`]: C code, so that the frame is no Python function's. No
/// frame of a 3.11 has it.
pub const OWNED_BY_C_STACK: u8 = 3;
/// `PyFrameObject`: its `_PyInterpreterFrame`.
pub const FRAME_OF_OBJECT: usize = 24;
/// `Py_TPFLAGS_INLINE_VALUES`: values of attributes stand behind the object (3.13).
pub const INLINE_VALUES: c_ulong = 1 << 2;

/// Reads a field.
///
/// # Safety
/// There is a live `T` at `base + offset`.
#[inline]
pub unsafe fn load<T: Copy>(base: *const u8, offset: usize) -> T {
    // SAFETY: the caller's contract.
    unsafe { base.add(offset).cast::<T>().read() }
}

/// Bytes in front of an object of type `kind` in its block: the collector's link, and
/// two words for its dict and values or weak references, if it has them.
///
/// # Safety
/// `kind` is a live type.
#[inline]
pub unsafe fn before(kind: *mut PyTypeObject) -> usize {
    // `Py_TPFLAGS_MANAGED_DICT`, and `Py_TPFLAGS_MANAGED_WEAKREF` where there is one.
    const MANAGED: c_ulong = if cfg!(Py_3_12) { 0b11 << 3 } else { 1 << 4 };
    // SAFETY: the caller's contract.
    let flags = unsafe { (*kind).tp_flags };
    let has_link = usize::from(flags & Py_TPFLAGS_HAVE_GC != 0);
    let has_words = usize::from(flags & MANAGED != 0);
    has_link * size_of::<GcHead>() + has_words * 2 * size_of::<usize>()
}

/// Where an interpreter keeps its collector.
pub struct GcLayout {
    /// Offset of the collector's state inside `PyInterpreterState`.
    pub state_in_interpreter: usize,
}

/// How to walk a thread's Python frames without calling into CPython.
pub struct FrameLayout {
    /// `PyThreadState`: where the current frame, or the C frame that holds it, is.
    pub thread_current: usize,
    /// `Some(offset)` where `thread_current` leads to a `_PyCFrame` (3.11, 3.12)
    /// whose field at `offset` is the current frame; `None` where it is the frame.
    pub cframe_current: Option<usize>,
    /// `_PyInterpreterFrame`: the code object (3.13: any executable).
    pub code: usize,
    /// `_PyInterpreterFrame`: the caller's frame.
    pub previous: usize,
    /// `_PyInterpreterFrame`: the instruction pointer.
    pub instruction: usize,
    /// `_PyInterpreterFrame`: one byte, who owns the frame.
    pub owner: usize,
}

/// Where a frame keeps its variables.
pub struct FrameLocals {
    /// `_PyInterpreterFrame`: an `int`, the values of the stack that are saved, local
    /// variables included, or -1 while the frame runs.
    pub stacktop: usize,
    /// `_PyInterpreterFrame`: the mapping of a class body's or module's names; often
    /// null.
    pub mapping: usize,
    /// `_PyInterpreterFrame`: local variables, then the stack.
    pub values: usize,
}

/// What a code object (a public struct) says of its local variables.
pub struct CodeLocals {
    /// Their number, cells included.
    pub count: usize,
    /// The tuple of their names.
    pub names: usize,
}

/// `struct _gc_runtime_state`, byte for byte alike in 3.11, 3.12 and 3.13.
#[repr(C)]
pub struct GcState {
    trash_delete_later: *mut c_void,
    trash_delete_nesting: c_int,
    /// The flag behind `gc.enable()`; CPython's trigger reads it.
    pub enabled: c_int,
    /// The flags of `gc.set_debug()`.
    pub debug: c_int,
    /// Youngest first; objects stay on these lists between collections.
    pub generations: [GcGeneration; 3],
    /// Always `&generations[0].head`.
    pub generation0: *mut GcHead,
    /// What `gc.freeze()` set aside, and (3.12, 3.13) immortal objects.
    pub permanent: GcGeneration,
    /// Totals of CPython's own collections.
    pub stats: [StockStats; 3],
    /// Nonzero while a collection runs; nobody starts a second one then.
    pub collecting: c_int,
    /// The list `gc.garbage`.
    pub garbage: *mut PyObject,
    /// The list whose members CPython calls around its collections.
    pub callbacks: *mut PyObject,
    /// Survivors of the last full collection.
    pub long_lived_total: Py_ssize_t,
    /// Objects that reached the oldest generation since.
    pub long_lived_pending: Py_ssize_t,
}

/// One generation: the head of its list, its threshold and its count.
#[repr(C)]
pub struct GcGeneration {
    /// A link that is no object's.
    pub head: GcHead,
    /// A count above it makes the generation due.
    pub threshold: c_int,
    /// Generation 0: allocations less deallocations.
    pub count: c_int,
}

/// `PyGC_Head`: the two words before every object that can be tracked.
///
/// `next` is 0 while the object is untracked. `prev` carries two flags in its
/// low bits (see `heap.rs`).
#[repr(C)]
pub struct GcHead {
    /// Address of the next head, or 0.
    pub next: usize,
    /// Address of the previous head and flags.
    pub prev: usize,
}

/// Totals of one generation as CPython keeps them.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct StockStats {
    /// Collections run.
    pub collections: Py_ssize_t,
    /// Objects freed.
    pub collected: Py_ssize_t,
    /// Objects that could not be freed.
    pub uncollectable: Py_ssize_t,
}

const _: () = assert!(size_of::<GcState>() == 240);
const _: () = assert!(std::mem::offset_of!(GcState, generations) == 24);
const _: () = assert!(std::mem::offset_of!(GcState, stats) == 128);
const _: () = assert!(std::mem::offset_of!(GcState, callbacks) == 216);
