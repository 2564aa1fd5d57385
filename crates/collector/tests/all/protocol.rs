//! The protocol around detection: weak references, finalizers, resurrection,
//! uncollectable objects, clearing.

use wrasse_collector::Outcome;

use crate::mock::{Action, Event, Heap, Object};

fn pair(heap: &Heap) -> [Object; 2] {
    let objects: [Object; 2] = heap.allocate_many();
    heap.ring(&objects);
    objects
}

#[test]
fn a_finalizer_sees_its_neighbours_whole_and_runs_once() {
    let heap = Heap::new();
    let objects = pair(&heap);
    for object in objects {
        heap.set_finalizer(object, vec![Action::Root(objects[0])]);
    }
    heap.unroot_all(&objects);
    let outcome = heap.collect(2).unwrap();
    assert_eq!(
        outcome,
        Outcome {
            candidates: 2,
            survivors: 0,
            collected: 0,
            uncollectable: 0,
            finalized: 2,
            bytes: 0
        }
    );
    heap.check();
    assert_eq!(
        heap.log(),
        [Event::Finalized(objects[0]), Event::Finalized(objects[1])]
    );
    assert_eq!(
        heap.members(&heap.generations[2]),
        objects,
        "resurrected, in the old generation"
    );

    heap.unroot(objects[0]);
    heap.unroot(objects[0]);
    let outcome = heap.collect(2).unwrap();
    assert_eq!(
        (outcome.collected, outcome.finalized),
        (2, 0),
        "freed without a second finalizer"
    );
}

#[test]
fn a_resurrected_object_does_not_save_others() {
    let heap = Heap::new();
    let [saved, other] = [pair(&heap), pair(&heap)];
    heap.set_finalizer(saved[0], vec![Action::Root(saved[0])]);
    heap.unroot_all(&saved);
    heap.unroot_all(&other);
    let outcome = heap.collect(0).unwrap();
    assert_eq!((outcome.collected, outcome.finalized), (2, 1));
    assert!(saved.iter().all(|&object| heap.tracked(object)));
    assert!(!other.iter().any(|&object| heap.lives(object)));
    assert_eq!(heap.members(&heap.generations[1]), saved);
    heap.check();
}

#[test]
fn a_resurrected_object_saves_what_it_reaches() {
    let heap = Heap::new();
    let [a, b, c]: [Object; 3] = heap.allocate_many();
    heap.ring(&[a, b, c]);
    heap.set_finalizer(c, vec![Action::Root(a)]);
    heap.unroot_all(&[a, b, c]);
    assert_eq!(heap.collect(2).unwrap().collected, 0);
    assert!([a, b, c].iter().all(|&object| heap.tracked(object)));
    heap.check();
}

#[test]
fn a_finalizer_may_free_the_others() {
    let heap = Heap::new();
    let [a, b, c, d]: [Object; 4] = heap.allocate_many();
    heap.ring(&[a, b]);
    heap.ring(&[c, d]);
    heap.set_finalizer(a, vec![Action::Clear(c), Action::Clear(b), Action::Collect]);
    heap.set_finalizer(d, vec![Action::Root(d)]);
    heap.unroot_all(&[a, b, c, d]);
    let outcome = heap.collect(2).unwrap();
    heap.check();
    assert!(!heap.lives(a) && !heap.lives(b));
    assert!(
        heap.tracked(d),
        "its count fell to zero, its finalizer brought it back"
    );
    assert!(heap.tracked(c), "the resurrected object holds it");
    assert_eq!(
        outcome.collected, 0,
        "nothing was left for the collector to clear"
    );
}

#[test]
fn objects_made_by_finalizers_wait_for_the_next_collection() {
    let heap = Heap::new();
    let objects = pair(&heap);
    heap.set_finalizer(objects[0], vec![Action::AllocateCycle]);
    heap.unroot_all(&objects);
    assert_eq!(heap.collect(2).unwrap().collected, 2);
    assert_eq!(heap.members(&heap.generations[0]).len(), 2);
    assert_eq!(heap.collect(0).unwrap().collected, 2);
    heap.check();
}

#[test]
fn weak_references_are_cleared_before_any_finalizer() {
    let heap = Heap::new();
    let objects = pair(&heap);
    let outside = heap.weak(objects[0], Some(vec![Action::AllocateCycle]));
    let silent = heap.weak(objects[1], None);
    let inside = heap.weak(objects[1], Some(vec![]));
    heap.link(objects[0], inside);
    heap.unroot(inside);
    heap.set_finalizer(
        objects[0],
        vec![Action::Upgrade(outside), Action::Upgrade(silent)],
    );
    heap.unroot_all(&objects);
    heap.collect(2).unwrap();
    heap.check();
    let log = heap.log();
    assert_eq!(
        log[..2],
        [Event::Callback(outside), Event::Finalized(objects[0])]
    );
    assert!(
        !log.contains(&Event::Callback(inside)),
        "an unreachable callback does not run"
    );
    assert_eq!([heap.target(outside), heap.target(silent)], [None, None]);
    assert!(!heap.lives(inside));
    assert_eq!(
        heap.members(&heap.generations[2]),
        [silent, outside],
        "a called one moves to old"
    );
}

