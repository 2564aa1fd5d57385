//! The functions of `_tracemalloc`, served by wrasse's tracer.
//!
//! They replace the stock ones in the stock module object, so that everybody
//! who has the module (or imports it later) gets them, and `tracemalloc` works
//! on top unchanged. They are the first of the tracer's two views. What C
//! extensions report comes to it too (`slots.rs`), or else is with the stock
//! tracer (`sidecar.rs`).

#[cfg(not(Py_3_13))]
mod detour;
mod mappings;
mod reuse;
mod sidecar;
mod slots;
mod traces;

use std::ffi::{CStr, c_int, c_long};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3_ffi::*;
use wrasse_tracer::{Snapshot, View};

use crate::frame;
use crate::hooks::{self, Silence};
use crate::module::Shared;
pub use reuse::block_of;
use sidecar::Stock;
use traces::{Objects, pair};

const VIEW: View = View::Program;

static STARTS: AtomicUsize = AtomicUsize::new(0);

/// How often a program has started tracing with our functions.
pub fn starts() -> usize {
    STARTS.load(Ordering::Relaxed)
}

/// What is not as with the stock tracer in this process, and why.
pub fn notes() -> Vec<String> {
    let mut notes = reuse::notes();
    if hooks::is_shut_out() {
        notes.push("some blocks are not traced: other tools replaced Python's allocators".into());
    }
    notes
}

const fn plain(name: &'static CStr, call: PyCFunction, doc: &'static CStr) -> PyMethodDef {
    PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunction: call },
        ml_flags: METH_NOARGS,
        ml_doc: doc.as_ptr(),
    }
}

static METHODS: Shared<[PyMethodDef; 10]> = Shared([
    plain(
        c"is_tracing",
        is_tracing,
        c"is_tracing($module, /)\n--\n\nTell whether allocations are being traced.",
    ),
    plain(
        c"clear_traces",
        clear_traces,
        c"clear_traces($module, /)\n--\n\nForget all blocks traced so far.",
    ),
    plain(
        c"_get_traces",
        get_traces,
        c"_get_traces($module, /)\n--\n\nList every traced block as (domain, size, traceback, number of frames).\n\nThe list is empty when nothing is traced.",
    ),
    PyMethodDef {
        ml_name: c"_get_object_traceback".as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunction: get_object_traceback,
        },
        ml_flags: METH_O,
        ml_doc: c"_get_object_traceback($module, obj, /)\n--\n\nReturn where obj's memory was allocated, most recent frame first.\n\nThe result is a tuple of (filename, line) pairs, or None if obj is not traced.".as_ptr(),
    },
    PyMethodDef {
        ml_name: c"start".as_ptr(),
        ml_meth: PyMethodDefPointer {
            PyCFunctionFast: start,
        },
        ml_flags: METH_FASTCALL,
        ml_doc: c"start($module, nframe=1, /)\n--\n\nBegin to trace allocations.\n\nAt most nframe frames of each traceback are kept.".as_ptr(),
    },
    plain(
        c"stop",
        stop,
        c"stop($module, /)\n--\n\nEnd tracing and forget all blocks traced so far.",
    ),
    plain(
        c"get_traceback_limit",
        get_traceback_limit,
        c"get_traceback_limit($module, /)\n--\n\nReturn how many frames of a traceback are kept.\n\nThis is the nframe of the last start(), or 1.",
    ),
    plain(
        c"get_tracemalloc_memory",
        get_tracemalloc_memory,
        c"get_tracemalloc_memory($module, /)\n--\n\nReturn the bytes that tracing itself takes.",
    ),
    plain(
        c"get_traced_memory",
        get_traced_memory,
        c"get_traced_memory($module, /)\n--\n\nReturn the traced bytes: a tuple (current, peak).",
    ),
    plain(
        c"reset_peak",
        reset_peak,
        c"reset_peak($module, /)\n--\n\nSet the peak of the traced bytes to what is traced now.\n\nWithout effect when nothing is traced.",
    ),
]);

