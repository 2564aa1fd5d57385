//! The self-check of `frame.rs`: a known stack, read both ways.
//!
//! A few lines of Python are run: a function, a closure and a generator inside
//! it. From the innermost call the whole stack, including whatever was running
//! already, is read as memory and through CPython's public functions. Unless
//! both agree on every code object, line and file name, frames cannot be
//! trusted in this interpreter and the stock tracer stays.

use std::ptr;

use pyo3_ffi::*;

use crate::frame::{current_thread, read_all};
use crate::hooks::lock::Lock;
use crate::module::Shared;
use crate::self_check;

const PROGRAM: &std::ffi::CStr = c"\
def outer(call):
    kept = [call]
    return inner(kept[0])

def inner(call):
    def step():
        yield call()
    return next(step())

outer(call)
";
/// The lines of `PROGRAM` that the stack shows, innermost first.
const LINES: [u32; 4] = [7, 8, 3, 10];

static OUTCOME: Lock<Option<Result<(), String>>> = Lock::new(None);

static METHOD: Shared<PyMethodDef> = Shared(PyMethodDef {
    ml_name: c"call".as_ptr(),
    ml_meth: PyMethodDefPointer { PyCFunction: call },
    ml_flags: METH_NOARGS,
    ml_doc: ptr::null(),
});

/// Run the check.
///
/// # Safety
/// Call with the GIL held and no exception set.
pub unsafe fn run() -> Result<(), String> {
    *OUTCOME.lock() = None;
    // SAFETY: the caller's contract.
    let ran = unsafe { self_check::run(PROGRAM, &METHOD, &[], |ran, _| ran) };
    match OUTCOME.lock().take() {
        Some(outcome) if ran => outcome,
        _ => Err("the frame check could not run".into()),
    }
}

unsafe extern "C" fn call(_self: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python, so the GIL is held.
    unsafe {
        let outcome = compare();
        PyErr_Clear();
        *OUTCOME.lock() = Some(outcome);
        Py_NewRef(Py_None())
    }
}

unsafe fn compare() -> Result<(), String> {
    // SAFETY: the GIL is held by the caller, and frames of this very thread are
    // read while it runs this function.
    unsafe {
        #[cfg(not(Py_3_12))]
        if !crate::frame::thread::is_of_this_thread(PyThreadState_Get()) {
            return Err("thread states do not read as expected".into());
        }
        let mut frame = PyThreadState_GetFrame(PyThreadState_Get());
        let seen = read_all(current_thread()).map_err(|e| e.to_string())?;
        let lines: Vec<u32> = seen.iter().take(LINES.len()).map(|s| s.line).collect();
        if lines != LINES {
            Py_XDECREF(frame.cast());
            return Err(format!("frames do not read as expected: lines {lines:?}"));
        }
        for one in &seen {
            if frame.is_null() {
                return Err("frames read as memory are more than there are".into());
            }
            let code: *mut PyObject = PyFrame_GetCode(frame).cast();
            let line = u32::try_from(PyFrame_GetLineNumber(frame)).unwrap_or(0);
            let attribute = |name: &std::ffi::CStr| {
                let value = PyObject_GetAttrString(code, name.as_ptr());
                let bytes = encoded(value);
                Py_XDECREF(value);
                bytes
            };
            let (file, function) = (attribute(c"co_filename"), attribute(c"co_qualname"));
            Py_DECREF(code);
            let caller = PyFrame_GetBack(frame);
            Py_DECREF(frame.cast());
            frame = caller;
            let same_names =
                file.as_ref() == Some(&one.file) && function.as_ref() == Some(&one.function);
            if code != one.code || line != one.line || !same_names {
                Py_XDECREF(frame.cast());
                return Err("frames read as memory differ from the real ones".into());
            }
        }
        if !frame.is_null() {
            Py_DECREF(frame.cast());
            return Err("frames read as memory are fewer than there are".into());
        }
    }
    Ok(())
}

unsafe fn encoded(name: *mut PyObject) -> Option<Vec<u8>> {
    // SAFETY: `name` is null or a live object.
    unsafe {
        if name.is_null() || PyUnicode_Check(name) == 0 {
            return Some(b"<unknown>".to_vec());
        }
        let bytes = PyUnicode_AsEncodedString(name, c"utf-8".as_ptr(), c"surrogatepass".as_ptr());
        if bytes.is_null() {
            return None;
        }
        let (data, size) = (PyBytes_AsString(bytes), PyBytes_Size(bytes));
        let copy = std::slice::from_raw_parts(data.cast::<u8>(), size as usize).to_vec();
        Py_DECREF(bytes);
        Some(copy)
    }
}
