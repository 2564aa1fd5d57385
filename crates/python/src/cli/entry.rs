//! The command line as a function of the extension module.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::ptr;

use pyo3_ffi::*;
use wrasse_report::write_destination;

use super::{Interpreter, main};

/// `_core.main(argv, executable, orig_argv, site_directories)`: the command
/// line for Python. `executable` is a string, the others are lists of strings.
/// Returns the exit code.
///
/// # Safety
/// Called by the interpreter as a `METH_FASTCALL` function.
pub unsafe extern "C" fn python_main(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the interpreter passes `count` live objects and holds the GIL.
    unsafe {
        if count != 4 {
            PyErr_SetString(
                PyExc_TypeError,
                c"main() takes exactly 4 arguments".as_ptr(),
            );
            return ptr::null_mut();
        }
        let argument = |index: usize| *arguments.add(index);
        let (Some(own), Some(executable), Some(original_arguments), Some(site_directories)) = (
            strings_of(argument(0)),
            string_of(argument(1)),
            strings_of(argument(2)),
            strings_of(argument(3)),
        ) else {
            return ptr::null_mut();
        };
        let interpreter = Interpreter {
            executable,
            original_arguments,
            site_directories,
        };
        PyLong_FromLong(main(&own, &interpreter).into())
    }
}

/// `_core.write(path, text)`: a file, whole or not at all. Returns `None`, or in one
/// line why nothing was written.
///
/// # Safety
/// Called by the interpreter as a `METH_FASTCALL` function.
pub unsafe extern "C" fn python_write(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the interpreter passes `count` live objects and holds the GIL; the
    // text's own bytes live as long as the text, which the caller holds.
    unsafe {
        if count != 2 {
            PyErr_SetString(
                PyExc_TypeError,
                c"write() takes exactly 2 arguments".as_ptr(),
            );
            return ptr::null_mut();
        }
        let Some(path) = string_of(*arguments) else {
            return ptr::null_mut();
        };
        let mut length = 0;
        let start = PyUnicode_AsUTF8AndSize(*arguments.add(1), &mut length);
        if start.is_null() {
            return ptr::null_mut();
        }
        let content = std::slice::from_raw_parts(start.cast(), length as usize);
        match write_destination(Path::new(&path), content) {
            Ok(()) => Py_NewRef(Py_None()),
            Err(failure) => {
                let reason = failure.to_string();
                PyUnicode_DecodeFSDefaultAndSize(reason.as_ptr().cast(), reason.len() as Py_ssize_t)
            }
        }
    }
}

/// The strings of a list; `None`, with an exception set, if it is not one.
///
/// # Safety
/// The GIL is held and `list` is alive.
unsafe fn strings_of(list: *mut PyObject) -> Option<Vec<OsString>> {
    // SAFETY: as promised by the caller; items are borrowed from a live list,
    // and encoding a string runs no foreign code that could change it.
    unsafe {
        let length = PyList_Size(list);
        (0..length)
            .map(|index| string_of(PyList_GetItem(list, index)))
            .collect::<Option<_>>()
            .filter(|_| length >= 0)
    }
}

/// The bytes the system knows a string by; `None`, with an exception set, if
/// it is not a string or cannot be encoded.
///
/// # Safety
/// The GIL is held and `string` is null (with an exception set) or alive.
pub unsafe fn string_of(string: *mut PyObject) -> Option<OsString> {
    // SAFETY: as promised by the caller; the bytes are copied before their
    // object is released.
    unsafe {
        if string.is_null() {
            return None;
        }
        let encoded = PyUnicode_EncodeFSDefault(string);
        if encoded.is_null() {
            return None;
        }
        let start = PyBytes_AsString(encoded).cast::<u8>();
        let length = usize::try_from(PyBytes_Size(encoded)).unwrap_or(0);
        let bytes = std::slice::from_raw_parts(start, length).to_vec();
        Py_DECREF(encoded);
        Some(OsString::from_vec(bytes))
    }
}