/// Give a `_tracemalloc` module our functions. Once done, calling again for
/// the same module changes nothing.
///
/// # Safety
/// Call with the GIL held and no exception set; `module` is a live module.
pub unsafe fn install(module: *mut PyObject) -> Result<(), String> {
    // SAFETY: the GIL is held; references are released where they were made.
    unsafe {
        let names = PyModule_GetDict(module);
        if names.is_null() {
            PyErr_Clear();
            return Err("_tracemalloc is not a module".into());
        }
        if is_ours(PyDict_GetItemString(names, c"start".as_ptr())) {
            return Ok(());
        }
        sidecar::find(names)?;
        frame::check()?;
        let stock = sidecar::stock().ok_or("the stock functions are missing")?;
        let inherited = (!hooks::active().contains(VIEW) && stock.is_tracing(module))
            .then(|| stock.limit(module));
        if let Some(limit) = inherited {
            // It would take our hooks out when it stops: it has to go first.
            stock.stop_entirely(module);
            let limit = u16::try_from(limit).unwrap_or(u16::MAX).max(1);
            if !begin(stock, module, limit) {
                PyErr_Clear();
                return Err("no memory to trace".into());
            }
        }
        replace(module, names)?;
    }
    Ok(())
}

unsafe fn is_ours(object: *mut PyObject) -> bool {
    // SAFETY: `object` is null or live.
    unsafe {
        if object.is_null() || PyCFunction_Check(object) == 0 {
            return false;
        }
        let function = PyCFunction_GetFunction(object).map(|f| f as usize);
        function == Some(start as *const () as usize)
    }
}

/// Put our functions in place of the stock ones, here and in `tracemalloc`,
/// which copies them when it is imported.
unsafe fn replace(module: *mut PyObject, names: *mut PyObject) -> Result<(), String> {
    // SAFETY: the GIL is held by the caller.
    unsafe {
        let copies = PyImport_GetModule_or_null(c"tracemalloc");
        let copied = if copies.is_null() {
            ptr::null_mut()
        } else {
            PyModule_GetDict(copies)
        };
        let owner = PyUnicode_FromString(c"_tracemalloc".as_ptr());
        let mut is_done = !owner.is_null();
        for method in &METHODS.0 {
            if !is_done {
                break;
            }
            let function = PyCFunction_NewEx(ptr::from_ref(method).cast_mut(), module, owner);
            let stock = PyDict_GetItemString(names, method.ml_name);
            Py_XINCREF(stock);
            is_done =
                !function.is_null() && PyDict_SetItemString(names, method.ml_name, function) == 0;
            if is_done && !copied.is_null() && !stock.is_null() {
                let copy = PyDict_GetItemString(copied, method.ml_name);
                if copy == stock {
                    is_done = PyDict_SetItemString(copied, method.ml_name, function) == 0;
                }
            }
            Py_XDECREF(stock);
            Py_XDECREF(function);
        }
        Py_XDECREF(owner);
        Py_XDECREF(copies);
        PyErr_Clear();
        if is_done {
            Ok(())
        } else {
            Err("no memory to replace the functions of _tracemalloc".into())
        }
    }
}

/// A new reference to a module that is already imported, or null.
#[allow(non_snake_case)]
unsafe fn PyImport_GetModule_or_null(name: &CStr) -> *mut PyObject {
    // SAFETY: the GIL is held by the caller.
    unsafe {
        let name = PyUnicode_FromString(name.as_ptr());
        if name.is_null() {
            PyErr_Clear();
            return ptr::null_mut();
        }
        let module = PyImport_GetModule(name);
        Py_DECREF(name);
        if module.is_null() || PyModule_Check(module) == 0 {
            PyErr_Clear();
            Py_XDECREF(module);
            return ptr::null_mut();
        }
        module
    }
}

fn is_on() -> bool {
    hooks::active().contains(VIEW)
}

/// Modules may have been loaded: hear what they report, while the program traces.
pub fn listen() {
    if is_on() {
        slots::refresh();
    }
}

unsafe fn none() -> *mut PyObject {
    // SAFETY: called with the GIL held.
    unsafe { Py_NewRef(Py_None()) }
}

