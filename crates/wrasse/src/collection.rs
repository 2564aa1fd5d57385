//! When a thread's objects are collected, and what is known about it.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Instant;

use wrasse_collector::{GENERATIONS, Generations, MarkStack, OLDEST, Outcome, Stats, Thresholds};

use crate::gc::{Debug, Info, Phase};
use crate::handle::Handle;
use crate::header::{CANDIDATE, CLEAN, DEAD, Object};
use crate::heap::{Heap, Quiet};
use crate::model::{Host, Set};

/// The default thresholds: the young generation's objects fit a second-level
/// cache.
pub const THRESHOLDS: Thresholds = [10_000, 10, 10];

/// Passes over the heap at the end of a thread: finalizers may make new garbage,
/// but not for ever.
const PASSES_AT_EXIT: usize = 10;

/// A function that is told of collections.
pub type Callback = Rc<dyn Fn(Phase, &Info)>;

/// What the collector keeps between collections.
pub struct Collector {
    /// How far each generation is from its next collection.
    pub generations: Cell<Generations>,
    /// See [`gc::set_threshold`](crate::gc::set_threshold).
    pub thresholds: Cell<Thresholds>,
    /// See [`gc::enable`](crate::gc::enable).
    pub enabled: Cell<bool>,
    /// See [`gc::set_debug`](crate::gc::set_debug).
    pub debug: Cell<Debug>,
    /// See [`gc::stats`](crate::gc::stats).
    pub stats: Cell<Stats>,
    /// Garbage that was kept for inspection.
    pub garbage: RefCell<Vec<Handle>>,
    /// See [`gc::callbacks`](crate::gc::callbacks).
    pub callbacks: RefCell<Vec<(u64, Callback)>>,
    /// Blocks of dead objects that the running collection may still name.
    pub zombies: RefCell<Vec<Object>>,
    collecting: Cell<bool>,
    tracing: Cell<bool>,
    stack: RefCell<MarkStack<Object>>,
}

impl Default for Collector {
    fn default() -> Self {
        Self {
            generations: Cell::default(),
            thresholds: Cell::new(THRESHOLDS),
            enabled: Cell::new(true),
            debug: Cell::default(),
            stats: Cell::default(),
            garbage: RefCell::default(),
            callbacks: RefCell::default(),
            zombies: RefCell::default(),
            collecting: Cell::new(false),
            tracing: Cell::new(false),
            stack: RefCell::default(),
        }
    }
}

impl Collector {
    /// Whether a collection is running.
    pub fn is_collecting(&self) -> bool {
        self.collecting.get()
    }

    /// Keeps a piece of garbage for inspection.
    pub fn save(&self, object: Object) {
        // SAFETY: the collector passes garbage that is still whole.
        let handle = unsafe { Handle::to(object) };
        let _quiet = Quiet::begin();
        self.garbage.borrow_mut().push(handle);
    }
}

/// Ends a collection, however it ends.
struct Running<'a>(&'a Heap);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.collector.collecting.set(false);
        self.0.set_limit();
    }
}

/// While it lives, the program must not allocate a `Gc`: its `Trace` is running.
/// The collector's own tables grow meanwhile, which the tracer is not to see; so
/// it does not see what a `Trace` allocates either.
struct Tracing<'a> {
    heap: &'a Heap,
    _quiet: Quiet,
}

impl<'a> Tracing<'a> {
    fn begin(heap: &'a Heap) -> Self {
        heap.collector.tracing.set(true);
        heap.limit_young(0);
        Self {
            heap,
            _quiet: Quiet::begin(),
        }
    }
}

impl Drop for Tracing<'_> {
    fn drop(&mut self) {
        self.heap.collector.tracing.set(false);
        self.heap.set_limit();
    }
}

impl Heap {
    /// Says from which number of young objects on an allocation is to look
    /// whether a collection is due.
    pub fn set_limit(&self) {
        let collector = &self.collector;
        let threshold = collector.thresholds.get()[0];
        let never = !collector.enabled.get()
            || collector.collecting.get()
            || self.is_orphaned()
            || threshold == 0;
        let limit = if never {
            u32::MAX
        } else {
            u32::try_from(threshold).unwrap_or(0)
        };
        self.limit_young(limit);
    }

    /// The slow way of an allocation.
    #[cold]
    #[inline(never)]
    pub fn collect_if_due(&self) {
        assert!(
            !self.collector.tracing.get(),
            "an implementation of `Trace` must not allocate a `Gc`"
        );
        // The object that is about to be made counts.
        let young = i32::try_from(self.young()).map_or(i32::MAX, |young| young.saturating_add(1));
        let generations = self.collector.generations.get();
        if let Some(generation) = generations.due(young, &self.collector.thresholds.get()) {
            self.collect(generation);
        }
    }

