//! Meets everything that some objects lead to; see `marking.rs` for what it is for,
//! and why it may be incomplete.
//!
//! An object that is met for the first time waits among the *headers* while its own is on
//! the way, then on a stack. Lists and dicts, whose references are elsewhere, wait once
//! more, in *bodies*. What was met before is told by its bit, and what has no link,
//! where wrasse's allocator serves it, by its address: neither is touched.

use std::ffi::c_void;
use std::ptr;

use pyo3_ffi::*;

use super::queue::{Queue, prefetch};
use super::referents::{Linked, Referents, Shape, at};
use super::sampler::Sampler;
use super::seen::{Seen, Sight};
use crate::layout::{DICT, Fixed, INSTANCE, Values};
use crate::list::{Link, has_link, link_of, object_of};

/// References that are followed at once; the rest of a larger container waits.
const PIECE: usize = 128;

const HEADERS: usize = 16;
const BODIES: usize = 8;
const DOUBTS: usize = 8;

/// An object without a link that has more references than this is remembered as such.
const POPULAR: u32 = 64;

/// References `stride` words apart that are still to be followed.
#[derive(Clone, Copy)]
struct Span {
    first: *mut *mut PyObject,
    count: usize,
    stride: usize,
}

/// See the module.
pub struct Marker {
    /// What was met.
    pub seen: Seen,
    /// Met objects that are still to be looked at.
    work: Vec<*mut PyObject>,
    spans: Vec<Span>,
    /// Met types without a link, which no traversal looks into.
    types: Vec<*mut PyTypeObject>,
    /// The last objects met.
    headers: Queue<HEADERS>,
    bodies: Queue<BODIES>,
    /// Tuples and dicts that may need no tracking, each followed by what speaks most
    /// against it.
    doubts: Queue<{ 2 * DOUBTS }>,
    referents: Referents,
    /// The type of the last instance, which is met by now.
    kind: *mut PyTypeObject,
    /// Tracked objects that were met.
    pub tracked: usize,
    /// Some of them, if that is asked for.
    pub sampler: Sampler,
    /// Exact tuples and dicts that may need no tracking.
    pub atomic: Vec<*mut PyObject>,
    /// Tracked objects that are immortal.
    pub immortal: Vec<*mut PyObject>,
}

#[cfg(Py_3_12)]
unsafe extern "C" {
    fn PyType_GetDict(kind: *mut PyTypeObject) -> *mut PyObject;
}

extern "C" fn visit(object: *mut PyObject, marker: *mut c_void) -> i32 {
    // SAFETY: `tp_traverse` passes live objects, and the marker that was lent
    // to it for the call.
    unsafe { (*marker.cast::<Marker>()).edge(object) };
    0
}

/// Puts `item` on `stack`; says whether there was memory for it.
#[inline(always)]
fn push<T>(stack: &mut Vec<T>, item: T) -> bool {
    let has_room =
        stack.len() < stack.capacity() || stack.try_reserve(stack.len().max(1024)).is_ok();
    if has_room {
        stack.push(item);
    }
    has_room
}

impl Marker {
    /// One that has met nothing but what `seen` has.
    pub fn new(seen: Seen) -> Self {
        Self {
            seen,
            work: Vec::new(),
            spans: Vec::new(),
            types: Vec::new(),
            headers: Queue::new(),
            bodies: Queue::new(),
            doubts: Queue::new(),
            referents: Referents::new(),
            kind: ptr::null_mut(),
            tracked: 0,
            sampler: Sampler::new(),
            atomic: Vec::new(),
            immortal: Vec::new(),
        }
    }

    /// Something alive refers to `object`, which is looked at soon. Says whether it may
    /// have a link.
    ///
    /// # Safety
    /// `object` is alive, and nothing dies or changes while marking goes on.
    #[inline(always)]
    pub unsafe fn edge(&mut self, object: *mut PyObject) -> bool {
        match self.seen.meet(object) {
            Sight::Leaf => return false,
            Sight::Known => return true,
            Sight::New => {}
        }
        // The words in front and the header, and what stands behind it.
        prefetch(link_of(object));
        prefetch(object.wrapping_byte_add(40));
        if let Some(waited) = self.headers.pass(object)
            && !push(&mut self.work, waited)
        {
            // What stands behind it on its list will not be known.
            self.seen.give_up();
        }
        true
    }

