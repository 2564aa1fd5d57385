//! `wrasse.profile`, `wrasse lines`, `%mprun`: what each line of a function does
//! to memory.
//!
//! A watched function is not wrapped. CPython tells of its lines: from 3.12 on
//! through `sys.monitoring`, with events that are set on its code object alone;
//! on 3.11 through a C trace function that is on while the function runs
//! (`events.rs`). At each event the tracer's total is read, and `record.rs` keeps
//! the account. The profile is on while a watched function runs.

mod events;
mod record;
mod run;
mod show;

use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3_ffi::*;
use wrasse_tracer::View;

use crate::module::{Shared, method, raise, string};
use crate::{boot, frame, hooks, session};
use record::{Event, Finished, Lines, Place, Record};

pub use run::{MARK, boot, environment_value};

/// What is known of a watched function beside its lines. The references are
/// kept: code objects must not make place for others.
#[derive(Clone, Copy)]
struct Function {
    code: *mut PyObject,
    last_line: u32,
    /// Where its table is written; null stands for `sys.stdout`.
    stream: *mut PyObject,
    precision: usize,
    /// After each call, not at the end.
    shows_calls: bool,
}

#[derive(Default)]
struct State {
    record: Record,
    functions: Vec<Function>,
}

// SAFETY: the objects are only used by who holds the GIL.
unsafe impl Send for State {}

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Nothing of Python is called while the guard lives.
fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The functions of `_core` that this file adds.
pub static METHODS: Shared<[PyMethodDef; 5]> = Shared([
    method(
        c"lines_watch",
        METH_FASTCALL,
        PyMethodDefPointer { PyCFunctionFast: watch },
        c"Measure a function's lines: lines_watch(codes, last_line, stream, precision, shows_calls).",
    ),
    method(
        c"lines_forget",
        METH_O,
        PyMethodDefPointer { PyCFunction: forget },
        c"Measure a function's lines no more: lines_forget(code); says whether they were.",
    ),
    method(
        c"lines_table",
        METH_FASTCALL,
        PyMethodDefPointer { PyCFunctionFast: table },
        c"The table of a function's lines, or None if it was not called: lines_table(code, precision).",
    ),
    method(
        c"lines_trace",
        METH_O,
        PyMethodDefPointer { PyCFunction: trace },
        c"lines_trace(on): tell of lines in this thread. Needed on 3.11, nothing from 3.12 on.",
    ),
    PyMethodDef::zeroed(),
]);

/// `lines_watch(codes, last_line, stream, precision, shows_calls)`: `codes` is a
/// tuple of the function's code object and those inside it.
unsafe extern "C" fn watch(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: the interpreter passes `count` live objects and holds the GIL.
    unsafe {
        if count != 5 || PyTuple_Check(*arguments) == 0 || PyTuple_Size(*arguments) == 0 {
            return raise(PyExc_TypeError, "lines_watch() takes 5 arguments");
        }
        let codes: Vec<*mut PyObject> = (0..PyTuple_Size(*arguments))
            .map(|index| PyTuple_GetItem(*arguments, index))
            .collect();
        if codes
            .iter()
            .any(|code| Py_TYPE(*code) != &raw mut PyCode_Type)
        {
            return raise(PyExc_TypeError, "not a code object");
        }
        let last_line = PyLong_AsLong(*arguments.add(1));
        let stream = *arguments.add(2);
        let precision = PyLong_AsLong(*arguments.add(3));
        let shows_calls = PyObject_IsTrue(*arguments.add(4));
        if !PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        let Ok(precision @ 0..=9) = usize::try_from(precision) else {
            return raise(PyExc_ValueError, "precision must be from 0 to 9");
        };
        if let Err(reason) = frame::check() {
            return raise(
                PyExc_RuntimeError,
                &format!("lines cannot be measured in this interpreter: {reason}"),
            );
        }
        let function = Function {
            code: codes[0],
            last_line: u32::try_from(last_line).unwrap_or(0),
            stream: if stream == Py_None() {
                ptr::null_mut()
            } else {
                stream
            },
            precision,
            shows_calls: shows_calls == 1 && !run::is_on(),
        };
        {
            let mut guard = state();
            let state = guard.get_or_insert_default();
            if let Some(number) = state.record.function(codes[0] as usize) {
                // Watched already: as it was asked for last. A stream that is not
                // used any more stays referenced, since a call may be showing on it.
                Py_XINCREF(function.stream);
                state.functions[number] = function;
                return Py_NewRef(Py_None());
            }
            let addresses: Vec<usize> = codes.iter().map(|code| *code as usize).collect();
            for code in &codes {
                Py_INCREF(*code);
            }
            Py_XINCREF(function.stream);
            state.record.watch(&addresses);
            state.functions.push(function);
        }
        if !events::watch(&codes) {
            drop_function(codes[0]);
            return ptr::null_mut();
        }
        Py_NewRef(Py_None())
    }
}

