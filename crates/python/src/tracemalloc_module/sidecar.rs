//! The stock tracer, kept running empty beside ours.
//!
//! C extensions report memory of their own with `PyTraceMalloc_Track` and
//! `PyTraceMalloc_Untrack`; those functions of the interpreter write into its
//! private tables, and only while the stock tracer is on. Not every call of them
//! can be led to us (`slots.rs`). So while the program traces, the stock tracer
//! is on too, but without its allocator hooks: its tables then hold exactly what
//! was reported to it, and what our functions answer is the sum of both.

use std::ffi::CStr;
use std::mem;
use std::ptr;
use std::sync::OnceLock;

use pyo3_ffi::*;

use crate::hooks::Allocators;

/// The stock functions. They are the same C functions in every copy of the
/// module and in every interpreter of the process.
pub struct Stock {
    start: PyCFunctionFast,
    stop: PyCFunction,
    is_tracing: PyCFunction,
    clear_traces: PyCFunction,
    reset_peak: PyCFunction,
    get_traces: PyCFunction,
    get_traced_memory: PyCFunction,
    get_traceback_limit: PyCFunction,
    get_tracemalloc_memory: PyCFunction,
}

static STOCK: OnceLock<Stock> = OnceLock::new();

/// The stock functions, once found.
pub fn stock() -> Option<&'static Stock> {
    STOCK.get()
}

/// The C function behind `module.name`, if it is one with this convention.
unsafe fn function(
    names: *mut PyObject,
    name: &CStr,
    convention: i32,
) -> Result<PyCFunction, String> {
    // SAFETY: `names` is a live dict and the GIL is held; borrowed references only.
    unsafe {
        let object = PyDict_GetItemString(names, name.as_ptr());
        let what = name.to_string_lossy();
        if object.is_null() || PyCFunction_Check(object) == 0 {
            return Err(format!("_tracemalloc.{what} is not a built-in function"));
        }
        if PyCFunction_GetFlags(object) != convention {
            return Err(format!("_tracemalloc.{what} is called in an unknown way"));
        }
        PyCFunction_GetFunction(object).ok_or_else(|| format!("_tracemalloc.{what} is empty"))
    }
}

/// Find the stock functions in a stock `_tracemalloc` module's dict.
///
/// # Safety
/// Call with the GIL held.
pub unsafe fn find(names: *mut PyObject) -> Result<(), String> {
    if STOCK.get().is_some() {
        return Ok(());
    }
    // SAFETY: the GIL is held; the flags say that `start` is a fast call.
    let stock = unsafe {
        let start = function(names, c"start", METH_FASTCALL)?;
        Stock {
            start: mem::transmute::<PyCFunction, PyCFunctionFast>(start),
            stop: function(names, c"stop", METH_NOARGS)?,
            is_tracing: function(names, c"is_tracing", METH_NOARGS)?,
            clear_traces: function(names, c"clear_traces", METH_NOARGS)?,
            reset_peak: function(names, c"reset_peak", METH_NOARGS)?,
            get_traces: function(names, c"_get_traces", METH_NOARGS)?,
            get_traced_memory: function(names, c"get_traced_memory", METH_NOARGS)?,
            get_traceback_limit: function(names, c"get_traceback_limit", METH_NOARGS)?,
            get_tracemalloc_memory: function(names, c"get_tracemalloc_memory", METH_NOARGS)?,
        }
    };
    let _ = STOCK.set(stock);
    Ok(())
}

/// Call a function whose result does not matter.
unsafe fn run(function: PyCFunction, module: *mut PyObject) {
    // SAFETY: a stock function without arguments; it ignores its module.
    unsafe {
        let result = function(module, ptr::null_mut());
        if result.is_null() {
            PyErr_Clear();
        }
        Py_XDECREF(result);
    }
}

unsafe fn number(function: PyCFunction, module: *mut PyObject) -> usize {
    // SAFETY: as in `run`.
    unsafe {
        let result = function(module, ptr::null_mut());
        let number = if result.is_null() {
            -1
        } else {
            PyLong_AsSsize_t(result)
        };
        PyErr_Clear();
        Py_XDECREF(result);
        usize::try_from(number).unwrap_or(0)
    }
}

