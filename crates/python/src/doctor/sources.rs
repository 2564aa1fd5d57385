//! Which files the program is made of.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use pyo3_ffi::*;
use wrasse_doctor::Observations;

use crate::heap_graph::each_module;
use crate::heap_graph::names::text;

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
    // SAFETY: the caller's contract. The program may have put anything there: what
    // is no module has no namespace to be asked for.
    unsafe {
        let modules = PyImport_GetModuleDict();
        let module = PyDict_GetItemString(modules, c"__main__".as_ptr());
        if !module.is_null() && PyModule_Check(module) != 0 {
            let names = PyModule_GetDict(module);
            *main = text(PyDict_GetItemString(names, c"__file__".as_ptr()));
        }
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
