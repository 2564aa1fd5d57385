//! Words for objects, found without running Python: no `__repr__`, no
//! `__hash__`, no `__eq__`, and the type is the real one, not `__class__`.

use std::ffi::CStr;
use std::ptr;

use pyo3_ffi::*;

use super::stack::Frame;
use crate::census;
use crate::layout::{CODE_LOCALS, load};

/// Characters of a key that are shown.
const SHOWN: usize = 40;

/// Calls `visit` with each module of `sys.modules`.
///
/// # Safety
/// The GIL is held, objects are alive; so everywhere here.
pub unsafe fn each_module(mut visit: impl FnMut(*mut PyObject)) {
    // SAFETY: the caller's contract; the program may have put anything there.
    unsafe {
        let modules = PyImport_GetModuleDict();
        if modules.is_null() || PyDict_Check(modules) == 0 {
            return;
        }
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        while PyDict_Next(modules, &mut position, &mut key, &mut value) != 0 {
            if PyModule_Check(value) != 0 {
                visit(value);
            }
        }
    }
}

/// The characters of a `str`; `None` for anything else.
pub unsafe fn text(object: *mut PyObject) -> Option<String> {
    // SAFETY: the caller's contract. A conversion of its own leaves no copy
    // behind in the object.
    unsafe {
        if object.is_null() || PyUnicode_Check(object) == 0 {
            return None;
        }
        let bytes =
            PyUnicode_AsEncodedString(object, c"utf-8".as_ptr(), c"backslashreplace".as_ptr());
        if bytes.is_null() {
            PyErr_Clear();
            return None;
        }
        let (data, size) = (PyBytes_AsString(bytes), PyBytes_Size(bytes));
        let copy = std::slice::from_raw_parts(data.cast::<u8>(), size as usize);
        let copy = String::from_utf8_lossy(copy).into_owned();
        Py_DECREF(bytes);
        Some(copy)
    }
}

/// The full name of an object's type, `module.name`.
pub unsafe fn full_type(object: *mut PyObject) -> String {
    // SAFETY: the caller's contract.
    unsafe { census::name_of(Py_TYPE(object)) }
}

/// The name of a type without its module.
pub unsafe fn short(kind: *mut PyTypeObject) -> String {
    // SAFETY: the caller's contract.
    let name = unsafe { CStr::from_ptr((*kind).tp_name) }.to_string_lossy();
    name.rsplit('.').next().unwrap_or_default().to_string()
}

/// The name in a module's namespace.
pub unsafe fn module(object: *mut PyObject) -> String {
    // SAFETY: the caller passes a module.
    unsafe {
        let name = c"__name__".as_ptr();
        let found = PyDict_GetItemString(PyModule_GetDict(object), name);
        text(found).unwrap_or_else(|| "a module".into())
    }
}

/// What an object is called where it is the subject.
pub unsafe fn label(object: *mut PyObject) -> String {
    // SAFETY: the caller's contract.
    unsafe {
        if PyModule_Check(object) != 0 {
            format!("module {}", module(object))
        } else if PyType_Check(object) != 0 {
            format!("class {}", census::name_of(object.cast()))
        } else if PyFunction_Check(object) != 0 {
            format!("function {}", owner(object))
        } else {
            full_type(object)
        }
    }
}

/// What stands before the dot in `holder.attribute`.
pub unsafe fn owner(object: *mut PyObject) -> String {
    // SAFETY: the caller's contract.
    unsafe {
        if PyModule_Check(object) != 0 {
            module(object)
        } else if PyType_Check(object) != 0 {
            short(object.cast())
        } else if PyFunction_Check(object) != 0 {
            text((*object.cast::<PyFunctionObject>()).func_qualname)
                .unwrap_or_else(|| "function".into())
        } else {
            short(Py_TYPE(object))
        }
    }
}

/// A key as Python shows it, where showing it runs no Python.
pub unsafe fn key(object: *mut PyObject) -> String {
    // SAFETY: the caller's contract.
    unsafe { key_to(object, 2) }
}

unsafe fn key_to(object: *mut PyObject, depth: u32) -> String {
    // SAFETY: as for `key`; only exact types are looked into.
    unsafe {
        if object == Py_None() {
            return "None".into();
        }
        if object == Py_True() || object == Py_False() {
            return if object == Py_True() { "True" } else { "False" }.into();
        }
        if PyUnicode_CheckExact(object) != 0 {
            return quoted(&text(object).unwrap_or_default());
        }
        if PyLong_CheckExact(object) != 0 {
            let mut overflow = 0;
            let value = PyLong_AsLongLongAndOverflow(object, &mut overflow);
            return match overflow {
                0 => value.to_string(),
                _ => "<large int>".into(),
            };
        }
        if PyFloat_CheckExact(object) != 0 {
            return format!("{:?}", PyFloat_AsDouble(object));
        }
        if PyBytes_CheckExact(object) != 0 {
            let size = (PyBytes_Size(object) as usize).min(SHOWN + 1);
            let bytes = std::slice::from_raw_parts(PyBytes_AsString(object).cast::<u8>(), size);
            return format!("b{}", quoted(&bytes.escape_ascii().to_string()));
        }
        if PyTuple_CheckExact(object) != 0 && depth > 0 {
            let count = PyTuple_GET_SIZE(object);
            let mut parts: Vec<String> = (0..count.min(3))
                .map(|index| key_to(PyTuple_GET_ITEM(object, index), depth - 1))
                .collect();
            if count > 3 {
                parts.push("…".into());
            }
            let comma = if count == 1 { "," } else { "" };
            return format!("({}{comma})", parts.join(", "));
        }
        if PyType_Check(object) != 0 {
            return short(object.cast());
        }
        format!("<{}>", short(Py_TYPE(object)))
    }
}

fn quoted(text: &str) -> String {
    let mut shown = String::from("'");
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN {
            shown.push('…');
            break;
        }
        match character {
            '\'' => shown.push_str("\\'"),
            '\n' => shown.push_str("\\n"),
            character if character.is_control() => {
                shown.push_str(&character.escape_unicode().to_string());
            }
            character => shown.push(character),
        }
    }
    shown.push('\'');
    shown
}

/// The name of a variable of a code object.
pub unsafe fn variable(code: *mut PyObject, number: u32) -> String {
    // SAFETY: a live code object; the tuple of names has one for each variable.
    unsafe {
        let names: *mut PyObject = load(code.cast(), CODE_LOCALS.names);
        let number = number as Py_ssize_t;
        if PyTuple_Check(names) == 0 || number >= PyTuple_GET_SIZE(names) {
            return "?".into();
        }
        text(PyTuple_GET_ITEM(names, number)).unwrap_or_else(|| "?".into())
    }
}

/// The file that a code object is from.
pub unsafe fn file_of(code: *mut PyObject) -> Option<String> {
    const FILE: usize = 112;
    // SAFETY: a live code object, which has a name there.
    unsafe { text(load(code.cast(), FILE)) }
}

/// The qualified name of a code object's function.
pub unsafe fn function_of(code: *mut PyObject) -> Option<String> {
    const FUNCTION: usize = 128;
    // SAFETY: as for `file_of`.
    unsafe { text(load(code.cast(), FUNCTION)) }
}

/// Function, file and line of a frame.
pub unsafe fn place(frame: &Frame) -> (String, String, u32) {
    // SAFETY: a running frame's code object is alive.
    unsafe {
        let unknown = || "?".to_string();
        (
            function_of(frame.code).unwrap_or_else(unknown),
            file_of(frame.code).unwrap_or_else(unknown),
            frame.line,
        )
    }
}
