//! Which objects the roots reach, before a full collection tries the rest.
//!
//! Trial deletion has to look at every object three times, in the order of the
//! list, and at every reference twice. Marking looks at each object that is
//! alive once. Nearly everything is alive in most full collections, so marking
//! goes first; what it does not reach goes through trial deletion as before, and
//! what trial deletion finds alive was only missing a root.
//!
//! # Invariants
//! * [`MARK`] is set in the `prev` word, and [`TRY`] in the `next` word, of
//!   tracked objects only, and only while [`Heap::separate_alive`] runs, which
//!   runs nothing foreign but `tp_traverse`. All links are otherwise proper.
//! * An object is marked only if a root reaches it through `tp_traverse`: what
//!   is marked is alive, and refers to no tracked object that is not marked.
//!   So trial deletion of the others sees every reference that counts.
//! * Every mark that was set is taken off by the walk over the lists. If the
//!   numbers differ, a marked object is on another list (a program that has got
//!   hold of the hook can have it called from within CPython's own pass, which
//!   holds what it found on lists of its own); then [`erase`] finds it the way
//!   marking did.
//!
//! # Speed
//! The order of objects in memory has little to do with the order in which
//! references lead to them, so nearly each step would wait for memory. Three
//! short queues stand between finding an object and needing it: *edges* (its
//! header), *bodies* (its table of references), *children* (the headers of what
//! a small container holds). Each asks for the memory when an object enters,
//! and passes it on when it leaves.

use std::collections::HashSet;
use std::ffi::c_void;
use std::ptr;

use pyo3_ffi::*;

use super::referents::Referents;
use super::{Heap, roots, untrack};
use crate::layout::{DICT, INSTANCE, Values};
use crate::list::{FINALIZED, Link, List, append, has_link, link_of, object_of};

/// Marked: reached from a root. Links are at least 8-byte aligned, and nobody
/// else uses bit 2 of `prev`.
const MARK: usize = 4;
/// Bit 0 of `next` of a marked tuple or dict: may need no tracking. Stock decides
/// that in the order of the list, where a tuple may wait for another one, so the
/// walk does it too.
const TRY: usize = 1;
/// Frozen objects above this number make marking cost more than it saves: stock
/// does not look at them at all.
const MOST_FROZEN: usize = 20_000;
/// Containers up to this size are scanned at once, with all they hold on the way.
const SMALL: usize = 16;
/// Larger ones are scanned in pieces of this size.
const PIECE: usize = 128;

const EDGES: usize = 16;
const BODIES: usize = 8;
const CHILDREN: usize = 8;

/// A queue of at most `N`: what does not fit any more pushes out what has waited
/// longest.
struct Queue<const N: usize> {
    slots: [*mut PyObject; N],
    first: usize,
    length: usize,
}

impl<const N: usize> Queue<N> {
    const fn new() -> Self {
        assert!(N.is_power_of_two());
        Self {
            slots: [ptr::null_mut(); N],
            first: 0,
            length: 0,
        }
    }

    /// Puts `object` in; takes out the first if there is no room.
    #[inline]
    fn pass(&mut self, object: *mut PyObject) -> Option<*mut PyObject> {
        if self.length == N {
            let oldest = std::mem::replace(&mut self.slots[self.first], object);
            self.first = (self.first + 1) % N;
            return Some(oldest);
        }
        self.slots[(self.first + self.length) % N] = object;
        self.length += 1;
        None
    }

    /// Takes out the first.
    #[inline]
    fn take(&mut self) -> Option<*mut PyObject> {
        if self.length == 0 {
            return None;
        }
        let oldest = self.slots[self.first];
        self.first = (self.first + 1) % N;
        self.length -= 1;
        Some(oldest)
    }
}

/// What is still to be scanned.
#[derive(Clone, Copy)]
enum Work {
    Object(*mut PyObject),
    /// References `stride` words apart.
    Span {
        first: *mut *mut PyObject,
        count: usize,
        stride: usize,
    },
}

