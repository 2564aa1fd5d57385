//! Objects made from free lists, while the program itself traces.
//!
//! Lists, tuples, floats and others are often made from memory that was never
//! given back, so no allocator hook sees their birth, and their block would keep
//! the traceback of its first owner. CPython tells its own tracer of every new
//! object instead. On 3.13 anybody can listen (`PyRefTracer_SetTracer`). On 3.11
//! and 3.12 the call goes to a hidden function whose first twelve bytes are
//! replaced, for as long as the program traces, by a jump to ours; this is done
//! only where every check of `detour` passes. Elsewhere such objects keep their
//! first traceback, and [`notes`] says so.

use std::ffi::{c_int, c_void};

use pyo3_ffi::*;
#[cfg(Py_3_13)]
use wrasse_tracer::View;

use crate::hooks;
use crate::hooks::lock::Lock;
use crate::layout;

static NOTES: Lock<Vec<String>> = Lock::new(Vec::new());

/// What is lost in this process, and why.
pub fn notes() -> Vec<String> {
    NOTES.lock().clone()
}

fn note(reason: &str) {
    let text = format!("objects reused from free lists keep their first traceback: {reason}");
    let mut notes = NOTES.lock();
    if !notes.contains(&text) {
        notes.push(text);
    }
}

/// The start of the block that an object lives in: before the object come the
/// collector's header and the managed dict and weak reference pointers, if any.
///
/// # Safety
/// `object` is a live object whose type is readable.
#[inline]
pub unsafe fn block_of(object: *mut PyObject) -> usize {
    // SAFETY: as the caller vouches.
    object as usize - unsafe { layout::before(Py_TYPE(object)) }
}

/// Make and drop an object, of a type without a free list, so that tracing
/// finds those lists as the program left them.
unsafe fn make_object() {
    // SAFETY: the caller holds the GIL.
    unsafe {
        let object = PyBytes_FromStringAndSize(c"wrasse".as_ptr(), 6);
        if object.is_null() {
            PyErr_Clear();
        }
        Py_XDECREF(object);
    }
}

/// Begin to be told of new objects.
///
/// # Safety
/// Call with the GIL held, the stock tracer on.
pub unsafe fn start() {
    // SAFETY: as the caller vouches.
    if let Err(reason) = unsafe { platform::start() } {
        note(&reason);
    }
}

/// No longer.
///
/// # Safety
/// Call with the GIL held, before the stock tracer is turned off.
pub unsafe fn stop() {
    // SAFETY: as the caller vouches.
    unsafe { platform::stop() }
}

/// After the stock tracer has been turned off, which empties CPython's slot.
///
/// # Safety
/// Call with the GIL held.
pub unsafe fn after_stop() {
    // SAFETY: as the caller vouches.
    unsafe { platform::after_stop() }
}

#[cfg(Py_3_13)]
mod platform {
    //! 3.13: the public listener, one slot a process. Whoever was in it before
    //! still gets every event.

    use super::*;
    use crate::symbols;
    use std::cell::Cell;
    use std::mem;
    use std::ptr;
    use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

    type Listener = unsafe extern "C" fn(*mut PyObject, c_int, *mut c_void) -> c_int;
    type Set = unsafe extern "C" fn(Option<Listener>, *mut c_void) -> c_int;
    type Get = unsafe extern "C" fn(*mut *mut c_void) -> Option<Listener>;

    const CREATE: c_int = 0;

    #[derive(Clone, Copy)]
    struct Slot {
        listener: Option<Listener>,
        data: *mut c_void,
    }

    // SAFETY: the pointer belongs to the listener and is only handed to it.
    unsafe impl Send for Slot {}

    const EMPTY: Slot = Slot {
        listener: None,
        data: ptr::null_mut(),
    };

    /// Who listened before us. Read at each event, in interpreters that do not
    /// share a GIL and in children of a fork, hence no lock; written only while
    /// nobody can call us.
    static BEFORE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    static BEFORE_DATA: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    /// Who is to be in the slot while the program traces: we, or somebody who
    /// took it after us and passes events on to us.
    static DURING: Lock<Slot> = Lock::new(EMPTY);
    /// An event came while nobody traced.
    static REACHED: AtomicBool = AtomicBool::new(false);

    thread_local! {
        /// The thread is inside the listener from before us.
        static IS_NESTED: Cell<bool> = const { Cell::new(false) };
    }

    const OURS: Slot = Slot {
        listener: Some(listen),
        data: ptr::null_mut(),
    };

    fn before() -> Slot {
        let listener = BEFORE.load(Ordering::Acquire);
        // SAFETY: either null or a listener that `before_start` put there.
        let listener = unsafe { mem::transmute::<*mut c_void, Option<Listener>>(listener) };
        Slot {
            listener,
            data: BEFORE_DATA.load(Ordering::Relaxed),
        }
    }
    /// Who is to be in the slot when the stock tracer is off.
    static AFTER: Lock<Slot> = Lock::new(EMPTY);

    unsafe extern "C" fn listen(object: *mut PyObject, event: c_int, _data: *mut c_void) -> c_int {
        // SAFETY: called by CPython with a live object and the GIL held.
        unsafe {
            if event == CREATE {
                if hooks::active().contains(View::Program) {
                    hooks::reuse(block_of(object));
                } else {
                    REACHED.store(true, Ordering::Relaxed);
                }
            }
            let before = before();
            let Some(listener) = before.listener else {
                return 0;
            };
            // Should it pass events on to us in turn, that ends here.
            if IS_NESTED.replace(true) {
                return 0;
            }
            let result = listener(object, event, before.data);
            IS_NESTED.set(false);
            result
        }
    }

