//! Runs a small program of ours, whose frames and objects are known, so that what
//! is read as memory can be compared with what must be there.

use std::ffi::CStr;
use std::ptr;

use pyo3_ffi::*;

use crate::module::Shared;

/// Runs `program` with `call`, a function of ours, and with `given` as its names.
/// Then `read` is asked, with whether it ran to its end and its names, which
/// are null where there was no memory for them. No exception is left.
///
/// # Safety
/// The GIL is held and no exception is set; what is given is alive or null.
pub unsafe fn run<R>(
    program: &CStr,
    call: &'static Shared<PyMethodDef>,
    given: &[(&CStr, *mut PyObject)],
    read: impl FnOnce(bool, *mut PyObject) -> R,
) -> R {
    // SAFETY: the GIL is held; every reference made here is released here.
    unsafe {
        let code = Py_CompileString(program.as_ptr(), c"<wrasse check>".as_ptr(), Py_file_input);
        let names = PyDict_New();
        let function = PyCFunction_NewEx(
            (&raw const call.0).cast_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
        );
        let mut result = ptr::null_mut();
        let set = |name: &CStr, value: *mut PyObject| {
            !value.is_null() && PyDict_SetItemString(names, name.as_ptr(), value) == 0
        };
        if !code.is_null()
            && !names.is_null()
            && set(c"call", function)
            && given.iter().all(|(name, value)| set(name, *value))
        {
            result = PyEval_EvalCode(code, names, names);
        }
        PyErr_Clear();
        let outcome = read(!result.is_null(), names);
        PyErr_Clear();
        if !names.is_null() {
            // Its functions refer to it.
            PyDict_Clear(names);
        }
        for object in [result, function, names, code] {
            Py_XDECREF(object);
        }
        outcome
    }
}
