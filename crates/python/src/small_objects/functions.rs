//! `wrasse.set_limit()` and `wrasse.allocator_stats()`.

use std::ptr;

use pyo3_ffi::*;
use wrasse_allocator::stats::ClassStats;

use crate::module::{raise, text};
use crate::options::{self, SIZE_WORDS};
use crate::small_objects;
use crate::status::Dict;

/// `set_limit(size)`: bytes, a string such as `"512MiB"`, or None.
///
/// # Safety
/// Called by the interpreter as a `METH_O` function.
pub unsafe extern "C" fn set_limit(_module: *mut PyObject, size: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python, with an object.
    unsafe {
        // First of all, and without any memory: whoever lifts the limit may have none.
        if size == Py_None() {
            if let Some(region) = small_objects::region() {
                region.limit().set(None);
            }
            return Py_NewRef(Py_None());
        }
        let Some(bytes) = bytes_of(size) else {
            return ptr::null_mut();
        };
        if let Err(reason) = small_objects::turn_on() {
            let text = format!("there is no limit without wrasse's allocator: {reason}");
            return raise(PyExc_RuntimeError, &text);
        }
        if let Some(region) = small_objects::region() {
            region.limit().set(Some(bytes));
        }
        Py_NewRef(Py_None())
    }
}

/// The size that a `str` means; `None` with an exception set.
///
/// # Safety
/// The GIL is held and `size` is alive.
pub unsafe fn size_in_words(size: *mut PyObject) -> Option<usize> {
    // SAFETY: the caller's contract.
    unsafe {
        let text = text(size)?.to_string_lossy();
        let bytes = options::size_in_bytes(&text);
        if bytes.is_none() {
            raise(PyExc_ValueError, &format!("'{text}': {SIZE_WORDS}"));
        }
        bytes
    }
}

/// The size that an argument means; `None` with an exception set.
unsafe fn bytes_of(size: *mut PyObject) -> Option<usize> {
    // SAFETY: the GIL is held and `size` is alive.
    unsafe {
        if PyUnicode_Check(size) != 0 {
            return size_in_words(size);
        }
        if PyLong_Check(size) != 0 && PyBool_Check(size) == 0 {
            let bytes = PyLong_AsSize_t(size);
            if PyErr_Occurred().is_null() && bytes > 0 {
                return Some(bytes);
            }
            PyErr_Clear();
            raise(
                PyExc_ValueError,
                "a limit is at least one byte, and at most 2**64 - 1",
            );
            return None;
        }
        raise(
            PyExc_TypeError,
            "a limit is a number of bytes, a string such as '512MiB', or None",
        );
        None
    }
}

/// `allocator_stats()`
///
/// # Safety
/// Called by the interpreter as a `METH_NOARGS` function.
pub unsafe extern "C" fn allocator_stats(
    _module: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    let Some(region) = small_objects::installed() else {
        let text = "wrasse's allocator is not on; wrasse.status()['alloc'] says why";
        // SAFETY: called from Python.
        return unsafe { raise(PyExc_RuntimeError, text) };
    };
    let stats = region.stats();
    let limit = region.limit().get();
    // SAFETY: called from Python; each value is a new reference or null.
    unsafe {
        let number = |value: usize| PyLong_FromSize_t(value);
        let mut dict = Dict::new();
        for (key, value) in [
            ("blocks", stats.blocks),
            ("bytes", stats.bytes),
            ("committed", stats.committed),
            ("kept", stats.kept_bytes()),
            ("given_back", stats.given_back),
            ("large_blocks", stats.large_blocks),
            ("large_bytes", stats.large_bytes),
            ("taken", stats.taken),
            ("peak", stats.peak),
            ("refused", stats.refused),
            ("reserved", region.range().1),
        ] {
            dict.set(key, number(value));
        }
        dict.set("limit", limit.map_or_else(|| Py_NewRef(Py_None()), number));
        dict.set("classes", classes(&stats.classes));
        dict.finish()
    }
}

/// The size classes that have pools, as a list of dicts.
unsafe fn classes(classes: &[ClassStats]) -> *mut PyObject {
    // SAFETY: the GIL is held; a failure leaves an exception and no list.
    unsafe {
        let list = PyList_New(0);
        for class in classes.iter().filter(|class| class.pools > 0) {
            let mut dict = Dict::new();
            for (key, value) in [
                ("size", class.size),
                ("pools", class.pools),
                ("blocks", class.used),
                ("capacity", class.capacity),
                ("bytes", class.used * class.size),
            ] {
                dict.set(key, PyLong_FromSize_t(value));
            }
            let dict = dict.finish();
            if list.is_null() || dict.is_null() || PyList_Append(list, dict) < 0 {
                Py_XDECREF(dict);
                Py_XDECREF(list);
                return ptr::null_mut();
            }
            Py_DECREF(dict);
        }
        list
    }
}
