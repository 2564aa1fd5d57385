//! Weak references to unreachable objects.
//!
//! CPython publishes their layout in `cpython/weakrefobject.h`.

use std::ptr;

use pyo3_ffi::*;
use wrasse_collector::Model;

use super::Heap;
use crate::list::{List, link_of};

#[repr(C)]
struct WeakReference {
    base: PyObject,
    referent: *mut PyObject,
    callback: *mut PyObject,
    hash: Py_hash_t,
    prev: *mut WeakReference,
    next: *mut WeakReference,
}

unsafe extern "C" {
    fn _PyWeakref_ClearRef(reference: *mut PyObject);
}

/// The callback of a weak reference, borrowed, or null.
pub unsafe fn callback(reference: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller passes a weak reference.
    unsafe { (*reference.cast::<WeakReference>()).callback }
}

/// How far from an object of type `kind` its list of weak references is; 0 if
/// there cannot be any.
#[inline]
pub unsafe fn offset(kind: *mut PyTypeObject) -> isize {
    // SAFETY: the caller passes a live type. Its offset is relative to the
    // object, negative (3.12 and later) where the word sits in front of it.
    // Static types keep theirs elsewhere, but they are not tracked and never
    // get here.
    unsafe {
        let offset = (*kind).tp_weaklistoffset;
        if cfg!(Py_3_12) { offset } else { offset.max(0) }
    }
}

/// The first word of the list of weak references to `object`, if its type has one.
unsafe fn list_of(object: *mut PyObject) -> *mut *mut PyObject {
    // SAFETY: a live object has a live type.
    unsafe {
        match offset(Py_TYPE(object)) {
            0 => ptr::null_mut(),
            offset => object.byte_offset(offset).cast(),
        }
    }
}

/// Whether there is a weak reference to `object` with a callback. The list of weak
/// references is `offset` bytes away, see [`offset`], if that is not 0.
#[inline(always)]
pub unsafe fn has_callback(object: *mut PyObject, offset: isize) -> bool {
    // SAFETY: the caller passes a live object, and what `offset` says of its type.
    unsafe {
        offset != 0 && {
            let first = *object.byte_offset(offset).cast::<*mut WeakReference>();
            !first.is_null() && any_calls_back(first)
        }
    }
}

unsafe fn any_calls_back(first: *mut WeakReference) -> bool {
    // SAFETY: an object's weak references are alive and lead from one to the next.
    unsafe {
        let mut reference = first;
        while !reference.is_null() {
            if !(*reference).callback.is_null() {
                return true;
            }
            reference = (*reference).next;
        }
        false
    }
}

/// Whether a weak reference leads to `object`, or from it if it is one.
pub unsafe fn is_part_of_one(object: *mut PyObject) -> bool {
    // SAFETY: the caller passes a live object; one that is a weak reference leads to
    // `None` when it has been cleared.
    unsafe {
        let list = list_of(object);
        !list.is_null() && !(*list).is_null()
            || PyWeakref_Check(object) != 0
                && (*object.cast::<WeakReference>()).referent != Py_None()
    }
}

/// Clears the weak references to `object`, and `object` itself if it is one.
/// Those whose callback must be called get a reference and go to `pending`.
pub unsafe fn clear_all(object: *mut PyObject, pending: &List, heap: &Heap) {
    // SAFETY: see the caller; each round takes the first reference off the
    // list, so the loop ends.
    unsafe {
        if PyWeakref_Check(object) != 0 {
            // Its callback must not run: it may belong to objects that are
            // about to be cleared.
            _PyWeakref_ClearRef(object);
        }
        let list = list_of(object);
        if list.is_null() {
            return;
        }
        while !(*list).is_null() {
            let reference = *list;
            _PyWeakref_ClearRef(reference);
            debug_assert!(*list != reference);
            let link = link_of(reference);
            if callback(reference).is_null() || heap.is_candidate(link) {
                continue;
            }
            Py_INCREF(reference);
            heap.transfer(link, pending);
        }
    }
}
