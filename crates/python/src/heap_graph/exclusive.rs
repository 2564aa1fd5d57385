//! What would be freed with an object, found without a picture of the heap.
//!
//! What is referred to once is held by its one holder alone: following such
//! references from an object finds the bytes that go with it, but for what its
//! parts hold together. Few objects are looked at, so this is cheap.

use pyo3_ffi::*;

use super::Failure;
use super::referents::{is_eternal, referents};
use super::sizes::Kinds;
use super::{edge, layout};
#[cfg(Py_3_13)]
use crate::tracemalloc_module::block_of;

/// Objects looked at below one; what is beyond does not count.
const MOST: usize = 2000;

/// Finds such bytes.
pub struct Exclusive {
    kinds: Kinds,
    pending: Vec<*mut PyObject>,
}

impl Exclusive {
    /// # Errors
    /// The interpreter's inside is not as expected.
    ///
    /// # Safety
    /// The GIL is held, and no exception is set.
    pub unsafe fn new() -> Result<Self, Failure> {
        // SAFETY: the caller's contract.
        unsafe {
            layout::check().map_err(Failure::Unknown)?;
        }
        Ok(Self {
            kinds: Kinds::default(),
            pending: Vec::new(),
        })
    }

    /// The object's own bytes.
    ///
    /// # Safety
    /// The GIL is held, the object is alive, and types have not changed since
    /// [`new`](Self::new); so for the next one.
    pub unsafe fn own(&mut self, object: *mut PyObject) -> u64 {
        // SAFETY: the caller's contract.
        unsafe {
            self.kinds.size(object).unwrap_or(0).max(block_size(object)) + edge::values_size(object)
        }
    }

    /// The bytes that one reference to `object` keeps: none if there are others.
    pub unsafe fn held(&mut self, object: *mut PyObject) -> u64 {
        let mut bytes = 0;
        let mut seen = 0;
        self.pending.clear();
        self.pending.push(object);
        // SAFETY: the caller's contract: nothing is freed meanwhile.
        unsafe {
            while let Some(object) = self.pending.pop() {
                if Py_REFCNT(object) != 1 || seen == MOST {
                    continue;
                }
                seen += 1;
                bytes += self.own(object);
                let pending = &mut self.pending;
                referents(object, &mut |target| {
                    if Py_REFCNT(target) == 1 && pending.len() < MOST {
                        pending.push(target);
                    }
                });
            }
        }
        bytes
    }

    /// What `object` refers to directly that refers to nothing itself (texts, numbers):
    /// the bytes of all that, and of what nobody else holds.
    ///
    /// # Safety
    /// As for [`own`](Self::own).
    pub unsafe fn contents(&mut self, object: *mut PyObject) -> (u64, u64) {
        let (mut all, mut alone) = (0, 0);
        self.pending.clear();
        // SAFETY: the caller's contract: nothing is freed meanwhile.
        unsafe {
            let pending = &mut self.pending;
            referents(object, &mut |target| {
                let is_plain = (*Py_TYPE(target)).tp_flags & Py_TPFLAGS_HAVE_GC == 0;
                if is_plain && !is_eternal(target) && pending.len() < MOST {
                    pending.push(target);
                }
            });
            while let Some(target) = self.pending.pop() {
                let bytes = self.own(target);
                all += bytes;
                if Py_REFCNT(target) == 1 {
                    alone += bytes;
                }
            }
        }
        (all, alone)
    }
}

/// The block of an instance with its attributes in it (3.13), which `__sizeof__`
/// leaves out; 0 for other objects, and where it was not traced.
///
/// # Safety
/// The object is alive.
pub unsafe fn block_size(object: *mut PyObject) -> u64 {
    #[cfg(Py_3_13)]
    // SAFETY: the caller's contract.
    unsafe {
        if (*Py_TYPE(object)).tp_flags & crate::layout::INLINE_VALUES != 0 {
            let state = crate::hooks::reading();
            let address = block_of(object);
            let block = state.as_ref().and_then(|state| state.tracer.block(address));
            return block.map_or(0, |block| block.size as u64);
        }
    }
    let _ = object;
    0
}
