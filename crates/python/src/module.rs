//! The extension module: its definition and its table of functions.
//!
//! Multi-phase initialisation with per-interpreter-GIL support declared, so
//! that subinterpreters can import it. The module has no state of its own: what
//! belongs to an interpreter is in `interpreter.rs`.

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use pyo3_ffi::*;

use crate::{
    boot, cli, finder, gc_module, heap_graph, hooks, lines, metrics, options, run, small_objects,
    snapshot_signal, status, sums_type, tracemalloc_module, track,
};

/// A static that CPython reads and nobody writes.
pub struct Shared<T>(pub T);
// SAFETY: wraps C tables of constant pointers, which are only read.
unsafe impl<T> Sync for Shared<T> {}

/// One line of a table of methods.
pub const fn method(
    name: &'static CStr,
    flags: i32,
    call: PyMethodDefPointer,
    doc: &'static CStr,
) -> PyMethodDef {
    PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: call,
        ml_flags: flags,
        ml_doc: doc.as_ptr(),
    }
}

static METHODS: Shared<[PyMethodDef; 20]> = Shared([
    method(
        c"boot",
        METH_O,
        PyMethodDefPointer { PyCFunction: boot_process },
        c"boot($module, value, /)\n--\n\nTurn on what the environment variable WRASSE says, once; never raises.",
    ),
    method(
        c"install",
        METH_O,
        PyMethodDefPointer { PyCFunction: install },
        c"install($module, value, /)\n--\n\nTurn on what value says; raises ValueError if it makes no sense.",
    ),
    method(
        c"find_spec",
        METH_FASTCALL,
        PyMethodDefPointer {
            PyCFunctionFast: finder::find_spec,
        },
        c"The finder on sys.meta_path: find_spec(name, path=None, target=None).",
    ),
    method(
        c"create_module",
        METH_O,
        PyMethodDefPointer {
            PyCFunction: finder::create_module,
        },
        c"create_module($module, spec, /)\n--\n\nCreate gc or _tracemalloc.",
    ),
    method(
        c"exec_module",
        METH_O,
        PyMethodDefPointer {
            PyCFunction: finder::exec_module,
        },
        c"exec_module($module, module, /)\n--\n\nExecute gc or _tracemalloc and give it wrasse's functions.",
    ),
    method(
        c"status",
        METH_NOARGS,
        PyMethodDefPointer { PyCFunction: status::status },
        c"status($module, /)\n--\n\nReturn what runs on wrasse in this interpreter and what is stock, and why.",
    ),
    method(
        c"gc_stats",
        METH_NOARGS,
        PyMethodDefPointer { PyCFunction: status::gc_stats },
        c"gc_stats($module, /)\n--\n\nReturn what wrasse's collector has done in this interpreter.",
    ),
    method(
        c"proof",
        METH_NOARGS,
        PyMethodDefPointer { PyCFunction: status::proof },
        c"proof($module, /)\n--\n\nReturn collections by wrasse and by the stock collector, and starts of the tracer.",
    ),
    method(
        c"profile_traces",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: profile_traces,
        },
        c"profile_traces($module, /)\n--\n\nList every block that the profile sees as (domain, size, traceback, number of frames).",
    ),
    method(
        c"refuse",
        METH_O,
        PyMethodDefPointer {
            PyCFunction: refuse,
        },
        c"refuse($module, message, /)\n--\n\nSay in one line why nothing is run, and end the process with exit code 2.",
    ),
    method(
        c"write",
        METH_FASTCALL,
        PyMethodDefPointer { PyCFunctionFast: cli::python_write },
        c"write($module, path, text, /)\n--\n\nWrite a file, whole or not at all; return None, or in one line why not.",
    ),
    method(
        c"set_limit",
        METH_O,
        PyMethodDefPointer {
            PyCFunction: small_objects::set_limit,
        },
        c"set_limit($module, size, /)\n--\n\nRaise MemoryError where the memory that Python's objects take would grow beyond size.\n\n\
          size is a number of bytes, a string such as '512MiB', or None, which lifts the limit\n\
          and needs no memory. What is taken already stays, even if it is more. Turns wrasse's\n\
          allocator on if it is not. Raises ValueError for a size that makes no sense, and\n\
          RuntimeError where the allocator stays stock.",
    ),
    method(
        c"set_pause_target",
        METH_O,
        PyMethodDefPointer {
            PyCFunction: gc_module::set_pause_target,
        },
        c"set_pause_target($module, milliseconds, /)\n--\n\n\
          Keep the pauses that collections make under so many milliseconds where possible.\n\n\
          Automatic full collections are then done in slices while the program runs. None\n\
          lifts the target. gc.collect() is complete as ever. Raises ValueError for a number\n\
          that is no time, and RuntimeError if the collector is not on.",
    ),
    method(
        c"allocator_stats",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: small_objects::allocator_stats,
        },
        c"allocator_stats($module, /)\n--\n\nReturn what wrasse's allocator holds, as a dict of numbers (see docs/allocator.md).\n\n\
          Raises RuntimeError if it is not on.",
    ),
    method(
        c"look",
        METH_NOARGS,
        PyMethodDefPointer { PyCFunction: look },
        c"look($module, /)\n--\n\nLet the doctor see what the program holds now, if it is examined.",
    ),
    method(
        c"main",
        METH_FASTCALL,
        PyMethodDefPointer { PyCFunctionFast: cli::python_main },
        c"Run the command line.",
    ),
    method(
        c"explain",
        METH_FASTCALL,
        PyMethodDefPointer { PyCFunctionFast: heap_graph::explain },
        c"Who holds an object: explain(obj, limit).",
    ),
    method(
        c"why_alive",
        METH_FASTCALL,
        PyMethodDefPointer { PyCFunctionFast: heap_graph::why_alive },
        c"By which paths an object is reached: why_alive(obj, limit).",
    ),
    method(
        c"heap",
        METH_FASTCALL,
        PyMethodDefPointer { PyCFunctionFast: heap_graph::heap },
        c"What is on the heap: heap(limit).",
    ),
    PyMethodDef::zeroed(),
]);

