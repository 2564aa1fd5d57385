//! Which files the program is made of.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use pyo3_ffi::*;
use wrasse_doctor::Observations;

use crate::heap_graph::each_module;

/// The file that was started. CPython forgets it when it has run.
static MAIN: Mutex<Option<String>> = Mutex::new(None);

/// Remembers the started file, while it runs.
///
/// # Safety
/// The GIL is held, and no exception is set.
pub unsafe fn note_main() {
    let mut main = MAIN.lock().unwrap_or_else(PoisonError::into_inner);
    if main.is_some() {
        return;
    }
    // SAFETY: the caller's contract.
    unsafe {
        each_module(|module| {
            let names = PyModule_GetDict(module);
            let name = PyDict_GetItemString(names, c"__name__".as_ptr());
            if text(name).is_some_and(|name| name == "__main__") {
                *main = text(PyDict_GetItemString(names, c"__file__".as_ptr()));
            }
        });
        PyErr_Clear();
    }
}

/// The file that was started, if it is known.
pub fn main() -> Option<String> {
    MAIN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The files of all modules that are in no library, the started one first.
///
/// # Safety
/// The GIL is held, and no exception is set.
pub unsafe fn find(observations: &mut Observations) {
    let mut found: Vec<String> = main().into_iter().collect();
    // SAFETY: the caller's contract. Looking up a string in a module's namespace
    // compares strings.
    unsafe {
        each_module(|module| {
            let names = PyModule_GetDict(module);
            let file = PyDict_GetItemString(names, c"__file__".as_ptr());
            let Some(file) = text(file) else { return };
            if !observations.is_library(&file) && Path::new(&file).extension().is_some() {
                found.push(file);
            }
        });
        PyErr_Clear();
    }
    observations.sources = found;
}

/// The characters of a `str`.
unsafe fn text(object: *mut PyObject) -> Option<String> {
    // SAFETY: null or a live object.
    unsafe {
        if object.is_null() || PyUnicode_Check(object) == 0 {
            return None;
        }
        let mut length = 0;
        let text = PyUnicode_AsUTF8AndSize(object, &raw mut length);
        if text.is_null() {
            PyErr_Clear();
            return None;
        }
        let bytes = std::slice::from_raw_parts(text.cast::<u8>(), length as usize);
        Some(String::from_utf8_lossy(bytes).into_owned())
    }
}