    /// Meets everything that what was found so far reaches.
    ///
    /// # Safety
    /// As for [`edge`](Self::edge).
    pub unsafe fn run(&mut self) {
        // SAFETY: everything queued is alive.
        unsafe {
            loop {
                if let Some(object) = self.work.pop() {
                    self.look_at(object);
                } else if let Some(span) = self.spans.pop() {
                    self.follow(span);
                } else if let Some(object) = self.headers.take() {
                    // Nothing new comes by itself: what waits must do.
                    self.look_at(object);
                } else if let Some(object) = self.bodies.take() {
                    self.scan(object);
                } else if let Some(kind) = self.types.pop() {
                    self.look_into(kind);
                } else if let Some(object) = self.doubts.take() {
                    if let Some(suspect) = self.doubts.take() {
                        self.decide(object, suspect);
                    }
                } else {
                    return;
                }
            }
        }
    }

    /// Meets everything that `object`, which was met but not looked at, reaches.
    ///
    /// # Safety
    /// As for [`edge`](Self::edge).
    pub unsafe fn run_from(&mut self, object: *mut PyObject) {
        // SAFETY: the caller's contract.
        unsafe {
            self.look_at(object);
            self.run();
        }
    }

    /// An object's header is here: follows its references, or asks for them.
    #[inline(always)]
    unsafe fn look_at(&mut self, object: *mut PyObject) {
        // SAFETY: `object` is alive, so its type is; objects with a link have the two
        // words in front. Fields are read according to the exact type.
        unsafe {
            let kind = Py_TYPE(object);
            let known = self.referents.known(kind);
            if known.linked != Linked::All {
                if known.linked == Linked::None {
                    self.note_popular(object);
                    return;
                }
                if !self.is_linked(object) {
                    return;
                }
            }
            let next = (*link_of(object)).next as Link;
            if next.is_null() {
                return;
            }
            self.tracked += 1;
            if self.sampler.is_next(self.tracked) {
                self.sampler.take(object);
            }
            self.seen.follow(object_of(next));
            if super::is_immortal(object) {
                push(&mut self.immortal, object);
            }
            match known.shape {
                Shape::List => {
                    if PyList_GET_SIZE(object) == 0 {
                        return;
                    }
                    prefetch((*object.cast::<PyListObject>()).ob_item);
                    self.wait_for_body(object);
                }
                Shape::Dict => {
                    let keys = DICT.keys(object);
                    prefetch(keys);
                    prefetch(keys.wrapping_add(64));
                    self.wait_for_body(object);
                }
                Shape::Tuple => {
                    let first = (*object.cast::<PyTupleObject>()).ob_item.as_mut_ptr();
                    let count = PyTuple_GET_SIZE(object) as usize;
                    let suspect = self.follow(Span {
                        first,
                        count,
                        stride: 1,
                    });
                    self.doubt(object, suspect);
                }
                Shape::Values => {
                    if cfg!(Py_3_13) {
                        self.hold(kind, object, INSTANCE.values(object));
                    } else {
                        prefetch(INSTANCE.hint(object));
                        self.wait_for_body(object);
                    }
                }
                Shape::Slots(slots) => self.hold(kind, object, slots.values(object)),
                Shape::Fixed(fixed) => {
                    if fixed.far().is_empty() {
                        self.read(object, fixed);
                        return;
                    }
                    for &offset in fixed.far() {
                        prefetch(at(object, offset));
                    }
                    self.wait_for_body(object);
                }
                Shape::Other => self.traverse(object),
            }
        }
    }

    /// Whether an object has a link, where that cannot be told by its type. What
    /// follows if not is done.
    #[cold]
    #[inline(never)]
    unsafe fn is_linked(&mut self, object: *mut PyObject) -> bool {
        // SAFETY: `object` is alive.
        unsafe {
            if has_link(object) {
                return true;
            }
            if PyType_Check(object) != 0 {
                push(&mut self.types, object.cast());
            }
            self.note_popular(object);
            false
        }
    }

    /// Remembers an object without a link if many references lead to it.
    #[inline(always)]
    unsafe fn note_popular(&mut self, object: *mut PyObject) {
        // SAFETY: `object` is alive.
        if unsafe { Py_REFCNT(object) } as u64 > POPULAR.into() {
            self.seen.note_leaf(object);
        }
    }

    #[inline(always)]
    unsafe fn wait_for_body(&mut self, object: *mut PyObject) {
        if let Some(waited) = self.bodies.pass(object) {
            // SAFETY: what was put in is alive.
            unsafe { self.scan(waited) };
        }
    }

