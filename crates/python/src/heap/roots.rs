//! What is alive for certain, and leads to most of what is alive.
//!
//! Everything handed out here is held by a reference that no collection can
//! take away: the interpreter's own dicts, and what the frames of its threads
//! hold in local variables and on saved stacks. Missing something costs time
//! only; so whatever does not read as expected is left out, and all frames are
//! until [`check`] has found that they do.

use std::sync::atomic::{AtomicU8, Ordering};

use pyo3_ffi::*;

use crate::finalization;
use crate::frame::top_frame;
use crate::layout::{
    CODE_LOCALS, FRAME, FRAME_LOCALS, FRAME_OF_OBJECT, OWNED_BY_C_STACK, OWNED_BY_GENERATOR, load,
};

/// Frames of a thread that are looked at, at most.
const MOST_FRAMES: usize = 100_000;
/// Frames that [`check`] looks at, at most.
const CHECKED_FRAMES: usize = 8;

/// Not looked yet, as expected, not as expected.
static CHECKED: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const GOOD: u8 = 1;
const BAD: u8 = 2;

/// Whether the running interpreter is whole, and the only one of the process, so
/// that all objects it can reach are its own.
pub fn are_sound() -> bool {
    // SAFETY: the GIL of the running interpreter is held, without which no
    // other one can be made while there is only this one.
    unsafe {
        if finalization::has_begun() {
            return false;
        }
        let first = PyInterpreterState_Head();
        first == PyInterpreterState_Get() && PyInterpreterState_Next(first).is_null()
    }
}

/// The roots that are there as long as the interpreter, or null.
///
/// # Safety
/// The GIL is held.
pub unsafe fn lasting() -> [*mut PyObject; 3] {
    // SAFETY: the caller's contract; these are borrowed references.
    unsafe {
        [
            PySys_GetObject(c"modules".as_ptr()),
            PyInterpreterState_GetDict(PyInterpreterState_Get()),
            PyThreadState_GetDict(),
        ]
    }
}

/// Calls `visit` with each root of the running interpreter, the lasting ones first.
///
/// # Safety
/// The GIL is held. `visit` runs no foreign code.
pub unsafe fn each(mut visit: impl FnMut(*mut PyObject)) {
    // SAFETY: the GIL is held, so no thread changes its frames; see `frames`.
    unsafe {
        let interpreter = PyInterpreterState_Get();
        for object in lasting() {
            if !object.is_null() {
                visit(object);
            }
        }
        if CHECKED.load(Ordering::Relaxed) != GOOD || Py_Version < FIRST_SOUND_FRAMES {
            return;
        }
        let mut thread = PyInterpreterState_ThreadHead(interpreter);
        while !thread.is_null() {
            frames(thread, &mut visit);
            thread = PyThreadState_Next(thread);
        }
    }
}

unsafe extern "C" {
    static Py_Version: std::ffi::c_ulong;
}
/// 3.11.1: before, a frame that was being cleared could still be seen, with
/// references to what was gone (gh-99729).
const FIRST_SOUND_FRAMES: std::ffi::c_ulong = 0x030b_01f0;

/// The local variables of `thread`'s frames, and what those that called another
/// one had on their stacks.
unsafe fn frames(thread: *mut PyThreadState, visit: &mut impl FnMut(*mut PyObject)) {
    // SAFETY: `thread` is one of the interpreter's and does not run, or runs
    // this. The frames of its chain are live structs, which read as `check` has
    // found; local variables are
    // references of the frame's own or null at any safe point, and so is the
    // stack up to `stacktop`, which is negative while it is not saved.
    unsafe {
        let mut frame = top_frame(thread);
        for _ in 0..MOST_FRAMES {
            if frame.is_null() {
                return;
            }
            let code: *mut PyObject = load(frame, FRAME.code);
            let owner: u8 = load(frame, FRAME.owner);
            if owner < OWNED_BY_C_STACK {
                let Some(count) = locals_of(code) else {
                    return;
                };
                let saved: i32 = load(frame, FRAME_LOCALS.stacktop);
                let count = count.max(usize::try_from(saved).unwrap_or(0));
                for index in 0..count {
                    let slot = FRAME_LOCALS.values + index * size_of::<usize>();
                    let object: *mut PyObject = load(frame, slot);
                    if !object.is_null() {
                        visit(object);
                    }
                }
                let names: *mut PyObject = load(frame, FRAME_LOCALS.mapping);
                if !names.is_null() {
                    visit(names);
                }
            }
            frame = load(frame, FRAME.previous);
        }
    }
}

