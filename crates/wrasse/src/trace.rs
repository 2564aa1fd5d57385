//! [`Trace`]: how the collector learns what a value refers to.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::header::{CANDIDATE, Object};
use crate::weak::WeakCell;

/// A type whose values can be put into a [`Gc`](crate::Gc).
///
/// Derive it. The derive macro reports every field, and sees to it that the
/// type has no `Drop` of its own: when a cycle is freed, its values are dropped
/// one after the other, and code in `Drop` could look at a neighbour that is
/// gone already. What should happen at an object's end goes into
/// [`Finalize`](crate::Finalize), which runs while everything is still whole.
///
/// # Safety
/// An implementation by hand promises that
/// * `trace` reports each `Gc` that the value owns at most once, and none that
///   it does not own: a `Gc` behind an `Rc` or a `&'static` is not owned. Not
///   reporting one is safe, it only keeps its object alive;
/// * `trace` reports the same `Gc`s each time until the value is changed, does
///   not change it, and neither creates, clones nor drops a `Gc`;
/// * no code that runs when the value is dropped dereferences or clones a `Gc`
///   that `trace` reports. If the type or a type inside it implements `Drop`,
///   that is on the implementor;
/// * [`can_refer`](Trace::can_refer) returns false only if `trace` never reports
///   anything.
///
/// The supertrait `'static` is needed since garbage may be dropped long after
/// the scope in which it was made.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be put into a `Gc`: it does not implement `Trace`",
    label = "`Trace` is missing",
    note = "derive it with `#[derive(Trace)]`, or leave the field out with `#[trace(skip)]` \
            if it never owns a `Gc` (one that it does own would then keep its object alive)"
)]
pub unsafe trait Trace: 'static {
    /// Passes `tracer` to each field that may own a `Gc`.
    fn trace(&self, tracer: &mut Tracer<'_>);

    /// Calls `visit` for each field with its name. Reports of what keeps what
    /// alive use the names; nothing else depends on them.
    fn fields(&self, visit: &mut dyn FnMut(&'static str, &dyn Trace)) {
        let _ = visit;
    }

    /// Whether a value of this type can own a `Gc` at all. The collector does
    /// not look at objects that cannot.
    #[inline]
    fn can_refer() -> bool
    where
        Self: Sized,
    {
        true
    }

    /// The type's finalizer; `#[trace(finalize)]` makes it [`Finalize::finalize`].
    ///
    /// [`Finalize::finalize`]: crate::Finalize::finalize
    #[inline]
    fn finalizer() -> Option<fn(&Self)>
    where
        Self: Sized,
    {
        None
    }
}

/// Takes the reports of [`Trace::trace`].
pub struct Tracer<'a> {
    mode: Mode<'a>,
}

enum Mode<'a> {
    /// Take one from the scratch count of each candidate.
    Subtract(&'a Ring),
    /// Revive each candidate and put it on the mark stack.
    Mark(&'a Ring, &'a mut dyn FnMut(Object)),
    /// Pass on the candidates.
    Candidates(&'a mut dyn FnMut(Object)),
    /// Pass on everything.
    All(&'a mut dyn FnMut(Object)),
    /// Pass on weak references that have a callback.
    Watches(&'a mut dyn FnMut(NonNull<WeakCell>, u64)),
}

impl std::fmt::Debug for Tracer<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tracer").finish_non_exhaustive()
    }
}

impl<'a> Tracer<'a> {
    pub(crate) fn subtract(ring: &'a Ring) -> Self {
        Self {
            mode: Mode::Subtract(ring),
        }
    }

    pub(crate) fn mark(ring: &'a Ring, visit: &'a mut dyn FnMut(Object)) -> Self {
        Self {
            mode: Mode::Mark(ring, visit),
        }
    }

    pub(crate) fn candidates(visit: &'a mut dyn FnMut(Object)) -> Self {
        Self {
            mode: Mode::Candidates(visit),
        }
    }

    pub(crate) fn all(visit: &'a mut dyn FnMut(Object)) -> Self {
        Self {
            mode: Mode::All(visit),
        }
    }

    pub(crate) fn watches(visit: &'a mut dyn FnMut(NonNull<WeakCell>, u64)) -> Self {
        Self {
            mode: Mode::Watches(visit),
        }
    }

    /// Reports one reference.
    #[inline]
    pub(crate) fn edge(&mut self, object: Object) {
        match &mut self.mode {
            Mode::Subtract(ring) => {
                if let Some(due) = ring.exchange(object) {
                    subtract_from(due);
                }
            }
            Mode::Mark(ring, visit) => {
                if let Some(due) = ring.exchange(object)
                    && is_candidate(due)
                {
                    visit(due);
                }
            }
            Mode::Candidates(visit) => {
                if is_candidate(object) {
                    visit(object);
                }
            }
            Mode::All(visit) => visit(object),
            Mode::Watches(_) => {}
        }
    }

    /// Reports one weak reference with a callback.
    pub(crate) fn watch(&mut self, cell: NonNull<WeakCell>, id: u64) {
        if let Mode::Watches(visit) = &mut self.mode {
            visit(cell, id);
        }
    }
}

/// Whether `object`, which somebody refers to, is a candidate.
#[inline]
pub(crate) fn is_candidate(object: Object) -> bool {
    // SAFETY: a reference keeps its object's block, and nothing is freed while
    // objects are traced.
    unsafe { object.as_ref().has(CANDIDATE) }
}

/// Takes one from the scratch count of `object` if it is a candidate.
#[inline]
pub(crate) fn subtract_from(object: Object) {
    if is_candidate(object) {
        // SAFETY: as in `is_candidate`.
        unsafe { object.as_ref().subtract() }
    }
}

/// Objects whose headers are on their way from memory.
///
/// Most of the time of a collection on a big heap is spent waiting for the
/// headers of objects that are referred to. So a header is asked for when the
/// reference is seen, and looked at when [`AHEAD`] others have been asked for.
#[derive(Default)]
pub(crate) struct Ring {
    slots: [Cell<Option<Object>>; AHEAD],
    /// Objects put in and taken out since the beginning.
    put: Cell<usize>,
    taken: Cell<usize>,
}

/// How far ahead headers are asked for.
const AHEAD: usize = 16;

impl Ring {
    /// Puts `object` in; takes one out if the ring was full.
    #[inline]
    fn exchange(&self, object: Object) -> Option<Object> {
        prefetch(object);
        let put = self.put.get();
        let due = self.slots[put % AHEAD].replace(Some(object));
        self.put.set(put.wrapping_add(1));
        if due.is_some() {
            self.taken.set(self.taken.get().wrapping_add(1));
        }
        due
    }

    /// Takes all objects out.
    #[inline]
    pub fn empty(&self, mut take: impl FnMut(Object)) {
        while self.taken.get() != self.put.get() {
            let taken = self.taken.get();
            self.taken.set(taken.wrapping_add(1));
            if let Some(due) = self.slots[taken % AHEAD].take() {
                take(due);
            }
        }
    }
}

#[inline]
fn prefetch(object: Object) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch has no effect but on time.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(object.as_ptr().cast_const().cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = object;
}
