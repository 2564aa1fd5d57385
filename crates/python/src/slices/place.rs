//! Places on CPython's lists that outlast what stands there.
//!
//! A place is an empty Python list of ours whose link stands among the links of
//! other objects. Whatever is freed, moved or added around it, the link behind a
//! place is that of a live object or a head. CPython's functions meet an empty
//! list there, which they may show (`gc.get_objects()`), keep or even change:
//! nothing of it is ever read but its link.

use std::ptr;

use pyo3_ffi::*;

use crate::list::{FLAGS, Link, link_of, unlink};

/// See the module; a reference of ours.
pub struct Place(*mut PyObject);

impl Place {
    /// A place that stands nowhere; `None` if there is no memory.
    ///
    /// # Safety
    /// The GIL is held, and a collection is going on, so that none is started.
    pub unsafe fn new() -> Option<Self> {
        // SAFETY: the caller's contract; a new list is tracked.
        unsafe {
            let list = PyList_New(0);
            if list.is_null() {
                PyErr_Clear();
                return None;
            }
            PyObject_GC_UnTrack(list.cast());
            Some(Self(list))
        }
    }

    /// Its link.
    pub fn link(&self) -> Link {
        link_of(self.0)
    }

    /// Whether it stands anywhere.
    pub fn stands(&self) -> bool {
        // SAFETY: the list is a reference of ours, and alive.
        unsafe { (*self.link()).next != 0 }
    }

    /// Stands before `link`, wherever it stood.
    ///
    /// # Safety
    /// `link` is on a proper list, and not this place's.
    pub unsafe fn put_before(&self, link: Link) {
        debug_assert!(link != self.link());
        // SAFETY: the caller's contract.
        unsafe {
            self.leave();
            insert_before(self.link(), link);
        }
    }

    /// Stands nowhere any more.
    pub fn leave(&self) {
        if self.stands() {
            // SAFETY: between collections, and between the steps of one of ours
            // that places are used in, all lists are proper.
            unsafe {
                unlink(self.link());
                (*self.link()).next = 0;
                (*self.link()).prev &= FLAGS;
            }
        }
    }

    /// The link behind it.
    ///
    /// # Safety
    /// It stands somewhere.
    pub unsafe fn next(&self) -> Link {
        debug_assert!(self.stands());
        // SAFETY: the caller's contract.
        unsafe { (*self.link()).next as Link }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
        // SAFETY: places are dropped under the GIL. If the program has put things
        // into the list, they go with it, as they would with a list of its own.
        unsafe { Py_DECREF(std::mem::replace(&mut self.0, ptr::null_mut())) };
    }
}

/// Puts `link`, which is on no list, before `other`.
///
/// # Safety
/// `other` is on a proper list, or its head.
pub unsafe fn insert_before(link: Link, other: Link) {
    // SAFETY: the caller's contract.
    unsafe {
        let prev = ((*other).prev & !FLAGS) as Link;
        (*prev).next = link as usize;
        (*link).prev = prev as usize | ((*link).prev & FLAGS);
        (*link).next = other as usize;
        (*other).prev = link as usize | ((*other).prev & FLAGS);
    }
}
