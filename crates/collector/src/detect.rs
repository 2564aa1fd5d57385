//! Trial deletion: which objects of a set only the set itself keeps alive.
//!
//! Four walks, none of which moves a survivor:
//!
//! 1. **open**: each object becomes a candidate, scratch count := reference count.
//! 2. **subtract**: each reference from a candidate to a candidate takes one from
//!    the target's scratch count. What is left counts references from outside.
//! 3. **close**: in order, each candidate with something left is revived, and
//!    with it, depth first, every candidate it reaches. A host that can tell
//!    objects the walk has yet to come to may leave those to the walk: most
//!    references lead to younger objects, further on, and cost no stack then.
//!    When the walk ends, a candidate is an object that nothing outside reaches.
//! 4. **partition**, only if there are any: the remaining candidates leave the set.
//!
//! This is the algorithm of CPython's `deduce_unreachable` (Neil Schemenauer,
//! 2000) with its relinking walk replaced by a mark stack: survivors keep their
//! places, so a list that was in allocation order stays in allocation order and
//! the next walk over it is sequential in memory.

use crate::model::Model;

/// The work list of the marking step, kept between collections for its memory.
///
/// It holds at most one entry an object. If it cannot grow, marking falls back
/// to repeated walks over the set, which need no memory: slower, never wrong.
#[derive(Debug)]
pub struct MarkStack<O> {
    objects: Vec<O>,
    overflowed: bool,
    limit: usize,
}

/// A stack longer than this is given back after the collection that needed it.
const KEPT_ENTRIES: usize = 64 * 1024;

impl<O> Default for MarkStack<O> {
    fn default() -> Self {
        Self::with_limit(usize::MAX)
    }
}

impl<O> MarkStack<O> {
    /// A stack that never holds more than `limit` objects; for tests and for
    /// hosts that must bound the collector's own memory.
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            objects: Vec::new(),
            overflowed: false,
            limit,
        }
    }

    /// Puts an object on the stack, or notes that there was no room for it.
    #[inline]
    pub fn push(&mut self, object: O) {
        let full = self.objects.len() == self.objects.capacity();
        if self.objects.len() >= self.limit || (full && self.objects.try_reserve(1).is_err()) {
            self.overflowed = true;
            return;
        }
        self.objects.push(object);
    }

    /// Takes the last object off the stack.
    #[inline]
    pub fn pop(&mut self) -> Option<O> {
        self.objects.pop()
    }

    fn rest(&mut self) {
        debug_assert!(self.objects.is_empty());
        if self.objects.capacity() > KEPT_ENTRIES {
            self.objects = Vec::new();
        }
    }
}

/// What [`detect`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Objects that were looked at.
    pub candidates: usize,
    /// Objects that nothing outside the set reaches.
    pub unreachable: usize,
}

/// Moves the objects of `set` that nothing outside `set` keeps alive onto
/// `unreachable`, where they stay candidates. Runs no foreign code.
///
/// Time is linear in objects and references.
pub fn detect<M: Model>(
    host: &M,
    set: &M::Set,
    unreachable: &M::Set,
    stack: &mut MarkStack<M::Object>,
) -> Verdict {
    let candidates = host.open(set);
    host.each(set, |object| host.subtract(object));

    let mut revived = 0;
    host.close(set, |root| {
        revived += 1;
        stack.push(root);
        revived += host.mark(stack);
    });
    if std::mem::take(&mut stack.overflowed) {
        revived += drain_by_walking(host, set);
    }
    stack.rest();
    debug_assert!(revived <= candidates);

    let found = candidates - revived;
    if found != 0 {
        let moved = host.partition(set, true, unreachable);
        debug_assert_eq!(moved, found, "an object was revived twice or not counted");
    }
    Verdict {
        candidates,
        unreachable: found,
    }
}

/// Revives what the revived objects of `set` reach, without a stack: walks the
/// set until a walk changes nothing.
#[cold]
fn drain_by_walking<M: Model>(host: &M, set: &M::Set) -> usize {
    let mut total = 0;
    loop {
        let mut revived = 0;
        host.each(set, |object| {
            if !host.is_candidate(object) {
                host.visit_candidates(object, |target| {
                    host.revive(target);
                    revived += 1;
                });
            }
        });
        if revived == 0 {
            return total;
        }
        total += revived;
    }
}

impl<O> MarkStack<O> {
    /// Revives everything in `unreachable` that the objects chosen by `is_root`
    /// reach, the chosen ones included; returns how many.
    pub(crate) fn revive_from<M: Model<Object = O>>(
        &mut self,
        host: &M,
        unreachable: &M::Set,
        is_root: impl Fn(O) -> bool,
    ) -> usize
    where
        O: Copy + Eq,
    {
        let mut revived = 0;
        host.each(unreachable, |object| {
            if is_root(object) && host.is_candidate(object) {
                host.revive(object);
                revived += 1;
                self.push(object);
                revived += host.mark(self);
            }
        });
        if std::mem::take(&mut self.overflowed) {
            revived += drain_by_walking(host, unreachable);
        }
        self.rest();
        revived
    }
}
