//! Tables for people: of one call, as it ends, and of a whole run.

use std::ffi::CStr;
use std::ptr;

use pyo3_ffi::*;
use wrasse_report::{LineCost, LineTable};

use super::Function;
use super::record::Lines;
use crate::hooks;
use crate::module::string;

/// The table of a function's lines.
///
/// # Safety
/// The GIL is held and no exception is set; none is left.
pub unsafe fn table(function: &Function, lines: &Lines) -> LineTable {
    // SAFETY: the caller's contract; a function keeps its code object.
    unsafe {
        let text = |name| attribute(function.code, name, |value| text_of(value));
        let file = text(c"co_filename").unwrap_or_default();
        let first = attribute(function.code, c"co_firstlineno", |value| {
            PyLong_AsLong(value)
        });
        let first_line = u32::try_from(first.unwrap_or(0)).unwrap_or(0);
        let mut costs = lines.lines.clone();
        // What was live when it was called, as memory_profiler shows it.
        costs.entry(first_line).or_insert(LineCost {
            memory: lines.highest,
            increment: lines.first as i64,
            occurrences: lines.calls,
        });
        LineTable {
            source: source(&file),
            file,
            function: text(c"co_qualname").unwrap_or_default(),
            first_line,
            last_line: function.last_line.max(first_line),
            lines: costs,
        }
    }
}

/// Writes the table of one call to the function's stream. What goes wrong there
/// is told as CPython tells of exceptions nobody can be given.
///
/// # Safety
/// The GIL is held and no exception is set; none is left.
pub unsafe fn show(function: &Function, lines: &Lines) {
    // SAFETY: the caller's contract; a function keeps its stream.
    unsafe {
        let _silence = hooks::Silence::begin();
        let text = table(function, lines).to_text(function.precision);
        if !write(function.stream, &text) {
            PyErr_WriteUnraisable(function.code);
        }
    }
}

/// Writes to a stream, `sys.stdout` for null. False, with an exception set, if
/// that fails; a program without a standard output has nowhere to write.
///
/// # Safety
/// As for [`show`].
pub unsafe fn write(stream: *mut PyObject, text: &str) -> bool {
    // SAFETY: the caller's contract; references are released.
    unsafe {
        let stream = if stream.is_null() {
            PySys_GetObject(c"stdout".as_ptr())
        } else {
            stream
        };
        if stream.is_null() || stream == Py_None() {
            return true;
        }
        let text = PyUnicode_DecodeUTF8(
            text.as_ptr().cast(),
            text.len() as Py_ssize_t,
            c"replace".as_ptr(),
        );
        if text.is_null() {
            return false;
        }
        Py_INCREF(stream);
        let written = PyObject_CallMethod(stream, c"write".as_ptr(), c"O".as_ptr(), text);
        Py_DECREF(stream);
        Py_DECREF(text);
        Py_XDECREF(written);
        !written.is_null()
    }
}

unsafe fn attribute<T>(
    object: *mut PyObject,
    name: &CStr,
    read: impl FnOnce(*mut PyObject) -> T,
) -> Option<T> {
    // SAFETY: the GIL is held; the reference is released.
    unsafe {
        let value = PyObject_GetAttrString(object, name.as_ptr());
        if value.is_null() {
            PyErr_Clear();
            return None;
        }
        let read = read(value);
        Py_DECREF(value);
        PyErr_Clear();
        Some(read)
    }
}

/// A `str` as text; what cannot be encoded is replaced.
unsafe fn text_of(object: *mut PyObject) -> String {
    // SAFETY: the GIL is held; the bytes are copied before they are released.
    unsafe {
        let bytes =
            PyUnicode_AsEncodedString(object, c"utf-8".as_ptr(), c"backslashreplace".as_ptr());
        if bytes.is_null() {
            PyErr_Clear();
            return String::new();
        }
        let (data, size) = (PyBytes_AsString(bytes), PyBytes_Size(bytes));
        let text = std::slice::from_raw_parts(data.cast::<u8>(), size as usize);
        let text = String::from_utf8_lossy(text).into_owned();
        Py_DECREF(bytes);
        text
    }
}

/// The lines of a file, as Python's own tracebacks find them.
unsafe fn source(file: &str) -> Vec<String> {
    // SAFETY: the GIL is held; references are released, and null is not passed on.
    unsafe {
        let module = PyImport_ImportModule(c"linecache".as_ptr());
        let mut all = Vec::new();
        let lines = if module.is_null() {
            ptr::null_mut()
        } else {
            let name = string(file);
            let lines = if name.is_null() {
                name
            } else {
                PyObject_CallMethod(module, c"getlines".as_ptr(), c"O".as_ptr(), name)
            };
            Py_XDECREF(name);
            lines
        };
        if !lines.is_null() && PyList_Check(lines) != 0 {
            for index in 0..PyList_Size(lines) {
                all.push(text_of(PyList_GetItem(lines, index)));
            }
        }
        Py_XDECREF(lines);
        Py_XDECREF(module);
        PyErr_Clear();
        all
    }
}