#[inline]
fn prefetch<T>(address: *const T) {
    // SAFETY: prefetching faults on no address; SSE is part of x86-64.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
}

/// Asks for what [`Marker::examine`] needs of `object`.
#[inline]
fn prefetch_header(object: *mut PyObject) {
    prefetch(object);
    prefetch(link_of(object));
}

struct Marker {
    work: Vec<Work>,
    edges: Queue<EDGES>,
    bodies: Queue<BODIES>,
    children: Queue<CHILDREN>,
    referents: Referents,
    marked: usize,
    overflowed: bool,
}

extern "C" fn visit(object: *mut PyObject, marker: *mut c_void) -> i32 {
    // SAFETY: `tp_traverse` passes live objects, and the marker that was lent
    // to it for the call.
    unsafe { (*marker.cast::<Marker>()).edge(object) }
    0
}

impl Marker {
    fn new() -> Self {
        Self {
            work: Vec::new(),
            edges: Queue::new(),
            bodies: Queue::new(),
            children: Queue::new(),
            referents: Referents::new(),
            marked: 0,
            overflowed: false,
        }
    }

    /// Something alive refers to `object`, which is looked at soon.
    #[inline]
    unsafe fn edge(&mut self, object: *mut PyObject) {
        prefetch_header(object);
        if let Some(waited) = self.edges.pass(object) {
            // SAFETY: what was put in is alive; nothing dies while marking.
            unsafe { self.examine(waited) };
        }
    }

    /// Something alive refers to `object`: marks it, if it can be and is not yet.
    /// Says whether it is tracked for good (what [`untrack`] asks of a
    /// container's content), as tuples may not be.
    #[inline]
    unsafe fn examine(&mut self, object: *mut PyObject) -> bool {
        // SAFETY: `object` is alive, so its type is; objects with a link have
        // the two words in front.
        unsafe {
            if !has_link(object) {
                return false;
            }
            let link = link_of(object);
            if (*link).next != 0 && (*link).prev & MARK == 0 {
                (*link).prev |= MARK;
                self.marked += 1;
                self.push(Work::Object(object));
            }
            PyTuple_CheckExact(object) == 0
        }
    }

    #[inline]
    fn push(&mut self, work: Work) {
        let full = self.work.len() == self.work.capacity();
        if full && self.work.try_reserve(self.work.len().max(1024)).is_err() {
            self.overflowed = true;
            return;
        }
        self.work.push(work);
    }

    /// Marks everything that what was found so far reaches.
    unsafe fn run(&mut self) {
        // SAFETY: everything queued is alive.
        unsafe {
            loop {
                if let Some(work) = self.work.pop() {
                    match work {
                        Work::Object(object) => self.approach(object),
                        Work::Span {
                            first,
                            count,
                            stride,
                        } => self.span(first, count, stride),
                    }
                } else if let Some(waited) = self.edges.take() {
                    // Nothing new comes by itself: what waits must do.
                    self.examine(waited);
                } else if let Some(waited) = self.bodies.take() {
                    self.scan(waited);
                } else if let Some(waited) = self.children.take() {
                    self.finish(waited);
                } else {
                    return;
                }
            }
        }
    }

    /// A marked object's header is here: asks for its table.
    #[inline]
    unsafe fn approach(&mut self, object: *mut PyObject) {
        // SAFETY: `object` is alive; fields are read according to its exact type.
        unsafe {
            let kind = Py_TYPE(object);
            if kind == &raw mut PyList_Type {
                prefetch((*object.cast::<PyListObject>()).ob_item);
            } else if kind == &raw mut PyDict_Type {
                let keys = DICT.keys(object);
                prefetch(keys);
                prefetch(keys.wrapping_add(64));
            } else if kind != &raw mut PyTuple_Type && self.referents.is_plain(kind) {
                prefetch(INSTANCE.hint(object));
            }
            if let Some(waited) = self.bodies.pass(object) {
                self.scan(waited);
            }
        }
    }

