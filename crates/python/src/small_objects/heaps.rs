//! The heap of each interpreter, found from inside an allocator function.
//!
//! 3.11 has one GIL for all interpreters, so one heap does. From 3.12 on an
//! interpreter may have a GIL of its own, and calls of different ones run side by
//! side. As long as there is only the main interpreter, which CPython's list of
//! interpreters tells by one load, the heap is the main one; otherwise the
//! thread's state says which.

use std::cell::UnsafeCell;
use std::ptr;

use wrasse_allocator::Heap;

struct Place(UnsafeCell<Option<&'static Heap>>);
// SAFETY: written by `prepare` only, which runs while our allocator functions are not
// in place, so nobody reads it meanwhile.
unsafe impl Sync for Place {}

static MAIN: Place = Place(UnsafeCell::new(None));

/// The main interpreter's heap, once there is one.
#[inline(always)]
pub fn main() -> Option<&'static Heap> {
    // SAFETY: see `Place`.
    unsafe { ptr::read(MAIN.0.get()) }
}

#[cfg(not(Py_3_12))]
mod search {
    use pyo3_ffi::{PyGILState_GetThisThreadState, PyThreadState};

    use super::*;

    /// Nothing to know: there is one GIL.
    pub struct Interpreters;

    /// Where CPython lists its interpreters.
    pub fn find_interpreters() -> Result<Interpreters, String> {
        Ok(Interpreters)
    }

    pub fn keep(_: Interpreters) {}

    /// There is one heap.
    ///
    /// # Safety
    /// None.
    pub unsafe fn forget_others() {}

    /// Pymalloc's largest block.
    const PYMALLOC_LARGEST: usize = 512;

    /// Whether who allocates or frees a block of such a size surely has the GIL.
    #[inline(always)]
    pub fn needs_no_check(size: impl Fn() -> usize) -> bool {
        size() <= PYMALLOC_LARGEST
    }

    /// The heap, for a thread that is known to have the GIL.
    ///
    /// # Safety
    /// Called from an allocator function.
    #[inline(always)]
    pub unsafe fn at_hand() -> Option<&'static Heap> {
        main()
    }

    unsafe extern "C" {
        fn _PyThreadState_UncheckedGet() -> *mut PyThreadState;
    }

    /// Whether the calling thread's own state is the current one. `PyGILState_Check`
    /// compares the same, but says yes to every thread once there has been a
    /// subinterpreter, for good. In a subinterpreter, where a thread's current state
    /// is another than its first, the answer is no, which only costs time.
    #[inline]
    unsafe fn has_gil() -> bool {
        // SAFETY: both read variables of the thread and of the runtime.
        unsafe {
            let own = PyGILState_GetThisThreadState();
            !own.is_null() && own == _PyThreadState_UncheckedGet()
        }
    }

    /// Whether the calling thread has the GIL, and so the main heap for itself.
    ///
    /// # Safety
    /// Called from an allocator function.
    pub unsafe fn has_main() -> bool {
        // SAFETY: reads variables of the thread and of the runtime.
        main().is_some() && unsafe { has_gil() }
    }

    /// The heap, if the calling thread has the GIL.
    ///
    /// # Safety
    /// Called from an allocator function.
    pub unsafe fn current() -> Option<&'static Heap> {
        // SAFETY: reads variables of the thread and of the runtime.
        main().filter(|_| unsafe { has_gil() })
    }
}

#[cfg(Py_3_12)]
mod search {
    use std::ffi::c_void;
    use std::mem;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use pyo3_ffi::*;

    use super::*;
    use crate::small_objects::REGION;
    use crate::symbols;

    /// Whether who allocates or frees a block of such a size surely has the GIL:
    /// pymalloc itself needs the thread's state for every size.
    #[inline(always)]
    pub fn needs_no_check(_size: impl Fn() -> usize) -> bool {
        true
    }

    type CurrentThread = unsafe extern "C" fn() -> *mut PyThreadState;