impl Stock {
    /// Is the stock tracer on?
    ///
    /// # Safety
    /// This and all the following: call with the GIL held and no exception
    /// set; `module` is the module whose function was called.
    pub unsafe fn is_tracing(&self, module: *mut PyObject) -> bool {
        // SAFETY: as in `run`; the result is a bool, an int.
        unsafe { number(self.is_tracing, module) != 0 }
    }

    /// Its frame limit.
    ///
    /// # Safety
    /// As `is_tracing`.
    pub unsafe fn limit(&self, module: *mut PyObject) -> usize {
        // SAFETY: as in `run`.
        unsafe { number(self.get_traceback_limit, module) }
    }

    /// Bytes its tables take.
    ///
    /// # Safety
    /// As `is_tracing`.
    pub unsafe fn table_memory(&self, module: *mut PyObject) -> usize {
        // SAFETY: as in `run`.
        unsafe { number(self.get_tracemalloc_memory, module) }
    }

    /// Turn it on without its hooks. An exception is set on failure.
    ///
    /// # Safety
    /// As `is_tracing`.
    pub unsafe fn start(&self, module: *mut PyObject, limit: u16) -> bool {
        // SAFETY: the GIL is held throughout, so nobody else sets allocators.
        unsafe {
            let limit = PyLong_FromLong(limit.into());
            if limit.is_null() {
                return false;
            }
            let allocators = Allocators::get();
            let mut arguments = [limit];
            let result = (self.start)(module, arguments.as_mut_ptr(), 1);
            allocators.set();
            Py_DECREF(limit);
            if result.is_null() {
                return false;
            }
            Py_DECREF(result);
            // What other threads allocated in between.
            run(self.clear_traces, module);
            true
        }
    }

    /// Turn it off, and leave CPython's allocators as they are.
    ///
    /// # Safety
    /// As `is_tracing`.
    pub unsafe fn stop(&self, module: *mut PyObject) {
        // SAFETY: as in `start`.
        unsafe {
            let allocators = Allocators::get();
            run(self.stop, module);
            allocators.set();
        }
    }

    /// Turn it off as its owner would: with its hooks, if it has some.
    ///
    /// # Safety
    /// As `is_tracing`.
    pub unsafe fn stop_entirely(&self, module: *mut PyObject) {
        // SAFETY: as in `run`.
        unsafe { run(self.stop, module) }
    }

    /// Forget what extensions reported.
    ///
    /// # Safety
    /// As `is_tracing`.
    pub unsafe fn clear(&self, module: *mut PyObject) {
        // SAFETY: as in `run`.
        unsafe { run(self.clear_traces, module) }
    }

    /// Start its peak anew.
    ///
    /// # Safety
    /// As `is_tracing`.
    pub unsafe fn reset_peak(&self, module: *mut PyObject) {
        // SAFETY: as in `run`.
        unsafe { run(self.reset_peak, module) }
    }

    /// A new list of what extensions reported, or null and an exception.
    ///
    /// # Safety
    /// As `is_tracing`.
    pub unsafe fn traces(&self, module: *mut PyObject) -> *mut PyObject {
        // SAFETY: a stock function without arguments.
        unsafe { (self.get_traces)(module, ptr::null_mut()) }
    }

    /// Bytes reported by extensions: now, and at most.
    ///
    /// # Safety
    /// As `is_tracing`.
    pub unsafe fn traced(&self, module: *mut PyObject) -> (usize, usize) {
        // SAFETY: the result is a tuple of two ints; borrowed references to them.
        unsafe {
            let result = (self.get_traced_memory)(module, ptr::null_mut());
            let mut figures = (0, 0);
            if !result.is_null() && PyTuple_Check(result) != 0 && PyTuple_Size(result) == 2 {
                let figure = |i| PyLong_AsSize_t(PyTuple_GetItem(result, i));
                figures = (figure(0), figure(1));
            }
            if !PyErr_Occurred().is_null() {
                PyErr_Clear();
                figures = (0, 0);
            }
            Py_XDECREF(result);
            figures
        }
    }
}
