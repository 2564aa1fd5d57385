//! `_core.Sums`: live blocks summed by traceback, as a Python type.
//!
//! What `wrasse.Snapshot` is made of. The blocks themselves are never copied:
//! Python objects are made for the lines that are asked for, each once.

mod frames;
mod methods;

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3_ffi::*;
use wrasse_capture::{Sums, SumsBuilder};
use wrasse_tracer::{Exhausted, View};

use crate::hooks;
use crate::module::{Shared, raise};
use crate::thread_names;
use crate::tracemalloc_module;

/// An instance: the object's head and what it holds.
#[repr(C)]
struct Instance {
    head: PyObject,
    /// Owned; never null once the instance is returned to anybody.
    sums: *mut Sums,
}

/// A reference that is given up when dropped; null holds nothing.
struct Owned(*mut PyObject);

impl Owned {
    /// Nothing, with an exception set, for null.
    fn new(object: *mut PyObject) -> Option<Self> {
        (!object.is_null()).then_some(Owned(object))
    }

    fn into_raw(self) -> *mut PyObject {
        let object = self.0;
        std::mem::forget(self);
        object
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: a reference of ours, or null; the GIL is held wherever one is made.
        unsafe { Py_XDECREF(self.0) };
    }
}

/// The sums in an instance.
///
/// # Safety
/// `object` is a live instance of the type.
unsafe fn sums_of<'a>(object: *mut PyObject) -> &'a Sums {
    // SAFETY: made by `instance`, which never leaves the pointer null.
    unsafe { &*(*object.cast::<Instance>()).sums }
}

/// A new instance of `kind` with these sums; null, with an exception set, if
/// there is no memory.
///
/// # Safety
/// The GIL is held; `kind` is the type.
unsafe fn instance(kind: *mut PyTypeObject, sums: Sums) -> *mut PyObject {
    // SAFETY: the type's size is that of `Instance`, and the memory is zeroed.
    unsafe {
        let object = PyType_GenericAlloc(kind, 0);
        if !object.is_null() {
            (*object.cast::<Instance>()).sums = Box::into_raw(Box::new(sums));
        }
        object
    }
}

unsafe extern "C" fn release(object: *mut PyObject) {
    // SAFETY: called once, when the last reference is gone. An instance of a heap
    // type owns a reference to it.
    unsafe {
        let sums = (*object.cast::<Instance>()).sums;
        if !sums.is_null() {
            drop(Box::from_raw(sums));
        }
        let kind = Py_TYPE(object);
        PyObject_Free(object.cast());
        Py_DECREF(kind.cast());
    }
}

/// `Sums(view)`: what `"profile"` or `"tracemalloc"` sees now.
unsafe extern "C" fn new(
    kind: *mut PyTypeObject,
    arguments: *mut PyObject,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython's calling convention for tp_new.
    unsafe {
        let named = !keywords.is_null() && PyDict_Size(keywords) > 0;
        if named || PyTuple_Size(arguments) != 1 {
            return raise(PyExc_TypeError, "Sums() takes one positional argument");
        }
        let Some(name) = text(PyTuple_GetItem(arguments, 0)) else {
            return ptr::null_mut();
        };
        let view = match &*name {
            "profile" => View::Profile,
            "tracemalloc" => View::Program,
            _ => return raise(PyExc_ValueError, "the view is 'profile' or 'tracemalloc'"),
        };
        if !hooks::active().contains(view) {
            if view == View::Program {
                return of_stock(kind);
            }
            return raise(
                PyExc_RuntimeError,
                "wrasse's profile is off: start the program with 'wrasse run --trace', or call wrasse.install('trace')",
            );
        }
        if view == View::Program {
            tracemalloc_module::listen();
        }
        thread_names::refresh();
        let taken = match hooks::state().as_ref() {
            None => Ok(Sums::default()),
            Some(state) => Sums::take(&state.tracer, view),
        };
        let Ok(mut sums) = taken else {
            return PyErr_NoMemory();
        };
        if view == View::Program {
            // What extensions have reported by ways that reach the stock tracer.
            let reported = tracemalloc_module::reported();
            if reported.is_null() {
                return ptr::null_mut();
            }
            let reported = Owned(reported);
            if PyList_Size(reported.0) > 0 {
                match with_traces(sums, reported.0) {
                    Some(both) => sums = both,
                    None => return ptr::null_mut(),
                }
            }
        }
        instance(kind, sums)
    }
}

/// What the stock tracer sees, which it tells block by block.
///
/// # Safety
/// As [`instance`].
unsafe fn of_stock(kind: *mut PyTypeObject) -> *mut PyObject {
    // SAFETY: the GIL is held; references are owned.
    unsafe {
        let Some(module) = Owned::new(PyImport_ImportModule(c"_tracemalloc".as_ptr())) else {
            return ptr::null_mut();
        };
        let ask = |name: &CStr| {
            let function = Owned::new(PyObject_GetAttrString(module.0, name.as_ptr()))?;
            Owned::new(PyObject_CallNoArgs(function.0))
        };
        let Some(is_tracing) = ask(c"is_tracing") else {
            return ptr::null_mut();
        };
        if PyObject_IsTrue(is_tracing.0) != 1 {
            return raise(
                PyExc_RuntimeError,
                "nothing records: call tracemalloc.start(), or start the program with 'wrasse run --trace'",
            );
        }
        let (Some(limit), Some(traces)) = (ask(c"get_traceback_limit"), ask(c"_get_traces")) else {
            return ptr::null_mut();
        };
        if PyList_Check(traces.0) == 0 {
            return raise(PyExc_TypeError, "not a list of traces");
        }
        let limit = PyLong_AsLong(limit.0);
        if limit == -1 && !PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        let limit = u16::try_from(limit.max(1)).unwrap_or(u16::MAX);
        match with_traces(SumsBuilder::new(limit).finish(), traces.0) {
            Some(sums) => instance(kind, sums),
            None => ptr::null_mut(),
        }
    }
}

