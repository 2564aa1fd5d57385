//! Garbage that is certain, cleared in slices.
//!
//! What a trial has found is *condemned*: its weak references are cleared, its
//! finalizers have run, and if anything foreign ran, a second trial has shown that
//! nothing has come back. All of that was done for the whole set in one go. What is
//! left is to have each object drop its references, which takes longest, and that can
//! wait: objects that nothing leads to stay as they are.
//!
//! # Why nothing leads to them
//! At the end of the trial every reference to a condemned object came from another
//! one. New ones can only be made by who has one. Weak references to them are
//! cleared, and those among them lead nowhere, so that no callback is called with one;
//! finalizers may have made new ones, and then the set is cleared at once, as
//! stock clears it. The lists that `gc` shows do not have them: they are on lists of
//! ours. Destructors that clearing runs are passed what is being destroyed, which
//! was condemned too, or has no references to show (or it would have been tracked, and
//! tried). Libraries may know their objects without references (`own_types.rs`): a set
//! with one of those is cleared at once too. So nobody is there who could hold one in
//! the next slice. What condemned objects refer to lives on until they are cleared.
//!
//! # Invariants
//! * Of each condemned object we hold a reference, so that clearing one frees none
//!   but itself: a slice may end after any.
//! * An object that was cleared, and that others refer to which were not yet, waits
//!   with them, out of sight. What is left in the end has survived its own clearing and
//!   goes to the oldest generation.
//! * Nothing is condemned between two slices unless a cycle is in progress, whose next
//!   slice clears it. Whoever ends a cycle clears what is condemned, and so does the
//!   end of the program; within another collection, that is left to the next one.

use std::cell::Cell;
use std::ptr;
use std::time::Instant;

use pyo3_ffi::*;
use wrasse_collector::{Model, OLDEST};

use super::own_types;
use crate::heap::{DEBUG_SAVEALL, Heap, weak};
use crate::interpreter::{self, Interpreter};
use crate::list::{List, object_of};
use crate::{finalization, run};

/// Objects that are cleared between two looks at the clock.
const UNTIL_LOOK: u32 = 32;

/// See the module.
pub struct Condemned {
    whole: List,
    cleared: List,
    /// They are being cleared.
    busy: Cell<bool>,
    /// Whether there is somebody to clear them in the end.
    may_wait: Cell<bool>,
    /// The end of the program has been told of: it will not be again.
    over: Cell<bool>,
}

impl Default for Condemned {
    fn default() -> Self {
        Self {
            whole: List::new(),
            cleared: List::new(),
            busy: false.into(),
            may_wait: false.into(),
            over: false.into(),
        }
    }
}

static mut END: PyMethodDef = PyMethodDef {
    ml_name: c"end_slices".as_ptr(),
    ml_meth: PyMethodDefPointer { PyCFunction: end },
    ml_flags: METH_NOARGS,
    ml_doc: ptr::null(),
};

/// The program is over.
unsafe extern "C" fn end(_module: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by `atexit`, with the GIL and no exception set.
    unsafe {
        if let Some(interpreter) = interpreter::current() {
            interpreter.slices.condemned.may_wait.set(false);
            interpreter.slices.condemned.over.set(true);
            interpreter.end_slices();
        }
        Py_NewRef(Py_None())
    }
}

impl Condemned {
    /// Sees to it that what waits is cleared before the interpreter ends, with
    /// collections turned off or not.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn prepare(&self) {
        if self.may_wait.get() || self.over.get() {
            return;
        }
        // SAFETY: the caller's contract; the definition is a static.
        unsafe {
            self.may_wait.set(run::at_exit(&raw mut END));
            PyErr_Clear();
        }
    }

    /// Whether anything waits to be cleared.
    pub fn waits(&self) -> bool {
        !self.whole.is_empty() || !self.cleared.is_empty()
    }

    /// Whether it is being cleared.
    pub fn is_busy(&self) -> bool {
        self.busy.get()
    }
}

impl Interpreter {
    /// Condemns `garbage`, which a trial has found. Clears it at once if weak
    /// references were made meanwhile, if it is to be kept, or if a library may lead to
    /// any of it.
    ///
    /// # Safety
    /// The GIL is held, `collecting` is set in CPython's state, and all is as a
    /// collection leaves it to be cleared.
    pub unsafe fn condemn(&self, heap: &Heap, garbage: &List, ran_foreign_code: bool) {
        let condemned = &self.slices.condemned;
        // SAFETY: the caller's contract: members of a proper list are alive.
        unsafe {
            let mut may_wait = condemned.may_wait.get()
                && (*self.state).debug & DEBUG_SAVEALL == 0
                && !finalization::has_begun();
            let mut last = ptr::null_mut();
            heap.each(garbage, |link| {
                let object = object_of(link);
                if Py_TYPE(object) != last {
                    last = Py_TYPE(object);
                    may_wait = may_wait && own_types::is_own(last);
                }
                may_wait &= !ran_foreign_code || !weak::is_part_of_one(object);
            });
            if !may_wait {
                heap.clear_all(garbage, &self.list(OLDEST));
                return;
            }
            let mut has_classes = false;
            heap.each(garbage, |link| {
                heap.revive(link);
                Py_INCREF(object_of(link));
                has_classes |= PyType_Check(object_of(link)) != 0;
            });
            if has_classes {
                // An instance may need its class when it goes, which without our
                // reference might have been before the class is cleared.
                finalization::put_classes_last(garbage);
            }
            heap.merge(garbage, &condemned.whole);
        }
    }

    /// Clears what is condemned, until about `until`; says whether all is clear.
    ///
    /// # Safety
    /// The GIL is held and no exception is set. Runs foreign code.
    pub unsafe fn clear_condemned(&self, until: Option<Instant>) -> bool {
        let condemned = &self.slices.condemned;
        if !condemned.waits() {
            return true;
        }
        // A destructor has ended the cycle: who called it goes on to the end.
        if condemned.busy.replace(true) {
            return false;
        }
        // SAFETY: the caller's contract. Each object is held by a reference of ours
        // until it is given back; then it may be gone, and has left its list by itself.
        // No collection begins meanwhile.
        unsafe {
            let heap = self.heap();
            let was_collecting = std::mem::replace(&mut (*self.state).collecting, 1) != 0;
            let was_active = self.active.replace(true);
            let mut left = UNTIL_LOOK;
            while let Some(link) = heap.first(&condemned.whole) {
                heap.transfer(link, &condemned.cleared);
                // What was decided before the first was cleared holds for all.
                heap.take_apart(link);
                Py_DECREF(object_of(link));
                left -= 1;
                if left == 0 {
                    left = UNTIL_LOOK;
                    let is_over = until.is_some_and(|until| Instant::now() >= until);
                    if is_over && !self.slices.cancelled.get() {
                        break;
                    }
                }
            }
            let is_clear = condemned.whole.is_empty();
            if is_clear {
                heap.merge(&condemned.cleared, &self.list(OLDEST));
            }
            // Whoever collects meanwhile puts these back, perhaps before now.
            if !was_collecting {
                (*self.state).collecting = 0;
            }
            if !was_active {
                self.active.set(false);
            }
            condemned.busy.set(false);
            is_clear
        }
    }
}
