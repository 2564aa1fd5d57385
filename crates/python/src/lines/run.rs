//! `wrasse lines PROGRAM`: the process it starts. `profile` is a builtin there,
//! and the tables of all functions that carry it come when the program has ended.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::ptr;
use std::sync::OnceLock;

use pyo3_ffi::*;
use wrasse_report::{LineTable, lines_to_json, write_destination};

use super::{all_lines, show};
use crate::cli::string_of;
use crate::{boot as start, hooks, run};

/// Environment variable that marks the process whose lines are measured.
pub const MARK: &str = "WRASSE_LINES";

/// What was asked for.
struct Wanted {
    process: run::Identity,
    precision: usize,
    json: bool,
    output: Option<PathBuf>,
}

static WANTED: OnceLock<Wanted> = OnceLock::new();

/// The value of [`MARK`] for the program that takes this process's place.
pub fn environment_value(precision: usize, json: bool, output: Option<PathBuf>) -> OsString {
    let process = run::Identity::current();
    let form = if json { "json" } else { "text" };
    let mut value = OsString::from(format!(
        "{};{};{precision};{form};",
        process.number, process.started
    ));
    value.push(output.unwrap_or_default());
    value
}

fn parse(value: &OsStr) -> Option<Wanted> {
    let mut parts = value.as_bytes().splitn(5, |byte| *byte == b';');
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let process = run::Identity {
        number: text()?.parse().ok()?,
        started: text()?.parse().ok()?,
    };
    let precision = text()?.parse().ok()?;
    let json = text()? == "json";
    let output = parts.next()?;
    Some(Wanted {
        process,
        precision,
        json,
        output: (!output.is_empty()).then(|| OsString::from_vec(output.to_vec()).into()),
    })
}

/// Are this process's lines shown at its end, and not after each call?
pub fn is_on() -> bool {
    WANTED
        .get()
        .is_some_and(|wanted| wanted.process.number == std::process::id())
}

/// Prepares this process, if it is the one that `wrasse lines` started. Leaves no
/// exception set.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn boot() {
    let Some(wanted) = std::env::var_os(MARK).as_deref().and_then(parse) else {
        return;
    };
    // SAFETY: the GIL is held; references are released.
    unsafe {
        // Children see the mark too.
        if PyInterpreterState_Get() != PyInterpreterState_Main()
            || !wanted.process.is_this_process()
            || WANTED.set(wanted).is_err()
        {
            return;
        }
        if !(add_builtin() && run::at_exit(&raw mut REPORT)) {
            PyErr_Clear();
            start::say("lines are not measured: wrasse.lines cannot be imported");
        }
    }
}

/// `builtins.profile`.
unsafe fn add_builtin() -> bool {
    // SAFETY: the GIL is held; references are released.
    unsafe {
        let module = PyImport_ImportModule(c"wrasse.lines".as_ptr());
        if module.is_null() {
            return false;
        }
        let function = PyObject_GetAttrString(module, c"profile".as_ptr());
        Py_DECREF(module);
        let builtins = PyEval_GetBuiltins();
        let good = !function.is_null()
            && !builtins.is_null()
            && PyDict_SetItemString(builtins, c"profile".as_ptr(), function) == 0;
        Py_XDECREF(function);
        good
    }
}

static mut REPORT: PyMethodDef = PyMethodDef {
    ml_name: c"report_lines".as_ptr(),
    ml_meth: PyMethodDefPointer {
        PyCFunction: report,
    },
    ml_flags: METH_NOARGS,
    ml_doc: ptr::null(),
};

/// Called at exit, after the program's own functions.
unsafe extern "C" fn report(_module: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        // A forked child inherits the callback, not the duty.
        if let Some(wanted) = WANTED.get().filter(|_| is_on()) {
            let _silence = hooks::Silence::begin();
            let tables: Vec<LineTable> = all_lines()
                .iter()
                .map(|(function, lines)| show::table(function, lines))
                .collect();
            if tables.is_empty() {
                start::say(
                    "no lines to show: no function with @profile was called (put @profile above those to be measured)",
                );
            }
            let content = if wanted.json {
                lines_to_json(&tables)
            } else {
                let texts = tables.iter().map(|table| table.to_text(wanted.precision));
                texts.collect()
            };
            match &wanted.output {
                Some(path) => {
                    if let Err(error) = write_destination(path, content.as_bytes()) {
                        start::say(&error.to_string());
                    }
                }
                None => {
                    if !show::write(ptr::null_mut(), &content) {
                        unwritten();
                    }
                }
            }
        }
        Py_NewRef(Py_None())
    }
}

/// Says why the tables could not be written, which is no error where their reader
/// has seen enough. No exception is set afterwards.
///
/// # Safety
/// The GIL is held and an exception is set.
#[allow(deprecated, reason = "what is to be used instead came with 3.12")]
unsafe fn unwritten() {
    // SAFETY: as promised by the caller; each reference is released.
    unsafe {
        let is_unheard = PyErr_ExceptionMatches(PyExc_BrokenPipeError) != 0;
        let (mut kind, mut value, mut traceback) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        PyErr_Fetch(&mut kind, &mut value, &mut traceback);
        PyErr_NormalizeException(&mut kind, &mut value, &mut traceback);
        if !is_unheard {
            let text = PyObject_Str(value);
            let reason = string_of(text).unwrap_or_default();
            Py_XDECREF(text);
            start::say(&format!("cannot write the tables: {}", reason.display()));
        }
        for each in [kind, value, traceback] {
            Py_XDECREF(each);
        }
        PyErr_Clear();
    }
}
