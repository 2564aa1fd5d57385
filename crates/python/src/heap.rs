//! CPython's objects as the collector sees them: [`Model`] over `PyGC_Head`.
//!
//! Every object that can be part of a cycle has two words in front of it, a
//! link in one of CPython's doubly linked generation lists. The objects stay on
//! those lists: between collections CPython itself links and unlinks them, and
//! stock functions (`gc.get_objects`, the collections at shutdown) walk them.
//!
//! During a collection the words have two shapes:
//!
//! * *a proper list*: `prev` is the previous link's address, `FINALIZED` in its
//!   bit 0, `CANDIDATE` in bit 1 for the members of an unreachable set;
//! * *an opened list*, between [`open`](Model::open) and
//!   [`close`](Model::close): `prev` is the scratch count shifted by two, with
//!   the same flags and `AHEAD` until the closing walk has passed, and only
//!   `next` can be followed. No foreign code but
//!   `tp_traverse` runs in that time, which CPython requires to be pure.
//!
//! CPython uses the same bits for the same things, so its inline untracking
//! code, which masks them, is right at any point where it can run.

mod by_type;
mod freed;
pub mod landmarks;
mod marker;
mod marking;
pub mod queue;
pub mod referents;
pub mod roots;
mod sampler;
mod seen;
mod stretches;
pub mod untrack;
pub mod weak;

use std::cell::Cell;

use pyo3_ffi::*;
use wrasse_allocator::Region;
use wrasse_collector::{Model, OLDEST, Survey, WeakOutcome};

use by_type::ByType;
use referents::Referents;

use crate::layout::GcState;
use crate::list::{
    CANDIDATE, FINALIZED, FLAGS, Heads, Link, List, append, has_link, link_of, object_of, unlink,
};
use crate::{census, doctor, small_objects};

const COUNT_SHIFT: u32 = 2;
const COUNT_ONE: usize = 1 << COUNT_SHIFT;
/// Opened lists only, the top bit of `prev`: the closing walk has yet to come
/// here. No count reaches it, and no address has it.
const AHEAD: usize = 1 << (usize::BITS - 1);

/// `gc.DEBUG_COLLECTABLE`.
pub const DEBUG_COLLECTABLE: i32 = 2;
/// `gc.DEBUG_UNCOLLECTABLE`.
pub const DEBUG_UNCOLLECTABLE: i32 = 4;
/// `gc.DEBUG_SAVEALL`.
pub const DEBUG_SAVEALL: i32 = 32;

/// One interpreter's tracked objects.
pub struct Heap<'a> {
    state: *mut GcState,
    heads: &'a Heads,
    referents: Referents,
    freed: freed::Freed,
    /// Where blocks can be told by their address, if anywhere.
    region: Option<&'static Region>,
    /// How many objects there are on the list that was opened when it was made.
    opened: Cell<Option<usize>>,
    /// What there is among the objects that were partitioned last.
    surveyed: Cell<Option<Survey>>,
}

impl<'a> Heap<'a> {
    /// The heap whose collector state is at `state`.
    ///
    /// # Safety
    /// `state` was confirmed by `probe.rs`, its interpreter is alive, and the
    /// caller holds that interpreter's GIL whenever it uses the heap. `heads`
    /// outlives every list that the heap makes.
    pub unsafe fn new(state: *mut GcState, heads: &'a Heads) -> Self {
        Self {
            state,
            heads,
            referents: Referents::new(),
            freed: freed::Freed::default(),
            region: small_objects::region(),
            opened: Cell::new(None),
            surveyed: Cell::new(None),
        }
    }

    /// Bytes that this collection has given back so far, see `freed.rs`.
    pub fn freed_bytes(&self) -> usize {
        self.freed.bytes()
    }

    /// Prints each object of `list`. `sys.stderr` may be an object of the
    /// program's whose `write` frees any of them (weak references still lead to
    /// them), so only the first one left is ever looked at.
    fn print(&self, what: *const std::ffi::c_char, list: &List) {
        let printed = self.empty();
        while let Some(link) = self.first(list) {
            self.transfer(link, &printed);
            print(what, link);
        }
        self.merge(&printed, list);
    }

    /// Whether the address of `object` tells that it has no link: it begins where its
    /// block does.
    #[inline(always)]
    fn is_leaf(&self, object: *mut PyObject) -> bool {
        self.region.is_some_and(|region| {
            let (base, length) = region.range();
            let offset = (object as usize).wrapping_sub(base);
            // SAFETY: just compared.
            offset < length && unsafe { region.begins_block(offset) }
        })
    }

    fn debug(&self) -> i32 {
        // SAFETY: `new`'s contract.
        unsafe { (*self.state).debug }
    }

