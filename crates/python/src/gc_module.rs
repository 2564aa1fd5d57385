//! The functions of the module `gc` that are not CPython's own any more.
//!
//! Lists, thresholds, flags and `gc.garbage` stay where CPython keeps them and
//! in the form it keeps them, so every function that only reads or splices
//! those (`get_objects`, `get_referrers`, `set_debug`,
//! `enable`, …) goes on working as it is, in the words of the running version.
//! Ours are the ones that collect, or that answer from what we count:
//! `collect`, `get_stats`, `get_count`, `freeze`; and the two that concern
//! thresholds, because while nobody sets any, CPython's field holds ours.
//!
//! The module object keeps its identity; its functions are replaced in place.

use std::ffi::{CStr, c_int};
use std::ptr;

use pyo3_ffi::*;
use wrasse_collector::{GENERATIONS, Reason};

use crate::interpreter::{self, Interpreter};
use crate::module::{Shared, method, raise};
use crate::{doctor, options, probe, trigger};

static METHODS: Shared<[PyMethodDef; 6]> = Shared([
    method(
        c"collect",
        METH_FASTCALL | METH_KEYWORDS,
        PyMethodDefPointer {
            PyCFunctionFastWithKeywords: collect,
        },
        c"collect($module, /, generation=2)\n--\n\n\
            Collect a generation, 0 to 2, and everything younger; by default everything.\n\n\
            Returns the number of unreachable objects that were found.  Raises\n\
            ValueError for a generation that does not exist.\n\n\
            Runs on wrasse.",
    ),
    method(
        c"get_stats",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: get_stats,
        },
        c"get_stats($module, /)\n--\n\n\
            Return a list of one dictionary a generation with its totals:\n\
            collections, collected, uncollectable.\n\n\
            Runs on wrasse.",
    ),
    method(
        c"get_count",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: get_count,
        },
        c"get_count($module, /)\n--\n\n\
            Return the three counts that are compared with the thresholds.\n\n\
            Runs on wrasse.",
    ),
    method(
        c"freeze",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: freeze,
        },
        c"freeze($module, /)\n--\n\n\
            Set all tracked objects aside, so that no later collection looks at them.\n\n\
            Runs on wrasse.",
    ),
    method(
        c"get_threshold",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: get_threshold,
        },
        c"get_threshold($module, /)\n--\n\n\
            Return the three thresholds that the counts are compared with.\n\n\
            Runs on wrasse.",
    ),
    method(
        c"set_threshold",
        METH_FASTCALL,
        PyMethodDefPointer {
            PyCFunctionFast: set_threshold,
        },
        c"set_threshold(threshold0, [threshold1, [threshold2]])\n\
            Set the thresholds of the generations; the first 0 turns automatic\n\
            collections off.\n\n\
            Until this is called, wrasse adapts them to the program; from then on\n\
            they hold exactly. Runs on wrasse.",
    ),
]);

/// Makes the stock module `gc` wrasse's, and the collector behind it, once in
/// each interpreter; a module imported afresh later is only patched.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn install(module: *mut PyObject) -> Result<(), String> {
    // SAFETY: the caller's contract.
    unsafe {
        if interpreter::current().is_none() {
            let state = probe::find(module)?;
            trigger::install(state, module)?;
        }
        patch(module)
    }
}

/// Replaces our functions in a module `gc`, stock or fresh.
unsafe fn patch(module: *mut PyObject) -> Result<(), String> {
    // SAFETY: the caller's contract.
    unsafe {
        let Some(interpreter) = interpreter::current() else {
            return Err("the collector is not installed".into());
        };
        let failed = |name: &CStr| {
            PyErr_Clear();
            format!("gc.{} cannot be replaced", name.to_string_lossy())
        };
        let module_name = PyUnicode_InternFromString(c"gc".as_ptr());
        for method in &METHODS.0 {
            let name = CStr::from_ptr(method.ml_name);
            let function = PyCFunction_NewEx((&raw const *method).cast_mut(), module, module_name);
            if function.is_null() || PyObject_SetAttrString(module, method.ml_name, function) < 0 {
                return Err(failed(name));
            }
            Py_DECREF(function);
        }
        Py_XDECREF(module_name);
        // A fresh module took its `callbacks` from the state, where ours is.
        if PyObject_SetAttrString(module, c"callbacks".as_ptr(), interpreter.callbacks) < 0 {
            return Err(failed(c"callbacks"));
        }
        Ok(())
    }
}

/// The running interpreter's collector; ours are only ever called where there is one.
unsafe fn here<'a>() -> Option<&'a Interpreter> {
    // SAFETY: called from Python, so the GIL is held.
    unsafe {
        let found = interpreter::current();
        if found.is_none() {
            PyErr_SetString(
                PyExc_RuntimeError,
                c"wrasse's collector is not installed in this interpreter".as_ptr(),
            );
        }
        found
    }
}

