//! Python's `gc` module, in Rust form: the same names and the same meanings,
//! for the objects of the current thread.
//!
//! ```
//! use std::cell::RefCell;
//! use wrasse::{Gc, Trace, gc};
//!
//! #[derive(Trace)]
//! struct Node {
//!     next: RefCell<Option<Gc<Node>>>,
//! }
//!
//! let a = Gc::new(Node { next: RefCell::default() });
//! let b = Gc::new(Node { next: RefCell::new(Some(a.clone())) });
//! *a.next.borrow_mut() = Some(b.clone());
//! drop((a, b));
//! assert_eq!(gc::collect(), 2);
//! assert_eq!(gc::stats().generations[2].collected, 2);
//! ```

use std::cell::Cell;
use std::rc::Rc;

pub use wrasse_collector::{GenerationStats, OLDEST, Stats, Thresholds};

use crate::handle::Handle;
use crate::header::{CLEAN, FINALIZED, Object, UNTRACKED, trace};
use crate::heap::{self, Heap, REGISTRIES};
use crate::pointer::Gc;
use crate::trace::Tracer;

/// Flags for [`set_debug`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debug {
    /// Print each object that is found unreachable, to standard error.
    pub collectable: bool,
    /// Keep what is found unreachable in [`garbage`] instead of freeing it.
    pub save_all: bool,
}

/// When a callback is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A collection begins.
    Start,
    /// A collection is over.
    Stop,
}

/// What a callback is told of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Info {
    /// The oldest generation that is collected.
    pub generation: usize,
    /// Objects found unreachable.
    pub collected: usize,
    /// Time it took.
    pub seconds: f64,
}

/// Collects all generations; returns the number of unreachable objects found.
///
/// Memory that this leaves unused goes back to the system's allocator, but for a
/// few mebibytes and what has turned out to be needed again and again.
///
/// Returns 0 at once if it is called while a collection is running, that is,
/// from a finalizer, a callback or a destructor that a collection runs.
///
/// # Panics
/// If code of the program panics meanwhile: after the collection is complete.
pub fn collect() -> usize {
    collect_generation(OLDEST)
}

/// Collects `generation` and everything younger.
///
/// # Panics
/// If there is no such generation; else as [`collect`].
pub fn collect_generation(generation: usize) -> usize {
    assert!(generation <= OLDEST, "invalid generation");
    let heap = heap::current();
    let found = heap.collect(generation);
    if generation == OLDEST {
        heap.give_back();
    }
    found
}

/// Collections run by themselves again.
pub fn enable() {
    set_enabled(true);
}

/// Collections run only when asked for.
pub fn disable() {
    set_enabled(false);
}

fn set_enabled(enabled: bool) {
    let heap = heap::current();
    heap.collector.enabled.set(enabled);
    heap.set_limit();
}

/// Whether collections run by themselves.
pub fn is_enabled() -> bool {
    heap::current().collector.enabled.get()
}

/// The thresholds: a generation is collected when its [`count`] is above its own.
pub fn threshold() -> Thresholds {
    heap::current().collector.thresholds.get()
}

/// Sets the thresholds; a first one of 0 stops collections from running by
/// themselves.
pub fn set_threshold(thresholds: Thresholds) {
    let heap = heap::current();
    heap.collector.thresholds.set(thresholds);
    heap.set_limit();
}

/// For generation 0: objects allocated less objects freed since its last
/// collection; for the others: collections of the next younger one since theirs.
pub fn count() -> [usize; 3] {
    let heap = heap::current();
    let generations = heap.collector.generations.get();
    let collections = |generation| usize::try_from(generations.count(generation)).unwrap_or(0);
    [heap.young() as usize, collections(1), collections(2)]
}

/// What has been done so far.
pub fn stats() -> Stats {
    heap::current().collector.stats.get()
}

/// The debugging flags.
pub fn debug() -> Debug {
    heap::current().collector.debug.get()
}

/// Sets the debugging flags.
pub fn set_debug(flags: Debug) {
    heap::current().collector.debug.set(flags);
}

/// What was found unreachable and kept, see [`Debug::save_all`].
pub fn garbage() -> Vec<Handle> {
    heap::current().collector.garbage.borrow().clone()
}

/// Forgets what was kept; what nobody else refers to is freed by a collection.
pub fn clear_garbage() {
    drop(heap::current().collector.garbage.take());
}

/// Has `callback` called before and after each collection; returns a number for
/// [`remove_callback`].
pub fn add_callback(callback: impl Fn(Phase, &Info) + 'static) -> u64 {
    thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
    let id = NEXT.replace(NEXT.get() + 1);
    let callbacks = &heap::current().collector.callbacks;
    callbacks.borrow_mut().push((id, Rc::new(callback)));
    id
}

