//! Automatic collections, at CPython's own safe points.
//!
//! CPython counts allocations and decides where it is safe to collect; neither
//! needs our help. Its collection calls the members of a list before and after,
//! and that list is ours to choose: in the place of the program's
//! `gc.callbacks` stands a private list with one function, [`hook`]. Called
//! with `"start"`, it runs wrasse's collection of whatever generation is due;
//! CPython's own pass then finds next to nothing, and `"stop"` restores what
//! that pass has counted.
//!
//! Counts of the older generations are kept at 0 in CPython's state, so that it
//! picks generation 0 by itself (1 if the threshold of that is negative), and
//! its survivors at a number of which new objects are never a quarter, so that
//! it never picks 2: a call for generation 2 means that somebody called
//! `PyGC_Collect()` from C. Then the survivors are parked on a
//! list of ours until `"stop"`, or CPython would trace them all a second time.
//!
//! `enabled`, the thresholds, the debug flags and all lists stay real: stock
//! functions, C callers and the collections at shutdown find what they expect,
//! and nothing has to be handed back when the interpreter ends.

use std::ffi::c_void;
use std::ptr;
use std::time::Instant;

use pyo3_ffi::*;
use wrasse_collector::{Generations, Model, OLDEST, Reason, Step};

use crate::adaptation::Adaptation;
use crate::heap::{DEBUG_SAVEALL, roots};
use crate::interpreter::{self, Interpreter, StockFunctions, StockPass, Words};
use crate::layout::{DICT, GcState, StockStats};
use crate::list::{Heads, List, link_of};
use crate::module::Shared;
use crate::slices::Slices;
use crate::{finalization, statistics};

static HOOK: Shared<PyMethodDef> = Shared(PyMethodDef {
    ml_name: c"hook".as_ptr(),
    ml_meth: PyMethodDefPointer {
        PyCFunctionFast: hook,
    },
    ml_flags: METH_FASTCALL,
    ml_doc: c"Called by CPython's collector; runs wrasse's.".as_ptr(),
});

/// Puts wrasse's collector in the place of the stock one.
///
/// # Safety
/// The GIL is held, no exception is set, `state` was confirmed by `probe.rs`
/// for the running interpreter and its stock `gc` module `module`.
pub unsafe fn install(state: *mut GcState, module: *mut PyObject) -> Result<(), String> {
    // SAFETY: the caller's contract; references are counted as noted.
    unsafe {
        DICT.check();
        roots::check();
        let out_of_memory = || {
            PyErr_Clear();
            "no memory for the collector's own objects".to_string()
        };
        let hook_list = PyList_New(1);
        let empty_list = PyList_New(0);
        let words = Words {
            start: PyUnicode_InternFromString(c"start".as_ptr()),
            stop: PyUnicode_InternFromString(c"stop".as_ptr()),
            generation: PyUnicode_InternFromString(c"generation".as_ptr()),
        };
        let stock = StockFunctions {
            collect: PyObject_GetAttrString(module, c"collect".as_ptr()),
            freeze: PyObject_GetAttrString(module, c"freeze".as_ptr()),
            set_threshold: PyObject_GetAttrString(module, c"set_threshold".as_ptr()),
        };
        for object in [
            hook_list,
            empty_list,
            words.start,
            words.stop,
            words.generation,
            stock.collect,
            stock.freeze,
            stock.set_threshold,
        ] {
            if object.is_null() {
                return Err(out_of_memory());
            }
        }

        let counts = std::array::from_fn(|g| (*state).generations[g].count);
        let mut stats = wrasse_collector::Stats::default();
        for (ours, stock) in stats.generations.iter_mut().zip((*state).stats) {
            ours.collections = stock.collections as usize;
            ours.collected = stock.collected as usize;
            ours.uncollectable = stock.uncollectable as usize;
        }
        let interpreter = Box::into_raw(Box::new(Interpreter {
            id: PyInterpreterState_Get(),
            state,
            callbacks: Py_NewRef((*state).callbacks),
            empty_list,
            stock,
            words,
            generations: Generations::resume(
                counts,
                (*state).long_lived_total as usize,
                (*state).long_lived_pending as usize,
            )
            .into(),
            stats: stats.into(),
            stack: Default::default(),
            heads: Heads::new(),
            active: false.into(),
            pass: None.into(),
            reason: Reason::Asked.into(),
            since: Instant::now(),
            parked: List::new(),
            parked_young: List::new(),
            adaptation: Adaptation::new(std::array::from_fn(|g| (*state).generations[g].threshold)),
            slices: Slices::default(),
            landmarks: None.into(),
        }));
        let capsule = PyCapsule_New(
            interpreter.cast::<c_void>(),
            c"wrasse.interpreter".as_ptr(),
            Some(interpreter::release),
        );
        let function = if capsule.is_null() {
            ptr::null_mut()
        } else {
            PyCFunction_NewEx((&raw const HOOK.0).cast_mut(), capsule, ptr::null_mut())
        };
        Py_XDECREF(capsule);
        if function.is_null() {
            return Err(out_of_memory());
        }
        PyList_SET_ITEM(hook_list, 0, function);
        // Not tracked: no collection may take the hook apart, and the program
        // must not meet it in gc.get_objects().
        for private in [hook_list, empty_list, function] {
            PyObject_GC_UnTrack(private.cast());
        }
        debug_assert_eq!((*link_of(hook_list)).next, 0);

        interpreter::register(interpreter);
        reset_choice(state);
        Py_DECREF((*interpreter).callbacks); // the state's; ours stays
        (*state).callbacks = hook_list;
        Ok(())
    }
}

