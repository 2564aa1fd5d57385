//! A collection of one interpreter's objects, with everything that the program
//! can see of it: `gc.callbacks`, debug output, statistics.

use std::ptr;
use std::time::Instant;

use pyo3_ffi::*;
use wrasse_collector::{GENERATIONS, MarkStack, Model, OLDEST, Outcome};

use crate::heap::Heap;
use crate::heap::landmarks::LEAST_OBJECTS;
use crate::interpreter::Interpreter;
use crate::layout::{GcState, INSTANCE};
use crate::list::{Link, List};
use crate::{capture, doctor, log, process, statistics, unraisable};

/// `gc.DEBUG_STATS`.
pub const DEBUG_STATS: i32 = 1;

impl Interpreter {
    /// Collects `generation` and tells `gc.callbacks` before and after.
    ///
    /// # Safety
    /// The GIL is held, no exception is set, and `collecting` is set in
    /// CPython's state, by the caller.
    pub unsafe fn collect(&self, generation: usize) -> Outcome {
        // SAFETY: the caller's contract.
        unsafe {
            debug_assert_ne!((*self.state).collecting, 0);
            debug_assert!(!self.active.get());
            if generation == OLDEST {
                // What is left to find this one finds.
                self.end_slices();
            }
            self.active.set(true);
            let reason = self.reason.take();
            debug_assert!(
                self.parked_young.is_empty() || self.pass.get().is_some(),
                "young objects are parked for CPython's own pass only"
            );
            if self.pass.get().is_some() {
                // Without the memory for its argument CPython does not call
                // the hook: what it would have put back is put back now.
                self.stop();
            }
            self.call_back(self.words.start, generation, &Outcome::default());
            #[cfg(feature = "sanity")]
            crate::sanity::check(self.state, "before");
            let begin = Instant::now();
            let cpu = process::thread_time();
            doctor::begin_collection(generation);
            let outcome = self.collect_quietly(generation);
            let cpu = process::thread_time().saturating_sub(cpu);
            let asked = reason == wrasse_collector::Reason::Asked;
            doctor::end_collection(generation, &outcome, cpu, asked);
            let seconds = begin.elapsed().as_secs_f64();
            #[cfg(feature = "sanity")]
            crate::sanity::check(self.state, "after");
            let mut stats = self.stats.get();
            stats.record(generation, &outcome, seconds);
            stats.reasons[reason as usize] += 1;
            self.stats.set(stats);
            log::collection(generation, reason, None, &outcome, seconds, || {
                self.pause_share()
            });
            statistics::record(generation, &outcome, seconds);
            if generation == OLDEST {
                self.slices.learn_whole(outcome.candidates, seconds);
            }
            self.notice_thresholds();
            if self.adaptation.is_on() {
                self.adaptation.collected(generation, &outcome, cpu);
                self.set_trigger();
            }
            self.call_back(self.words.stop, generation, &outcome);
            self.active.set(false);
            capture::pause(generation, &outcome, seconds);
            debug_assert!(PyErr_Occurred().is_null());
            outcome
        }
    }

    unsafe fn collect_quietly(&self, generation: usize) -> Outcome {
        // SAFETY: the caller's contract; the state's lists are proper lists.
        unsafe {
            let state = self.state;
            let print = (*state).debug & DEBUG_STATS != 0;
            if print {
                self.print_heading(generation);
            }
            let begin = Instant::now();

            let mut generations = self.generations.get();
            generations.begin(generation);
            self.generations.set(generations);
            let young_count = std::mem::take(&mut (*state).generations[0].count);

            INSTANCE.prepare();
            let heap = self.heap();
            let young = self.list(generation);
            for younger in 0..generation {
                heap.merge(&self.list(younger), &young);
            }
            let old = self.list((generation + 1).min(OLDEST));
            let stack = |work: &mut dyn FnMut(&mut MarkStack<Link>)| {
                work(&mut self.stack.borrow_mut());
            };
            let mut outcome = if generation == OLDEST {
                // What roots reach stays; the rest is tried, and joins it again.
                let rest = heap.empty();
                let before = self.landmarks.take();
                let worth = self.worth_landmarks(young_count);
                let alive = heap.separate_alive(&young, &rest, worth, before.as_ref());
                *self.landmarks.borrow_mut() = alive.landmarks;
                let mut outcome =
                    wrasse_collector::collect(&heap, &rest, &young, false, OLDEST, stack);
                outcome.candidates += alive.reached + alive.untracked;
                outcome.survivors += alive.reached;
                outcome
            } else {
                wrasse_collector::collect(&heap, &young, &old, false, generation, stack)
            };
            outcome.bytes = heap.freed_bytes();
            let mut generations = self.generations.get();
            generations.survived(generation, outcome.survivors);
            self.generations.set(generations);

            if print {
                print_result(&outcome, begin.elapsed().as_secs_f64());
            }
            if generation == OLDEST {
                self.clear_free_lists();
            }
            if !PyErr_Occurred().is_null() {
                unraisable::in_collection();
            }
            outcome
        }
    }

    /// About how many objects there are, the `young` ones included, if that is so many that
    /// the next full collection should come when a look at landmarks says so.
    fn worth_landmarks(&self, young: i32) -> Option<usize> {
        let (total, pending) = self.generations.get().long_lived();
        let objects = total + pending + usize::try_from(young).unwrap_or(0);
        // A look is a pause in one piece, which a target does not allow.
        let is_wanted = self.adaptation.is_on() && self.slices.target().is_none();
        (is_wanted && objects >= LEAST_OBJECTS).then_some(objects)
    }