    unsafe fn functions() -> Option<(Get, Set)> {
        let get = symbols::lookup(c"PyRefTracer_GetTracer");
        let set = symbols::lookup(c"PyRefTracer_SetTracer");
        if get.is_null() || set.is_null() {
            return None;
        }
        // SAFETY: these are the types of the two functions on 3.13.
        unsafe {
            Some((
                mem::transmute::<*mut c_void, Get>(get),
                mem::transmute::<*mut c_void, Set>(set),
            ))
        }
    }

    unsafe fn current(get: Get) -> Slot {
        let mut data = ptr::null_mut();
        // SAFETY: `data` is a place for a pointer.
        let listener = unsafe { get(&mut data) };
        Slot { listener, data }
    }

    fn is_ours(slot: &Slot) -> bool {
        slot.listener.map(|f| f as usize) == Some(listen as *const () as usize)
    }

    /// Called before the stock tracer is turned on, which takes the slot.
    pub unsafe fn before_start() {
        // SAFETY: the GIL is held.
        unsafe {
            if let Some((get, _)) = functions() {
                let slot = current(get);
                let mut during = OURS;
                if slot.listener.is_some() && !is_ours(&slot) && is_told() {
                    during = slot;
                } else if !is_ours(&slot) {
                    BEFORE_DATA.store(slot.data, Ordering::Relaxed);
                    let listener = slot.listener.map_or(ptr::null_mut(), |f| f as *mut c_void);
                    BEFORE.store(listener, Ordering::Release);
                }
                *DURING.lock() = during;
            }
        }
    }

    /// Do events reach us, although somebody else is in the slot?
    unsafe fn is_told() -> bool {
        REACHED.store(false, Ordering::Relaxed);
        // SAFETY: the GIL is held.
        unsafe { make_object() };
        REACHED.load(Ordering::Relaxed)
    }

    pub unsafe fn start() -> Result<(), String> {
        // SAFETY: the GIL is held.
        unsafe {
            let (_, set) = functions().ok_or("PyRefTracer_SetTracer is not exported")?;
            let during = *DURING.lock();
            if set(during.listener, during.data) != 0 {
                PyErr_Clear();
                return Err("PyRefTracer_SetTracer failed".into());
            }
        }
        Ok(())
    }

    pub unsafe fn stop() {
        // SAFETY: the GIL is held.
        unsafe {
            if let Some((get, _)) = functions() {
                let slot = current(get);
                // Somebody who took the slot after us keeps it.
                *AFTER.lock() = if is_ours(&slot) { before() } else { slot };
            }
        }
    }

    pub unsafe fn after_stop() {
        // SAFETY: the GIL is held.
        unsafe {
            if let Some((_, set)) = functions() {
                let slot = mem::replace(&mut *AFTER.lock(), EMPTY);
                if set(slot.listener, slot.data) != 0 {
                    PyErr_Clear();
                }
            }
        }
    }
}

#[cfg(not(Py_3_13))]
mod platform {
    //! 3.11 and 3.12: the detour.

    use super::super::detour::Detour;
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static DETOUR: Lock<Option<Detour>> = Lock::new(None);
    static EVENTS: AtomicUsize = AtomicUsize::new(0);

    unsafe extern "C" fn created(object: *mut PyObject) -> c_int {
        EVENTS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: called by CPython with a live object and the GIL held.
        unsafe { hooks::reuse(block_of(object)) };
        0
    }

    pub unsafe fn before_start() {}

    /// Do new objects reach us?
    unsafe fn is_told() -> bool {
        let before = EVENTS.load(Ordering::Relaxed);
        // SAFETY: the GIL is held.
        unsafe { make_object() };
        EVENTS.load(Ordering::Relaxed) > before
    }

    pub unsafe fn start() -> Result<(), String> {
        if DETOUR.lock().is_some() {
            return Ok(());
        }
        // SAFETY: the GIL is held. With more than one interpreter another
        // thread might be executing the very bytes that are replaced.
        unsafe {
            if has_company() {
                return Err("there are subinterpreters".into());
            }
            let detour = Detour::enter(created as *const () as *const c_void)?;
            if !is_told() {
                detour.leave();
                return Err("the interpreter does not report new objects as expected".into());
            }
            *DETOUR.lock() = Some(detour);
        }
        Ok(())
    }

    /// Are there other interpreters, which may run without this GIL?
    unsafe fn has_company() -> bool {
        // SAFETY: the list's head and its links are read under its own lock, or
        // (the head) while an interpreter, this one, is in it.
        cfg!(Py_3_12) && unsafe { !PyInterpreterState_Next(PyInterpreterState_Head()).is_null() }
    }

    pub unsafe fn stop() {
        // SAFETY: the GIL is held.
        if unsafe { has_company() } {
            // As above. The jump does no harm where it is: nobody calls the
            // function while the stock tracer is off, and the next start finds
            // it in place.
            return;
        }
        let detour = DETOUR.lock().take();
        if let Some(detour) = detour {
            // SAFETY: the GIL is held, as when it was entered.
            unsafe { detour.leave() };
        }
    }

    pub unsafe fn after_stop() {}
}

pub use platform::before_start;
