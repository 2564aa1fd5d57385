//! What wrasse keeps for each interpreter, and how to find it.
//!
//! The state belongs to the list of callbacks that CPython's collector calls
//! (see `trigger.rs`): the list holds a builtin function, the function a
//! capsule, and the capsule's destructor frees the state. CPython drops the
//! list at the very end of an interpreter, after the last Python code.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use pyo3_ffi::*;
use wrasse_collector::{Generations, MarkStack, Reason, Stats};

use crate::adaptation::Adaptation;
use crate::heap::landmarks::Landmarks;

use crate::layout::{GcState, StockStats};
use crate::list::{Heads, Link, List};
use crate::slices::Slices;
use crate::small_objects;

/// One interpreter's collector.
///
/// Fields are cells: finalizers and callbacks re-enter, from this thread or,
/// while they release the GIL, from another one; nothing is borrowed across a
/// call of foreign code.
pub struct Interpreter {
    /// CPython's own record of this interpreter.
    pub id: *mut PyInterpreterState,
    /// CPython's collector state, confirmed by `probe.rs`.
    pub state: *mut GcState,
    /// The list that the program knows as `gc.callbacks`; a reference of ours.
    pub callbacks: *mut PyObject,
    /// A list that stays empty, for a collection without callbacks.
    pub empty_list: *mut PyObject,
    /// The stock functions that ours stand in for.
    pub stock: StockFunctions,
    /// The strings `"start"`, `"stop"` and `"generation"`.
    pub words: Words,
    /// Counts of the older generations, and the quarter rule's totals.
    pub generations: Cell<Generations>,
    /// What `gc.get_stats()` answers.
    pub stats: Cell<Stats>,
    /// The marking step's work list; never borrowed while foreign code runs.
    pub stack: RefCell<MarkStack<Link>>,
    /// The heads of the lists that its collections make.
    pub heads: Heads,
    /// Whether a collection of ours runs. CPython's own flag says so too, but
    /// also while its own pass runs, and the program can call the hook itself.
    pub active: Cell<bool>,
    /// What was set aside for CPython's own pass after ours.
    pub pass: Cell<Option<StockPass>>,
    /// Why the next collection runs.
    pub reason: Cell<Reason>,
    /// When wrasse's collector was installed here.
    pub since: Instant,
    /// The oldest generation while CPython's own pass runs.
    pub parked: List,
    /// The youngest generation while CPython's own pass runs, if it is not due.
    pub parked_young: List,
    /// When to collect while nobody has set thresholds.
    pub adaptation: Adaptation,
    /// Full collections in slices.
    pub slices: Slices,
    /// What the last full collection noted, if it did; never borrowed while foreign
    /// code runs.
    pub landmarks: RefCell<Option<Landmarks>>,
}

impl Interpreter {
    /// The part of the time so far that collections took.
    pub fn pause_share(&self) -> f64 {
        self.stats.get().pauses.total / self.since.elapsed().as_secs_f64()
    }
}

/// Stock functions of the module `gc`, each a reference of ours.
pub struct StockFunctions {
    /// `gc.collect`.
    pub collect: *mut PyObject,
    /// `gc.freeze`.
    pub freeze: *mut PyObject,
    /// `gc.set_threshold`.
    pub set_threshold: *mut PyObject,
}

/// Interned strings, each a reference of ours.
pub struct Words {
    /// `"start"`
    pub start: *mut PyObject,
    /// `"stop"`
    pub stop: *mut PyObject,
    /// `"generation"`
    pub generation: *mut PyObject,
}

/// What CPython's own pass must not see or change.
#[derive(Clone, Copy)]
pub struct StockPass {
    /// The generation that ours has just collected.
    pub generation: usize,
    /// The count of the youngest generation, if it was not emptied.
    pub count: Option<i32>,
    /// Its totals before the pass.
    pub stats: [StockStats; 3],
    /// The program's debug flags.
    pub debug: i32,
    /// What was left of them for the pass.
    pub debug_left: i32,
}

/// The main interpreter's: almost always the one that is asked for.
static MAIN: AtomicPtr<Interpreter> = AtomicPtr::new(ptr::null_mut());
static OTHERS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// An interpreter and its collector. Entries of other interpreters, which may
/// be ending in parallel under a GIL of their own, are compared by `id` only.
struct Entry {
    id: *mut PyInterpreterState,
    interpreter: *mut Interpreter,
}
// SAFETY: only compared and handed back to a thread that holds the GIL of the
// interpreter it belongs to.
unsafe impl Send for Entry {}

/// The running interpreter's collector, if wrasse's is installed in it.
///
/// # Safety
/// The GIL is held. The reference is valid until the interpreter ends.
pub unsafe fn current<'a>() -> Option<&'a Interpreter> {
    // SAFETY: an interpreter's own entry is removed before it is freed, by
    // `release`, under the GIL that the caller holds; no other is followed.
    unsafe {
        let id = PyInterpreterState_Get();
        if id == PyInterpreterState_Main() {
            return MAIN.load(Ordering::Acquire).as_ref();
        }
        let others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
        others
            .iter()
            .find(|entry| entry.id == id)
            .map(|entry| &*entry.interpreter)
    }
}

/// Makes `interpreter` findable by [`current`].
///
/// # Safety
/// It is the running interpreter's, and stays valid until [`release`].
pub unsafe fn register(interpreter: *mut Interpreter) {
    // SAFETY: the caller's contract.
    unsafe {
        let id = (*interpreter).id;
        if id == PyInterpreterState_Main() {
            MAIN.store(interpreter, Ordering::Release);
        } else {
            OTHERS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Entry { id, interpreter });
        }
    }
}

/// Destructor of the capsule that owns an [`Interpreter`].
///
/// # Safety
/// Called by CPython, once, with the GIL held.
pub unsafe extern "C" fn release(capsule: *mut PyObject) {
    // SAFETY: the capsule was made by `trigger.rs` around a leaked box.
    unsafe {
        let interpreter: *mut Interpreter =
            PyCapsule_GetPointer(capsule, c"wrasse.interpreter".as_ptr()).cast();
        if interpreter.is_null() {
            PyErr_Clear();
            return;
        }
        let main = MAIN.compare_exchange(
            interpreter,
            ptr::null_mut(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if main.is_err() {
            OTHERS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|entry| entry.interpreter != interpreter);
        }
        if (*interpreter).active.get() {
            // The program found the hook and dropped it from within a
            // collection, or a thread that never comes back was in one when the
            // interpreter ended: whoever collects still uses the record.
            return;
        }
        if main.is_err() {
            small_objects::interpreter_ends();
        }
        let interpreter = Box::from_raw(interpreter);
        if interpreter.pass.get().is_some() {
            interpreter.stop();
        }
        for reference in [
            interpreter.callbacks,
            interpreter.empty_list,
            interpreter.stock.collect,
            interpreter.stock.freeze,
            interpreter.stock.set_threshold,
            interpreter.words.start,
            interpreter.words.stop,
            interpreter.words.generation,
        ] {
            Py_XDECREF(reference);
        }
    }
}