/// Has a callback no longer called; says whether it was there.
pub fn remove_callback(id: u64) -> bool {
    let callbacks = &heap::current().collector.callbacks;
    let index = callbacks
        .borrow()
        .iter()
        .position(|(other, _)| *other == id);
    // The callback is dropped when the borrow is over.
    let removed = index.map(|index| callbacks.borrow_mut().remove(index));
    removed.is_some()
}

/// Puts all objects aside: collections pass over them from now on.
///
/// References from them still count, so what they refer to stays alive.
pub fn freeze() {
    let heap = heap::current();
    move_all(heap, |generation| generation <= OLDEST, OLDEST + 1);
    heap.forget_young();
    let mut generations = heap.collector.generations.get();
    generations.reset_counts();
    heap.collector.generations.set(generations);
}

/// Puts the objects that were put aside into the oldest generation.
pub fn unfreeze() {
    move_all(heap::current(), |generation| generation > OLDEST, OLDEST);
}

/// The number of objects that were put aside.
pub fn freeze_count() -> usize {
    let mut count = 0;
    each_tracked(heap::current(), |object| {
        // SAFETY: visited objects are alive.
        count += usize::from(unsafe { object.as_ref().generation() } > OLDEST);
    });
    count
}

fn move_all(heap: &Heap, from: impl Fn(usize) -> bool, to: usize) {
    assert!(to < REGISTRIES);
    if heap.collector.is_collecting() {
        return;
    }
    let walk = heap.everything();
    walk.each(|object| {
        // SAFETY: a walk visits blocks in use.
        let header = unsafe { object.as_ref() };
        if from(header.generation()) {
            header.revive(to);
            // Full collections may have taken references from or to it for
            // references from outside.
            header.unset(CLEAN);
        }
    });
    heap.register_anew(&walk);
}

/// Calls `visit` for the tracked objects that the program may see.
pub(crate) fn each_tracked(heap: &Heap, mut visit: impl FnMut(Object)) {
    heap.everything().each(|object| {
        // SAFETY: a walk visits blocks in use.
        let header = unsafe { object.as_ref() };
        if header.is_alive() && !header.has(UNTRACKED) && !heap.is_condemned(object) {
            visit(object);
        }
    });
}

/// All tracked objects of this thread.
///
/// As in Python, what the running collection found unreachable is not among
/// them.
pub fn objects() -> Vec<Handle> {
    let mut objects = Vec::new();
    each_tracked(heap::current(), |object| {
        // SAFETY: visited objects are alive.
        objects.push(unsafe { Handle::to(object) });
    });
    objects
}

/// The objects that refer to the object of `gc`.
pub fn referrers<T: ?Sized>(gc: &Gc<T>) -> Vec<Handle> {
    let mut referrers = Vec::new();
    each_tracked(heap::current(), |object| {
        let mut refers = false;
        each_referent(object, &mut |target| refers |= target == gc.object());
        if refers {
            // SAFETY: visited objects are alive.
            referrers.push(unsafe { Handle::to(object) });
        }
    });
    referrers
}

/// The objects that the object of `gc` refers to, one for each reference.
pub fn referents<T: ?Sized>(gc: &Gc<T>) -> Vec<Handle> {
    referents_of(gc.object())
}

impl Handle {
    /// The objects that this one refers to, one for each reference.
    pub fn referents(&self) -> Vec<Self> {
        referents_of(self.object())
    }
}

fn referents_of(object: Object) -> Vec<Handle> {
    let mut referents = Vec::new();
    each_referent(object, &mut |target| {
        // SAFETY: what a live value refers to is alive.
        referents.push(unsafe { Handle::to(target) });
    });
    referents
}

pub(crate) fn each_referent(object: Object, visit: &mut dyn FnMut(Object)) {
    // SAFETY: callers pass objects that are alive.
    unsafe { trace(object, &mut Tracer::all(visit)) }
}

/// Whether the collector looks at the object: not if it cannot refer to others.
pub fn is_tracked<T: ?Sized>(gc: &Gc<T>) -> bool {
    // SAFETY: a `Gc` keeps its object.
    unsafe { !gc.object().as_ref().has(UNTRACKED) }
}

/// Whether no finalizer of the object is left to run.
pub fn is_finalized<T: ?Sized>(gc: &Gc<T>) -> bool {
    // SAFETY: a `Gc` keeps its object.
    unsafe { gc.object().as_ref().has(FINALIZED) }
}