#[test]
fn the_report_of_what_was_found_may_resurrect() {
    let heap = Heap::new();
    let objects = pair(&heap);
    let weak = heap.weak(objects[0], None);
    heap.unroot_all(&objects);
    *heap.report.borrow_mut() = vec![Action::Upgrade(weak)];
    assert_eq!(heap.collect(2).unwrap().collected, 0);
    heap.check();
    assert!(objects.iter().all(|&object| heap.tracked(object)));
    assert_eq!(
        heap.target(weak),
        None,
        "weak references are cleared all the same"
    );
}

#[test]
fn a_callback_may_resurrect_what_the_weak_reference_did_not_reach() {
    let heap = Heap::new();
    let objects = pair(&heap);
    let weak = heap.weak(objects[0], Some(vec![Action::Root(objects[1])]));
    heap.unroot_all(&objects);
    let outcome = heap.collect(2).unwrap();
    heap.check();
    assert_eq!((outcome.collected, outcome.finalized), (0, 0));
    assert!(objects.iter().all(|&object| heap.tracked(object)));
    assert_eq!(heap.target(weak), None, "the weak reference stays cleared");
}

#[test]
fn a_weak_reference_that_dies_in_its_callback_counts_as_collected() {
    let heap = Heap::new();
    let objects = pair(&heap);
    let next = heap.allocated();
    let weak = heap.weak(objects[0], Some(vec![Action::Unroot(next)]));
    let second = heap.weak(objects[0], Some(vec![]));
    heap.unroot_all(&objects);
    let outcome = heap.collect(2).unwrap();
    heap.check();
    assert!(!heap.lives(weak) && heap.lives(second));
    assert_eq!(outcome.collected, 3);
}

#[test]
fn uncollectable_objects_and_what_they_reach_stay() {
    let heap = Heap::new();
    let [a, b, behind, before]: [Object; 4] = heap.allocate_many();
    heap.ring(&[a, b]);
    heap.ring(&[behind]);
    heap.link(a, behind);
    heap.ring(&[before]);
    heap.link(before, a);
    heap.set_uncollectable(b);
    heap.set_finalizer(behind, vec![Action::AllocateCycle]);
    heap.unroot_all(&[a, b, behind, before]);
    let outcome = heap.collect(1).unwrap();
    heap.check();
    assert_eq!(
        outcome,
        Outcome {
            candidates: 4,
            survivors: 0,
            collected: 1,
            uncollectable: 3,
            finalized: 0,
            bytes: 0
        }
    );
    assert_eq!(*heap.abandoned.borrow(), [a, b, behind]);
    assert_eq!(heap.members(&heap.generations[2]), [a, b, behind]);
    assert!(!heap.lives(before));
}

#[test]
fn what_is_kept_for_inspection_goes_to_the_old_generation() {
    let heap = Heap::new();
    let objects = pair(&heap);
    heap.unroot_all(&objects);
    heap.keep.set(true);
    assert_eq!(heap.collect(0).unwrap().collected, 2);
    heap.check();
    assert_eq!(heap.members(&heap.generations[1]), objects);
}

#[test]
fn an_object_that_survives_its_clearing_goes_to_the_old_generation() {
    let heap = Heap::new();
    let [a, b] = pair(&heap);
    heap.set_destructor(a, vec![Action::Root(b)]);
    heap.set_destructor(b, vec![Action::Root(a)]);
    heap.unroot_all(&[a, b]);
    heap.collect(0).unwrap();
    heap.check();
    let living: Vec<Object> = [a, b]
        .into_iter()
        .filter(|&object| heap.lives(object))
        .collect();
    assert_eq!(living.len(), 1);
    assert_eq!(heap.members(&heap.generations[1]), living);
}

#[test]
fn settled_objects_are_not_survivors() {
    let heap = Heap::new();
    let objects = pair(&heap);
    let atomic = heap.allocate();
    heap.set_atomic(atomic);
    let outcome = heap.collect(1).unwrap();
    assert_eq!((outcome.candidates, outcome.survivors), (3, 2));
    assert!(!heap.tracked(atomic) && heap.lives(atomic));
    assert_eq!(heap.members(&heap.generations[2]), objects);
    heap.check();
}

#[test]
fn young_collections_respect_references_from_old_objects() {
    let heap = Heap::new();
    let old = heap.allocate();
    heap.promote(old, 2);
    let young = pair(&heap);
    heap.link(old, young[1]);
    heap.unroot_all(&young);
    assert_eq!(heap.collect(0).unwrap().collected, 0);
    heap.unroot(old);
    assert!(!heap.lives(old));
    assert_eq!(heap.collect(0).unwrap().candidates, 0, "they are older now");
    assert_eq!(heap.collect(1).unwrap().collected, 2);
    heap.check();
}

#[test]
fn a_cycle_across_generations_needs_a_collection_of_the_oldest() {
    let heap = Heap::new();
    let objects = pair(&heap);
    heap.promote(objects[0], 2);
    heap.unroot_all(&objects);
    assert_eq!(heap.collect(0).unwrap().collected, 0);
    assert_eq!(heap.collect(1).unwrap().collected, 0);
    assert_eq!(heap.collect(2).unwrap().collected, 2);
    heap.check();
}
