//! The import hook: `gc` and `_tracemalloc` get wrasse's functions whenever
//! they are imported.
//!
//! `import gc` finds the patched module in `sys.modules`; somebody who deletes it
//! there and imports it once more would get a stock one. `_tracemalloc` comes
//! this way the first time already (see `boot.rs`).
//!
//! The extension module itself is the finder on `sys.meta_path` and the loader
//! of the two modules: as builtin functions it leaves no frame for a debugger,
//! a profiler or `sys.settrace` to see. The real work is CPython's own
//! `BuiltinImporter`'s, which is put back as the loader when it is done.

use std::ffi::CStr;
use std::ptr;

use pyo3_ffi::*;

use crate::{boot, tracemalloc_module};

const MODULES: [&CStr; 2] = [c"gc", c"_tracemalloc"];

/// Whether `finder` (the extension module) is on `sys.meta_path`.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn is_installed(finder: *mut PyObject) -> bool {
    // SAFETY: `sys.meta_path` is looked at as any object.
    unsafe {
        let path = meta_path();
        let found = !path.is_null() && PySequence_Contains(path, finder) == 1;
        PyErr_Clear();
        found
    }
}

/// Puts `finder` at the head of `sys.meta_path`, once.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn install(finder: *mut PyObject) {
    // SAFETY: `sys.meta_path` is a list, if it is found.
    unsafe {
        let path = meta_path();
        if !path.is_null() && !is_installed(finder) {
            PyList_Insert(path, 0, finder);
        }
        PyErr_Clear();
    }
}

/// `sys.meta_path`, borrowed; null if there is no such list.
unsafe fn meta_path() -> *mut PyObject {
    // SAFETY: the caller has the GIL.
    unsafe {
        let path = PySys_GetObject(c"meta_path".as_ptr());
        if path.is_null() || PyList_Check(path) == 0 {
            return ptr::null_mut();
        }
        path
    }
}

/// `find_spec(name, path=None, target=None)`: a spec for the modules that
/// wrasse serves, None for all others.
pub unsafe extern "C" fn find_spec(
    finder: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    tracemalloc_module::listen();
    // SAFETY: CPython's calling convention for METH_FASTCALL.
    unsafe {
        let ours = count >= 1
            && PyUnicode_Check(*arguments) != 0
            && MODULES
                .iter()
                .any(|name| PyUnicode_CompareWithASCIIString(*arguments, name.as_ptr()) == 0);
        if !ours {
            return Py_NewRef(Py_None());
        }
        let spec = built_in(c"find_spec", *arguments);
        if !spec.is_null()
            && spec != Py_None()
            && PyObject_SetAttrString(spec, c"loader".as_ptr(), finder) < 0
        {
            Py_DECREF(spec);
            return ptr::null_mut();
        }
        spec
    }
}

/// `create_module(spec)`
pub unsafe extern "C" fn create_module(_: *mut PyObject, spec: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe { built_in(c"create_module", spec) }
}

/// `exec_module(module)`
pub unsafe extern "C" fn exec_module(_: *mut PyObject, module: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python; references are released where they were made.
    unsafe {
        let done = built_in(c"exec_module", module);
        if done.is_null() {
            return done;
        }
        Py_DECREF(done);
        let importer = importer();
        let spec = PyObject_GetAttrString(module, c"__spec__".as_ptr());
        let failed = importer.is_null()
            || spec.is_null()
            || PyObject_SetAttrString(module, c"__loader__".as_ptr(), importer) < 0
            || PyObject_SetAttrString(spec, c"loader".as_ptr(), importer) < 0;
        Py_XDECREF(importer);
        Py_XDECREF(spec);
        if failed {
            return ptr::null_mut();
        }
        for name in MODULES {
            if is_named(module, name) {
                boot::patch(module, name);
            }
        }
        Py_NewRef(Py_None())
    }
}

unsafe fn is_named(module: *mut PyObject, name: &CStr) -> bool {
    // SAFETY: `module` is alive; its name is compared and released.
    unsafe {
        let found = PyModule_GetNameObject(module);
        if found.is_null() {
            PyErr_Clear();
            return false;
        }
        let same = PyUnicode_CompareWithASCIIString(found, name.as_ptr()) == 0;
        Py_DECREF(found);
        same
    }
}

/// CPython's importer of built-in modules, a new reference; it exists under
/// this name before importlib does.
unsafe fn importer() -> *mut PyObject {
    // SAFETY: the GIL is held; what is not found is an exception and null.
    unsafe {
        let module = PyImport_ImportModule(c"_frozen_importlib".as_ptr());
        if module.is_null() {
            return module;
        }
        let importer = PyObject_GetAttrString(module, c"BuiltinImporter".as_ptr());
        Py_DECREF(module);
        importer
    }
}

/// Calls a method of CPython's importer with one argument.
unsafe fn built_in(method: &CStr, argument: *mut PyObject) -> *mut PyObject {
    // SAFETY: as above.
    unsafe {
        let importer = importer();
        if importer.is_null() {
            return importer;
        }
        let function = PyObject_GetAttrString(importer, method.as_ptr());
        Py_DECREF(importer);
        if function.is_null() {
            return function;
        }
        let result = PyObject_CallOneArg(function, argument);
        Py_DECREF(function);
        result
    }
}
