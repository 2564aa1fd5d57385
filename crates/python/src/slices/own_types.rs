//! Which types are CPython's own all the way, or made in Python from such.
//!
//! A library may know its objects by other means than references: many keep a table
//! that leads from what they wrap to the wrapper, which leaves the table only when it
//! is destroyed. Through that the program can get hold of an object that nothing
//! refers to. CPython's own types keep no such tables.

use std::ops::Range;
use std::sync::OnceLock;

use pyo3_ffi::*;

use crate::image;

/// Whether what destroys objects of `kind` is in the interpreter's own image: code of
/// CPython's, for its own types and for classes made in Python.
///
/// # Safety
/// `kind` is a live type.
pub unsafe fn is_own(kind: *mut PyTypeObject) -> bool {
    static CODE: OnceLock<Range<usize>> = OnceLock::new();
    // SAFETY: the field of a static type that never changes.
    let code = CODE.get_or_init(|| image::around(unsafe { destroys(&raw mut PyType_Type) }).whole);
    let mut base = kind;
    // SAFETY: a live type's bases are alive.
    unsafe {
        while !base.is_null() {
            if !code.contains(&destroys(base)) {
                return false;
            }
            base = (*base).tp_base;
        }
    }
    true
}

/// The address of what destroys objects of `kind`, a live type; 0 if nothing does.
unsafe fn destroys(kind: *mut PyTypeObject) -> usize {
    // SAFETY: the caller passes one.
    unsafe { (*kind).tp_dealloc.map_or(0, |function| function as usize) }
}
