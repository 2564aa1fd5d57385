//! `wrasse.status()`: what runs on wrasse in this interpreter, and what does
//! not and why.

use std::ptr;

use pyo3_ffi::*;
use wrasse_collector::{GenerationStats, Reason};

use crate::module::string;
use crate::{boot, interpreter, profile, small_objects, tracemalloc_module};

/// A dict under construction; null once something failed.
pub struct Dict(*mut PyObject);

impl Dict {
    /// An empty one.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn new() -> Self {
        // SAFETY: the caller's contract.
        Dict(unsafe { PyDict_New() })
    }

    /// The dict, a new reference; null with an exception set if something failed.
    pub fn finish(self) -> *mut PyObject {
        self.0
    }

    /// Enters a value, and takes it over.
    ///
    /// # Safety
    /// The GIL is held; `value` is a new reference, or null with an exception set.
    pub unsafe fn set(&mut self, key: &str, value: *mut PyObject) {
        // SAFETY: the GIL is held; `value` is a new reference or null.
        unsafe {
            let key = string(key);
            let good = !self.0.is_null()
                && !key.is_null()
                && !value.is_null()
                && PyDict_SetItem(self.0, key, value) == 0;
            Py_XDECREF(key);
            Py_XDECREF(value);
            if !good {
                Py_CLEAR(&mut self.0);
            }
        }
    }
}

fn words(part: &str, on: bool) -> String {
    match (on, boot::refusal(part)) {
        (true, _) => "wrasse".into(),
        (false, Some(reason)) => format!("stock: {reason}"),
        (false, None) => "stock: not turned on".into(),
    }
}

/// `_core.gc_stats()`.
pub unsafe extern "C" fn gc_stats(_module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python; formats and arguments agree.
    unsafe {
        let Some(interpreter) = interpreter::current() else {
            PyErr_SetString(
                PyExc_RuntimeError,
                c"wrasse's collector is not on in this interpreter".as_ptr(),
            );
            return ptr::null_mut();
        };
        // Read before anything is allocated: an allocation may collect.
        let stats = interpreter.stats.get();
        let adaptation = &interpreter.adaptation;
        let generations = PyList_New(0);
        for generation in &stats.generations {
            let item = Py_BuildValue(
                c"{snsnsnsnsnsdsd}".as_ptr(),
                c"collections".as_ptr(),
                generation.collections as Py_ssize_t,
                c"candidates".as_ptr(),
                generation.candidates as Py_ssize_t,
                c"collected".as_ptr(),
                generation.collected as Py_ssize_t,
                c"uncollectable".as_ptr(),
                generation.uncollectable as Py_ssize_t,
                c"freed_bytes".as_ptr(),
                generation.bytes as Py_ssize_t,
                c"duration".as_ptr(),
                generation.seconds,
                c"longest".as_ptr(),
                generation.longest,
            );
            let good =
                !generations.is_null() && !item.is_null() && PyList_Append(generations, item) == 0;
            Py_XDECREF(item);
            if !good {
                Py_XDECREF(generations);
                return ptr::null_mut();
            }
        }
        let mut reasons = Dict(PyDict_New());
        for reason in Reason::ALL {
            let count = stats.reasons[reason as usize];
            reasons.set(reason.word(), PyLong_FromSize_t(count));
        }
        let mut dict = Dict(PyDict_New());
        dict.set("generations", generations);
        dict.set("reasons", reasons.0);
        let bytes = |each: &GenerationStats| each.bytes;
        let freed = stats.generations.iter().map(bytes).sum();
        dict.set("freed_bytes", PyLong_FromSize_t(freed));
        let pauses = &stats.pauses;
        let time = interpreter.since.elapsed().as_secs_f64();
        for (name, value) in [
            ("pause_p50", pauses.quantile(0.5)),
            ("pause_p99", pauses.quantile(0.99)),
            ("pause_max", pauses.longest),
            ("duration", pauses.total),
            ("time", time),
            ("share", pauses.total / time.max(f64::MIN_POSITIVE)),
        ] {
            dict.set(name, PyFloat_FromDouble(value));
        }
        let nursery = if adaptation.is_on() {
            PyLong_FromSize_t(adaptation.nursery())
        } else {
            Py_NewRef(Py_None())
        };
        dict.set("nursery", nursery);
        dict.set("slices", PyLong_FromSize_t(stats.slices));
        let target = match interpreter.slices.target() {
            Some(target) => PyFloat_FromDouble(target.as_secs_f64()),
            None => Py_NewRef(Py_None()),
        };
        dict.set("pause_target", target);
        dict.0
    }
}

/// `_core.status()`.
pub unsafe extern "C" fn status(_module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        let mut dict = Dict::new();
        dict.set("version", string(env!("CARGO_PKG_VERSION")));
        dict.set("gc", string(&words("gc", interpreter::current().is_some())));
        dict.set(
            "alloc",
            string(&words("alloc", small_objects::is_installed())),
        );
        let tracer = boot::serves_tracemalloc() && boot::refusal("tracemalloc").is_none();
        dict.set("tracemalloc", string(&words("tracemalloc", tracer)));
        let profile = if profile::is_active() {
            "on".to_string()
        } else {
            match boot::refusal("profile") {
                Some(reason) => format!("off: {reason}"),
                None => "off".into(),
            }
        };
        dict.set("profile", string(&profile));
        let notes = PyList_New(0);
        let mut failed = notes.is_null();
        for note in tracemalloc_module::notes() {
            let text = string(&note);
            failed = failed || text.is_null() || PyList_Append(notes, text) < 0;
            Py_XDECREF(text);
        }
        if failed {
            Py_XDECREF(notes);
            dict.set("notes", ptr::null_mut());
        } else {
            dict.set("notes", notes);
        }
        dict.finish()
    }
}

/// `_core.proof()`.
pub unsafe extern "C" fn proof(_module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python; formats and arguments agree.
    unsafe {
        let mut dict = Dict::new();
        let (mut ours, mut stock) = ([0; 3], [0; 3]);
        if let Some(interpreter) = interpreter::current() {
            for generation in 0..3 {
                ours[generation] =
                    interpreter.stats.get().generations[generation].collections as Py_ssize_t;
                stock[generation] = (*interpreter.state).stats[generation].collections;
            }
        }
        for (key, [a, b, c]) in [("collections", ours), ("stock_collections", stock)] {
            dict.set(key, Py_BuildValue(c"(nnn)".as_ptr(), a, b, c));
        }
        let starts = tracemalloc_module::starts() as Py_ssize_t;
        dict.set("traced_starts", PyLong_FromSsize_t(starts));
        dict.finish()
    }
}
