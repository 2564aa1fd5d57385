//! The thread's objects as the collector sees them: [`Model`] over headers.
//!
//! A generation is not a list: its objects are those whose header says so, in
//! the pages that may hold any. Only garbage is listed, while it lasts.
//!
//! Code of the program (finalizers, callbacks, destructors) may panic. Each
//! call is caught, the collection goes on, and the first panic is resumed when
//! it is over.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use wrasse_collector::{MarkStack, Model, OLDEST, Survey, WeakOutcome};

use crate::header::{CANDIDATE, CLEAN, FINALIZED, Object, WEAK, trace, value_of};
use crate::heap::{self, Heap, Quiet, Walk};
use crate::trace::{Ring, Tracer, is_candidate, subtract_from};
use crate::weak::{self, Leftovers};

/// A set of objects during a collection.
pub enum Set {
    /// The generations that are collected.
    Young,
    /// The generation that survivors go to.
    Old,
    /// Garbage.
    List(Rc<RefCell<VecDeque<Object>>>),
}

/// One collection of one heap.
pub struct Host<'a> {
    heap: &'a Heap,
    walk: Walk,
    generation: usize,
    promote_to: usize,
    lists: RefCell<Vec<Rc<RefCell<VecDeque<Object>>>>>,
    ring: Ring,
    panic: RefCell<Option<Box<dyn Any + Send>>>,
    /// Callbacks that will not be called, and what else is dropped when all is over.
    uncalled: RefCell<Vec<Leftovers>>,
    /// Whether garbage is kept for inspection instead of dropped.
    save: bool,
    /// Whether some garbage had weak references / a finalizer to run, when it
    /// was found.
    watched: Cell<bool>,
    finalizable: Cell<bool>,
}

impl<'a> Host<'a> {
    /// A collection of `generation` and everything younger, which is in `walk`.
    pub fn new(heap: &'a Heap, walk: Walk, generation: usize) -> Self {
        Self {
            heap,
            walk,
            generation,
            promote_to: (generation + 1).min(OLDEST),
            lists: RefCell::default(),
            ring: Ring::default(),
            panic: RefCell::default(),
            uncalled: RefCell::default(),
            save: heap.collector.debug.get().save_all,
            watched: Cell::new(false),
            finalizable: Cell::new(false),
        }
    }

    /// The first panic of the program's code, and callbacks that are to be dropped.
    pub fn into_leftovers(self) -> (Option<Box<dyn Any + Send>>, Vec<Leftovers>) {
        (self.panic.take(), self.uncalled.take())
    }

    fn guard(&self, foreign: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(foreign)) {
            if self.panic.borrow().is_none() {
                *self.panic.borrow_mut() = Some(panic);
            } else if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
                // Even its end panics: enough of that.
                std::mem::forget(another);
            }
        }
    }

    fn trace(object: Object, tracer: &mut Tracer<'_>) {
        // SAFETY: the collector traces objects that are alive and of that type.
        unsafe { trace(object, tracer) }
    }

    fn is_member(object: Object) -> bool {
        // SAFETY: listed objects keep their blocks until the collection is over.
        unsafe { object.as_ref().is_alive() }
    }

    /// Takes `object`, the first of its list, off the list.
    fn remove(&self, object: Object) {
        for list in &*self.lists.borrow() {
            let mut list = list.borrow_mut();
            if list.front() == Some(&object) {
                list.pop_front();
                return;
            }
        }
        debug_assert!(false, "only the first object of a list is moved");
    }
}