/// Begin to trace; an exception is set on failure.
unsafe fn begin(stock: &Stock, module: *mut PyObject, limit: u16) -> bool {
    // SAFETY: the GIL is held. Our hooks come first, so that the stock tracer
    // takes them for the real allocators, should it ever restore any.
    unsafe {
        if stock.is_tracing(module) {
            // Somebody kept the stock functions and used them: as at install.
            stock.stop_entirely(module);
        }
        hooks::attach(VIEW, limit);
        reuse::before_start();
        if !stock.start(module, limit) {
            return false;
        }
        reuse::start();
        if hooks::start(VIEW, limit).is_err() {
            reuse::stop();
            stock.stop(module);
            reuse::after_stop();
            PyErr_NoMemory();
            return false;
        }
    }
    slots::refresh();
    STARTS.fetch_add(1, Ordering::Relaxed);
    true
}

unsafe extern "C" fn is_tracing(_module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe { PyBool_FromLong(c_long::from(is_on())) }
}

unsafe extern "C" fn start(
    module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called from Python with `count` arguments.
    unsafe {
        if count > 1 {
            PyErr_Format(
                PyExc_TypeError,
                c"start expected at most 1 argument, got %zd".as_ptr(),
                count,
            );
            return ptr::null_mut();
        }
        let mut limit: c_long = 1;
        if count == 1 {
            let mut overflow: c_int = 0;
            limit = PyLong_AsLongAndOverflow(*arguments, &mut overflow);
            if limit == -1 && !PyErr_Occurred().is_null() {
                return ptr::null_mut();
            }
            if overflow != 0 || c_int::try_from(limit).is_err() {
                PyErr_SetString(
                    PyExc_OverflowError,
                    c"Python int too large to convert to C int".as_ptr(),
                );
                return ptr::null_mut();
            }
        }
        let limit = match u16::try_from(limit) {
            Ok(limit) if limit > 0 => limit,
            _ => {
                PyErr_SetString(
                    PyExc_ValueError,
                    c"the number of frames must be in range [1; 65535]".as_ptr(),
                );
                return ptr::null_mut();
            }
        };
        if !is_on()
            && let Some(stock) = sidecar::stock()
            && !begin(stock, module, limit)
        {
            return ptr::null_mut();
        }
        none()
    }
}

unsafe extern "C" fn stop(module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        if is_on() {
            reuse::stop();
            if let Some(stock) = sidecar::stock() {
                stock.stop(module);
            }
            reuse::after_stop();
            hooks::stop(VIEW);
        }
        none()
    }
}

unsafe extern "C" fn clear_traces(module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    listen();
    // SAFETY: called from Python.
    unsafe {
        if is_on() {
            if let Some(state) = hooks::state().as_mut() {
                state.tracer.clear(VIEW);
            }
            if let Some(stock) = sidecar::stock() {
                stock.clear(module);
            }
        }
        none()
    }
}

unsafe extern "C" fn reset_peak(module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    listen();
    // SAFETY: called from Python.
    unsafe {
        if is_on() {
            if let Some(state) = hooks::state().as_mut() {
                state.tracer.reset_peak(VIEW);
            }
            if let Some(stock) = sidecar::stock() {
                stock.reset_peak(module);
            }
        }
        none()
    }
}

unsafe extern "C" fn get_traceback_limit(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let limit = hooks::state().as_ref().map_or(1, |s| s.tracer.limit(VIEW));
    // SAFETY: called from Python.
    unsafe { PyLong_FromLong(limit.into()) }
}

unsafe extern "C" fn get_tracemalloc_memory(
    module: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        let reported = sidecar::stock().map_or(0, |stock| stock.table_memory(module));
        let ours = hooks::state().as_ref().map_or(0, |state| state.memory());
        PyLong_FromSize_t(ours + reported)
    }
}

unsafe extern "C" fn get_traced_memory(module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    listen();
    // SAFETY: called from Python.
    unsafe {
        let (mut current, mut peak) = (0, 0);
        if is_on() {
            let counters = hooks::state().as_ref().map(|s| s.tracer.counters(VIEW));
            let counters = counters.unwrap_or_default();
            let reported = sidecar::stock().map_or((0, 0), |stock| stock.traced(module));
            current = counters.current() + reported.0;
            // The two peaks may have been at different times: an upper bound
            // where somebody reports to the stock tracer, exact otherwise.
            peak = counters.peak() + reported.1;
        }
        // As the stock function makes them: their own blocks show in the traces.
        let figure = |bytes: usize| PyLong_FromSsize_t(bytes as Py_ssize_t);
        pair(figure(current), figure(peak))
    }
}