/// `gc.collect(generation=2)`.
unsafe extern "C" fn collect(
    _module: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython's calling convention for METH_FASTCALL | METH_KEYWORDS.
    unsafe {
        let Some(interpreter) = here() else {
            return ptr::null_mut();
        };
        let named = if keywords.is_null() {
            0
        } else {
            PyTuple_GET_SIZE(keywords)
        };
        let fits = match (count, named) {
            (0, 0) | (1, 0) => true,
            (0, 1) => {
                let keyword = PyTuple_GET_ITEM(keywords, 0);
                PyUnicode_Compare(keyword, interpreter.words.generation) == 0
            }
            _ => false,
        };
        if !fits {
            // Let the stock function refuse, in its own words.
            return PyObject_Vectorcall(
                interpreter.stock.collect,
                arguments,
                count as usize,
                keywords,
            );
        }
        let mut generation = GENERATIONS as c_int - 1;
        if count + named == 1 {
            match int(*arguments) {
                Some(value) => generation = value,
                None => return ptr::null_mut(),
            }
        }
        if !(0..GENERATIONS as c_int).contains(&generation) {
            PyErr_SetString(PyExc_ValueError, c"invalid generation".as_ptr());
            return ptr::null_mut();
        }
        let state = interpreter.state;
        if (*state).collecting != 0 {
            return PyLong_FromLong(0);
        }
        (*state).collecting = 1;
        interpreter.reason.set(Reason::Asked);
        let outcome = interpreter.collect(generation as usize);
        (*state).collecting = 0;
        PyLong_FromSize_t(outcome.collected + outcome.uncollectable)
    }
}

/// A C int from `object`, or an exception in the words that CPython has for it.
unsafe fn int(object: *mut PyObject) -> Option<c_int> {
    // SAFETY: `object` is an argument, alive for the call.
    unsafe {
        let mut overflow = 0;
        let value = PyLong_AsLongAndOverflow(object, &mut overflow);
        if value == -1 && !PyErr_Occurred().is_null() {
            return None;
        }
        match c_int::try_from(value) {
            Ok(value) if overflow == 0 => Some(value),
            _ => {
                PyErr_SetString(
                    PyExc_OverflowError,
                    c"Python int too large to convert to C int".as_ptr(),
                );
                None
            }
        }
    }
}

/// `gc.get_stats()`.
unsafe extern "C" fn get_stats(_module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python; formats and arguments agree.
    unsafe {
        let Some(interpreter) = here() else {
            return ptr::null_mut();
        };
        // Read before anything is allocated: an allocation may collect.
        let stats = interpreter.stats.get();
        let list = PyList_New(0);
        if list.is_null() {
            return list;
        }
        for generation in &stats.generations {
            let dict = Py_BuildValue(
                c"{snsnsn}".as_ptr(),
                c"collections".as_ptr(),
                generation.collections as Py_ssize_t,
                c"collected".as_ptr(),
                generation.collected as Py_ssize_t,
                c"uncollectable".as_ptr(),
                generation.uncollectable as Py_ssize_t,
            );
            let failed = dict.is_null() || PyList_Append(list, dict) < 0;
            Py_XDECREF(dict);
            if failed {
                Py_DECREF(list);
                return ptr::null_mut();
            }
        }
        list
    }
}

/// `gc.get_count()`.
unsafe extern "C" fn get_count(_module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `get_stats`.
    unsafe {
        let Some(interpreter) = here() else {
            return ptr::null_mut();
        };
        let generations = interpreter.generations.get();
        Py_BuildValue(
            c"(iii)".as_ptr(),
            (*interpreter.state).generations[0].count,
            generations.count(1),
            generations.count(2),
        )
    }
}

/// `gc.freeze()`.
unsafe extern "C" fn freeze(_module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `get_stats`; the stock function moves the lists.
    unsafe {
        let Some(interpreter) = here() else {
            return ptr::null_mut();
        };
        interpreter.abandon_slices();
        let mut generations = interpreter.generations.get();
        generations.reset_counts();
        interpreter.generations.set(generations);
        let result = PyObject_CallNoArgs(interpreter.stock.freeze);
        interpreter.adaptation.frozen();
        interpreter.landmarks.take();
        interpreter.set_trigger();
        result
    }
}

/// `wrasse.set_pause_target(milliseconds)`.
///
/// # Safety
/// Called by the interpreter as a `METH_O` function.
pub unsafe extern "C" fn set_pause_target(
    _module: *mut PyObject,
    value: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as in `get_stats`.
    unsafe {
        let mut target = None;
        if value != Py_None() {
            let milliseconds = PyFloat_AsDouble(value);
            if milliseconds == -1.0 && !PyErr_Occurred().is_null() {
                return ptr::null_mut();
            }
            target = options::seconds(milliseconds * 1e-3);
            if target.is_none() {
                return raise(
                    PyExc_ValueError,
                    "a pause target is from 0.001 to 3600000 milliseconds, or None",
                );
            }
        }
        let Some(interpreter) = here() else {
            return ptr::null_mut();
        };
        interpreter.set_pause_target(target);
        Py_NewRef(Py_None())
    }
}

/// `gc.get_threshold()`.
unsafe extern "C" fn get_threshold(_module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `get_stats`.
    unsafe {
        let Some(interpreter) = here() else {
            return ptr::null_mut();
        };
        let [young, middle, old] = interpreter.thresholds();
        Py_BuildValue(c"(iii)".as_ptr(), young, middle, old)
    }
}

/// `gc.set_threshold(threshold0, [threshold1, [threshold2]])`: the stock
/// function, in its own words, on the thresholds that the program knows.
unsafe extern "C" fn set_threshold(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: CPython's calling convention for METH_FASTCALL. Arguments may
    // have an `__index__` of the program's, which may call this function too.
    unsafe {
        let Some(interpreter) = here() else {
            return ptr::null_mut();
        };
        let adapted = interpreter.show_thresholds();
        let result = PyObject_Vectorcall(
            interpreter.stock.set_threshold,
            arguments,
            count as usize,
            ptr::null_mut(),
        );
        if adapted && result.is_null() {
            interpreter.hide_thresholds();
        }
        doctor::set_threshold();
        result
    }
}