// SAFETY: a `Gc` is counted for as long as it exists and traced at most once
// (`Trace`'s contract), listed objects keep their blocks until the collection
// is over and are passed over once dead, and foreign code runs only in
// `clear_weak_references`, `finalize` and `clear`.
unsafe impl Model for Host<'_> {
    type Object = Object;
    type Set = Set;

    fn empty(&self) -> Set {
        let _quiet = Quiet::begin();
        let list = Rc::new(RefCell::new(VecDeque::new()));
        self.lists.borrow_mut().push(Rc::clone(&list));
        Set::List(list)
    }

    fn first(&self, set: &Set) -> Option<Object> {
        match set {
            Set::List(list) => {
                let mut list = list.borrow_mut();
                while let Some(&object) = list.front() {
                    if Self::is_member(object) {
                        return Some(object);
                    }
                    list.pop_front();
                }
                None
            }
            Set::Young | Set::Old => unreachable!("the collector takes from garbage only"),
        }
    }

    #[inline]
    fn each(&self, set: &Set, mut visit: impl FnMut(Object)) {
        match set {
            Set::Young => self.walk.each(|object| {
                // SAFETY: a walk visits blocks in use.
                if unsafe { object.as_ref().is_collectable() } {
                    visit(object);
                }
            }),
            Set::List(list) => {
                for &object in list.borrow().iter() {
                    if Self::is_member(object) {
                        visit(object);
                    }
                }
            }
            Set::Old => unreachable!("the collector does not walk the old generation"),
        }
    }

    fn transfer(&self, object: Object, set: &Set) {
        self.remove(object);
        if let Set::List(list) = set {
            let _quiet = Quiet::begin();
            list.borrow_mut().push_back(object);
        }
    }

    fn merge(&self, from: &Set, onto: &Set) {
        // Survivors carry their new generation in their headers already.
        if let Set::List(from) = from {
            let _quiet = Quiet::begin();
            let mut objects = from.take();
            if let Set::List(onto) = onto {
                onto.borrow_mut().append(&mut objects);
            }
        }
    }

    fn open(&self, set: &Set) -> usize {
        // Only a full collection can clear an object of suspicion: for others,
        // garbage in an older generation looks like the outside.
        let flags = if self.generation == OLDEST { CLEAN } else { 0 };
        let mut count = 0;
        let mut open = |object: Object| {
            // SAFETY: blocks in use, see `each`.
            let header = unsafe { object.as_ref() };
            if header.is_collectable() {
                header.open(flags);
                count += 1;
            } else {
                header.unset(CANDIDATE);
            }
        };
        match set {
            // Objects of older generations share pages with younger ones.
            Set::Young => self.walk.each(|object| {
                // SAFETY: as above.
                if unsafe { object.as_ref().generation() } <= self.generation {
                    open(object);
                }
            }),
            Set::List(list) => list
                .borrow()
                .iter()
                .filter(|o| Self::is_member(**o))
                .for_each(|&o| open(o)),
            Set::Old => unreachable!("the old generation is not tried by itself"),
        }
        count
    }

    #[inline]
    fn close(&self, set: &Set, mut root: impl FnMut(Object)) {
        self.ring.empty(subtract_from);
        self.each(set, |object| {
            // SAFETY: see `each`.
            let header = unsafe { object.as_ref() };
            if header.has(CANDIDATE) && header.scratch() > 0 {
                header.revive(self.promote_to);
                root(object);
            }
        });
    }

    fn partition(&self, set: &Set, candidates: bool, onto: &Set) -> usize {
        let mut moving = VecDeque::new();
        let (mut watched, mut finalized) = (false, true);
        self.each(set, |object| {
            // SAFETY: see `each`.
            let header = unsafe { object.as_ref() };
            if header.has(CANDIDATE) == candidates {
                moving.push_back(object);
                watched |= header.has(WEAK);
                finalized &= header.has(FINALIZED);
            }
        });
        self.watched.set(self.watched.get() | watched);
        self.finalizable.set(self.finalizable.get() | !finalized);
        if let Set::List(list) = set {
            list.borrow_mut()
                .retain(|&object| self.is_candidate(object) != candidates);
        }
        let count = moving.len();
        if let Set::List(list) = onto {
            list.borrow_mut().append(&mut moving);
        }
        count
    }

    #[inline]
    fn is_candidate(&self, object: Object) -> bool {
        // SAFETY: see `each`.
        unsafe { object.as_ref().has(CANDIDATE) }
    }

    #[inline]
    fn revive(&self, object: Object) {
        // SAFETY: see `each`.
        unsafe { object.as_ref().revive(self.promote_to) }
    }

    #[inline]
    fn decrement(&self, object: Object) {
        // SAFETY: see `each`.
        unsafe { object.as_ref().subtract() }
    }

    #[inline]
    fn visit_candidates(&self, object: Object, mut visit: impl FnMut(Object)) {
        Self::trace(object, &mut Tracer::candidates(&mut visit));
    }

    #[inline]
    fn subtract(&self, object: Object) {
        // SAFETY: see `each`. Old objects are members of no set, but may lie in
        // a page that is walked.
        if unsafe { object.as_ref().has(CANDIDATE) } {
            Self::trace(object, &mut Tracer::subtract(&self.ring));
        }
    }

    fn mark(&self, stack: &mut MarkStack<Object>) -> usize {
        let mut revived = 0;
        loop {
            while let Some(object) = stack.pop() {
                let mut visit = |target: Object| {
                    self.revive(target);
                    revived += 1;
                    stack.push(target);
                };
                Self::trace(object, &mut Tracer::mark(&self.ring, &mut visit));
            }
            // What is on its way may be more of the graph, or nothing new.
            let before = revived;
            self.ring.empty(|target| {
                if is_candidate(target) {
                    self.revive(target);
                    revived += 1;
                    stack.push(target);
                }
            });
            if revived == before {
                return revived;
            }
        }
    }

    fn survey(&self, _unreachable: &Set) -> Survey {
        Survey {
            uncollectable: false,
            weak: self.watched.get(),
            finalizers: self.finalizable.get(),
        }
    }

    fn is_uncollectable(&self, _object: Object) -> bool {
        false
    }

    fn clear_weak_references(&self, unreachable: &Set, _old: &Set) -> WeakOutcome {
        let leftovers = {
            let _quiet = Quiet::begin();
            // A callback is not called if its weak reference is garbage itself.
            self.each(unreachable, |object| {
                let mut unwatch = |cell: std::ptr::NonNull<weak::WeakCell>, id| {
                    // SAFETY: the weak reference that reported the cell keeps it.
                    let watcher = unsafe { cell.as_ref().unwatch(id) };
                    self.uncalled.borrow_mut().push(Leftovers {
                        watchers: watcher.into_iter().collect(),
                        ..Leftovers::default()
                    });
                };
                Self::trace(object, &mut Tracer::watches(&mut unwatch));
            });
            let mut leftovers = Vec::new();
            self.each(unreachable, |object| {
                // SAFETY: see `each`.
                unsafe {
                    if object.as_ref().has(WEAK) {
                        leftovers.push(weak::clear(object));
                    }
                }
            });
            leftovers
        };
        let mut ran_foreign_code = false;
        for Leftovers { watchers, attached } in leftovers {
            ran_foreign_code |= !watchers.is_empty() || !attached.is_empty();
            for watcher in watchers {
                self.guard(watcher);
            }
            self.guard(|| drop(attached));
        }
        WeakOutcome {
            freed: 0,
            ran_foreign_code,
        }
    }

    fn finalize(&self, object: Object) -> bool {
        // SAFETY: alive, see `first`; the reference keeps it so meanwhile.
        unsafe {
            let header = object.as_ref();
            if header.has(FINALIZED) {
                return false;
            }
            header.set(FINALIZED);
            header.increment();
            self.guard(|| (header.kind().finalize)(object));
            self.guard(|| heap::drop_reference(object));
            true
        }
    }

    fn condemned(&self, garbage: &Set) {
        if !self.finalizable.get() && !self.watched.get() {
            return;
        }
        let _quiet = Quiet::begin();
        // Weak references that finalizers made must not lead to what goes now.
        self.each(garbage, |object| {
            // SAFETY: see `each`.
            unsafe {
                if object.as_ref().has(WEAK) {
                    self.uncalled.borrow_mut().push(weak::clear(object));
                }
            }
        });
    }

    fn clear(&self, _object: Object) {
        unreachable!("garbage is cleared all together");
    }

    fn clear_all(&self, garbage: &Set, _old: &Set) {
        let Set::List(list) = garbage else {
            unreachable!("garbage is listed");
        };
        let mut objects = Vec::from(list.take());
        objects.retain(|&object| Self::is_member(object));
        if self.save {
            for object in objects {
                self.revive(object);
                self.heap.collector.save(object);
            }
        } else {
            // SAFETY: only garbage refers to garbage, as the collector found,
            // and no weak reference does.
            unsafe {
                self.heap
                    .clear(objects, |foreign: &mut dyn FnMut()| self.guard(foreign))
            }
        }
    }

    fn settle(&self, _survivors: &Set, _generation: usize) -> usize {
        self.heap.register_anew(&self.walk);
        0
    }

    fn found(&self, unreachable: &Set) -> bool {
        if self.heap.collector.debug.get().collectable {
            self.each(unreachable, |object| {
                // SAFETY: see `each`.
                let name = unsafe { (object.as_ref().kind().name)() };
                eprintln!("gc: collectable <{name} {:p}>", value_of(object));
            });
        }
        false
    }

    fn abandoned(&self, _uncollectable: &Set) {}
}
