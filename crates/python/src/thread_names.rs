//! What the program calls its threads.
//!
//! Asked for where Python may be called; the objects of `threading` are only looked
//! at, none of their code runs. A thread that has ended keeps the name that it had
//! when somebody asked.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;

use pyo3_ffi::*;

use crate::hooks::{self, Silence};
use crate::module::text;

/// Tells the tracer the names of the threads that are alive now.
///
/// # Safety
/// The GIL is held, no exception is set, and no guard of [`hooks::state`] lives.
pub unsafe fn refresh() {
    let _silence = Silence::begin();
    // SAFETY: the caller's contract. References are borrowed from containers that
    // nothing changes meanwhile, or released.
    unsafe {
        let modules = PyImport_GetModuleDict();
        let threading = PyDict_GetItemString(modules, c"threading".as_ptr());
        if !threading.is_null() && PyModule_Check(threading) != 0 {
            let active = PyDict_GetItemString(PyModule_GetDict(threading), c"_active".as_ptr());
            // A copy, which holds the threads: looking at one may, in theory, run code.
            let active = match !active.is_null() && PyDict_Check(active) != 0 {
                true => PyDict_Copy(active),
                false => std::ptr::null_mut(),
            };
            let (mut position, mut key) = (0, std::ptr::null_mut());
            let mut thread = std::ptr::null_mut();
            while !active.is_null()
                && PyDict_Next(active, &mut position, &mut key, &mut thread) != 0
            {
                name(thread);
            }
            Py_XDECREF(active);
        }
        PyErr_Clear();
    }
}

/// Tells the tracer the name of one thread, a `threading.Thread`.
unsafe fn name(thread: *mut PyObject) {
    // SAFETY: the caller's contract; both references are released.
    unsafe {
        let (number, name) = (
            attribute(thread, c"_native_id"),
            attribute(thread, c"_name"),
        );
        if !number.is_null()
            && PyLong_Check(number) != 0
            && !name.is_null()
            && PyUnicode_Check(name) != 0
        {
            let number = PyLong_AsUnsignedLongLong(number);
            if let Some(text) = text(name)
                && let Some(state) = hooks::state().as_mut()
                && let Some(id) = state.tracer.find_thread(number)
            {
                // Without memory it stays without a name.
                let _ = state.tracer.set_thread_name(id, text.as_bytes());
            }
        }
        Py_XDECREF(number);
        Py_XDECREF(name);
        PyErr_Clear();
    }
}

/// An attribute that an instance keeps itself; null where it has none.
unsafe fn attribute(object: *mut PyObject, name: &CStr) -> *mut PyObject {
    // SAFETY: the caller's contract.
    unsafe {
        let name = PyUnicode_FromString(name.as_ptr());
        if name.is_null() {
            return name;
        }
        let value = PyObject_GenericGetAttr(object, name);
        Py_DECREF(name);
        value
    }
}