    /// A marked object's table is here: asks for its children, or follows them.
    unsafe fn scan(&mut self, object: *mut PyObject) {
        // SAFETY: as above; nothing is changed while marking, so that spans stay.
        unsafe {
            let kind = Py_TYPE(object);
            if kind == &raw mut PyList_Type {
                let count = PyList_GET_SIZE(object) as usize;
                let first = (*object.cast::<PyListObject>()).ob_item;
                if count > SMALL {
                    self.push(Work::Span {
                        first,
                        count,
                        stride: 1,
                    });
                    return;
                }
                ask(first, count, 1);
            } else if kind == &raw mut PyTuple_Type {
                let count = PyTuple_GET_SIZE(object) as usize;
                let first = (*object.cast::<PyTupleObject>()).ob_item.as_mut_ptr();
                if count > SMALL {
                    self.push(Work::Span {
                        first,
                        count,
                        stride: 1,
                    });
                    (*link_of(object)).next |= TRY;
                    return;
                }
                ask(first, count, 1);
            } else if kind == &raw mut PyDict_Type {
                let Some((first, count, stride)) = DICT.entries(object) else {
                    self.traverse(object);
                    (*link_of(object)).next |= TRY;
                    return;
                };
                if count > SMALL {
                    self.push(Work::Span {
                        first,
                        count,
                        stride,
                    });
                    if stride == 3 {
                        // Keys of any type stand right before their values.
                        self.push(Work::Span {
                            first: first.sub(1),
                            count,
                            stride,
                        });
                    }
                    (*link_of(object)).next |= TRY;
                    return;
                }
                ask(first, count, stride);
            } else if self.referents.is_plain(kind)
                && let Some(values) = INSTANCE.values(object)
            {
                ask(values.first, values.count, 1);
                if !values.dict.is_null() {
                    prefetch_header(values.dict);
                }
            } else {
                self.traverse(object);
                return;
            }
            if let Some(waited) = self.children.pass(object) {
                self.finish(waited);
            }
        }
    }

    unsafe fn traverse(&mut self, object: *mut PyObject) {
        // SAFETY: a type with HAVE_GC has `tp_traverse`, which only calls the visitor.
        unsafe {
            if let Some(traverse) = (*Py_TYPE(object)).tp_traverse {
                traverse(object, visit, ptr::from_mut(self).cast());
            }
        }
    }

    /// A small container's children are here: marks them, and has the walk try a
    /// tuple or dict that may hold nothing that could be part of a cycle.
    unsafe fn finish(&mut self, object: *mut PyObject) {
        // SAFETY: as in `scan`.
        unsafe {
            let kind = Py_TYPE(object);
            let mut atomic = kind == &raw mut PyTuple_Type || kind == &raw mut PyDict_Type;
            if !atomic && kind != &raw mut PyList_Type {
                let Some(values) = INSTANCE.values(object) else {
                    debug_assert!(false, "an instance changed while marking");
                    return;
                };
                self.finish_instance(kind, &values);
            } else if kind == &raw mut PyDict_Type {
                let Some((first, count, stride)) = DICT.entries(object) else {
                    debug_assert!(false, "a dict changed while marking");
                    return;
                };
                for index in 0..count {
                    let slot = first.add(index * stride);
                    let value = *slot;
                    if value.is_null() {
                        continue;
                    }
                    atomic &= !self.examine(value);
                    if stride == 3 {
                        atomic &= !self.examine(*slot.sub(1));
                    }
                }
            } else {
                let (first, count) = if kind == &raw mut PyList_Type {
                    let list = object.cast::<PyListObject>();
                    ((*list).ob_item, PyList_GET_SIZE(object) as usize)
                } else {
                    let tuple = object.cast::<PyTupleObject>();
                    let first = (*tuple).ob_item.as_mut_ptr();
                    (first, PyTuple_GET_SIZE(object) as usize)
                };
                for index in 0..count {
                    let child = *first.add(index);
                    // A null means that the tuple is still being filled.
                    atomic &= !child.is_null() && !self.examine(child);
                }
            }
            if atomic {
                (*link_of(object)).next |= TRY;
            }
        }
    }