    /// What tells interpreters apart.
    #[derive(Clone, Copy)]
    pub struct Interpreters {
        /// The head of CPython's list of interpreters.
        head: *const AtomicPtr<PyInterpreterState>,
        main: *mut PyInterpreterState,
        current_thread: CurrentThread,
    }

    struct Known(UnsafeCell<Interpreters>);
    // SAFETY: as `Place`.
    unsafe impl Sync for Known {}

    /// Before anything is known: a list whose head is not the main interpreter.
    static EMPTY: AtomicPtr<PyInterpreterState> = AtomicPtr::new(ptr::null_mut());
    static KNOWN: Known = Known(UnsafeCell::new(Interpreters {
        head: &raw const EMPTY,
        main: ptr::dangling_mut(),
        current_thread: no_thread,
    }));

    unsafe extern "C" fn no_thread() -> *mut PyThreadState {
        ptr::null_mut()
    }

    /// Interpreters other than the main one and their heaps, by hash. Entries
    /// stay: an interpreter that gets a dead one's address gets its heap as well.
    static OTHERS: [Other; SLOTS] = [const { Other::new() }; SLOTS];
    const SLOTS: usize = 2048;

    struct Other {
        interpreter: AtomicPtr<PyInterpreterState>,
        heap: AtomicPtr<Heap>,
    }

    impl Other {
        const fn new() -> Self {
            Other {
                interpreter: AtomicPtr::new(ptr::null_mut()),
                heap: AtomicPtr::new(ptr::null_mut()),
            }
        }
    }

    /// `PyThreadState.interp`: the same in every version.
    const THREAD_INTERPRETER: usize = 16;
    /// How far into the runtime's state the list of interpreters is looked for.
    const SEARCHED: usize = 4096;

    /// Finds where CPython lists its interpreters: the list's head, the main
    /// interpreter and the next number stand next to each other.
    pub fn find_interpreters() -> Result<Interpreters, String> {
        let function = [
            c"PyThreadState_GetUnchecked",
            c"_PyThreadState_UncheckedGet",
        ]
        .into_iter()
        .map(symbols::lookup)
        .find(|function| !function.is_null());
        let runtime = symbols::lookup(c"_PyRuntime").cast::<usize>();
        let (Some(function), false) = (function, runtime.is_null()) else {
            return Err("this build does not export its state".into());
        };
        // SAFETY: the symbol is a function of this type; the runtime's state is
        // far larger than what is searched; the GIL is held, so no interpreter
        // comes or goes meanwhile but by its own thread.
        unsafe {
            let current_thread = mem::transmute::<*mut c_void, CurrentThread>(function);
            let thread = current_thread();
            let of_thread = thread
                .byte_add(THREAD_INTERPRETER)
                .cast::<*mut PyInterpreterState>();
            if thread.is_null() || of_thread.read() != PyInterpreterState_Get() {
                return Err("a thread's interpreter is not where it should be".into());
            }
            let (first, main) = (PyInterpreterState_Head(), PyInterpreterState_Main());
            let is_list = |place: *const usize| {
                place.read() == first as usize
                    && place.add(1).read() == main as usize
                    && (1..1 << 30).contains(&place.add(2).read())
            };
            let words = SEARCHED / size_of::<usize>();
            let mut found = (0..words)
                .map(|word| runtime.add(word).cast_const())
                .filter(|p| is_list(*p));
            match (found.next(), found.next()) {
                (Some(head), None) => Ok(Interpreters {
                    head: head.cast(),
                    main,
                    current_thread,
                }),
                _ => Err("CPython's list of interpreters is not where it should be".into()),
            }
        }
    }

    /// In the child of a `fork`: heaps of other interpreters than the calling
    /// thread's may have been left in the middle of anything, so none of them is
    /// to be used again. What is freed into one stays on its queue. (CPython up
    /// to 3.13.0 seldom survives such a fork itself.)
    ///
    /// # Safety
    /// No other thread is in an allocator function, nor will be while this runs.
    pub unsafe fn forget_others() {
        // SAFETY: written before the fork handlers were registered, and again only for a
        // runtime that is initialised anew, by the one thread there is then.
        let known = unsafe { *KNOWN.0.get() };
        // SAFETY: the thread's own state, if it has one.
        let own = unsafe { interpreter_of(&known) };
        for slot in &OTHERS {
            if slot.interpreter.load(Ordering::Relaxed) != own {
                slot.heap.store(ptr::null_mut(), Ordering::Relaxed);
            }
        }
    }

