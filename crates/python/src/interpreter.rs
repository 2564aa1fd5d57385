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

use pyo3_ffi::*;
use wrasse_collector::{Generations, MarkStack, Stats};

use crate::heap::{Link, List};
use crate::layout::{GcState, StockStats};

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
    /// What was set aside for CPython's own pass after ours.
    pub pass: Cell<Option<StockPass>>,
    /// The oldest generation while CPython's own pass runs.
    pub parked: List,
}

/// Stock functions of the module `gc`, each a reference of ours.
pub struct StockFunctions {
    /// `gc.collect`.
    pub collect: *mut PyObject,
    /// `gc.freeze`.
    pub freeze: *mut PyObject,
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
    /// Its totals before the pass.
    pub stats: [StockStats; 3],
    /// The program's debug flags.
    pub debug: i32,
}

/// The main interpreter's state: almost always the one that is asked for.
static MAIN: AtomicPtr<Interpreter> = AtomicPtr::new(ptr::null_mut());
static OTHERS: Mutex<Vec<Address>> = Mutex::new(Vec::new());

struct Address(*mut Interpreter);
// SAFETY: only compared and handed back to a thread that holds the GIL of the
// interpreter it belongs to.
unsafe impl Send for Address {}

/// The running interpreter's collector, if wrasse's is installed in it.
///
/// # Safety
/// The GIL is held. The reference is valid until the interpreter ends.
pub unsafe fn current<'a>() -> Option<&'a Interpreter> {
    // SAFETY: entries are removed before they are freed, by `release`, which
    // runs under the GIL of the interpreter in question.
    unsafe {
        let id = PyInterpreterState_Get();
        let main = MAIN.load(Ordering::Acquire);
        if !main.is_null() && (*main).id == id {
            return Some(&*main);
        }
        let others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
        others
            .iter()
            .find(|entry| (*entry.0).id == id)
            .map(|entry| &*entry.0)
    }
}

/// Makes `interpreter` findable by [`current`].
pub fn register(interpreter: *mut Interpreter) {
    let first = MAIN.compare_exchange(
        ptr::null_mut(),
        interpreter,
        Ordering::AcqRel,
        Ordering::Relaxed,
    );
    if first.is_err() {
        OTHERS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Address(interpreter));
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
                .retain(|entry| entry.0 != interpreter);
        }
        let interpreter = Box::from_raw(interpreter);
        for reference in [
            interpreter.callbacks,
            interpreter.empty_list,
            interpreter.stock.collect,
            interpreter.stock.freeze,
            interpreter.words.start,
            interpreter.words.stop,
            interpreter.words.generation,
        ] {
            Py_XDECREF(reference);
        }
    }
}
