//! Containers that hold nothing that could be part of a cycle need no tracking.

use std::ptr;

use pyo3_ffi::*;

use crate::list::{has_link, link_of};

/// Whether `object` could become part of a cycle (a tuple that is not
/// tracked cannot).
unsafe fn may_be_tracked(object: *mut PyObject) -> bool {
    // SAFETY: `object` is alive.
    unsafe { has_link(object) && (PyTuple_CheckExact(object) == 0 || (*link_of(object)).next != 0) }
}

/// Whether an exact tuple holds nothing that could.
pub unsafe fn is_atomic_tuple(object: *mut PyObject) -> bool {
    // SAFETY: an exact, live tuple; a null element means that it is still
    // being filled.
    unsafe {
        for index in 0..PyTuple_GET_SIZE(object) {
            let element = PyTuple_GET_ITEM(object, index);
            if element.is_null() || may_be_tracked(element) {
                return false;
            }
        }
        true
    }
}

/// Whether an exact dict holds nothing that could.
pub unsafe fn is_atomic_dict(object: *mut PyObject) -> bool {
    // SAFETY: an exact, live dict; `PyDict_Next` hands out borrowed items
    // and runs no foreign code.
    unsafe {
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        while PyDict_Next(object, &mut position, &mut key, &mut value) != 0 {
            if may_be_tracked(value) || (PyUnicode_CheckExact(key) == 0 && may_be_tracked(key)) {
                return false;
            }
        }
        true
    }
}

/// Stops tracking an exact tuple that holds only such; says whether it did.
pub unsafe fn tuple(object: *mut PyObject) -> bool {
    // SAFETY: the caller passes a live exact tuple that is tracked.
    unsafe {
        let atomic = is_atomic_tuple(object);
        if atomic {
            PyObject_GC_UnTrack(object.cast());
        }
        atomic
    }
}

/// Stops tracking an exact dict that holds only such; says whether it did.
pub unsafe fn dict(object: *mut PyObject) -> bool {
    // SAFETY: the caller passes a live exact dict that is tracked.
    unsafe {
        let atomic = is_atomic_dict(object);
        if atomic {
            PyObject_GC_UnTrack(object.cast());
        }
        atomic
    }
}
