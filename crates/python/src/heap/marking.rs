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
//! references lead to them, so nearly each step would wait for memory; what
//! `marker.rs` does about it is said there.

use pyo3_ffi::*;

use super::by_type::ByType;
use super::landmarks::Landmarks;
use super::marker::Marker;
use super::seen::{Seen, Sight};
use super::stretches::{Chain, MOST_STRETCHES, Stretch};
use super::{Heap, Traits, roots, untrack, weak};
use crate::list::{FINALIZED, FLAGS, Link, List, append, link_of, object_of, unlink};
use crate::small_objects;

/// Frozen objects above this number make marking cost more than it saves: stock
/// does not look at them at all.
const MOST_FROZEN: usize = 20_000;

/// What [`Heap::separate_alive`] found.
#[derive(Default)]
pub struct Alive {
    /// Objects that stay on the list because roots reach them.
    pub reached: usize,
    /// Objects that need no tracking any more.
    pub untracked: usize,
    /// What to look at before the next full collection, if that was asked for.
    pub landmarks: Option<Landmarks>,
}

impl Heap<'_> {
    /// Leaves on `set` what roots reach, in its order, and moves the rest to
    /// `rest`, which is empty before and can be collected only after. If marking
    /// cannot be done, or would not pay, the rest is everything. Runs no foreign code.
    /// If there are `expected` objects, about that many, landmarks are noted; `before`
    /// is what was noted the last time.
    ///
    /// Time is linear in the objects that are alive and their references, and in
    /// the rest.
    pub fn separate_alive(
        &self,
        set: &List,
        rest: &List,
        expected: Option<usize>,
        before: Option<&Landmarks>,
    ) -> Alive {
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
            let mut landmarks =
                expected.and_then(|expected| Landmarks::mark(self, &mut marker, expected, before));
            roots::each(|root| {
                marker.edge(root);
            });
            marker.run();

            let Marker {
                mut seen,
                tracked,
                sampler,
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
            if let Some(landmarks) = &mut landmarks {
                landmarks.note_neighbours(sampler.samples.len());
            }
            Alive {
                reached: reached - untracked,
                untracked,
                landmarks,
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
        let kinds: ByType<_> = ByType::new(Traits::default());
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
                        let traits = kinds.of(kind, || Traits::of(kind));
                        let is_final = traits.finalizer || traits.uncollectable;
                        let finalized = (*link).prev & FINALIZED != 0;
                        visible += usize::from(
                            is_final && !finalized || weak::has_callback(object, traits.weaklist),
                        );
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