/// Measures a function no more, and ends the sessions of its calls that go on.
/// Returns its code objects, whose events still come; none if it was not watched.
///
/// # Safety
/// The GIL is held.
unsafe fn drop_function(code: *mut PyObject) -> Vec<usize> {
    let (codes, ended) = {
        let mut guard = state();
        let found = guard.as_mut().and_then(|state| {
            let number = state.record.function(code as usize)?;
            Some(state.record.forget(number))
        });
        found.unwrap_or_default()
    };
    for _ in 0..ended {
        // SAFETY: the caller's contract; each call began one.
        unsafe { session::end() };
    }
    codes
}

/// `lines_forget(code)`.
unsafe extern "C" fn forget(_module: *mut PyObject, code: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python; the codes are kept alive by their references.
    unsafe {
        let codes = drop_function(code);
        let was_watched = !codes.is_empty();
        for code in codes {
            if !events::forget(code as *mut PyObject) {
                return ptr::null_mut();
            }
        }
        PyBool_FromLong(was_watched.into())
    }
}

/// `lines_table(code, precision)`.
unsafe extern "C" fn table(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: as in `watch`.
    unsafe {
        if count != 2 {
            return raise(PyExc_TypeError, "lines_table() takes 2 arguments");
        }
        let precision = PyLong_AsLong(*arguments.add(1));
        if precision == -1 && !PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        let precision = usize::try_from(precision).unwrap_or(0).min(9);
        let Some((function, lines)) = lines_of(*arguments) else {
            return Py_NewRef(Py_None());
        };
        let _silence = hooks::Silence::begin();
        let text = show::table(&function, &lines).to_text(precision);
        string(&text)
    }
}

/// What a watched function has done; nothing if it was not called.
fn lines_of(code: *mut PyObject) -> Option<(Function, Lines)> {
    let guard = state();
    let state = guard.as_ref()?;
    let number = state.record.function(code as usize)?;
    let lines = state.record.lines(number);
    (lines.calls > 0).then(|| (state.functions[number], lines))
}

/// All watched functions that were called, in the order they were met.
fn all_lines() -> Vec<(Function, Lines)> {
    let guard = state();
    let Some(state) = guard.as_ref() else {
        return Vec::new();
    };
    let all = state.functions.iter().enumerate();
    let called = all.map(|(number, function)| (*function, state.record.lines(number)));
    called.filter(|(_, lines)| lines.calls > 0).collect()
}

/// `lines_trace(on)`.
unsafe extern "C" fn trace(_module: *mut PyObject, on: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python.
    unsafe {
        let on = PyObject_IsTrue(on);
        if on < 0 || !events::trace(on == 1) {
            return ptr::null_mut();
        }
        Py_NewRef(Py_None())
    }
}

/// Something happens in the innermost frame of this thread, which runs `code`.
/// `argument` is what CPython made to tell of it, or null: it is not the program's.
///
/// # Safety
/// The GIL is held and no exception is set; frames can be read.
unsafe fn happens(event: Event, code: *mut PyObject, argument: *mut PyObject) {
    // SAFETY: as the caller vouches; the thread is the calling one.
    unsafe {
        let thread = PyThreadState_Get();
        let place = Place {
            thread: thread as usize,
            frame: frame::top_frame(thread) as usize,
            code: code as usize,
        };
        let begins = {
            let guard = state();
            let Some(state) = guard.as_ref() else { return };
            if !state.record.is_watched(place.code) {
                return;
            }
            event == Event::Start && state.record.begins(&place)
        };
        if begins && let Err(reason) = session::begin(1) {
            boot::say_once(&format!("lines are not measured: {reason}"));
            return;
        }
        let live = live_without(argument);
        let finished: Vec<(Function, Finished)> = {
            let mut guard = state();
            let Some(state) = guard.as_mut() else { return };
            let ended = state.record.event(event, &place, live).into_iter();
            ended
                .map(|each| (state.functions[each.function], each))
                .collect()
        };
        for (function, done) in finished {
            session::end();
            if function.shows_calls {
                show::show(&function, &done.lines);
            }
        }
    }
}

/// The bytes that are live, without those of an object that was made for us.
fn live_without(argument: *mut PyObject) -> u64 {
    let guard = hooks::state();
    let Some(state) = guard.as_ref() else {
        return 0;
    };
    let counters = state.tracer.counters(View::Profile);
    let block = if argument.is_null() {
        None
    } else {
        state.tracer.block(argument as usize)
    };
    // A small number is shared; a larger one is a block of its own.
    let own = block.filter(|block| block.views.contains(View::Profile));
    let own = own.map_or(0, |block| block.size as u64);
    (counters.current() as u64).saturating_sub(own)
}