    /// Has an object drop its references, whether or not garbage is to be kept.
    pub fn take_apart(&self, link: Link) {
        // SAFETY: as in `finalize`.
        unsafe {
            let object = object_of(link);
            if let Some(clear) = (*Py_TYPE(object)).tp_clear {
                Py_INCREF(object);
                clear(object);
                if !PyErr_Occurred().is_null() {
                    crate::unraisable::in_clear(object);
                }
                Py_DECREF(object);
            }
        }
    }
}

/// Objects whose reference count is no count any more (PEP 683).
#[inline]
#[cfg(Py_3_12)]
pub unsafe fn is_immortal(object: *mut PyObject) -> bool {
    // SAFETY: `object` is alive; the low half of the count is negative for
    // immortal objects on 64-bit builds.
    unsafe { (Py_REFCNT(object) as i32) < 0 }
}

#[inline]
#[cfg(not(Py_3_12))]
pub unsafe fn is_immortal(_object: *mut PyObject) -> bool {
    false
}

/// Makes the object of `link` a candidate, with its reference count as scratch count.
#[inline(always)]
unsafe fn open(link: Link) {
    // SAFETY: the caller passes a link of a live object.
    unsafe {
        let references = Py_REFCNT(object_of(link)) as usize;
        debug_assert!(references > 0, "a dead object is still tracked");
        (*link).prev = AHEAD | references << COUNT_SHIFT | CANDIDATE | ((*link).prev & FINALIZED);
    }
}

/// What there may be about the objects of a type when they are garbage.
#[derive(Clone, Copy, Default)]
struct Traits {
    /// They have finalizers that need not have run.
    finalizer: bool,
    /// They have finalizers that keep them from being collected.
    uncollectable: bool,
    /// Where their lists of weak references are, see [`weak::offset`].
    weaklist: isize,
}

impl Traits {
    #[inline]
    unsafe fn of(kind: *mut PyTypeObject) -> Self {
        // SAFETY: the caller passes a live type.
        unsafe {
            Self {
                finalizer: (*kind).tp_finalize.is_some(),
                uncollectable: (*kind).tp_del.is_some(),
                weaklist: weak::offset(kind),
            }
        }
    }
}

/// Finds out what there is among objects, from one to the next; see [`Survey`].
struct Surveyor {
    survey: Survey,
    kinds: ByType<Traits>,
}

impl Surveyor {
    fn new() -> Self {
        Self {
            survey: Survey {
                uncollectable: false,
                weak: false,
                finalizers: false,
            },
            kinds: ByType::new(Traits::default()),
        }
    }

    #[inline(always)]
    unsafe fn look(&mut self, link: Link) {
        let survey = &mut self.survey;
        // SAFETY: the caller passes a link of a live object, which has a live type;
        // a type's list of weak references is where it says.
        unsafe {
            let object = object_of(link);
            let kind = Py_TYPE(object);
            let traits = self.kinds.of(kind, || {
                let traits = Traits::of(kind);
                survey.uncollectable |= traits.uncollectable;
                survey.weak |= PyWeakref_Check(object) != 0;
                traits
            });
            survey.finalizers |= traits.finalizer && (*link).prev & FINALIZED == 0;
            survey.weak |=
                traits.weaklist != 0 && *object.byte_offset(traits.weaklist).cast::<usize>() != 0;
        }
    }
}

