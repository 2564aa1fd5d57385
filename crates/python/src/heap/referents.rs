//! What an object refers to, without its type's help where that is known.
//!
//! Most objects are lists, tuples, dicts and instances of classes made in
//! Python. Reading those directly saves two calls through pointers for each
//! reference; everything else goes through `tp_traverse`, which reports the same.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

use pyo3_ffi::*;

use crate::layout::{DICT, INSTANCE};

/// Reads referents; remembers the last type that was asked about.
pub struct Referents {
    kind: Cell<*mut PyTypeObject>,
    plain: Cell<bool>,
}

extern "C" fn trampoline<F: FnMut(*mut PyObject)>(
    object: *mut PyObject,
    visit: *mut c_void,
) -> i32 {
    // SAFETY: `visit` is the closure that `each` lent, exclusively, for the call.
    unsafe { (*visit.cast::<F>())(object) };
    0
}

impl Referents {
    /// Types are only remembered while nothing foreign runs: one of these is
    /// made anew for each collection.
    pub fn new() -> Self {
        Self {
            kind: ptr::null_mut::<PyTypeObject>().into(),
            plain: false.into(),
        }
    }

    /// Whether instances of `kind` can be read with [`INSTANCE`].
    #[inline]
    pub unsafe fn is_plain(&self, kind: *mut PyTypeObject) -> bool {
        if self.kind.get() != kind {
            self.kind.set(kind);
            // SAFETY: the caller passes a live object's type.
            self.plain.set(unsafe { INSTANCE.is_plain(kind) });
        }
        self.plain.get()
    }

    /// Calls `visit` for each reference that `object` holds.
    ///
    /// # Safety
    /// `object` is alive, of a type with HAVE_GC; nothing is changed meanwhile.
    #[inline]
    pub unsafe fn each<F: FnMut(*mut PyObject)>(&self, object: *mut PyObject, mut visit: F) {
        // SAFETY: fields are read according to the exact type.
        unsafe {
            let kind = Py_TYPE(object);
            if kind == &raw mut PyList_Type {
                let first = (*object.cast::<PyListObject>()).ob_item;
                row(first, PyList_GET_SIZE(object) as usize, &mut visit);
                return;
            }
            if kind == &raw mut PyTuple_Type {
                let first = (*object.cast::<PyTupleObject>()).ob_item.as_mut_ptr();
                row(first, PyTuple_GET_SIZE(object) as usize, &mut visit);
                return;
            }
            if kind == &raw mut PyDict_Type {
                if let Some((first, count, stride)) = DICT.entries(object) {
                    for index in 0..count {
                        let slot = first.add(index * stride);
                        if (*slot).is_null() {
                            continue;
                        }
                        visit(*slot);
                        if stride == 3 {
                            visit(*slot.sub(1));
                        }
                    }
                    return;
                }
            } else if self.is_plain(kind)
                && let Some(values) = INSTANCE.values(object)
            {
                row(values.first, values.count, &mut visit);
                if !values.dict.is_null() {
                    visit(values.dict);
                }
                visit(kind.cast());
                return;
            }
            if let Some(traverse) = (*kind).tp_traverse {
                traverse(object, trampoline::<F>, (&raw mut visit).cast());
            }
        }
    }
}

#[inline]
unsafe fn row(first: *mut *mut PyObject, count: usize, visit: &mut impl FnMut(*mut PyObject)) {
    for index in 0..count {
        // SAFETY: the caller's array has so many members.
        let object = unsafe { *first.add(index) };
        if !object.is_null() {
            visit(object);
        }
    }
}