    /// Collects `generation` and everything younger; returns the number of
    /// unreachable objects found. Does nothing while a collection is running.
    ///
    /// If code of the program panics, the collection is completed all the same,
    /// and the first panic goes on then.
    pub fn collect(&self, generation: usize) -> usize {
        if self.collector.collecting.replace(true) {
            return 0;
        }
        let running = Running(self);
        self.set_limit();
        self.drain_leftovers();
        let mut info = Info {
            generation,
            ..Info::default()
        };
        let mut panic = self.call_back(Phase::Start, &info);

        let begin = Instant::now();
        let outcome = match self.collect_quietly(generation) {
            Ok((outcome, None)) => outcome,
            Ok((outcome, Some(other))) => {
                panic = panic.and(Err(other));
                outcome
            }
            Err(other) => {
                self.repair();
                panic = panic.and(Err(other));
                Outcome::default()
            }
        };
        let seconds = begin.elapsed().as_secs_f64();

        let mut stats = self.collector.stats.get();
        stats.record(generation, &outcome, seconds);
        self.collector.stats.set(stats);
        info.collected = outcome.collected;
        info.seconds = seconds;
        let last = self.call_back(Phase::Stop, &info);
        drop(running);
        if let Err(panic) = panic.and(last) {
            resume_unwind(panic);
        }
        outcome.collected + outcome.uncollectable
    }

    fn collect_quietly(
        &self,
        generation: usize,
    ) -> std::thread::Result<(Outcome, Option<Box<dyn std::any::Any + Send>>)> {
        let collector = &self.collector;
        let mut generations = collector.generations.get();
        generations.begin(generation);
        self.forget_young();

        // What became unreachable since the last full collection lost a
        // reference since then. If nothing did, nothing is.
        if generation == OLDEST
            && !self.everything().any(|header| {
                !header.has(CLEAN) && header.is_collectable() && header.generation() <= OLDEST
            })
        {
            let (total, pending) = generations.long_lived();
            generations.survived(OLDEST, total + pending);
            collector.generations.set(generations);
            let young = self.choose(OLDEST - 1);
            young.each(|object| {
                // SAFETY: a walk visits blocks in use.
                let header = unsafe { object.as_ref() };
                if header.generation() < OLDEST && header.is_collectable() {
                    header.revive(OLDEST);
                }
            });
            self.register_anew(&young);
            return Ok((Outcome::default(), None));
        }

        collector.generations.set(generations);
        let host = Host::new(self, self.choose(generation), generation);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            wrasse_collector::collect(
                &host,
                &Set::Young,
                &Set::Old,
                generation == OLDEST,
                generation,
                |work| {
                    let _tracing = Tracing::begin(self);
                    work(&mut collector.stack.borrow_mut());
                },
            )
        }));
        let (mut panic, uncalled) = host.into_leftovers();
        if outcome.is_ok() {
            self.free_zombies();
            self.forget_candidates_in_pending();
        }
        if let Err(other) = catch_unwind(AssertUnwindSafe(|| {
            self.drain_leftovers();
            drop(uncalled);
        })) {
            panic.get_or_insert(other);
        }
        let outcome = outcome?;

        let mut generations = collector.generations.get();
        generations.survived(generation, outcome.survivors);
        collector.generations.set(generations);
        if generation == OLDEST {
            self.trim();
        } else {
            self.trim_if_worth_it();
        }
        Ok((outcome, panic))
    }

    /// `Trace` panicked: nothing is known, so nothing is garbage.
    #[cold]
    fn repair(&self) {
        *self.collector.stack.borrow_mut() = MarkStack::default();
        self.everything().each(|object| {
            // SAFETY: a walk visits blocks in use.
            let header = unsafe { object.as_ref() };
            if !header.has(DEAD) {
                header.unset(CANDIDATE);
            }
            header.unset(CLEAN);
        });
        self.free_zombies();
        self.forget_candidates_in_pending();
    }

    fn call_back(&self, phase: Phase, info: &Info) -> std::thread::Result<()> {
        let mut result = Ok(());
        let mut index = 0;
        // A callback may add and remove callbacks, so the list is looked at anew.
        loop {
            let callback = match self.collector.callbacks.borrow().get(index) {
                Some((_, callback)) => Rc::clone(callback),
                None => return result,
            };
            let called = catch_unwind(AssertUnwindSafe(|| {
                callback(phase, info);
                drop(callback);
            }));
            result = result.and(called);
            index += 1;
        }
    }

    /// The thread ends: its cycles go, and what only the collector still holds.
    pub fn collect_at_exit(&self) {
        // As in Python, callbacks are not told of these collections.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(self.collector.callbacks.take())));
        for _ in 0..PASSES_AT_EXIT {
            drop(self.collector.garbage.take());
            let found = catch_unwind(AssertUnwindSafe(|| self.collect(OLDEST)));
            if matches!(found, Ok(0)) {
                break;
            }
        }
    }
}

const _: () = assert!(
    GENERATIONS == 3,
    "a header has room for three and the frozen one"
);
