//! Which objects the roots reach, before a full collection tries the rest.
//!
//! Trial deletion has to look at every object three times, in the order of the
//! list, and at every reference twice. Marking looks at each object that is
//! alive once. Nearly everything is alive in most full collections, so marking
//! goes first; what it does not reach goes through trial deletion as before, and
//! what trial deletion finds alive was only missing a root.
//!
//! # Invariants
//! * Marking writes nothing into objects: all lists stay proper, and what was met
//!   is noted beside the heap (`seen.rs`).
//! * A tracked object is met only if a root reaches it, so it is alive. Trial
//!   deletion of the others counts references from met objects as references from
//!   outside, which they are. So it costs time only if not everything that roots
//!   reach is met: without the memory to remember what is to be followed, it is not.
//! * Each tracked object stands on the list that is collected or among the frozen
//!   ones. Then the list consists of met objects and of stretches of others, and
//!   each stretch begins behind a met object or the head, so all of them are found
//!   without walking the list, which is done only where a program could see their
//!   order. CPython's own pass has lists of its own, but no
//!   collection of ours runs within it (`trigger.rs`).
//!
//! # Speed
//! The order of objects in memory has little to do with the order in which
//! references lead to them, so nearly each step would wait for memory. Two short
//! queues stand between finding an object and needing it: *edges* (its header),
//! *bodies* (its table of references). Each asks for the memory when an object
//! enters, and passes it on when it leaves. What was met before is told by its bit,
//! and what has no link, where wrasse's allocator serves it, by its address: neither
//! is touched.

use std::ffi::c_void;
use std::ptr;

use pyo3_ffi::*;

use super::queue::{Queue, prefetch};
use super::referents::{Referents, Shape};
use super::seen::{Seen, Sight};
use super::{Heap, roots, untrack, weak};
use crate::layout::{DICT, INSTANCE};
use crate::list::{FINALIZED, FLAGS, Link, List, append, has_link, link_of, object_of, unlink};
use crate::small_objects;

/// Frozen objects above this number make marking cost more than it saves: stock
/// does not look at them at all.
const MOST_FROZEN: usize = 20_000;
/// Containers up to this size are scanned at once.
const SMALL: usize = 16;
/// Larger ones are scanned in pieces of this size.
const PIECE: usize = 128;

const EDGES: usize = 16;
const BODIES: usize = 8;
const DOUBTS: usize = 8;

/// References `stride` words apart that are still to be followed.
#[derive(Clone, Copy)]
struct Span {
    first: *mut *mut PyObject,
    count: usize,
    stride: usize,
}

struct Marker {
    seen: Seen,
    /// Met and tracked objects that are still to be scanned.
    work: Vec<*mut PyObject>,
    spans: Vec<Span>,
    /// Met types without a link, which no traversal looks into.
    types: Vec<*mut PyTypeObject>,
    edges: Queue<EDGES>,
    bodies: Queue<BODIES>,
    doubts: Queue<DOUBTS>,
    referents: Referents,
    /// The type of the last instance, which is met by now.
    kind: *mut PyTypeObject,
    /// Tracked objects that were met.
    tracked: usize,
    /// Exact tuples and dicts that may need no tracking.
    atomic: Vec<*mut PyObject>,
    immortal: Vec<*mut PyObject>,
}

#[cfg(Py_3_12)]
unsafe extern "C" {
    fn PyType_GetDict(kind: *mut PyTypeObject) -> *mut PyObject;
}

extern "C" fn visit(object: *mut PyObject, marker: *mut c_void) -> i32 {
    // SAFETY: `tp_traverse` passes live objects, and the marker that was lent
    // to it for the call.
    unsafe { (*marker.cast::<Marker>()).edge(object) }
    0
}

/// Puts `item` on `stack`; without the memory for it, nothing comes of it.
#[inline(always)]
fn push<T>(stack: &mut Vec<T>, item: T) {
    if stack.len() < stack.capacity() || stack.try_reserve(stack.len().max(1024)).is_ok() {
        stack.push(item);
    }
}

