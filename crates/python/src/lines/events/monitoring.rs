//! `sys.monitoring` (3.12 and newer): events of single code objects.
//!
//! Only that an exception leaves a frame cannot be asked of one code object:
//! that event is on for all code from the first watched function on, and costs
//! a call for each frame that an exception leaves.

use std::collections::HashMap;
use std::ffi::{CStr, c_long};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use pyo3_ffi::*;

use super::super::{Event, happens};
use crate::module::{Shared, method, raise};

/// Tools' numbers that CPython has given no meaning, and then the profiler's.
const TOOLS: [c_long; 3] = [4, 3, 2];

static ON_START: Shared<PyMethodDef> = callback(c"on_start", on_start);
static ON_RESUME: Shared<PyMethodDef> = callback(c"on_resume", on_resume);
static ON_LINE: Shared<PyMethodDef> = callback(c"on_line", on_line);
static ON_YIELD: Shared<PyMethodDef> = callback(c"on_yield", on_yield);
static ON_RETURN: Shared<PyMethodDef> = callback(c"on_return", on_return);

type Call = unsafe extern "C" fn(*mut PyObject, *mut *mut PyObject, Py_ssize_t) -> *mut PyObject;

const fn callback(name: &'static CStr, call: Call) -> Shared<PyMethodDef> {
    let call = PyMethodDefPointer {
        PyCFunctionFast: call,
    };
    Shared(method(name, METH_FASTCALL, call, c"Told by CPython."))
}

/// The events of one code object, and who is told.
static LOCAL: [(&CStr, &Shared<PyMethodDef>); 5] = [
    (c"PY_START", &ON_START),
    (c"PY_RESUME", &ON_RESUME),
    (c"LINE", &ON_LINE),
    (c"PY_YIELD", &ON_YIELD),
    (c"PY_RETURN", &ON_RETURN),
];

/// What has been set up in an interpreter.
#[derive(Clone, Copy)]
struct Tool {
    number: c_long,
    /// The set of local events.
    events: c_long,
}

static TOOLS_IN_USE: Mutex<Option<HashMap<i64, Tool>>> = Mutex::new(None);

fn known_tool(interpreter: i64) -> Option<Tool> {
    let tools = TOOLS_IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    tools.as_ref()?.get(&interpreter).copied()
}

/// Ask for the events of code objects. False, with an exception set, if there are none.
///
/// # Safety
/// The GIL is held; the objects are code objects.
pub unsafe fn watch(codes: &[*mut PyObject]) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let Some(tool) = tool() else { return false };
        codes.iter().all(|code| set(*code, tool, tool.events))
    }
}

/// Ask for them no more.
///
/// # Safety
/// As for [`watch`].
pub unsafe fn forget(code: *mut PyObject) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        match known_tool(PyInterpreterState_GetID(PyInterpreterState_Get())) {
            Some(tool) => set(code, tool, 0),
            None => true,
        }
    }
}

/// Nothing to do: events come to all threads.
///
/// # Safety
/// None is asked for.
pub unsafe fn trace(_on: bool) -> bool {
    true
}

unsafe fn set(code: *mut PyObject, tool: Tool, events: c_long) -> bool {
    // SAFETY: the GIL is held; formats and arguments agree.
    unsafe {
        let monitoring = PySys_GetObject(c"monitoring".as_ptr());
        if monitoring.is_null() {
            raise(PyExc_RuntimeError, "sys.monitoring is gone");
            return false;
        }
        done(PyObject_CallMethod(
            monitoring,
            c"set_local_events".as_ptr(),
            c"lOl".as_ptr(),
            tool.number,
            code,
            events,
        ))
    }
}

unsafe fn done(result: *mut PyObject) -> bool {
    // SAFETY: a new reference, or null.
    unsafe { Py_XDECREF(result) };
    !result.is_null()
}