static SLOTS: Shared<[PyModuleDef_Slot; 4]> = Shared([
    PyModuleDef_Slot {
        slot: Py_mod_exec,
        value: fill as *mut c_void,
    },
    PyModuleDef_Slot {
        slot: Py_mod_exec,
        value: add_functions as *mut c_void,
    },
    #[cfg(Py_3_12)]
    PyModuleDef_Slot {
        slot: Py_mod_multiple_interpreters,
        value: Py_MOD_PER_INTERPRETER_GIL_SUPPORTED,
    },
    #[cfg(not(Py_3_12))]
    END,
    END,
]);

/// Adds the functions of the rooms that have tables of their own.
unsafe extern "C" fn add_functions(module: *mut PyObject) -> c_int {
    let tables = [
        lines::METHODS.0.as_ptr(),
        metrics::METHODS.0.as_ptr(),
        snapshot_signal::METHODS.0.as_ptr(),
        track::METHODS.0.as_ptr(),
    ];
    for table in tables {
        // SAFETY: called by the interpreter; the tables are statics.
        if unsafe { PyModule_AddFunctions(module, table.cast_mut()) } != 0 {
            return -1;
        }
    }
    0
}

/// Gives the module what is not a function.
unsafe extern "C" fn fill(module: *mut PyObject) -> c_int {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => unreachable!(),
        };
    // SAFETY: called by the import machinery with the new module.
    unsafe {
        if PyModule_AddStringConstant(module, c"__version__".as_ptr(), VERSION.as_ptr()) < 0 {
            return -1;
        }
        sums_type::add_type(module)
    }
}

const END: PyModuleDef_Slot = PyModuleDef_Slot {
    slot: 0,
    value: ptr::null_mut(),
};