impl Marker {
    fn new(seen: Seen) -> Self {
        Self {
            seen,
            work: Vec::new(),
            spans: Vec::new(),
            types: Vec::new(),
            edges: Queue::new(),
            bodies: Queue::new(),
            doubts: Queue::new(),
            referents: Referents::new(),
            kind: ptr::null_mut(),
            tracked: 0,
            atomic: Vec::new(),
            immortal: Vec::new(),
        }
    }

    /// Something alive refers to `object`, which is looked at soon.
    #[inline(always)]
    unsafe fn edge(&mut self, object: *mut PyObject) {
        if self.seen.meet(object) == Sight::New {
            prefetch(link_of(object));
            prefetch(object.wrapping_add(1));
            if let Some(waited) = self.edges.pass(object) {
                // SAFETY: what was put in is alive; nothing dies while marking.
                unsafe {
                    if self.is_tracked(waited) {
                        push(&mut self.work, waited);
                    }
                }
            }
        }
    }

    /// Whether `object`, just met and so alive, is tracked. If so, it is counted.
    #[inline(always)]
    unsafe fn is_tracked(&mut self, object: *mut PyObject) -> bool {
        // SAFETY: `object` is alive, so its type is; objects with a link have
        // the two words in front.
        unsafe {
            if !has_link(object) {
                if PyType_Check(object) != 0 {
                    push(&mut self.types, object.cast());
                }
                return false;
            }
            let next = (*link_of(object)).next as Link;
            if next.is_null() {
                return false;
            }
            self.tracked += 1;
            self.seen.follow(object_of(next));
            if super::is_immortal(object) {
                push(&mut self.immortal, object);
            }
            true
        }
    }

    /// Meets everything that what was found so far reaches.
    unsafe fn run(&mut self) {
        // SAFETY: everything queued is alive.
        unsafe {
            loop {
                if let Some(object) = self.work.pop() {
                    self.approach(object);
                } else if let Some(span) = self.spans.pop() {
                    self.follow(span);
                } else if let Some(kind) = self.types.pop() {
                    self.look_into(kind);
                } else if let Some(waited) = self.edges.take() {
                    // Nothing new comes by itself: what waits must do.
                    if self.is_tracked(waited) {
                        if self.edges.is_empty() && self.bodies.is_empty() {
                            // One leads to the next, as in a linked list.
                            self.scan(waited);
                        } else {
                            self.approach(waited);
                        }
                    }
                } else if let Some(waited) = self.bodies.take() {
                    self.scan(waited);
                } else if let Some(waited) = self.doubts.take() {
                    self.decide(waited);
                } else {
                    return;
                }
            }
        }
    }

