//! `os._exit()` in the process that reports.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3_ffi::*;

use super::{finish, read_profile, reporting};
use crate::doctor;
use crate::module::Shared;

static QUICK_EXIT: Shared<PyMethodDef> = Shared(PyMethodDef {
    ml_name: c"_exit".as_ptr(),
    ml_meth: PyMethodDefPointer {
        PyCFunctionFastWithKeywords: quick_exit,
    },
    ml_flags: METH_FASTCALL | METH_KEYWORDS,
    ml_doc: c"_exit($module, /, status)\n--\n\n\
        Exit at once with the given status, without the interpreter's own clean-up."
        .as_ptr(),
});
/// The stock `os._exit`, a reference that is kept for ever.
static STOCK_EXIT: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());

/// Has the program's `os._exit()` report first: some programs end that way to
/// save the time of a clean end. False, with an exception set, if it failed.
///
/// # Safety
/// The caller holds the GIL.
pub unsafe fn watch() -> bool {
    // SAFETY: the GIL is held; every reference taken is released but one.
    unsafe {
        let modules = PyImport_GetModuleDict();
        let posix = PyDict_GetItemString(modules, c"posix".as_ptr());
        let os = PyDict_GetItemString(modules, c"os".as_ptr());
        if posix.is_null() || os.is_null() {
            return false;
        }
        let stock = PyObject_GetAttrString(posix, c"_exit".as_ptr());
        let name = PyModule_GetNameObject(posix);
        let mut watched = false;
        if !stock.is_null() && !name.is_null() {
            STOCK_EXIT.store(stock, Ordering::Release);
            let ours = PyCFunction_NewEx((&raw const QUICK_EXIT.0).cast_mut(), posix, name);
            watched = !ours.is_null()
                && PyObject_SetAttrString(posix, c"_exit".as_ptr(), ours) == 0
                && PyObject_SetAttrString(os, c"_exit".as_ptr(), ours) == 0;
            Py_XDECREF(ours);
        } else {
            Py_XDECREF(stock);
        }
        Py_XDECREF(name);
        watched
    }
}

/// `os._exit(status)`
unsafe extern "C" fn quick_exit(
    module: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython's calling convention for METH_FASTCALL | METH_KEYWORDS.
    unsafe {
        let named = if keywords.is_null() {
            0
        } else {
            PyTuple_GET_SIZE(keywords)
        };
        // Whatever the stock function would refuse is no end of the program.
        let will_end = count + named == 1
            && PyLong_Check(*arguments) != 0
            && (named == 0
                || PyUnicode_CompareWithASCIIString(
                    PyTuple_GET_ITEM(keywords, 0),
                    c"status".as_ptr(),
                ) == 0)
            && {
                let mut overflow = 0;
                let status = PyLong_AsLongAndOverflow(*arguments, &mut overflow);
                overflow == 0 && i32::try_from(status).is_ok()
            };
        if will_end && reporting().is_some() {
            doctor::skip_garbage();
            Py_XDECREF(read_profile(module, ptr::null_mut()));
            finish();
        }
        let stock = STOCK_EXIT.load(Ordering::Acquire);
        PyObject_Vectorcall(stock, arguments, count as usize, keywords)
    }
}