    /// An object's table is here: follows its references.
    unsafe fn scan(&mut self, object: *mut PyObject) {
        // SAFETY: as in `look_at`; nothing is changed while marking, so that spans stay.
        unsafe {
            let kind = Py_TYPE(object);
            if kind == &raw mut PyList_Type {
                self.follow(Span {
                    first: (*object.cast::<PyListObject>()).ob_item,
                    count: PyList_GET_SIZE(object) as usize,
                    stride: 1,
                });
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
                let mut suspect = self.follow(span);
                if stride == 3 {
                    // Keys of any type stand right before their values.
                    let first = first.wrapping_sub(1);
                    let key = self.follow(Span { first, ..span });
                    if suspect.is_null() {
                        suspect = key;
                    }
                }
                self.doubt(object, suspect);
            } else if let Shape::Fixed(fixed) = self.referents.known(kind).shape {
                self.read(object, fixed);
            } else {
                self.hold(kind, object, INSTANCE.values(object));
            }
        }
    }

    /// Follows the references that `object` holds where `fixed` says.
    #[inline(always)]
    unsafe fn read(&mut self, object: *mut PyObject, fixed: &Fixed) {
        // SAFETY: as in `look_at`.
        unsafe {
            let Some(offsets) = fixed.offsets(object) else {
                self.traverse(object);
                return;
            };
            for &offset in offsets {
                let child = *at(object, offset);
                if !child.is_null() {
                    self.edge(child);
                }
            }
            let untold = fixed.untold(object);
            if !untold.is_null() {
                self.edge(untold);
            }
        }
    }

    /// Follows what `object`, an instance of `kind`, holds, besides its type `values`;
    /// without those it is asked.
    #[inline(always)]
    unsafe fn hold(
        &mut self,
        kind: *mut PyTypeObject,
        object: *mut PyObject,
        values: Option<Values>,
    ) {
        // SAFETY: as in `look_at`.
        unsafe {
            let Some(values) = values else {
                self.traverse(object);
                return;
            };
            self.follow(Span {
                first: values.first,
                count: values.count,
                stride: 1,
            });
            if !values.dict.is_null() {
                self.edge(values.dict);
            }
            if kind != self.kind {
                self.kind = kind;
                self.edge(kind.cast());
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

    #[inline(never)]
    unsafe fn traverse(&mut self, object: *mut PyObject) {
        // SAFETY: a type with HAVE_GC has `tp_traverse`, which only calls the visitor.
        unsafe {
            if let Some(traverse) = (*Py_TYPE(object)).tp_traverse {
                traverse(object, visit, ptr::from_mut(self).cast());
            }
        }
    }

    /// Follows the first references of `span`; the others' turn comes later. Returns
    /// the last of them that may have a link, or null.
    unsafe fn follow(&mut self, span: Span) -> *mut PyObject {
        let mut suspect = ptr::null_mut();
        // SAFETY: the span is part of a live container that nobody changes.
        unsafe {
            let mut count = span.count;
            if count > PIECE {
                count = PIECE;
                let left = Span {
                    first: span.first.add(PIECE * span.stride),
                    count: span.count - PIECE,
                    ..span
                };
                push(&mut self.spans, left);
            }
            let mut place = span.first;
            for _ in 0..count {
                let child = *place;
                place = place.wrapping_add(span.stride);
                if !child.is_null() && self.edge(child) {
                    suspect = child;
                }
            }
        }
        suspect
    }

    /// A tuple or dict of which `suspect`, if not null, may have a link: whether it needs
    /// no tracking is decided when that one's header is here.
    #[inline(always)]
    unsafe fn doubt(&mut self, object: *mut PyObject, suspect: *mut PyObject) {
        if suspect.is_null() {
            // Decided in the end, by a look at all of it.
            push(&mut self.atomic, object);
            return;
        }
        prefetch(suspect);
        // Filled together, so they come out together.
        let waited = self.doubts.pass(object);
        let suspect = self.doubts.pass(suspect);
        if let (Some(waited), Some(suspect)) = (waited, suspect) {
            // SAFETY: what was put in is alive.
            unsafe { self.decide(waited, suspect) };
        }
    }

    /// Remembers a tuple or dict that holds nothing that could be part of a
    /// cycle, but for tuples that may turn out to need no tracking themselves.
    #[inline(always)]
    unsafe fn decide(&mut self, object: *mut PyObject, suspect: *mut PyObject) {
        // SAFETY: both are alive.
        unsafe {
            if PyTuple_CheckExact(suspect) != 0 || !has_link(suspect) {
                self.look_through(object);
            }
        }
    }

    #[inline(never)]
    unsafe fn look_through(&mut self, object: *mut PyObject) {
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