    /// An object's header is here: asks for its table.
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
            } else if kind != &raw mut PyTuple_Type
                && matches!(self.referents.shape(kind), Shape::Values)
            {
                prefetch(INSTANCE.hint(object));
            }
            if let Some(waited) = self.bodies.pass(object) {
                self.scan(waited);
            }
        }
    }

    /// An object's table is here: follows its references.
    unsafe fn scan(&mut self, object: *mut PyObject) {
        // SAFETY: as above; nothing is changed while marking, so that spans stay.
        unsafe {
            let kind = Py_TYPE(object);
            if kind == &raw mut PyList_Type {
                let count = PyList_GET_SIZE(object) as usize;
                let first = (*object.cast::<PyListObject>()).ob_item;
                self.row(first, count);
            } else if kind == &raw mut PyTuple_Type {
                let count = PyTuple_GET_SIZE(object) as usize;
                let first = (*object.cast::<PyTupleObject>()).ob_item.as_mut_ptr();
                self.row(first, count);
                self.doubt(object);
            } else if kind == &raw mut PyDict_Type {
                let Some((first, count, stride)) = DICT.entries(object) else {
                    self.traverse(object);
                    push(&mut self.atomic, object);
                    return;
                };
                let span = Span {
                    first,
                    count,
                    stride,
                };
                self.follow(span);
                if stride == 3 {
                    // Keys of any type stand right before their values.
                    let first = first.wrapping_sub(1);
                    self.follow(Span { first, ..span });
                }
                self.doubt(object);
            } else {
                let Some(values) = self.referents.values(kind, object) else {
                    self.traverse(object);
                    return;
                };
                self.row(values.first, values.count);
                if !values.dict.is_null() {
                    self.edge(values.dict);
                }
                if kind != self.kind {
                    self.kind = kind;
                    self.edge(kind.cast());
                }
            }
        }
    }

    /// Follows what a static type holds, which is alive as long as the interpreter.
    unsafe fn look_into(&mut self, kind: *mut PyTypeObject) {
        // SAFETY: a live type holds these, or null.
        unsafe {
            #[cfg(Py_3_12)]
            let dict = {
                let dict = PyType_GetDict(kind);
                if !dict.is_null() {
                    Py_DECREF(dict); // the type's stays
                }
                dict
            };
            #[cfg(not(Py_3_12))]
            let dict = (*kind).tp_dict;
            let base = (*kind).tp_base.cast();
            for object in [dict, (*kind).tp_mro, (*kind).tp_bases, base] {
                if !object.is_null() {
                    self.edge(object);
                }
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

    /// Follows `count` references in a row.
    #[inline]
    unsafe fn row(&mut self, first: *mut *mut PyObject, count: usize) {
        // SAFETY: the row is part of a live container that nobody changes.
        unsafe {
            if count > SMALL {
                let stride = 1;
                self.follow(Span {
                    first,
                    count,
                    stride,
                });
                return;
            }
            for index in 0..count {
                let child = *first.add(index);
                if !child.is_null() {
                    self.edge(child);
                }
            }
        }
    }

    /// Follows the first references of `span`; the others' turn comes later.
    unsafe fn follow(&mut self, span: Span) {
        // SAFETY: the span is part of a live container that nobody changes.
        unsafe {
            let piece = span.count.min(PIECE);
            if span.count > piece {
                let left = Span {
                    first: span.first.add(piece * span.stride),
                    count: span.count - piece,
                    ..span
                };
                push(&mut self.spans, left);
            }
            for index in 0..piece {
                let child = *span.first.add(index * span.stride);
                if !child.is_null() {
                    self.edge(child);
                }
            }
        }
    }

    /// Has a tuple or dict looked at again, once its children's headers are here:
    /// it may need no tracking.
    #[inline]
    unsafe fn doubt(&mut self, object: *mut PyObject) {
        if let Some(waited) = self.doubts.pass(object) {
            // SAFETY: what was put in is alive.
            unsafe { self.decide(waited) };
        }
    }

    /// Remembers a tuple or dict that holds nothing that could be part of a
    /// cycle, but for tuples that may turn out to need no tracking themselves.
    unsafe fn decide(&mut self, object: *mut PyObject) {
        // SAFETY: a live exact tuple or dict, whose children are alive. A null
        // member means that a tuple is still being filled.
        unsafe {
            let seen = &self.seen;
            let may_be_tracked = |child: *mut PyObject| {
                !seen.is_leaf(child) && has_link(child) && PyTuple_CheckExact(child) == 0
            };
            if PyTuple_CheckExact(object) != 0 {
                let first = (*object.cast::<PyTupleObject>()).ob_item.as_mut_ptr();
                for index in 0..PyTuple_GET_SIZE(object) as usize {
                    let child = *first.add(index);
                    if child.is_null() || may_be_tracked(child) {
                        return;
                    }
                }
            } else if let Some((first, count, stride)) = DICT.entries(object) {
                for index in 0..count {
                    let slot = first.add(index * stride);
                    let value = *slot;
                    if !value.is_null()
                        && (may_be_tracked(value) || stride == 3 && may_be_tracked(*slot.sub(1)))
                    {
                        return;
                    }
                }
            }
            push(&mut self.atomic, object);
        }
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
    /// `rest`, which is empty before and can be collected only after. If marking
    /// cannot be done, or would not pay, the rest is everything. Runs no foreign code.
    ///
    /// Time is linear in the objects that are alive and their references, and in
    /// the rest.
    pub fn separate_alive(&self, set: &List, rest: &List) -> Alive {
        // SAFETY: the GIL is held (`Heap::new`'s contract), the lists are
        // proper ones, and nothing but `tp_traverse` runs before the rest is
        // separated.
        unsafe {
            let permanent = List::of(&raw mut (*self.state).permanent.head);
            let frozen = Frozen::of(&permanent);
            let heads = [set.head(), permanent.head()].map(object_of);
            let seen = Seen::new(small_objects::region(), heads);
            let (true, Some(frozen), Some(seen)) = (roots::are_sound(), frozen, seen) else {
                set.move_to(rest);
                return Alive::default();
            };
            let mut marker = Marker::new(seen);
            marker.seen.follow(object_of((*set.head()).next as Link));
            roots::each(|root| marker.edge(root));
            marker.run();

            let Marker {
                mut seen,
                tracked,
                atomic,
                immortal,
                ..
            } = marker;
            // The rest is not to be looked for among the frozen ones.
            let mut reached = tracked;
            for &link in &frozen.links {
                reached -= usize::from(seen.meet(object_of(link)) != Sight::New);
            }
            if seen.failed() {
                set.move_to(rest);
                return Alive::default();
            }
            self.open_rest(set, rest, &mut seen);
            for object in immortal {
                // Where `open` puts those that it comes across.
                let link = link_of(object);
                if !frozen.has(link) {
                    unlink(link);
                    append(link, permanent.head());
                    reached -= 1;
                }
            }
            let untracked = settle(&atomic, &frozen);
            debug_assert!(reached >= untracked, "an object was counted twice");
            Alive {
                reached: reached - untracked,
                untracked,
            }
        }
    }

    /// Moves to `rest` what of `set` was not met, and opens it, as [`Model::open`]
    /// would, which then need not.
    ///
    /// [`Model::open`]: wrasse_collector::Model::open
    unsafe fn open_rest(&self, set: &List, rest: &List, seen: &mut Seen) {
        let mut stretches = Vec::new();
        let mut chain = Chain::new(rest);
        let mut opened = 0;
        // What the program could see the order of: finalizers, callbacks, output.
        let mut visible = usize::MAX * usize::from(self.debug() != 0);
        let (mut last_kind, mut is_final) = (ptr::null_mut(), false);
        // SAFETY: `set` is a proper list of live objects, and `rest` an empty one.
        // Links are followed forward only, behind which nothing is opened yet.
        unsafe {
            let permanent = &raw mut (*self.state).permanent.head;
            seen.each_unmet_follower(|seen, first| {
                let mut link = link_of(first);
                let before = ((*link).prev & !FLAGS) as Link;
                let mut last = before;
                while !seen.has_met(object_of(link)) {
                    let next = (*link).next as Link;
                    let object = object_of(link);
                    if visible < 2 {
                        let kind = Py_TYPE(object);
                        if kind != last_kind {
                            last_kind = kind;
                            is_final = (*kind).tp_finalize.is_some() || (*kind).tp_del.is_some();
                        }
                        let finalized = (*link).prev & FINALIZED != 0;
                        visible +=
                            usize::from(is_final && !finalized || weak::has_callback(object));
                    }
                    if super::is_immortal(object) {
                        unlink(link);
                        append(link, permanent);
                    } else {
                        super::open(link);
                        opened += 1;
                        last = link;
                    }
                    link = next;
                }
                if last == before {
                    return;
                }
                let stretch = Stretch {
                    before,
                    last,
                    end: link,
                };
                if stretches.len() < MOST_STRETCHES && stretches.try_reserve(1).is_ok() {
                    stretches.push(stretch);
                } else {
                    stretch.move_to(&mut chain);
                }
            });
            if visible < 2 {
                for stretch in stretches {
                    stretch.move_to(&mut chain);
                }
            } else {
                let mut before = set.head();
                let mut link = (*before).next as Link;
                while link != set.head() {
                    let next = (*link).next as Link;
                    if seen.has_met(object_of(link)) {
                        (*before).next = link as usize;
                        (*link).prev = before as usize | ((*link).prev & FLAGS);
                        before = link;
                    } else {
                        chain.add(link, link);
                    }
                    link = next;
                }
                (*before).next = link as usize;
                (*link).prev = before as usize;
            }
        }
        chain.close();
        self.opened.set(Some(opened));
    }
}

/// Stretches of a list that are remembered before any is taken out: of more, the
/// program sees what comes of them in the order of addresses.
const MOST_STRETCHES: usize = 64 * 1024;

/// Opened links on a list between others.
struct Stretch {
    before: Link,
    last: Link,
    end: Link,
}

impl Stretch {
    /// Takes it out of its list and adds it to `chain`.
    unsafe fn move_to(self, chain: &mut Chain) {
        // SAFETY: both neighbours are on the list, which is proper but for opened links.
        unsafe {
            let first = (*self.before).next as Link;
            (*self.before).next = self.end as usize;
            (*self.end).prev = self.before as usize | ((*self.end).prev & FLAGS);
            chain.add(first, self.last);
        }
    }
}

/// An opened list that is being made, of which only `next` can be followed.
struct Chain {
    head: Link,
    last: Link,
}

impl Chain {
    /// On the empty list `list`.
    fn new(list: &List) -> Self {
        debug_assert!(list.is_empty());
        let head = list.head();
        Self { head, last: head }
    }

    /// Adds the links from `first` to `last`, which lead from one to the next.
    unsafe fn add(&mut self, first: Link, last: Link) {
        // SAFETY: the last one added, or the head, is live.
        unsafe { (*self.last).next = first as usize };
        self.last = last;
    }

    /// Makes the list whole.
    fn close(self) {
        // SAFETY: as in `add`.
        unsafe {
            (*self.last).next = self.head as usize;
            (*self.head).prev = self.last as usize;
        }
    }
}

/// Stops tracking those of `objects`, exact tuples and dicts, that can go; returns
/// how many.
unsafe fn settle(objects: &[*mut PyObject], frozen: &Frozen) -> usize {
    let mut untracked = 0;
    // SAFETY: the lists are proper ones and nothing foreign runs, so what was met is
    // alive and tracked, each once.
    unsafe {
        // What was met later is more often part of what was met earlier. Dicts after
        // the tuples, as in `Heap::settle`.
        for &object in objects.iter().rev() {
            if PyTuple_CheckExact(object) != 0 && !frozen.has(link_of(object)) {
                untracked += usize::from(untrack::tuple(object));
            }
        }
        for &object in objects {
            if PyTuple_CheckExact(object) == 0 && !frozen.has(link_of(object)) {
                untracked += usize::from(untrack::dict(object));
            }
        }
    }
    untracked
}

/// The frozen objects, in the order of their addresses.
struct Frozen {
    links: Vec<Link>,
}

impl Frozen {
    /// `None` if there are too many, or no memory for them.
    unsafe fn of(list: &List) -> Option<Self> {
        let mut links = Vec::new();
        // SAFETY: the caller passes a proper list.
        unsafe {
            let mut link = (*list.head()).next as Link;
            while link != list.head() {
                if links.len() == MOST_FROZEN || links.try_reserve(1).is_err() {
                    return None;
                }
                links.push(link);
                link = (*link).next as Link;
            }
        }
        links.sort_unstable();
        Some(Self { links })
    }

    fn has(&self, link: Link) -> bool {
        self.links.binary_search(&link).is_ok()
    }
}