    /// The calling thread's interpreter; null for a thread without.
    unsafe fn interpreter_of(known: &Interpreters) -> *mut PyInterpreterState {
        // SAFETY: the thread's own state, if it has one.
        unsafe {
            let thread = (known.current_thread)();
            if thread.is_null() {
                return ptr::null_mut();
            }
            thread
                .byte_add(THREAD_INTERPRETER)
                .cast::<*mut PyInterpreterState>()
                .read()
        }
    }

    pub fn keep(interpreters: Interpreters) {
        // SAFETY: before anything reads it.
        unsafe { *KNOWN.0.get() = interpreters };
    }

    /// The heap of the calling thread's interpreter, if no other exists.
    ///
    /// # Safety
    /// Called from an allocator function.
    #[inline(always)]
    pub unsafe fn at_hand() -> Option<&'static Heap> {
        // SAFETY: the runtime's state lives as long as the process.
        unsafe {
            let known = &*KNOWN.0.get();
            if (*known.head).load(Ordering::Relaxed) == known.main {
                let heap = main();
                debug_assert!(heap.is_some());
                // `prepare` set it before it made this comparison possible.
                return Some(heap.unwrap_unchecked());
            }
        }
        None
    }

    /// Whether the calling thread has the main heap for itself: there is no other
    /// interpreter, and the thread has the GIL.
    ///
    /// # Safety
    /// Called from an allocator function.
    pub unsafe fn has_main() -> bool {
        // SAFETY: a thread has a current state exactly while it has a GIL.
        unsafe { at_hand().is_some() && !((*KNOWN.0.get()).current_thread)().is_null() }
    }

    /// The heap of the calling thread's interpreter; `None` for a thread without.
    ///
    /// # Safety
    /// Called from an allocator function.
    pub unsafe fn current() -> Option<&'static Heap> {
        // SAFETY: the caller's contract.
        if let Some(heap) = unsafe { at_hand() } {
            return Some(heap);
        }
        // SAFETY: written before the allocator functions were put in place.
        let known = unsafe { &*KNOWN.0.get() };
        // SAFETY: the thread's own state, if it has one.
        let interpreter = unsafe { interpreter_of(known) };
        if interpreter.is_null() {
            return None;
        }
        if interpreter == known.main {
            return main();
        }
        let start = (interpreter as usize >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        for step in 0..SLOTS {
            let slot = &OTHERS[(start + step) % SLOTS];
            let mut found = slot.interpreter.load(Ordering::Acquire);
            if found.is_null() {
                // Only this interpreter's GIL enters it, so it is in no slot yet.
                let entered = slot.interpreter.compare_exchange(
                    ptr::null_mut(),
                    interpreter,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                found = match entered {
                    Ok(_) => interpreter,
                    Err(taken) => taken,
                };
            }
            if found == interpreter {
                // SAFETY: heaps live as long as the region.
                return unsafe { slot.heap.load(Ordering::Relaxed).as_ref() }
                    .or_else(|| enter(slot));
            }
        }
        None
    }

    /// Gives an interpreter its heap; if there are none left, it goes without.
    #[cold]
    fn enter(slot: &Other) -> Option<&'static Heap> {
        let heap = REGION.get()?.as_ref().heap()?;
        slot.heap
            .store(ptr::from_ref(heap).cast_mut(), Ordering::Relaxed);
        Some(heap)
    }
}

pub use search::{
    Interpreters, at_hand, current, find_interpreters, forget_others, has_main, needs_no_check,
};

/// Makes `heap` the main interpreter's.
pub fn prepare(interpreters: Interpreters, heap: &'static Heap) {
    // SAFETY: the allocator functions are not in place yet.
    unsafe { *MAIN.0.get() = Some(heap) };
    search::keep(interpreters);
}
