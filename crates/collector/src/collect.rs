//! One collection, from a merged young set to freed objects.
//!
//! # Invariants, phase by phase
//! *After detection* every object of `unreachable` is a candidate and nothing
//! outside reaches it; every survivor is not a candidate. Foreign code has not
//! run since the set was opened, so the counts still hold.
//!
//! *Weak references* are cleared before any callback or finalizer runs (only a
//! host's report of what was found comes earlier): afterwards no
//! callback and no finalizer can reach an unreachable object through a weak
//! reference, except one that it holds already.
//!
//! *Finalizers* run while no unreachable object has been cleared, so each sees
//! its neighbours whole. An object's finalizer runs at most once in its life.
//! A finalizer may free any object of the set, or keep any alive; therefore the
//! loop only ever looks at the first object left.
//!
//! *Resurrection*: if foreign code ran, the counts are stale, so the whole set
//! is tried again. What comes out reachable goes to the old generation with the
//! survivors, already finalized. If no foreign code ran, nothing can have
//! changed and the second trial is skipped.
//!
//! *Clearing* may free any number of objects for each one cleared, and runs
//! foreign code through destructors; again only the first object is looked at.
//! One that survives its own clearing goes to the old generation.

use crate::detect::{MarkStack, Verdict, detect};
use crate::model::{Model, WeakOutcome};

/// What one collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Objects that were looked at.
    pub candidates: usize,
    /// Objects that survived detection and are still tracked.
    pub survivors: usize,
    /// Unreachable objects that were cleared (or set aside for inspection).
    pub collected: usize,
    /// Unreachable objects that cannot be freed.
    pub uncollectable: usize,
    /// Finalizers that were run.
    pub finalized: usize,
    /// Bytes that were given back, if the host counts them: it fills this in.
    pub bytes: usize,
}

/// Collects the set `young`, the merged objects of `generation` and everything
/// younger; its survivors and leftovers end in `old`.
///
/// `old` may be the same set as `young` (the oldest generation).
/// `stack` is taken as a closure so that the caller need not keep it borrowed
/// while foreign code runs.
pub fn collect<M: Model>(
    host: &M,
    young: &M::Set,
    old: &M::Set,
    same: bool,
    generation: usize,
    stack: impl Fn(&mut dyn FnMut(&mut MarkStack<M::Object>)),
) -> Outcome {
    collect_and(host, young, old, same, generation, stack, |garbage, _| {
        host.clear_all(garbage, old);
    })
}

/// As [`collect`], but what is certain to be garbage is cleared by `clear`, which is
/// called once with the set at most. It may put all of it elsewhere to clear it later,
/// as long as nothing leads the program to it until then: nothing does by a reference,
/// but a finalizer may have made weak references. Whether anything foreign ran
/// meanwhile is passed with the set.
pub fn collect_and<M: Model>(
    host: &M,
    young: &M::Set,
    old: &M::Set,
    same: bool,
    generation: usize,
    stack: impl Fn(&mut dyn FnMut(&mut MarkStack<M::Object>)),
    clear: impl FnOnce(&M::Set, bool),
) -> Outcome {
    let unreachable = host.empty();
    let verdict = detect_with(host, young, &unreachable, &stack);
    let mut outcome = Outcome {
        candidates: verdict.candidates,
        survivors: verdict.candidates - verdict.unreachable,
        ..Outcome::default()
    };
    outcome.survivors -= host.settle(young, generation);
    if !same {
        host.merge(young, old);
    }
    if verdict.unreachable == 0 {
        return outcome;
    }

    let uncollectable = host.empty();
    let survey = host.survey(&unreachable);
    let mut separated = 0;
    if survey.uncollectable {
        separated = separate_uncollectable(host, &unreachable, &uncollectable, &stack);
    }
    let told = host.found(&unreachable);

    let mut weak = WeakOutcome::default();
    // What foreign code ran meanwhile may have made weak references and
    // finalizers that the survey did not see.
    if survey.weak || told {
        weak = host.clear_weak_references(&unreachable, old);
    }
    outcome.collected += weak.freed;
    if survey.finalizers || told || weak.ran_foreign_code {
        outcome.finalized = finalize_all(host, &unreachable);
    }

    let ran_foreign_code = told || weak.ran_foreign_code || outcome.finalized != 0;
    if ran_foreign_code {
        // The survivors of this second trial are the resurrected ones.
        let garbage = host.empty();
        host.each(&unreachable, |object| host.revive(object));
        outcome.collected += detect_with(host, &unreachable, &garbage, &stack).unreachable;
        host.merge(&unreachable, old);
        host.merge(&garbage, &unreachable);
    } else {
        outcome.collected += verdict.unreachable - separated;
    }
    host.condemned(&unreachable);
    clear(&unreachable, ran_foreign_code);

    host.each(&uncollectable, |_| outcome.uncollectable += 1);
    host.abandoned(&uncollectable);
    host.merge(&uncollectable, old);
    outcome
}

fn detect_with<M: Model>(
    host: &M,
    set: &M::Set,
    unreachable: &M::Set,
    stack: &impl Fn(&mut dyn FnMut(&mut MarkStack<M::Object>)),
) -> Verdict {
    let mut verdict = Verdict {
        candidates: 0,
        unreachable: 0,
    };
    stack(&mut |stack| verdict = detect(host, set, unreachable, stack));
    verdict
}

/// Takes the objects that cannot be freed, and all that they reach, out of
/// `unreachable`; returns how many.
fn separate_uncollectable<M: Model>(
    host: &M,
    unreachable: &M::Set,
    uncollectable: &M::Set,
    stack: &impl Fn(&mut dyn FnMut(&mut MarkStack<M::Object>)),
) -> usize {
    let mut any = false;
    host.each(unreachable, |object| any |= host.is_uncollectable(object));
    if !any {
        return 0;
    }
    stack(&mut |stack| {
        stack.revive_from(host, unreachable, |object| host.is_uncollectable(object));
    });
    host.partition(unreachable, false, uncollectable)
}

/// Runs each finalizer once; returns how many ran.
fn finalize_all<M: Model>(host: &M, unreachable: &M::Set) -> usize {
    let mut finalized = 0;
    let seen = host.empty();
    while let Some(object) = host.first(unreachable) {
        // Moved before the call: the finalizer may free it, and then the host
        // takes it out of `seen`.
        host.transfer(object, &seen);
        finalized += usize::from(host.finalize(object));
    }
    host.merge(&seen, unreachable);
    finalized
}
