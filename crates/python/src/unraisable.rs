//! Exceptions with nobody to raise them to, reported in the words of the
//! running version.
//!
//! The functions that take a message of their own exist under different names
//! in each version, so they are looked up at run time; without them the plain
//! public one reports the exception without the words.

use std::ffi::c_char;
use std::ptr;

use pyo3_ffi::*;

use crate::symbols::lookup;

/// 3.13: `PyErr_FormatUnraisable(format, ...)`.
#[cfg(Py_3_13)]
unsafe fn report(format: *const c_char, argument: *const c_char) {
    type Format = unsafe extern "C" fn(*const c_char, ...);
    let address = lookup(c"PyErr_FormatUnraisable");
    // SAFETY: the symbol has this signature in 3.13; an exception is set.
    unsafe {
        if address.is_null() {
            PyErr_WriteUnraisable(ptr::null_mut());
        } else {
            let function: Format = std::mem::transmute(address);
            function(format, argument);
        }
    }
}

/// 3.11, 3.12: `_PyErr_WriteUnraisableMsg(message, object)`.
#[cfg(not(Py_3_13))]
unsafe fn report(message: *const c_char, object: *mut PyObject) {
    type Write = unsafe extern "C" fn(*const c_char, *mut PyObject);
    let address = lookup(c"_PyErr_WriteUnraisableMsg");
    // SAFETY: the symbol has this signature in 3.11 and 3.12; an exception is set.
    unsafe {
        if address.is_null() {
            PyErr_WriteUnraisable(object);
        } else {
            let function: Write = std::mem::transmute(address);
            function(message, object);
        }
    }
}

/// `object`'s `tp_clear` left an exception set.
///
/// # Safety
/// An exception is set and `object` is alive.
pub unsafe fn in_clear(object: *mut PyObject) {
    // SAFETY: the caller's contract.
    unsafe {
        let kind = Py_TYPE(object);
        #[cfg(Py_3_13)]
        report(
            c"Exception ignored in tp_clear of %s".as_ptr(),
            (*kind).tp_name,
        );
        #[cfg(not(Py_3_13))]
        report(c"in tp_clear of".as_ptr(), kind.cast());
    }
}

/// A collection ended with an exception set.
///
/// # Safety
/// An exception is set.
pub unsafe fn in_collection() {
    // SAFETY: the caller's contract.
    unsafe {
        #[cfg(Py_3_13)]
        report(
            c"Exception ignored in garbage collection".as_ptr(),
            ptr::null(),
        );
        #[cfg(not(Py_3_13))]
        report(c"in garbage collection".as_ptr(), ptr::null_mut());
    }
}
