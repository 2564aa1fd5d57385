//! The state of the thread that a hook runs in.

mod direct;

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::{mem, ptr};

use pyo3_ffi::*;

#[cfg(not(Py_3_12))]
use crate::layout::load;
use crate::symbols;

/// Offset of `PyThreadState.thread_id` (public struct).
#[cfg(not(Py_3_12))]
const THREAD_ID: usize = 152;

type CurrentThread = unsafe extern "C" fn() -> *mut PyThreadState;
type IsFinalizing = unsafe extern "C" fn() -> c_int;

#[derive(Clone, Copy)]
struct Access {
    current: CurrentThread,
    is_finalizing: IsFinalizing,
}

static ACCESS: OnceLock<Access> = OnceLock::new();

/// Find what finding threads needs.
///
/// # Safety
/// Call with the GIL held, where it may be released for a moment.
pub unsafe fn find() -> Result<(), String> {
    if ACCESS.get().is_some() {
        return Ok(());
    }
    let find = |names: [&'static std::ffi::CStr; 2]| {
        let found = names
            .into_iter()
            .map(symbols::lookup)
            .find(|p| !p.is_null());
        found.ok_or_else(|| format!("{} is not exported", names[0].to_string_lossy()))
    };
    let function = find([
        c"PyThreadState_GetUnchecked",
        c"_PyThreadState_UncheckedGet",
    ])?;
    let is_finalizing = find([c"Py_IsFinalizing", c"_Py_IsFinalizing"])?;
    // SAFETY: both symbols are functions of these types in every version.
    let access = unsafe {
        Access {
            current: mem::transmute::<*mut c_void, CurrentThread>(function),
            is_finalizing: mem::transmute::<*mut c_void, IsFinalizing>(is_finalizing),
        }
    };
    if ACCESS.set(access).is_ok() {
        // SAFETY: the caller's contract.
        unsafe { direct::find(function, access.current) };
    }
    Ok(())
}

/// The state of the calling thread, which holds a GIL; may be null.
///
/// Extensions exist that allocate without the GIL, and big blocks get through
/// on 3.11. There the current state is whoever has the GIL: its frames move.
///
/// # Safety
/// Call from a thread that holds a GIL, or late in the life of the process.
#[inline]
pub unsafe fn current_thread() -> *mut PyThreadState {
    let Some(access) = ACCESS.get() else {
        return ptr::null_mut();
    };
    // SAFETY: reads a variable of the interpreter, and of a thread state that is
    // alive unless the caller broke the rules.
    unsafe {
        let thread = (access.current)();
        if thread.is_null() {
            return this_thread();
        }
        #[cfg(not(Py_3_12))]
        if !is_of_this_thread(thread) {
            return this_thread();
        }
        thread
    }
}

/// As [`current_thread`], for a thread that surely has the GIL.
///
/// # Safety
/// Call from a thread that has it.
#[inline(always)]
pub unsafe fn thread_with_gil() -> *mut PyThreadState {
    match direct::current() {
        Some(thread) if !thread.is_null() => {
            // SAFETY: asks for the same in the ordinary way.
            debug_assert_eq!(ACCESS.get().map(|a| unsafe { (a.current)() }), Some(thread));
            thread
        }
        // SAFETY: the caller's contract.
        _ => unsafe { current_thread() },
    }
}

/// As [`thread_with_gil`] where that takes no call; else what is no thread's state. To be
/// compared only.
#[inline(always)]
pub fn thread_at_hand() -> *mut PyThreadState {
    direct::to_compare()
}

/// Does a thread state belong to the calling thread?
#[cfg(not(Py_3_12))]
#[inline]
pub unsafe fn is_of_this_thread(thread: *mut PyThreadState) -> bool {
    // SAFETY: the caller vouches for the state; the offset is checked at install.
    unsafe { load::<libc::pthread_t>(thread.cast(), THREAD_ID) == libc::pthread_self() }
}

/// The state of the calling thread, whether it holds a GIL or not; may be null.
///
/// Without the GIL the thread is inside C code, so its frames stand still and
/// its code objects are kept alive by them: they can be read, though not
/// referenced. Once the interpreter is going down its thread states may be
/// freed by another thread, so then the answer is null.
///
/// # Safety
/// Call from a thread known to the process only; any state is allowed.
#[inline]
pub unsafe fn this_thread() -> *mut PyThreadState {
    let Some(access) = ACCESS.get() else {
        return ptr::null_mut();
    };
    // SAFETY: both functions only read variables of the interpreter.
    unsafe {
        let current = (access.current)();
        // Before 3.12 the current state is whoever holds the GIL.
        #[cfg(Py_3_12)]
        if !current.is_null() {
            return current;
        }
        let own = PyGILState_GetThisThreadState();
        if own != current && (access.is_finalizing)() != 0 {
            return ptr::null_mut();
        }
        own
    }
}
