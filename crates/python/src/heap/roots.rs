//! What is alive for certain, and leads to most of what is alive.
//!
//! Everything handed out here is held by a reference that no collection can
//! take away: the interpreter's own dicts, and what the frames of its threads
//! hold in local variables and on saved stacks. Missing something costs time
//! only; so whatever does not read as expected is left out.

use pyo3_ffi::*;

use crate::frame::top_frame;
use crate::layout::{CODE_LOCALS, FRAME, FRAME_LOCALS, OWNED_BY_C_STACK, load};

/// Frames of a thread that are looked at, at most.
const MOST_FRAMES: usize = 100_000;

unsafe extern "C" {
    #[cfg_attr(not(Py_3_13), link_name = "_Py_IsFinalizing")]
    fn Py_IsFinalizing() -> std::ffi::c_int;
}

/// Whether the running interpreter is whole, and the only one of the process, so
/// that all objects it can reach are its own.
pub fn are_sound() -> bool {
    // SAFETY: the GIL of the running interpreter is held, without which no
    // other one can be made while there is only this one.
    unsafe {
        if Py_IsFinalizing() != 0 {
            return false;
        }
        let first = PyInterpreterState_Head();
        first == PyInterpreterState_Get() && PyInterpreterState_Next(first).is_null()
    }
}

/// Calls `visit` with each root of the running interpreter.
///
/// # Safety
/// The GIL is held. `visit` runs no foreign code.
pub unsafe fn each(mut visit: impl FnMut(*mut PyObject)) {
    // SAFETY: the GIL is held, so no thread changes its frames; see `frames`.
    unsafe {
        let interpreter = PyInterpreterState_Get();
        for object in [
            PySys_GetObject(c"modules".as_ptr()),
            PyInterpreterState_GetDict(interpreter),
            PyThreadState_GetDict(),
        ] {
            if !object.is_null() {
                visit(object);
            }
        }
        if Py_Version < FIRST_SOUND_FRAMES {
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
    // this. The frames of its chain are live structs; local variables are
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