/// Finds out, once in the process, whether frames read as expected: the running
/// one and its nearest callers, compared with what CPython says of them. Where no
/// Python code runs, nothing is found out.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn check() {
    if CHECKED.load(Ordering::Relaxed) != UNKNOWN {
        return;
    }
    // SAFETY: the caller's contract; the frame object is a reference of ours.
    unsafe {
        let object: *mut PyObject = PyThreadState_GetFrame(PyThreadState_Get()).cast();
        if !object.is_null() {
            let good = reads_as_expected(object);
            Py_DECREF(object);
            CHECKED.store(if good { GOOD } else { BAD }, Ordering::Relaxed);
        }
    }
}

/// Whether the running frame, whose object is `object`, and its callers do.
unsafe fn reads_as_expected(object: *mut PyObject) -> bool {
    // SAFETY: `object` is the running frame's. The current frame is a field of the
    // thread's state, a public struct. No address read from one place is followed
    // before another place has said the same, but for the one byte that tells a
    // frame of C code, of a caller of a frame that was confirmed.
    unsafe {
        let frame_of = |object: *mut PyObject| load::<*const u8>(object.cast(), FRAME_OF_OBJECT);
        let top = top_frame(PyThreadState_Get());
        if top.is_null() || top != frame_of(object) {
            return false;
        }
        // The mapping stands behind the builtins, and those behind the globals.
        let word = |offset| load::<*mut PyObject>(top, offset);
        if word(FRAME_LOCALS.mapping - 16) != PyEval_GetGlobals()
            || word(FRAME_LOCALS.mapping - 8) != PyEval_GetBuiltins()
            || load::<i32>(top, FRAME_LOCALS.stacktop) != -1
        {
            return false;
        }
        let mut frame = top;
        let mut object = Py_NewRef(object);
        for _ in 0..CHECKED_FRAMES {
            let code: *mut PyObject = PyFrame_GetCode(object.cast()).cast();
            let good = load::<*mut PyObject>(frame, FRAME.code) == code
                && load::<u8>(frame, FRAME.owner) <= OWNED_BY_GENERATOR
                && locals_of(code).is_some();
            Py_DECREF(code);
            let caller: *mut PyObject = PyFrame_GetBack(object.cast()).cast();
            Py_DECREF(object);
            if !good || caller.is_null() {
                return good;
            }
            object = caller;
            frame = load(frame, FRAME.previous);
            while !frame.is_null() && load::<u8>(frame, FRAME.owner) == OWNED_BY_C_STACK {
                frame = load(frame, FRAME.previous);
            }
            if frame != frame_of(object) {
                Py_DECREF(object);
                return false;
            }
        }
        Py_DECREF(object);
        true
    }
}

/// How many local variables, cells included, a frame of `code` has; `None` if
/// that is no code object, or does not read as one.
unsafe fn locals_of(code: *mut PyObject) -> Option<usize> {
    // SAFETY: a frame's code is a live object; the fields are read after its
    // type is known, and the names before they are believed.
    unsafe {
        if code.is_null() || Py_TYPE(code) != &raw mut PyCode_Type {
            return None;
        }
        let count: i32 = load(code.cast(), CODE_LOCALS.count);
        let names: *mut PyObject = load(code.cast(), CODE_LOCALS.names);
        if names.is_null() || PyTuple_CheckExact(names) == 0 {
            return None;
        }
        (PyTuple_GET_SIZE(names) == count as Py_ssize_t).then_some(count as usize)
    }
}