    /// The part of the old objects that was let go since the last full collection; see
    /// `heap/landmarks.rs`.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn lost_part(&self) -> Option<f64> {
        if self.slices.is_busy() || self.slices.target().is_some() {
            return None;
        }
        // Taken out meanwhile: a root's name is looked up in `sys`, where the program may
        // have put keys that compare themselves.
        let landmarks = self.landmarks.take()?;
        // SAFETY: the caller's contract.
        let lost = unsafe {
            INSTANCE.prepare();
            landmarks.lost(&self.heap())
        };
        self.landmarks.borrow_mut().get_or_insert(landmarks);
        lost
    }

    /// This interpreter's objects.
    ///
    /// # Safety
    /// The GIL is held as long as the result is used.
    pub unsafe fn heap(&self) -> Heap<'_> {
        // SAFETY: the state was confirmed before this record was made.
        unsafe { Heap::new(self.state, &self.heads) }
    }

    pub unsafe fn list(&self, generation: usize) -> List {
        // SAFETY: a generation's head is part of the interpreter.
        unsafe { List::of(&raw mut (*self.state).generations[generation].head) }
    }

    /// Calls each of `gc.callbacks` with `(phase, info)`.
    pub unsafe fn call_back(&self, phase: *mut PyObject, generation: usize, outcome: &Outcome) {
        // SAFETY: the program may change the list while we go through it, so
        // its size is read anew each time and each callback held while called.
        unsafe {
            if PyList_GET_SIZE(self.callbacks) == 0 {
                return;
            }
            let info = Py_BuildValue(
                c"{sisnsn}".as_ptr(),
                c"generation".as_ptr(),
                generation as std::ffi::c_int,
                c"collected".as_ptr(),
                outcome.collected as Py_ssize_t,
                c"uncollectable".as_ptr(),
                outcome.uncollectable as Py_ssize_t,
            );
            if info.is_null() {
                PyErr_WriteUnraisable(ptr::null_mut());
                return;
            }
            let mut index = 0;
            while index < PyList_GET_SIZE(self.callbacks) {
                let callback = PyList_GET_ITEM(self.callbacks, index);
                Py_INCREF(callback);
                let result = PyObject_CallFunctionObjArgs(
                    callback,
                    phase,
                    info,
                    ptr::null_mut::<PyObject>(),
                );
                if result.is_null() {
                    PyErr_WriteUnraisable(callback);
                } else {
                    Py_DECREF(result);
                }
                Py_DECREF(callback);
                index += 1;
            }
            Py_DECREF(info);
        }
    }

    /// Has CPython clear its free lists, which only its own full collection can
    /// reach: it is given one over empty generations.
    pub unsafe fn clear_free_lists(&self) {
        // SAFETY: between hiding the lists and putting them back only CPython's
        // own collection runs, over nothing, with no callbacks and no output:
        // no foreign code, no allocation that could be tracked.
        unsafe {
            let state: *mut GcState = self.state;
            let heap = self.heap();
            let hidden: [List; GENERATIONS] = std::array::from_fn(|_| heap.empty());
            for (generation, list) in hidden.iter().enumerate() {
                heap.merge(&self.list(generation), list);
            }
            let counts: [i32; GENERATIONS] = std::array::from_fn(|g| (*state).generations[g].count);
            let stats = (*state).stats;
            let (enabled, debug) = ((*state).enabled, (*state).debug);
            let (callbacks, collecting) = ((*state).callbacks, (*state).collecting);
            let (total, pending) = ((*state).long_lived_total, (*state).long_lived_pending);

            (*state).enabled = 1;
            (*state).debug = 0;
            (*state).collecting = 0;
            (*state).callbacks = self.empty_list;
            PyGC_Collect();
            (*state).callbacks = callbacks;
            (*state).collecting = collecting;
            (*state).debug = debug;
            (*state).enabled = enabled;

            (*state).stats = stats;
            (*state).long_lived_total = total;
            (*state).long_lived_pending = pending;
            for (generation, list) in hidden.iter().enumerate() {
                (*state).generations[generation].count = counts[generation];
                heap.merge(list, &self.list(generation));
            }
        }
    }

    unsafe fn print_heading(&self, generation: usize) {
        // SAFETY: formats and arguments agree.
        unsafe {
            PySys_WriteStderr(
                c"gc: collecting generation %d...\n".as_ptr(),
                generation as std::ffi::c_int,
            );
            let size = |list: List| -> Py_ssize_t {
                let mut size = 0;
                self.heap().each(&list, |_| size += 1);
                size
            };
            PySys_FormatStderr(
                c"gc: objects in each generation: %zd %zd %zd\ngc: objects in permanent generation: %zd\n"
                    .as_ptr(),
                size(self.list(0)),
                size(self.list(1)),
                size(self.list(2)),
                size(List::of(&raw mut (*self.state).permanent.head)),
            );
        }
    }
}

unsafe fn print_result(outcome: &Outcome, seconds: f64) {
    // SAFETY: format and arguments agree.
    unsafe {
        PySys_WriteStderr(
            c"gc: done, %zd unreachable, %zd uncollectable, %.4fs elapsed\n".as_ptr(),
            (outcome.collected + outcome.uncollectable) as Py_ssize_t,
            outcome.uncollectable as Py_ssize_t,
            seconds,
        );
    }
}