/// `sums` and the traces in a list as `_tracemalloc._get_traces()` gives it.
/// Nothing, with an exception set, if it is not one.
///
/// # Safety
/// The GIL is held; `list` is a live list.
unsafe fn with_traces(sums: Sums, list: *mut PyObject) -> Option<Sums> {
    // SAFETY: items are borrowed from live containers, and nothing that is called
    // here runs foreign code.
    unsafe {
        let mut builder = SumsBuilder::with(sums).map_err(no_memory).ok()?;
        for index in 0..PyList_Size(list) {
            let trace = PyList_GetItem(list, index);
            let is_trace = PyTuple_Check(trace) != 0 && PyTuple_Size(trace) >= 3;
            let frames = is_trace.then(|| PyTuple_GetItem(trace, 2));
            let Some(frames) = frames.filter(|frames| PyTuple_Check(*frames) != 0) else {
                raise(PyExc_TypeError, "not a list of traces");
                return None;
            };
            let number = |place| PyLong_AsUnsignedLongLong(PyTuple_GetItem(trace, place));
            let (domain, size) = (number(0), number(1));
            let mut locations = Vec::new();
            let count = PyTuple_Size(frames);
            for place in 0..count {
                let frame = PyTuple_GetItem(frames, place);
                if PyTuple_Check(frame) == 0 || PyTuple_Size(frame) != 2 {
                    raise(PyExc_TypeError, "not a list of traces");
                    return None;
                }
                let file = name_bytes(PyTuple_GetItem(frame, 0))?;
                let line = PyLong_AsUnsignedLongLong(PyTuple_GetItem(frame, 1));
                let location = builder.location(&file, None, line as u32);
                locations.push(location.map_err(no_memory).ok()?);
            }
            let total = if PyTuple_Size(trace) > 3 {
                number(3)
            } else {
                count as u64
            };
            if !PyErr_Occurred().is_null() {
                return None;
            }
            let total = u16::try_from(total).unwrap_or(u16::MAX);
            let added = builder
                .traceback(&locations, total)
                .and_then(|traceback| builder.add(domain as u32, traceback, size, 1));
            added.map_err(no_memory).ok()?;
        }
        Some(builder.finish())
    }
}

fn no_memory(_: Exhausted) {
    // SAFETY: the GIL is held by everybody who calls.
    unsafe { PyErr_NoMemory() };
}

/// A `str` as UTF-8, lone surrogates included; nothing, with an exception set,
/// if it is none.
unsafe fn name_bytes(object: *mut PyObject) -> Option<Vec<u8>> {
    // SAFETY: the GIL is held and `object` is null or alive.
    unsafe {
        if object.is_null() {
            return None;
        }
        let encoded = Owned::new(PyUnicode_AsEncodedString(
            object,
            c"utf-8".as_ptr(),
            c"surrogatepass".as_ptr(),
        ))?;
        let (data, size) = (PyBytes_AsString(encoded.0), PyBytes_Size(encoded.0));
        Some(std::slice::from_raw_parts(data.cast::<u8>(), size as usize).to_vec())
    }
}

/// A `str` argument; nothing, with an exception set, if it is none.
unsafe fn text(object: *mut PyObject) -> Option<String> {
    // SAFETY: as in `name_bytes`.
    let bytes = unsafe { name_bytes(object)? };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

static SLOTS: Shared<[PyType_Slot; 5]> = Shared([
    PyType_Slot {
        slot: Py_tp_new,
        pfunc: new as *mut c_void,
    },
    PyType_Slot {
        slot: Py_tp_dealloc,
        pfunc: release as *mut c_void,
    },
    PyType_Slot {
        slot: Py_tp_methods,
        pfunc: (&raw const methods::METHODS.0).cast_mut().cast(),
    },
    PyType_Slot {
        slot: Py_tp_doc,
        pfunc: c"Sums(view, /)\n--\n\nLive blocks summed by traceback.".as_ptr() as *mut c_void,
    },
    PyType_Slot {
        slot: 0,
        pfunc: ptr::null_mut(),
    },
]);

static SPECIFICATION: Shared<PyType_Spec> = Shared(PyType_Spec {
    name: c"wrasse._core.Sums".as_ptr(),
    basicsize: size_of::<Instance>() as c_int,
    itemsize: 0,
    flags: (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE) as u32,
    slots: (&raw const SLOTS.0).cast_mut().cast(),
});

/// Adds the type to the module, for the interpreter that imports it.
///
/// # Safety
/// Called by the interpreter as the module's exec slot.
pub unsafe extern "C" fn add_type(module: *mut PyObject) -> c_int {
    // SAFETY: the specification lives as long as the process.
    unsafe {
        let specification = (&raw const SPECIFICATION.0).cast_mut();
        match Owned::new(PyType_FromModuleAndSpec(
            module,
            specification,
            ptr::null_mut(),
        )) {
            Some(kind) => PyModule_AddObjectRef(module, c"Sums".as_ptr(), kind.0),
            None => -1,
        }
    }
}
