//! Which files the program is made of.

use std::path::Path;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use pyo3_ffi::*;
use wrasse_doctor::observations::Text;
use wrasse_doctor::{CELL, NOTEBOOK, Observations};

use crate::heap_graph::each_module;
use crate::heap_graph::names::text;

/// What runs notebooks.
const RUNNER: &str = "/wrasse/notebook.py";

/// The file that was started, or what stands for it. CPython forgets it when it has run.
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
            *main = match text(PyDict_GetItemString(names, c"__file__".as_ptr())) {
                Some(file) if file.ends_with(RUNNER) => Some(NOTEBOOK.into()),
                None if is_code() => Some("<string>".into()),
                file => file,
            };
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
        observations.texts = cells();
        PyErr_Clear();
    }
    observations.sources = found;
}

/// Was code given on the command line, with `-c`?
unsafe fn is_code() -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let arguments = PySys_GetObject(c"argv".as_ptr());
        !arguments.is_null()
            && PyList_Check(arguments) != 0
            && PyList_GET_SIZE(arguments) > 0
            && text(PyList_GET_ITEM(arguments, 0)).as_deref() == Some("-c")
    }
}

/// The cells of a notebook that ran, which IPython leaves in `linecache`.
unsafe fn cells() -> Vec<Text> {
    let mut found = Vec::new();
    // SAFETY: the caller's contract. Nothing is imported, and only exact types are
    // looked into.
    unsafe {
        let module = PyDict_GetItemString(PyImport_GetModuleDict(), c"linecache".as_ptr());
        if module.is_null() || PyModule_Check(module) == 0 {
            return found;
        }
        let cache = PyDict_GetItemString(PyModule_GetDict(module), c"cache".as_ptr());
        if cache.is_null() || PyDict_CheckExact(cache) == 0 {
            return found;
        }
        let (mut position, mut key, mut entry) = (0, ptr::null_mut(), ptr::null_mut());
        while PyDict_Next(cache, &raw mut position, &raw mut key, &raw mut entry) != 0 {
            let Some(file) = text(key).filter(|file| file.starts_with(CELL)) else {
                continue;
            };
            // (size, time, lines, name)
            if PyTuple_CheckExact(entry) == 0 || PyTuple_GET_SIZE(entry) < 3 {
                continue;
            }
            let lines = PyTuple_GET_ITEM(entry, 2);
            if PyList_CheckExact(lines) == 0 {
                continue;
            }
            let lines = (0..PyList_GET_SIZE(lines)).map(|at| text(PyList_GET_ITEM(lines, at)));
            let text = lines.flatten().collect();
            found.push(Text { file, text });
        }
    }
    found
}
