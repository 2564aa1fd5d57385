//! What must hold for any heap. Property tests and the fuzzer make the heaps.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::graphs::{Plan, build};
use crate::mock::{Event, Heap, Object};

fn sorted(mut objects: Vec<Object>) -> Vec<Object> {
    objects.sort_unstable();
    objects
}

fn without(objects: &[Object], gone: &[Object]) -> Vec<Object> {
    let mut kept = objects.to_vec();
    kept.retain(|object| !gone.contains(object));
    kept
}

fn freed(heap: &Heap) -> Vec<Object> {
    let log = heap.log().into_iter();
    sorted(
        log.filter_map(|event| match event {
            Event::Freed(object) => Some(object),
            _ => None,
        })
        .collect(),
    )
}

/// Without foreign code: exactly what the search finds is freed, whatever
/// the mark stack's limit, and everyone else stays where it was.
pub fn frees_what_a_search_finds(
    plans: &[Plan],
    limit: usize,
    generation: usize,
) -> TestCaseResult {
    let heap = build(plans, limit);
    heap.check();
    let expected = heap.oracle(generation);
    let forgotten = heap.forgotten();
    let freed_before = freed(&heap);
    let merged = std::iter::once(generation).chain(0..generation);
    let young: Vec<Object> = merged
        .flat_map(|index| heap.members(&heap.generations[index]))
        .collect();
    let old = if generation == 2 {
        vec![]
    } else {
        heap.members(&heap.generations[generation + 1])
    };

    let outcome = heap.collect(generation).unwrap();
    heap.check();
    prop_assert_eq!(&sorted(heap.found.borrow().clone()), &expected);
    let gone = without(&freed(&heap), &freed_before);
    prop_assert!(expected.iter().all(|object| gone.contains(object)));
    // Others may go with the last reference to them.
    prop_assert!(gone.iter().all(|object| forgotten.contains(object)));
    prop_assert_eq!(outcome.collected, expected.len());
    prop_assert_eq!((outcome.uncollectable, outcome.finalized), (0, 0));
    let immortal = heap.members(&heap.permanent);
    prop_assert_eq!(outcome.candidates, young.len() - immortal.len());

    // The survivors, in their order, behind the objects of the next generation.
    let survivors = without(&without(&young, &expected), &immortal);
    prop_assert_eq!(
        &heap.settled.borrow()[..],
        &[(generation, survivors.clone())][..]
    );
    let staying = without(
        &survivors,
        &(0..heap.allocated())
            .filter(|&object| heap.is_atomic(object))
            .collect::<Vec<_>>(),
    );
    prop_assert_eq!(outcome.survivors, staying.len());
    let mut expected_after = [old, survivors].concat();
    expected_after.retain(|&object| heap.tracked(object));
    let after = heap.members(&heap.generations[(generation + 1).min(2)]);
    prop_assert_eq!(after, expected_after);

    // Nothing is found twice; what was held by untracked garbage is found now.
    let expected = heap.oracle(generation);
    let again = heap.collect(generation).unwrap();
    prop_assert_eq!(again.collected, expected.len());
    Ok(())
}

/// The limit of the mark stack changes neither the answer nor the order.
pub fn a_full_mark_stack_changes_nothing(
    plans: &[Plan],
    limit: usize,
    generation: usize,
) -> TestCaseResult {
    let heaps = [
        build(plans, usize::MAX),
        build(plans, limit),
        build(plans, 0),
    ];
    let outcomes = heaps.each_ref().map(|heap| heap.collect(generation));
    prop_assert_eq!(outcomes[0], outcomes[1]);
    prop_assert_eq!(outcomes[0], outcomes[2]);
    for heap in &heaps {
        heap.check();
        prop_assert_eq!(heap.log(), heaps[0].log());
        for set in 0..3 {
            prop_assert_eq!(
                heap.members(&heap.generations[set]),
                heaps[0].members(&heaps[0].generations[set])
            );
        }
    }
    Ok(())
}

/// Uncollectable objects and all they reach stay; the rest goes.
pub fn keeps_what_uncollectable_objects_reach(plans: &[Plan], limit: usize) -> TestCaseResult {
    let heap = build(plans, limit);
    let unreachable = heap.oracle(2);
    let kept = heap.reached_from_uncollectable(&unreachable);
    let expected = without(&unreachable, &kept);
    let before = freed(&heap);
    let outcome = heap.collect(2).unwrap();
    heap.check();
    prop_assert_eq!(sorted(heap.found.borrow().clone()), expected.clone());
    prop_assert_eq!(sorted(heap.abandoned.borrow().clone()), kept.clone());
    prop_assert_eq!(without(&freed(&heap), &before), expected.clone());
    prop_assert_eq!(
        (outcome.collected, outcome.uncollectable),
        (expected.len(), kept.len())
    );
    for object in kept {
        prop_assert!(heap.tracked(object));
    }
    Ok(())
}

/// Foreign code that does anything at all: what is asked to let go when
/// clearing begins is what a search then finds, no more and no less.
pub fn clears_only_what_is_still_unreachable(
    plans: &[Plan],
    limit: usize,
    generation: usize,
    keep: bool,
) -> TestCaseResult {
    let heap = build(plans, limit);
    heap.check();
    heap.keep.set(keep);
    let begun = heap.log().len();
    heap.collect(generation).unwrap();
    heap.check();

    let set = heap.set_at_clearing.borrow().clone().unwrap_or_default();
    let garbage = heap
        .garbage_at_clearing
        .borrow()
        .clone()
        .unwrap_or_default();
    prop_assert_eq!(&*heap.condemned.borrow(), &set);
    prop_assert_eq!(sorted(set), garbage);

    let log = &heap.log()[begun..];
    let first = |wanted: fn(&Event) -> bool| log.iter().position(wanted).unwrap_or(log.len());
    let cleared = first(|event| matches!(event, Event::Cleared(_)));
    let found = heap.found.borrow();
    for (index, event) in log.iter().enumerate() {
        // A finalizer of the found set runs before anything is cleared,
        // and no finalizer runs twice.
        if let Event::Finalized(object) = event {
            prop_assert!(!found.contains(object) || index < cleared);
            prop_assert_eq!(log.iter().filter(|other| *other == event).count(), 1);
        }
    }
    Ok(())
}

/// Several collections, with foreign code each time: everything that
/// foreign code did not bring back is gone in the end.
pub fn ends_with_an_empty_heap(plans: &[Plan], limit: usize, order: &[usize]) -> TestCaseResult {
    let heap = build(plans, limit);
    for generation in order.iter().copied() {
        heap.collect(generation).unwrap();
        heap.check();
    }
    for _ in 0..heap.allocated() + 2 {
        heap.collect(2).unwrap();
        heap.check();
    }
    prop_assert_eq!(heap.oracle(2), vec![]);
    Ok(())
}