/// Leaves CPython nothing but the youngest generation to pick by itself.
unsafe fn reset_choice(state: *mut GcState) {
    // SAFETY: the caller's interpreter is alive; these fields only steer the
    // choice of a generation.
    unsafe {
        for generation in 1..=OLDEST {
            (*state).generations[generation].count = 0;
        }
        (*state).long_lived_total = Py_ssize_t::MAX;
        (*state).long_lived_pending = 0;
    }
}

/// Called by CPython around each of its collections with `(phase, info)`.
unsafe extern "C" fn hook(
    capsule: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: CPython passes what it documents; the capsule is ours.
    unsafe {
        let pointer = PyCapsule_GetPointer(capsule, c"wrasse.interpreter".as_ptr());
        if pointer.is_null() || count != 2 {
            return ptr::null_mut();
        }
        // Whoever calls holds the function, and so the capsule and the record.
        let interpreter = &*pointer.cast::<Interpreter>();
        let (phase, info) = (*arguments, *arguments.add(1));
        // The hook is private, but a stock module `gc` that was made behind the
        // finder's back shows it, and then anybody can call it: also what CPython's
        // own pass finalizes, while that has objects on lists of its own.
        if interpreter.pass_is_running() {
            return Py_NewRef(Py_None());
        }
        if PyUnicode_Compare(phase, interpreter.words.start) == 0 {
            let value = PyDict_GetItemWithError(info, interpreter.words.generation);
            let asked = if value.is_null() {
                0
            } else {
                PyLong_AsLong(value)
            };
            if (*interpreter.state).collecting != 0 && !interpreter.active.get() {
                interpreter.start(asked.clamp(0, OLDEST as _) as usize);
            }
        } else {
            interpreter.stop();
        }
        if !PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        Py_NewRef(Py_None())
    }
}

impl Interpreter {
    /// What is due when `count` objects are in the youngest generation and
    /// CPython, by itself or for somebody, asks for a collection of `asked`.
    fn step(&self, count: i32, asked: usize) -> Step {
        let thresholds = self.thresholds();
        if asked != OLDEST && self.adaptation.is_on() {
            let generations = self.generations.get();
            let mut step = self.adaptation.look(count, &generations);
            if step == Step::Examine {
                // SAFETY: as in `start`.
                let lost = unsafe { self.lost_part() };
                step = self.adaptation.examined(lost, count, &generations);
            }
            self.reason.set(self.adaptation.reason());
            return match step {
                Step::Collect(due) => Step::Collect(due.max(asked)),
                step => step,
            };
        }
        self.reason.set(if asked == OLDEST {
            Reason::Asked
        } else {
            Reason::Threshold
        });
        let due = self.generations.get().due(count, &thresholds);
        Step::Collect(due.unwrap_or(asked).max(asked))
    }

