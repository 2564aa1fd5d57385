//! Trial deletion alone: small graphs, the mark stack, and the amount of work.

use proptest::prelude::*;
use wrasse_collector::{MarkStack, Model, detect};

use crate::mock::{Heap, Object};

fn detected(heap: &Heap) -> Vec<Object> {
    let unreachable = heap.empty();
    let set = &heap.generations[0];
    let verdict = detect(heap, set, &unreachable, &mut MarkStack::default());
    let found = heap.members(&unreachable);
    assert_eq!(verdict.unreachable, found.len());
    assert_eq!(verdict.candidates, found.len() + heap.members(set).len());
    assert!(found.iter().all(|&object| heap.is_candidate(object)));
    assert!(
        !heap
            .members(set)
            .iter()
            .any(|&object| heap.is_candidate(object))
    );
    found
}

#[test]
fn nothing_in_an_empty_set() {
    assert_eq!(detected(&Heap::new()), vec![]);
}

#[test]
fn an_object_that_refers_to_itself() {
    let heap = Heap::new();
    let [held, forgotten] = heap.allocate_many();
    heap.ring(&[held]);
    heap.ring(&[forgotten]);
    heap.unroot(forgotten);
    assert_eq!(detected(&heap), vec![forgotten]);
}

#[test]
fn several_references_between_the_same_two_objects() {
    let heap = Heap::new();
    let [a, b] = heap.allocate_many();
    for _ in 0..3 {
        heap.ring(&[a, b]);
    }
    heap.unroot(a);
    assert_eq!(detected(&heap), vec![]);
    heap.unroot(b);
    assert_eq!(detected(&heap), vec![a, b]);
}

#[test]
fn what_is_kept_by_a_later_object_is_revived() {
    let heap = Heap::new();
    let objects: [Object; 6] = heap.allocate_many();
    for pair in objects.windows(2) {
        heap.link(pair[1], pair[0]);
    }
    heap.ring(&[objects[0]]);
    heap.unroot_all(&objects[..5]);
    assert_eq!(detected(&heap), vec![]);
}

#[test]
fn garbage_that_refers_to_living_objects_does_not_free_them() {
    let heap = Heap::new();
    let [a, b, living] = heap.allocate_many();
    heap.ring(&[a, b]);
    heap.link(a, living);
    heap.unroot_all(&[a, b]);
    assert_eq!(detected(&heap), vec![a, b]);
}

#[test]
fn an_untracked_object_keeps_what_it_holds() {
    let heap = Heap::new();
    let [hidden, a] = heap.allocate_many();
    heap.ring(&[hidden, a]);
    heap.unroot(a);
    heap.untrack(hidden);
    heap.unroot(hidden);
    assert_eq!(
        detected(&heap),
        vec![],
        "a reference nobody reports is one from outside"
    );
}

#[test]
fn an_immortal_object_is_not_a_candidate() {
    let heap = Heap::new();
    let [immortal, a] = heap.allocate_many();
    heap.set_immortal(immortal);
    heap.link(immortal, a);
    heap.unroot(a);
    assert_eq!(detected(&heap), vec![]);
    assert_eq!(heap.members(&heap.permanent), vec![immortal]);
}

/// A ladder whose every rung is found from below and from above.
fn ladder(length: usize, limit: usize) -> (Heap, usize) {
    let heap = Heap::with_stack_limit(limit);
    let objects: Vec<Object> = (0..length).map(|_| heap.allocate()).collect();
    let mut references = 0;
    for step in 1..4 {
        for index in step..length {
            heap.link(objects[index], objects[index - step]);
            heap.link(objects[index - step], objects[index]);
            references += 2;
        }
    }
    heap.unroot_all(&objects[1..]);
    (heap, references)
}

#[test]
fn work_is_linear_in_objects_and_references() {
    for length in [10, 100, 1000] {
        let (heap, references) = ladder(length, usize::MAX);
        heap.collect(2);
        // Opened, subtracted, closed; each reference seen in two of the walks.
        assert!(
            heap.steps.get() <= 4 * length + 2 * references,
            "{}",
            heap.steps.get()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ladder_survives_on_any_stack(length in 2..60_usize, limit in 0..60_usize) {
        let (heap, _) = ladder(length, limit);
        let outcome = heap.collect(2).unwrap();
        heap.check();
        prop_assert_eq!((outcome.survivors, outcome.collected), (length, 0));
        heap.unroot(0);
        prop_assert_eq!(heap.collect(2).unwrap().collected, length);
        heap.check();
    }
}
