//! What an object tells of through its type, for comparison with what is read of it.

use std::ffi::c_void;

use pyo3_ffi::*;

/// The most references of an object that is read.
pub(super) const MOST: usize = 32;

/// See the module.
pub(super) struct Told {
    objects: [*mut PyObject; MOST],
    count: usize,
}

impl Told {
    /// # Safety
    /// `object` is alive and of a type with `tp_traverse`.
    pub unsafe fn by(object: *mut PyObject) -> Self {
        extern "C" fn visit(object: *mut PyObject, told: *mut c_void) -> i32 {
            // SAFETY: lent for the call.
            let told = unsafe { &mut *told.cast::<Told>() };
            if let Some(slot) = told.objects.get_mut(told.count) {
                *slot = object;
            }
            told.count += 1;
            0
        }
        let mut told = Self {
            objects: [std::ptr::null_mut(); MOST],
            count: 0,
        };
        // SAFETY: the caller's contract; `tp_traverse` only calls the visitor.
        unsafe {
            if let Some(traverse) = (*Py_TYPE(object)).tp_traverse {
                traverse(object, visit, (&raw mut told).cast());
            }
        }
        told
    }

    /// All of it, in the order in which it was told; `None` if that is more than [`MOST`].
    pub fn all(&mut self) -> Option<&mut [*mut PyObject]> {
        self.objects.get_mut(..self.count)
    }
}