static mut DEFINITION: PyModuleDef = PyModuleDef {
    m_base: PyModuleDef_HEAD_INIT,
    m_name: c"wrasse._core".as_ptr(),
    m_doc: c"The Rust side of wrasse.".as_ptr(),
    m_size: 0,
    m_methods: (&raw const METHODS.0).cast::<PyMethodDef>().cast_mut(),
    m_slots: (&raw const SLOTS.0).cast::<PyModuleDef_Slot>().cast_mut(),
    m_traverse: None,
    m_clear: None,
    m_free: None,
};

/// Entry point called by CPython's import machinery.
#[unsafe(no_mangle)]
pub extern "C" fn PyInit__core() -> *mut PyObject {
    // SAFETY: the definition is a static that lives as long as the process;
    // CPython serialises its initialisation.
    unsafe { PyModuleDef_Init(&raw mut DEFINITION) }
}

/// The text of a `str`; nothing, with an exception set, if it is none or cannot be
/// encoded.
///
/// # Safety
/// The GIL is held; `object` is alive, and stays so as long as the text is used.
pub unsafe fn text<'a>(object: *mut PyObject) -> Option<&'a OsStr> {
    // SAFETY: the buffer belongs to the object and lives as long as it does.
    unsafe {
        let mut size = 0;
        let utf8 = PyUnicode_AsUTF8AndSize(object, &mut size);
        if utf8.is_null() {
            return None;
        }
        let bytes = std::slice::from_raw_parts(utf8.cast::<u8>(), size as usize);
        Some(OsStr::from_bytes(bytes))
    }
}

unsafe extern "C" fn boot_process(module: *mut PyObject, value: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        match text(value) {
            None => {
                PyErr_Clear();
                boot::say_once("WRASSE is not text; running on stock memory management");
            }
            Some(value) => match options::parse(value) {
                Ok(None) => {}
                // A virtual environment's `.pth` files are read twice at each start.
                Ok(Some(_)) if finder::is_installed(module) => {}
                Ok(Some(options)) => {
                    boot::turn_on(&options);
                    // What wrasse itself allocates from here on is not the program's.
                    let _silence = hooks::Silence::begin();
                    finder::install(module);
                    snapshot_signal::turn_on(&options);
                    run::boot();
                    lines::boot();
                }
                Err(reason) => boot::say_once(&reason),
            },
        }
        Py_NewRef(Py_None())
    }
}

unsafe extern "C" fn profile_traces(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe { tracemalloc_module::profile_traces() }
}

unsafe extern "C" fn look(_: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        crate::doctor::looks::now();
        Py_NewRef(Py_None())
    }
}

unsafe extern "C" fn refuse(_module: *mut PyObject, message: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python. Without the usual end of the interpreter, for
    // there is no run to sum up.
    unsafe {
        let Some(message) = text(message) else {
            return ptr::null_mut();
        };
        boot::say(&message.to_string_lossy());
        libc::_exit(2)
    }
}

unsafe extern "C" fn install(module: *mut PyObject, value: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        let Some(value) = text(value) else {
            return ptr::null_mut();
        };
        match options::parse(value) {
            Ok(None) => {}
            Ok(Some(options)) => {
                boot::turn_on(&options);
                finder::install(module);
                snapshot_signal::turn_on(&options);
            }
            Err(reason) => return raise(PyExc_ValueError, &reason),
        }
        status::status(module, ptr::null_mut())
    }
}

/// A new `str`; null, with an exception set, without memory.
///
/// # Safety
/// The GIL is held.
pub unsafe fn string(text: &str) -> *mut PyObject {
    // SAFETY: the GIL is held; the characters are copied.
    unsafe { PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as Py_ssize_t) }
}

/// Sets an exception and returns null.
///
/// # Safety
/// The GIL is held and `kind` is an exception's class.
pub unsafe fn raise(kind: *mut PyObject, message: &str) -> *mut PyObject {
    // SAFETY: called with the GIL held; the string is copied.
    unsafe {
        let text = string(message);
        if !text.is_null() {
            PyErr_SetObject(kind, text);
            Py_DECREF(text);
        }
        ptr::null_mut()
    }
}

const _: () = assert!(
    size_of::<*mut c_void>() == 8,
    "wrasse needs a 64-bit CPython"
);