    /// Moves `generation` and everything younger to the next older one as they are.
    unsafe fn promote(&self, generation: usize) {
        // SAFETY: as in `start`.
        let count = unsafe {
            let heap = self.heap();
            let older = self.list(generation + 1);
            for younger in (0..=generation).rev() {
                heap.merge(&self.list(younger), &older);
            }
            std::mem::take(&mut (*self.state).generations[0].count)
        };
        let mut generations = self.generations.get();
        generations.promoted(self.adaptation.promoted(generation, count));
        self.generations.set(generations);
        self.set_trigger();
    }

    /// CPython starts a collection of the generation `asked`.
    unsafe fn start(&self, asked: usize) {
        // SAFETY: CPython has set `collecting`, holds the GIL and has no
        // exception set when it calls the hook.
        unsafe {
            let state = self.state;
            let young_count = (*state).generations[0].count;
            let stats = (*state).stats;
            let begun = Instant::now();
            #[cfg(feature = "sanity")]
            crate::sanity::take_spent();
            let mut generation = 0;
            let mut count = None;
            let mut waits = false;
            match self.step(young_count, asked) {
                Step::Wait => waits = true,
                Step::Examine => debug_assert!(false, "looked at already"),
                Step::Promote(generation) => self.promote(generation),
                Step::Collect(OLDEST) if asked != OLDEST && self.begin_slices() => {
                    generation = OLDEST;
                }
                Step::Collect(due) => {
                    generation = due;
                    self.collect(due);
                }
            }
            #[cfg(feature = "sanity")]
            let begun = begun + crate::sanity::take_spent();
            self.continue_slices(begun);
            if waits {
                // Only now: a slice that can get no memory ends in a full collection,
                // which has to find every tracked object on CPython's lists. It also
                // leaves another count.
                self.heap().merge(&self.list(0), &self.parked_young);
                count = Some((*state).generations[0].count);
            }

            // What finalizers and callbacks have littered since is for CPython's
            // pass to free, quietly; or to keep, if the program keeps all garbage.
            let debug = (*state).debug;
            let debug_left = debug & DEBUG_SAVEALL;
            self.pass.set(Some(StockPass {
                generation,
                count,
                stats,
                debug,
                debug_left,
            }));
            (*state).debug = debug_left;
            if asked == OLDEST {
                self.heap().merge(&self.list(OLDEST), &self.parked);
            }
        }
    }

    /// Whether CPython's own pass, which ours came before, is still running: it
    /// counts itself when it ends.
    unsafe fn pass_is_running(&self) -> bool {
        let counted = |stats: &[StockStats; 3]| -> Py_ssize_t {
            stats.iter().map(|stats| stats.collections).sum()
        };
        self.pass.get().is_some_and(|pass| {
            // SAFETY: the caller has the GIL, and the interpreter is alive.
            counted(&pass.stats) == counted(unsafe { &(*self.state).stats })
        })
    }

    /// CPython's own pass is over.
    ///
    /// # Safety
    /// The GIL is held and the interpreter's collector state still there.
    pub unsafe fn stop(&self) {
        // SAFETY: as in `start`.
        unsafe {
            let state = self.state;
            let heap = self.heap();
            let oldest = self.list(OLDEST);
            // In the order of age: the parked ones were there first.
            heap.merge(&oldest, &self.parked);
            heap.merge(&self.parked, &oldest);
            let youngest = self.list(0);
            heap.merge(&youngest, &self.parked_young);
            heap.merge(&self.parked_young, &youngest);
            reset_choice(state);
            if let Some(pass) = self.pass.take() {
                if pass.generation == OLDEST && finalization::has_begun() {
                    finalization::put_classes_last(&oldest);
                }
                if let Some(count) = pass.count {
                    (*state).generations[0].count = count;
                }
                // Few or none, but the program's: litter of finalizers.
                let freed =
                    |stats: [StockStats; 3]| stats.iter().map(|s| s.collected).sum::<isize>();
                let littered = freed((*state).stats) - freed(pass.stats);
                if let Ok(littered @ 1..) = usize::try_from(littered) {
                    let mut stats = self.stats.get();
                    stats.generations[pass.generation].collected += littered;
                    self.stats.set(stats);
                    statistics::add_collected(pass.generation, littered);
                }
                (*state).stats = pass.stats;
                // Unless a finalizer has called `gc.set_debug` meanwhile.
                if (*state).debug == pass.debug_left {
                    (*state).debug = pass.debug;
                }
                self.set_trigger();
            }
        }
    }
}