/// This interpreter's tool, set up if it is not; nothing, with an exception set,
/// if all numbers are taken.
unsafe fn tool() -> Option<Tool> {
    // SAFETY: the GIL is held; every reference taken is released, and null is
    // never passed on.
    unsafe {
        let interpreter = PyInterpreterState_GetID(PyInterpreterState_Get());
        if let Some(tool) = known_tool(interpreter) {
            return Some(tool);
        }
        let monitoring = PySys_GetObject(c"monitoring".as_ptr());
        if monitoring.is_null() {
            raise(PyExc_RuntimeError, "sys.monitoring is gone");
            return None;
        }
        let number = TOOLS.into_iter().find(|number| {
            let taken = done(PyObject_CallMethod(
                monitoring,
                c"use_tool_id".as_ptr(),
                c"ls".as_ptr(),
                *number,
                c"wrasse".as_ptr(),
            ));
            if !taken {
                PyErr_Clear();
            }
            taken
        });
        let Some(number) = number else {
            raise(
                PyExc_RuntimeError,
                "lines cannot be measured: all tool numbers of sys.monitoring are taken",
            );
            return None;
        };
        let names = PyObject_GetAttrString(monitoring, c"events".as_ptr());
        let event = |name: &CStr| {
            let value = PyObject_GetAttrString(names, name.as_ptr());
            let bit = if value.is_null() {
                -1
            } else {
                PyLong_AsLong(value)
            };
            Py_XDECREF(value);
            bit
        };
        let listen = |bit: c_long, definition: &'static Shared<PyMethodDef>| {
            let function = PyCFunction_NewEx(
                (&raw const definition.0).cast_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
            );
            let good = !function.is_null()
                && done(PyObject_CallMethod(
                    monitoring,
                    c"register_callback".as_ptr(),
                    c"llO".as_ptr(),
                    number,
                    bit,
                    function,
                ));
            Py_XDECREF(function);
            good
        };
        let mut events = 0;
        let mut good = !names.is_null();
        for (name, definition) in LOCAL {
            if !good {
                break;
            }
            let bit = event(name);
            good = bit > 0 && listen(bit, definition);
            events |= bit;
        }
        if good {
            let unwind = event(c"PY_UNWIND");
            good = unwind > 0
                && listen(unwind, &ON_RETURN)
                && done(PyObject_CallMethod(
                    monitoring,
                    c"set_events".as_ptr(),
                    c"ll".as_ptr(),
                    number,
                    unwind,
                ));
        }
        Py_XDECREF(names);
        if !good {
            return None;
        }
        let tool = Tool { number, events };
        let mut tools = TOOLS_IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        tools.get_or_insert_default().insert(interpreter, tool);
        Some(tool)
    }
}

/// Tells of an event: the first of `arguments` is the code object, the second a
/// number that CPython made for the call.
unsafe fn tell(
    event: impl FnOnce(*mut PyObject) -> Event,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: CPython's calling convention; no exception is set in a callback.
    unsafe {
        if count >= 2 {
            let argument = *arguments.add(1);
            happens(event(argument), *arguments, argument);
        }
        Py_NewRef(Py_None())
    }
}

/// The event of a line's beginning.
unsafe fn line(number: *mut PyObject) -> Event {
    // SAFETY: the caller's: an int of the interpreter's.
    let number: c_long = unsafe { PyLong_AsLong(number) };
    Event::Line(u32::try_from(number).unwrap_or(0))
}

macro_rules! callbacks {
    ($($name:ident: $event:expr),*) => {$(
        unsafe extern "C" fn $name(
            _module: *mut PyObject,
            arguments: *mut *mut PyObject,
            count: Py_ssize_t,
        ) -> *mut PyObject {
            // SAFETY: as `tell` asks for.
            unsafe { tell($event, arguments, count) }
        }
    )*};
}

callbacks!(
    on_start: |_| Event::Start,
    on_resume: |_| Event::Resume,
    on_line: |number| line(number),
    on_yield: |_| Event::Suspend,
    on_return: |_| Event::Finish
);
