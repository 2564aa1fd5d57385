//! What a host must be able to do: one trait over foreign object headers.
//!
//! # Words
//! A *set* is a sequence of tracked objects that the host threads through its
//! own headers or tables (CPython: a doubly linked list; a pool allocator:
//! bitmaps). The host removes an object from whatever set holds it when the
//! object dies, so a set never names a dead object, even while finalizers run.
//!
//! An object is a *candidate* while it is being tried for liveness. Its
//! *scratch count* starts as its reference count and loses one for each
//! reference that comes from another candidate; what is left are references
//! from outside.

use crate::detect::MarkStack;

/// A host's object headers, its sets, and what it can do to an object.
///
/// All methods take `&self`: finalizers and callbacks re-enter the host, so no
/// exclusive borrow of it could be honest.
///
/// # Safety
/// The collector frees what this trait tells it is unreachable. An implementor
/// promises that
/// * the reference count of every object of an opened set counts at least the
///   references that [`visit_candidates`](Model::visit_candidates) reports to it;
/// * a set reports exactly the live objects put into it, each once, in order;
/// * nothing but the methods documented to run foreign code runs foreign code.
pub unsafe trait Model {
    /// An object's address or index; never null, freely copied.
    type Object: Copy + Eq;
    /// A sequence of objects, see the module's words.
    type Set;

    /// A set with nothing in it.
    fn empty(&self) -> Self::Set;
    /// The first object of `set`.
    fn first(&self, set: &Self::Set) -> Option<Self::Object>;
    /// Calls `visit` for each object of `set`, which must not change meanwhile.
    fn each(&self, set: &Self::Set, visit: impl FnMut(Self::Object));
    /// Takes `object` out of the set that holds it and puts it at the end of `set`.
    fn transfer(&self, object: Self::Object, set: &Self::Set);
    /// Empties `from` onto the end of `onto`. Constant time for a linked list.
    fn merge(&self, from: &Self::Set, onto: &Self::Set);

    /// Makes every object of `set` a candidate with its reference count as its
    /// scratch count, and returns how many there are.
    ///
    /// The host may use its links as scratch space from here to
    /// [`close`](Model::close): between the two only [`each`](Model::each) is
    /// called on the set. Objects that can never die (immortal ones) may be
    /// moved elsewhere instead of being counted.
    fn open(&self, set: &Self::Set) -> usize;
    /// Walks an opened set in order and leaves it a proper set again. Each
    /// object that is still a candidate and has a scratch count above zero is
    /// revived and handed to `root`; `root` may revive others, before or behind.
    fn close(&self, set: &Self::Set, root: impl FnMut(Self::Object));
    /// Moves the candidates of `set` (or, if `candidates` is false, everything
    /// else) to the end of `onto`, keeping their order; returns how many.
    fn partition(&self, set: &Self::Set, candidates: bool, onto: &Self::Set) -> usize;

    /// Whether `object` is a candidate.
    fn is_candidate(&self, object: Self::Object) -> bool;
    /// Ends `object`'s candidacy: something outside keeps it alive.
    fn revive(&self, object: Self::Object);
    /// During [`close`](Model::close), something alive refers to the candidate
    /// `object`. Revives it and returns true, or, if the walk has yet to come to
    /// it, may see to it that the walk takes it for a root, and return false:
    /// then nothing needs to be remembered for it.
    #[inline]
    fn reach(&self, object: Self::Object) -> bool {
        self.revive(object);
        true
    }
    /// Takes one from a candidate's scratch count.
    fn decrement(&self, object: Self::Object);
    /// Calls `visit` once for each reference that `object` holds to a candidate.
    ///
    /// Whether the target is one is looked up right before each call, not
    /// earlier: `visit` may revive, and then a second reference to the same
    /// target is not reported.
    fn visit_candidates(&self, object: Self::Object, visit: impl FnMut(Self::Object));