// SAFETY: as to the implementation's promises, CPython's own collector relies on
// reference counts and `tp_traverse` in exactly the same way; sets are lists
// that CPython unlinks dying objects from; foreign code runs only in the three
// methods that are documented to.
unsafe impl Model for Heap<'_> {
    type Object = Link;
    type Set = List;

    fn empty(&self) -> List {
        // SAFETY: the contract of `new`.
        unsafe { List::lent(self.heads) }
    }

    fn first(&self, set: &List) -> Option<Link> {
        // SAFETY: a set's head is live.
        let next = unsafe { (*set.head()).next } as Link;
        (next != set.head()).then_some(next)
    }

    #[inline]
    fn each(&self, set: &List, mut visit: impl FnMut(Link)) {
        // SAFETY: `next` can be followed in a proper and in an opened list.
        unsafe {
            let mut link = (*set.head()).next as Link;
            while link != set.head() {
                let next = (*link).next as Link;
                visit(link);
                link = next;
            }
        }
    }

    fn transfer(&self, link: Link, set: &List) {
        // SAFETY: the collector transfers members of proper lists only.
        unsafe {
            unlink(link);
            append(link, set.head());
        }
    }

    fn merge(&self, from: &List, onto: &List) {
        // SAFETY: the collector merges proper lists only.
        unsafe { from.move_to(onto) }
    }

    fn open(&self, set: &List) -> usize {
        // Finalizers may have run since the last trial.
        self.referents.forget();
        if let Some(count) = self.opened.take() {
            return count;
        }
        let mut count = 0;
        // SAFETY: objects on CPython's lists are alive. An immortal object's
        // own `prev` is still proper when the walk reaches it, so it can be
        // unlinked although its predecessors are opened already.
        unsafe {
            let permanent = &raw mut (*self.state).permanent.head;
            let mut link = (*set.head()).next as Link;
            while link != set.head() {
                let next = (*link).next as Link;
                let object = object_of(link);
                if is_immortal(object) {
                    let prev = ((*link).prev & !FLAGS) as Link;
                    (*prev).next = next as usize;
                    (*next).prev = prev as usize | ((*next).prev & FLAGS);
                    append(link, permanent);
                } else {
                    open(link);
                    count += 1;
                }
                link = next;
            }
        }
        count
    }

    fn close(&self, set: &List, mut root: impl FnMut(Link)) {
        // SAFETY: each link's `prev` is rewritten to a proper one as the walk
        // passes it; `root` follows no links of the list, it only flips flags.
        unsafe {
            let mut prev = set.head();
            let mut link = (*prev).next as Link;
            while link != set.head() {
                let word = (*link).prev;
                let finalized = word & FINALIZED;
                if word & CANDIDATE == 0 {
                    (*link).prev = prev as usize | finalized;
                } else if (word & !AHEAD) >> COUNT_SHIFT != 0 {
                    (*link).prev = prev as usize | finalized;
                    root(link);
                } else {
                    (*link).prev = prev as usize | finalized | CANDIDATE;
                }
                prev = link;
                link = (*link).next as Link;
            }
            (*set.head()).prev = prev as usize;
        }
    }

    fn partition(&self, set: &List, candidates: bool, onto: &List) -> usize {
        let mut moved = 0;
        let mut surveyor = Surveyor::new();
        // SAFETY: both are proper lists, and each link is put behind the last one of
        // the list that it stays on or goes to.
        unsafe {
            let (mut kept, mut taken) = (set.head(), (*onto.head()).prev as Link);
            let mut link = (*kept).next as Link;
            while link != set.head() {
                let next = (*link).next as Link;
                let word = (*link).prev;
                let last = if (word & CANDIDATE != 0) == candidates {
                    surveyor.look(link);
                    moved += 1;
                    &mut taken
                } else {
                    &mut kept
                };
                (**last).next = link as usize;
                (*link).prev = *last as usize | (word & FLAGS);
                *last = link;
                link = next;
            }
            for (last, head) in [(kept, set.head()), (taken, onto.head())] {
                (*last).next = head as usize;
                (*head).prev = last as usize;
            }
        }
        self.surveyed.set(Some(surveyor.survey));
        moved
    }

    #[inline]
    fn is_candidate(&self, link: Link) -> bool {
        // SAFETY: the collector passes members of its sets.
        unsafe { (*link).prev & CANDIDATE != 0 }
    }

    #[inline]
    fn revive(&self, link: Link) {
        // SAFETY: as above.
        unsafe { (*link).prev &= !CANDIDATE }
    }

    #[inline]
    fn reach(&self, link: Link) -> bool {
        // SAFETY: as above. What lies ahead is given a count instead, with
        // which the walk will take it for a root.
        unsafe {
            if (*link).prev & AHEAD != 0 {
                (*link).prev |= COUNT_ONE;
                return false;
            }
        }
        self.revive(link);
        true
    }

    #[inline]
    fn decrement(&self, link: Link) {
        // SAFETY: as above. A foreign `tp_traverse` that reports more
        // references than there are makes the count wrap to a huge one: the
        // object is then kept alive, as stock keeps it.
        unsafe {
            debug_assert!(
                ((*link).prev & !AHEAD) >> COUNT_SHIFT != 0,
                "more references than counted"
            );
            (*link).prev = (*link).prev.wrapping_sub(COUNT_ONE);
        }
    }

    #[inline]
    fn visit_candidates(&self, link: Link, mut visit: impl FnMut(Link)) {
        // SAFETY: a candidate's object is alive, and nothing foreign runs.
        unsafe {
            self.referents.each(object_of(link), |object| {
                if !self.is_leaf(object) && has_link(object) {
                    let link = link_of(object);
                    if (*link).prev & CANDIDATE != 0 {
                        visit(link);
                    }
                }
            });
        }
    }

    fn is_uncollectable(&self, link: Link) -> bool {
        // SAFETY: a live object has a live type.
        unsafe { (*Py_TYPE(object_of(link))).tp_del.is_some() }
    }

    fn clear_weak_references(&self, unreachable: &List, old: &List) -> WeakOutcome {
        let pending = self.empty();
        self.each(unreachable, |link| {
            // SAFETY: nothing foreign runs in this walk: clearing a weak
            // reference without calling its callback only unlinks it from its
            // referent's list.
            unsafe { weak::clear_all(object_of(link), &pending, self) }
        });

        let mut outcome = WeakOutcome::default();
        while let Some(link) = self.first(&pending) {
            // SAFETY: `clear_all` took a reference on each member, so it is
            // alive until given back here; the callback may release the GIL, so
            // nothing but the list's first member is looked at afterwards.
            unsafe {
                outcome.ran_foreign_code = true;
                let reference = object_of(link);
                let callback = weak::callback(reference);
                let result = PyObject_CallOneArg(callback, reference);
                if result.is_null() {
                    PyErr_WriteUnraisable(callback);
                } else {
                    Py_DECREF(result);
                }
                Py_DECREF(reference);
            }
            if self.first(&pending) == Some(link) {
                self.transfer(link, old);
            } else {
                outcome.freed += 1;
            }
        }
        outcome
    }

    fn survey(&self, unreachable: &List) -> Survey {
        self.surveyed.take().unwrap_or_else(|| {
            let mut surveyor = Surveyor::new();
            // SAFETY: members of a set are links of live objects.
            self.each(unreachable, |link| unsafe { surveyor.look(link) });
            surveyor.survey
        })
    }

    fn finalize(&self, link: Link) -> bool {
        // SAFETY: `link` is a tracked, live object; the reference held around
        // the call keeps it so for the call's duration.
        unsafe {
            if (*link).prev & FINALIZED != 0 {
                return false;
            }
            let object = object_of(link);
            let Some(finalize) = (*Py_TYPE(object)).tp_finalize else {
                return false;
            };
            (*link).prev |= FINALIZED;
            Py_INCREF(object);
            finalize(object);
            debug_assert!(PyErr_Occurred().is_null());
            Py_DECREF(object);
            true
        }
    }

    fn condemned(&self, garbage: &List) {
        if self.debug() & DEBUG_SAVEALL == 0 {
            // SAFETY: the garbage is a proper list, and nothing has been cleared.
            unsafe { self.freed.condemn(garbage) };
        }
    }

    fn clear(&self, link: Link) {
        if self.debug() & DEBUG_SAVEALL != 0 {
            // SAFETY: `link` is a tracked, live object.
            unsafe {
                if PyList_Append((*self.state).garbage, object_of(link)) < 0 {
                    PyErr_Clear();
                }
            }
            return;
        }
        self.take_apart(link);
    }

    fn settle(&self, survivors: &List, generation: usize) -> usize {
        let mut untracked = 0;
        // SAFETY: untracking unlinks the visited object, whose successor the
        // walk has read already; nothing foreign runs.
        self.each(survivors, |link| unsafe {
            let object = object_of(link);
            if PyTuple_CheckExact(object) != 0 && untrack::tuple(object) {
                untracked += 1;
            }
        });
        if generation == OLDEST {
            // After the tuples, so that a dict of tuples goes in the same collection.
            // SAFETY: as above.
            self.each(survivors, |link| unsafe {
                let object = object_of(link);
                if PyDict_CheckExact(object) != 0 && untrack::dict(object) {
                    untracked += 1;
                }
            });
        }
        untracked
    }

    fn found(&self, unreachable: &List) -> bool {
        let print_all = self.debug() & DEBUG_COLLECTABLE != 0;
        if print_all {
            self.print(c"collectable".as_ptr(), unreachable);
        }
        census::count(|add| self.each(unreachable, |link| add(object_of(link))));
        let is_kept = self.debug() & DEBUG_SAVEALL != 0;
        doctor::found(
            |add| self.each(unreachable, |link| add(object_of(link))),
            is_kept,
        );
        print_all
    }

    fn abandoned(&self, uncollectable: &List) {
        let debug = self.debug();
        if debug & DEBUG_UNCOLLECTABLE != 0 {
            self.print(c"uncollectable".as_ptr(), uncollectable);
        }
        doctor::found(
            |add| self.each(uncollectable, |link| add(object_of(link))),
            true,
        );
        let mut failed = false;
        self.each(uncollectable, |link| {
            if !failed && (debug & DEBUG_SAVEALL != 0 || self.is_uncollectable(link)) {
                // SAFETY: the garbage list and the object are alive; appending
                // runs no foreign code.
                unsafe {
                    if PyList_Append((*self.state).garbage, object_of(link)) < 0 {
                        PyErr_Clear();
                        failed = true;
                    }
                }
            }
        });
    }
}

fn print(what: *const std::ffi::c_char, link: Link) {
    // SAFETY: the format's three arguments are a C string, a C string and a
    // pointer; the object is alive.
    unsafe {
        let object = object_of(link);
        PySys_FormatStderr(
            c"gc: %s <%s %p>\n".as_ptr(),
            what,
            (*Py_TYPE(object)).tp_name,
            object,
        );
    }
}
