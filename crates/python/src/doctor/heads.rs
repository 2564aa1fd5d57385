//! The first words of what may be an object.
//!
//! A frame's evaluation stack holds words that were objects once. Whether there is
//! memory behind one is known for the allocator's own, and of others only the
//! system can say.

use std::ops::Range;
use std::sync::OnceLock;

use pyo3_ffi::*;

use crate::{hooks, image, small_objects};

/// `PyListObject`: the items; `PyTupleObject`: the first one.
pub const ITEMS: usize = 24;
/// Iterators over lists and tuples: how far they are, and over what.
pub const ITERATOR: (usize, usize) = (16, 24);
/// In front of each object that the collector may track.
pub const GC_HEAD: usize = 16;
/// Shorter tuples are not looked at: most are no collections.
const SHORTEST_TUPLE: usize = 500;

/// What is known of an address before it is read.
enum Ground {
    /// The allocator's: can be read, whatever is there.
    Open,
    /// In the interpreter's image, where `None`, small numbers and built-in types are:
    /// no list that a program makes.
    Eternal,
    /// Only the system can say whether anything is there.
    Unknown,
}

fn ground(address: usize) -> Ground {
    static SEGMENT: OnceLock<Range<usize>> = OnceLock::new();
    if let Some(region) = small_objects::installed() {
        // Pools that were ever taken stay readable: those given back as zeros.
        let offset = address.wrapping_sub(region.range().0);
        if offset < region.taken().saturating_sub(size_of::<Head>()) {
            return Ground::Open;
        }
    }
    // SAFETY: only the address is asked for.
    let segment = SEGMENT.get_or_init(|| image::around(unsafe { Py_None() } as usize).segment);
    match segment.contains(&address) {
        true => Ground::Eternal,
        false => Ground::Unknown,
    }
}

/// The first words of what may be an object.
pub struct Head {
    /// The first two of any object, all four of lists, tuples and their iterators.
    pub words: [usize; 4],
}

impl Head {
    /// Reads them, where there is memory.
    ///
    /// # Safety
    /// The GIL is held. `object` is alive if `is_live`; else it may be any word.
    pub unsafe fn read(object: *mut PyObject, is_live: bool) -> Option<Self> {
        let mut words = [0; 4];
        if object.is_null() || !object.is_aligned() {
            return None;
        }
        if is_live {
            // SAFETY: an object has two words at least; a list, a tuple and their
            // iterators have four, of others no more is looked at.
            unsafe {
                words[0] = object.cast::<usize>().read();
                words[1] = object.cast::<usize>().add(1).read();
            }
            let head = Self { words };
            if !head.is_iterator() && !head.is_list_type() {
                return None;
            }
            // SAFETY: now it is known to be one of them.
            words[2] = unsafe { object.cast::<usize>().add(2).read() };
            if head.is_iterator() || words[2] > 0 {
                // SAFETY: as above, and not an empty tuple, which has three.
                words[3] = unsafe { object.cast::<usize>().add(3).read() };
            }
            return Some(Self { words });
        }
        match ground(object as usize) {
            Ground::Open => {
                // SAFETY: readable memory, aligned like any object; it may be anything's,
                // and no other thread's view of it is relied on.
                words = unsafe { object.cast::<[usize; 4]>().read_volatile() };
                return (words[0] as u32 > 0).then_some(Self { words });
            }
            Ground::Eternal => return None,
            Ground::Unknown => {}
        }
        let local = libc::iovec {
            iov_base: words.as_mut_ptr().cast(),
            iov_len: size_of_val(&words),
        };
        let remote = libc::iovec {
            iov_base: object.cast(),
            iov_len: size_of_val(&words),
        };
        // SAFETY: copies from this very process; what is not mapped is an error.
        let read = unsafe {
            libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
        };
        let head = Self { words };
        (read == size_of_val(&words) as isize && head.words[0] as u32 > 0).then_some(head)
    }

    fn kind(&self) -> *mut PyTypeObject {
        self.words[1] as *mut PyTypeObject
    }

    /// Is it an iterator over a list or tuple?
    pub fn is_iterator(&self) -> bool {
        [&raw mut PyListIter_Type, &raw mut PyTupleIter_Type].contains(&self.kind())
    }

    fn is_list_type(&self) -> bool {
        [&raw mut PyList_Type, &raw mut PyTuple_Type].contains(&self.kind())
    }

    /// Is it a list, or a long tuple, whose items are live blocks?
    pub fn is_list(&self, object: *mut PyObject) -> bool {
        if !self.is_list_type() || self.words[0] as u32 == 0 {
            return false;
        }
        let is_tuple = self.kind() == &raw mut PyTuple_Type;
        let length = self.words[2];
        if length == 0 || is_tuple && length < SHORTEST_TUPLE {
            return false;
        }
        let block = match is_tuple {
            true => object as usize - GC_HEAD,
            false => self.words[3],
        };
        let state = hooks::reading();
        let known = state.as_ref().and_then(|state| state.tracer.block(block));
        let head = if is_tuple { GC_HEAD + ITEMS } else { 0 };
        // What is no list at all may be of any length: no sum or product of it.
        known.is_some_and(|known| known.size.saturating_sub(head) / 8 >= length)
    }
}