    /// Takes from the scratch count of each candidate the references that
    /// `object`, an object of an opened set, holds to it. Hosts that can do so
    /// faster than through a visitor override it.
    #[inline]
    fn subtract(&self, object: Self::Object) {
        self.visit_candidates(object, |target| self.decrement(target));
    }

    /// Revives everything that the objects on `stack` reach, and leaves the
    /// stack empty; returns how many were revived. Hosts that can hide the
    /// latency of memory override it.
    #[inline]
    fn mark(&self, stack: &mut MarkStack<Self::Object>) -> usize {
        let mut revived = 0;
        while let Some(object) = stack.pop() {
            self.visit_candidates(object, |target| {
                if self.reach(target) {
                    revived += 1;
                    stack.push(target);
                }
            });
        }
        revived
    }

    /// Whether the object's type has a finalizer of the kind that cannot be
    /// called on a cycle (CPython: `tp_del`). Such objects, and what they
    /// reach, are never freed: they are *uncollectable*.
    fn is_uncollectable(&self, object: Self::Object) -> bool;
    /// Clears every weak reference to the objects of `unreachable`, then runs
    /// the callbacks of those weak references that are not unreachable
    /// themselves. What outlives its callback and must be kept goes to `old`.
    /// Runs foreign code.
    fn clear_weak_references(&self, unreachable: &Self::Set, old: &Self::Set) -> WeakOutcome;
    /// What the phases to come have to do for the objects of `unreachable`: one
    /// walk that may save several. Runs no foreign code.
    fn survey(&self, _unreachable: &Self::Set) -> Survey {
        Survey {
            uncollectable: true,
            weak: true,
            finalizers: true,
        }
    }
    /// Runs `object`'s finalizer if it has one that has not run yet, and says
    /// whether it did. Runs foreign code; `object` may be gone afterwards.
    fn finalize(&self, object: Self::Object) -> bool;
    /// Told the objects that are about to be cleared, when it is certain that
    /// nothing reaches them: the last chance to clear weak references that
    /// finalizers made. Runs no foreign code.
    fn condemned(&self, _garbage: &Self::Set) {}
    /// Makes `object` drop the references it holds, or keeps it for inspection
    /// if the host was asked to. Runs foreign code; `object` may be gone afterwards.
    fn clear(&self, object: Self::Object);
    /// Clears all of `garbage`; what survives its own clearing goes to `old`.
    /// Runs foreign code. Each time only the first object is looked at, since
    /// clearing one may free others.
    fn clear_all(&self, garbage: &Self::Set, old: &Self::Set) {
        while let Some(object) = self.first(garbage) {
            self.clear(object);
            if self.first(garbage) == Some(object) {
                self.revive(object);
                self.transfer(object, old);
            }
        }
    }
    /// Called for the survivors of generation `generation` when detection is
    /// done and before anything foreign runs, with all unreachable objects
    /// already taken out: the place to stop tracking what cannot be part of a
    /// cycle. Returns how many objects it took out of the set.
    fn settle(&self, survivors: &Self::Set, generation: usize) -> usize;
    /// Told the objects that are about to be finalized and cleared. Says
    /// whether it ran foreign code (a host that prints through the program's
    /// own output did): weak references still lead to these objects here, so
    /// such code may bring them back.
    fn found(&self, unreachable: &Self::Set) -> bool;
    /// Told the uncollectable objects, after everything else was cleared, on
    /// their way into the old generation.
    fn abandoned(&self, uncollectable: &Self::Set);
}

/// What there may be among unreachable objects; see [`Model::survey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Objects that cannot be freed.
    pub uncollectable: bool,
    /// Weak references, or objects that some refer to.
    pub weak: bool,
    /// Finalizers that have not run.
    pub finalizers: bool,
}

/// What [`Model::clear_weak_references`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeakOutcome {
    /// Weak references that died with their callback; they count as collected.
    pub freed: usize,
    /// Whether foreign code ran, so that reference counts may have changed.
    pub ran_foreign_code: bool,
}