unsafe extern "C" fn get_traces(module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    listen();
    // SAFETY: called from Python.
    unsafe {
        let list = PyList_New(0);
        if list.is_null() || !is_on() {
            return list;
        }
        if fill(module, list) {
            return list;
        }
        if PyErr_Occurred().is_null() {
            PyErr_NoMemory();
        }
        Py_DECREF(list);
        ptr::null_mut()
    }
}

/// What wrasse's own profile sees, as `_get_traces` lists it; null and an
/// exception if there is no memory.
///
/// # Safety
/// Call with the GIL held and no exception set.
pub unsafe fn profile_traces() -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let list = PyList_New(0);
        if list.is_null() || fill_with(View::Profile, list) {
            return list;
        }
        if PyErr_Occurred().is_null() {
            PyErr_NoMemory();
        }
        Py_DECREF(list);
        ptr::null_mut()
    }
}

/// Append what a view sees to a list.
unsafe fn fill_with(view: View, list: *mut PyObject) -> bool {
    let snapshot = match hooks::state().as_ref() {
        None => Snapshot::default(),
        Some(state) => match state.tracer.snapshot(view) {
            Ok(snapshot) => snapshot,
            Err(_) => return false,
        },
    };
    // The list of traces must not fill up with itself.
    let _silence = Silence::begin();
    let Some(mut objects) = Objects::new(&snapshot) else {
        return false;
    };
    // SAFETY: the GIL is held.
    unsafe {
        for block in snapshot.blocks() {
            let trace = objects.trace(block);
            if trace.is_null() {
                return false;
            }
            let failed = PyList_Append(list, trace) != 0;
            Py_DECREF(trace);
            if failed {
                return false;
            }
        }
    }
    true
}

unsafe fn fill(module: *mut PyObject, list: *mut PyObject) -> bool {
    // SAFETY: the GIL is held.
    unsafe {
        if !fill_with(VIEW, list) {
            return false;
        }
        let _silence = Silence::begin();
        let Some(stock) = sidecar::stock() else {
            return true;
        };
        let reported = stock.traces(module);
        if reported.is_null() {
            return false;
        }
        let end = PyList_Size(list);
        let failed = PyList_SetSlice(list, end, end, reported) != 0;
        Py_DECREF(reported);
        !failed
    }
}

/// What extensions have reported by ways that reach the stock tracer: a new list
/// of traces, or null and an exception.
///
/// # Safety
/// Call with the GIL held and no exception set.
pub unsafe fn reported() -> *mut PyObject {
    // SAFETY: the stock function takes the module and does not look at it.
    unsafe {
        match sidecar::stock() {
            Some(stock) if is_on() => stock.traces(ptr::null_mut()),
            _ => PyList_New(0),
        }
    }
}

unsafe extern "C" fn get_object_traceback(
    _module: *mut PyObject,
    object: *mut PyObject,
) -> *mut PyObject {
    listen();
    // SAFETY: called from Python with a live object.
    unsafe { traceback_of(0, reuse::block_of(object)) }
}

/// Where the block at an address of a domain comes from: a new reference, None
/// if nobody knows; null and an exception if there is no memory.
///
/// # Safety
/// Call with the GIL held.
unsafe fn traceback_of(domain: u32, address: usize) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let snapshot = match hooks::state().as_ref() {
            Some(state) if is_on() => state.tracer.snapshot_of(VIEW, domain, address),
            _ => Ok(Snapshot::default()),
        };
        let Ok(snapshot) = snapshot else {
            return PyErr_NoMemory();
        };
        let Some(block) = snapshot.blocks().first() else {
            return none();
        };
        match Objects::new(&snapshot) {
            None => PyErr_NoMemory(),
            Some(mut objects) => Py_XNewRef(objects.traceback(block.traceback)),
        }
    }
}