    unsafe fn finish_instance(&mut self, kind: *mut PyTypeObject, values: &Values) {
        // SAFETY: the values of a live instance, which nobody changes.
        unsafe {
            for index in 0..values.count {
                let value = *values.first.add(index);
                if !value.is_null() {
                    self.examine(value);
                }
            }
            if !values.dict.is_null() {
                self.examine(values.dict);
            }
            self.examine(kind.cast());
        }
    }

    unsafe fn span(&mut self, first: *mut *mut PyObject, count: usize, stride: usize) {
        // SAFETY: the span is part of a live container that nobody changes.
        unsafe {
            let piece = count.min(PIECE);
            if count > piece {
                self.push(Work::Span {
                    first: first.add(piece * stride),
                    count: count - piece,
                    stride,
                });
            }
            for index in 0..piece {
                let child = *first.add(index * stride);
                if !child.is_null() {
                    self.edge(child);
                }
            }
        }
    }
}

/// Asks for the headers of `count` objects, `stride` words apart.
#[inline]
unsafe fn ask(first: *mut *mut PyObject, count: usize, stride: usize) {
    for index in 0..count {
        // SAFETY: within a live container; a null child is only asked for.
        prefetch_header(unsafe { *first.add(index * stride) });
    }
}

/// What [`Heap::separate_alive`] found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alive {
    /// Objects that stay on the list because roots reach them.
    pub reached: usize,
    /// Objects that need no tracking any more.
    pub untracked: usize,
}

impl Heap<'_> {
    /// Leaves on `set` what roots reach, in its order, and moves the rest to
    /// `rest`. If marking cannot be done, or would not pay, that is everything.
    /// Runs no foreign code.
    ///
    /// Time is linear in objects and references.
    pub fn separate_alive(&self, set: &List, rest: &List) -> Alive {
        // SAFETY: the GIL is held (`Heap::new`'s contract), the lists are
        // proper ones, and nothing but `tp_traverse` runs before their marks
        // are gone again.
        unsafe {
            let permanent = List::of(&raw mut (*self.state).permanent.head);
            if !roots::are_sound() || is_longer(&permanent, MOST_FROZEN) {
                set.move_to(rest);
                return Alive::default();
            }
            let mut marker = Marker::new();
            roots::each(|root| marker.edge(root));
            marker.run();
            let overflowed = marker.overflowed;
            let marked = marker.marked;
            drop(marker);

            let frozen = unmark(&permanent);
            let (alive, met) = if overflowed {
                // Some of what marked objects refer to is not marked: nothing
                // may rest on it.
                let met = unmark(set);
                set.move_to(rest);
                (Alive::default(), met)
            } else {
                self.split(set, rest)
            };
            if met + frozen != marked {
                erase();
            }
            alive
        }
    }

    /// Walks `set`, takes the marks off, and moves what has none to `rest`, in
    /// its order. Immortal objects go where `open` puts them. Says what stayed,
    /// and how many had a mark.
    unsafe fn split(&self, set: &List, rest: &List) -> (Alive, usize) {
        // SAFETY: `set` is proper but for marks; each link's words are written
        // anew as the walk passes it. Nothing foreign runs.
        unsafe {
            let permanent = &raw mut (*self.state).permanent.head;
            let head = set.head();
            let mut alive = Alive::default();
            let mut met = 0;
            let mut dicts = Dicts::default();
            let mut prev = head;
            let mut link = (*head).next as Link;
            while link != head {
                let (word, next_word) = ((*link).prev, (*link).next);
                let next = (next_word & !TRY) as Link;
                let marked = word & MARK != 0;
                let object = object_of(link);
                met += usize::from(marked);
                let immortal = super::is_immortal(object);
                if marked && !immortal {
                    (*link).prev = prev as usize | (word & FINALIZED);
                    (*link).next = next as usize;
                    if next_word & TRY != 0 {
                        if PyTuple_CheckExact(object) == 0 {
                            dicts.add(object);
                        } else if untrack::is_atomic_tuple(object) {
                            (*prev).next = next as usize;
                            (*link).next = 0;
                            (*link).prev = word & FINALIZED;
                            alive.untracked += 1;
                            link = next;
                            continue;
                        }
                    }
                    alive.reached += 1;
                    prev = link;
                } else {
                    (*prev).next = next as usize;
                    (*link).prev = word & FINALIZED;
                    append(link, if immortal { permanent } else { rest.head() });
                }
                link = next;
            }
            (*head).prev = prev as usize;
            // After the tuples, as in `settle`; the list is a proper one again.
            let untracked = dicts.settle(set);
            alive.reached -= untracked;
            alive.untracked += untracked;
            (alive, met)
        }
    }
}

