//! A C trace function (3.11), on in the threads that run a watched function, for
//! as long as they do. Code that a watched function calls is then traced by
//! CPython too, which takes time; other code is not.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;

use pyo3_ffi::*;

use super::super::{Event, happens};
use crate::boot;
use crate::frame;
use crate::layout::{FRAME, OWNED_BY_GENERATOR, load};

// Of 3.11's opcode.h: the instructions at which the trace function is told of a
// yield and of a frame's beginning.
const YIELD_VALUE: u8 = 86;
const RESUME: u8 = 151;
/// What CPython makes of it in code that has run some times.
const RESUME_QUICK: u8 = 150;

const CALL: c_int = PyTrace_CALL;
const LINE: c_int = PyTrace_LINE;
const RETURN: c_int = PyTrace_RETURN;

thread_local! {
    /// How many watched functions of this thread run.
    static RUNNING: Cell<usize> = const { Cell::new(0) };
    /// The trace function is ours.
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

/// Nothing to do: the function itself turns the tracing on (`trace`).
///
/// # Safety
/// None is asked for.
pub unsafe fn watch(_codes: &[*mut PyObject]) -> bool {
    true
}

/// Nothing to do.
///
/// # Safety
/// None is asked for.
pub unsafe fn forget(_code: *mut PyObject) -> bool {
    true
}

/// A watched function begins or ends in this thread.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn trace(on: bool) -> bool {
    // SAFETY: the caller's contract.
    unsafe {
        let running = RUNNING.get();
        if on {
            RUNNING.set(running + 1);
            if running == 0 {
                if is_traced() {
                    boot::say_once(
                        "lines are not measured: a debugger or coverage tool traces this thread (Python 3.12 measures beside them)",
                    );
                } else {
                    PyEval_SetTrace(Some(told), ptr::null_mut());
                    IS_ON.set(true);
                }
            }
        } else {
            RUNNING.set(running.saturating_sub(1));
            // Somebody's `sys.settrace` in between stays.
            if running == 1 && IS_ON.replace(false) && !is_traced() {
                PyEval_SetTrace(None, ptr::null_mut());
            }
        }
        PyErr_Occurred().is_null()
    }
}

/// Does somebody else trace this thread? Ours shows as nobody, for it has no object.
unsafe fn is_traced() -> bool {
    // SAFETY: the GIL is held; references are released.
    unsafe {
        let function = PySys_GetObject(c"gettrace".as_ptr());
        if function.is_null() {
            return false;
        }
        let tracer = PyObject_CallNoArgs(function);
        if tracer.is_null() {
            PyErr_Clear();
            return false;
        }
        let is_somebody = tracer != Py_None();
        Py_DECREF(tracer);
        is_somebody
    }
}

extern "C" fn told(
    _object: *mut PyObject,
    frame: *mut PyFrameObject,
    what: c_int,
    argument: *mut PyObject,
) -> c_int {
    // SAFETY: CPython calls with the GIL held and a live frame, which keeps its
    // code object alive; its instruction is inside that.
    unsafe {
        let code = PyFrame_GetCode(frame).cast::<PyObject>();
        Py_DECREF(code);
        let event = match what {
            LINE => {
                let line = PyFrame_GetLineNumber(frame);
                Event::Line(u32::try_from(line).unwrap_or(0))
            }
            CALL | RETURN => {
                let running = frame::top_frame(PyThreadState_Get());
                if running.is_null() {
                    return 0;
                }
                let instruction: *const u8 = load(running, FRAME.instruction);
                let owner: u8 = load(running, FRAME.owner);
                let is_generator = owner == OWNED_BY_GENERATOR;
                let (operation, operand) = (*instruction, *instruction.add(1));
                if what == CALL {
                    // Its operand is 0 at a function's beginning only.
                    if is_generator && matches!(operation, RESUME | RESUME_QUICK) && operand != 0 {
                        Event::Resume
                    } else {
                        Event::Start
                    }
                } else if is_generator && operation == YIELD_VALUE && !argument.is_null() {
                    Event::Suspend
                } else {
                    Event::Finish
                }
            }
            _ => return 0,
        };
        happens(event, code, ptr::null_mut());
        0
    }
}
