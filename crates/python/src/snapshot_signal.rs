//! A signal that has a running process write down what is live.
//!
//! The handler is a Python one, in C: CPython's own handler sets a flag, and calls
//! ours between two instructions of the main thread, where it may allocate and
//! take locks. The file is a capture with one sample, written whole or not at all.

use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_long};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3_ffi::*;
use wrasse_capture::{Ending, Moment, Writer};
use wrasse_report::write_destination;
use wrasse_tracer::View;

use crate::module::{Shared, method, raise};
use crate::options::Options;
use crate::{boot, capture, hooks, options, process, profile, session};

/// Environment variable: the directory of snapshots that `WRASSE` asks for.
const DIRECTORY: &str = "WRASSE_SNAPSHOTS";

/// The functions of `_core` that this file adds.
pub static METHODS: Shared<[PyMethodDef; 2]> = Shared([
    method(
        c"on_signal",
        METH_FASTCALL,
        PyMethodDefPointer { PyCFunctionFast: on_signal },
        c"on_signal(signal, directory): write a snapshot to the directory at each such signal; returns the signal's number.",
    ),
    PyMethodDef::zeroed(),
]);

static HANDLER: Shared<PyMethodDef> = Shared(method(
    c"write_snapshot",
    METH_FASTCALL,
    PyMethodDefPointer {
        PyCFunctionFast: handle,
    },
    c"Write a snapshot (wrasse).",
));

/// Where each signal's snapshots go; an empty path is the current directory.
static DIRECTORIES: Mutex<Option<HashMap<c_long, PathBuf>>> = Mutex::new(None);

/// The signal that `WRASSE` asks for.
///
/// # Safety
/// The GIL is held and no exception is set; none is left.
pub unsafe fn turn_on(options: &Options) {
    let Some(signal) = options.snapshot else {
        return;
    };
    // SAFETY: the caller's contract.
    unsafe {
        // Signals are the main interpreter's.
        if PyInterpreterState_Get() != PyInterpreterState_Main() {
            return;
        }
        let directory = std::env::var_os(DIRECTORY).unwrap_or_default();
        if !listen(signal, directory.into()) {
            PyErr_Clear();
            boot::say("snapshots stay off: the signal's handler cannot be set");
        }
    }
}

/// Sets the handler. False, with an exception set, if that fails.
unsafe fn listen(signal: c_int, directory: PathBuf) -> bool {
    // SAFETY: the GIL is held; every reference is released, and null not passed on.
    unsafe {
        let module = PyImport_ImportModule(c"_signal".as_ptr());
        let handler = PyCFunction_NewEx(
            (&raw const HANDLER.0).cast_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
        );
        let before = if module.is_null() || handler.is_null() {
            ptr::null_mut()
        } else {
            PyObject_CallMethod(module, c"signal".as_ptr(), c"iO".as_ptr(), signal, handler)
        };
        Py_XDECREF(module);
        Py_XDECREF(handler);
        if before.is_null() {
            return false;
        }
        Py_DECREF(before);
        let mut guard = DIRECTORIES.lock().unwrap_or_else(PoisonError::into_inner);
        guard
            .get_or_insert_default()
            .insert(signal.into(), directory);
        true
    }
}

unsafe extern "C" fn on_signal(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the interpreter passes `count` live objects and holds the GIL.
    unsafe {
        if count != 2 {
            return raise(PyExc_TypeError, "on_signal() takes 2 arguments");
        }
        let signal = *arguments;
        let number = if PyUnicode_Check(signal) != 0 {
            let text = PyUnicode_AsUTF8(signal);
            if text.is_null() {
                return ptr::null_mut();
            }
            options::signal(&CStr::from_ptr(text).to_string_lossy())
        } else {
            let number = PyLong_AsLong(signal);
            if number == -1 && !PyErr_Occurred().is_null() {
                return ptr::null_mut();
            }
            options::signal(&number.to_string())
        };
        let Some(number) = number else {
            return raise(PyExc_ValueError, options::SIGNAL_WORDS);
        };
        let Some(directory) = crate::cli::string_of(*arguments.add(1)) else {
            return ptr::null_mut();
        };
        if let Err(reason) = session::keep_profile(1) {
            return raise(
                PyExc_RuntimeError,
                &format!("snapshots need wrasse's tracer, which cannot be turned on: {reason}"),
            );
        }
        if !listen(number, directory.into()) {
            return ptr::null_mut();
        }
        PyLong_FromLong(number.into())
    }
}

/// The handler: `(signal, frame)`.
unsafe extern "C" fn handle(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: as in `on_signal`.
    unsafe {
        let number = if count > 0 {
            PyLong_AsLong(*arguments)
        } else {
            0
        };
        if !PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        let directory = {
            let guard = DIRECTORIES.lock().unwrap_or_else(PoisonError::into_inner);
            guard.as_ref().and_then(|all| all.get(&number).cloned())
        };
        match write(&directory.unwrap_or_default()) {
            Ok(path) => boot::say(&format!("snapshot written to {}", path.display())),
            Err(reason) => boot::say(&format!("no snapshot: {reason}")),
        }
        Py_NewRef(Py_None())
    }
}

/// Writes what is live now to a new file in the directory.
fn write(directory: &Path) -> Result<PathBuf, String> {
    if !profile::is_active() {
        return Err("wrasse's profile is off".into());
    }
    let since_1970 = capture::since_1970();
    let meta = capture::meta(since_1970, profile::frames());
    let moment = Moment {
        time: 0,
        resident_bytes: process::resident_bytes().unwrap_or(0) as u64,
    };
    let written = Writer::new(&meta).and_then(|mut writer| {
        if let Some(state) = hooks::state().as_ref() {
            writer.sample(&state.tracer, View::Profile, moment)?;
            writer.peak(&state.tracer, View::Profile)?;
        }
        writer.end(0, Ending::Stopped)?;
        Ok(writer)
    });
    let writer = written.map_err(|error| error.to_string())?;
    let path = new_path(directory, &name(since_1970));
    write_destination(&path, writer.pending()).map_err(|error| error.to_string())?;
    Ok(path)
}

/// A file that is not there yet: more signals than one may come in one millisecond.
fn new_path(directory: &Path, name: &str) -> PathBuf {
    let mut path = directory.join(format!("{name}.wrasse"));
    let mut number = 1;
    while path.exists() {
        number += 1;
        path = directory.join(format!("{name}.{number}.wrasse"));
    }
    path
}

/// `wrasse-PID-20260131T235959.123Z`, in universal time.
fn name(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs() as libc::time_t;
    // SAFETY: a zeroed `tm` is a valid value to be filled in.
    let date = unsafe {
        let mut date: libc::tm = std::mem::zeroed();
        libc::gmtime_r(&raw const seconds, &raw mut date);
        date
    };
    format!(
        "wrasse-{}-{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z",
        std::process::id(),
        date.tm_year + 1900,
        date.tm_mon + 1,
        date.tm_mday,
        date.tm_hour,
        date.tm_min,
        date.tm_sec,
        since_1970.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_of_one_millisecond_are_numbered() {
        let directory = std::env::temp_dir().join(format!("wrasse-names-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut names = Vec::new();
        for _ in 0..4 {
            let path = new_path(&directory, "at.123Z");
            std::fs::write(&path, "").unwrap();
            names.push(path.file_name().unwrap().to_owned());
        }
        std::fs::remove_dir_all(&directory).unwrap();
        let expected = ["", ".2", ".3", ".4"].map(|number| format!("at.123Z{number}.wrasse"));
        assert_eq!(names, expected.map(std::ffi::OsString::from));
    }
}