/// Dicts that the walk has to try at its end, as long as there is memory to
/// remember them; else all of the list are tried.
#[derive(Default)]
struct Dicts {
    objects: Vec<*mut PyObject>,
    overflowed: bool,
}

impl Dicts {
    fn add(&mut self, dict: *mut PyObject) {
        if self.objects.try_reserve(1).is_ok() {
            self.objects.push(dict);
        } else {
            self.overflowed = true;
        }
    }

    /// Stops tracking those that can go, all of them on the list `set`; returns
    /// how many.
    unsafe fn settle(self, set: &List) -> usize {
        let mut untracked = 0;
        // SAFETY: the list is a proper one and nothing foreign runs, so what was
        // added is alive and tracked, and a member's successor stays.
        unsafe {
            for dict in self.objects {
                untracked += usize::from(untrack::dict(dict));
            }
            if self.overflowed {
                let mut link = (*set.head()).next as Link;
                while link != set.head() {
                    let next = (*link).next as Link;
                    let object = object_of(link);
                    if PyDict_CheckExact(object) != 0 {
                        untracked += usize::from(untrack::dict(object));
                    }
                    link = next;
                }
            }
        }
        untracked
    }
}

unsafe fn is_longer(list: &List, most: usize) -> bool {
    // SAFETY: the caller passes a proper list.
    unsafe {
        let mut link = (*list.head()).next as Link;
        for _ in 0..most {
            if link == list.head() {
                return false;
            }
            link = (*link).next as Link;
        }
        true
    }
}

/// Takes the marks off `list`; returns how many there were.
unsafe fn unmark(list: &List) -> usize {
    // SAFETY: the caller passes a list that is proper but for marks.
    unsafe {
        let mut marked = 0;
        let mut link = (*list.head()).next as Link;
        while link != list.head() {
            marked += usize::from((*link).prev & MARK != 0);
            (*link).prev &= !MARK;
            (*link).next &= !TRY;
            link = (*link).next as Link;
        }
        marked
    }
}

/// Takes the marks off everything that roots reach, wherever it is.
#[cold]
unsafe fn erase() {
    struct Eraser {
        seen: HashSet<usize>,
        work: Vec<*mut PyObject>,
    }
    extern "C" fn visit(object: *mut PyObject, eraser: *mut c_void) -> i32 {
        // SAFETY: as for marking's visitor.
        unsafe {
            let eraser = &mut *eraser.cast::<Eraser>();
            if has_link(object)
                && (*link_of(object)).next != 0
                && eraser.seen.insert(object as usize)
            {
                (*link_of(object)).prev &= !MARK;
                (*link_of(object)).next &= !TRY;
                eraser.work.push(object);
            }
        }
        0
    }
    let mut eraser = Eraser {
        seen: HashSet::new(),
        work: Vec::new(),
    };
    // SAFETY: as for marking: the same roots lead to the same live objects.
    unsafe {
        roots::each(|root| {
            visit(root, (&raw mut eraser).cast());
        });
        while let Some(object) = eraser.work.pop() {
            if let Some(traverse) = (*Py_TYPE(object)).tp_traverse {
                traverse(object, visit, (&raw mut eraser).cast());
            }
        }
    }
}
