//! Long lists on a small stack: nothing may recurse.

use std::cell::RefCell;

use wrasse::{Gc, Trace, gc};

#[derive(Trace, Default)]
struct Node {
    next: RefCell<Option<Gc<Node>>>,
}

/// Shorter without optimization, but still far more than the stack holds.
const LENGTH: usize = if cfg!(debug_assertions) {
    1_000_000
} else {
    10_000_000
};
/// Less than the 8 MiB of a main thread.
const STACK: usize = 256 * 1024;

fn on_a_small_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(test);
    thread.unwrap().join().unwrap();
}

/// The first and the last node of a list.
fn list(length: usize) -> (Gc<Node>, Gc<Node>) {
    let last = Gc::new(Node::default());
    let mut first = last.clone();
    for _ in 1..length {
        first = Gc::new(Node {
            next: RefCell::new(Some(first)),
        });
    }
    (first, last)
}

#[test]
fn drop_a_list() {
    on_a_small_stack(|| {
        gc::disable();
        drop(list(LENGTH));
        assert_eq!(gc::objects().len(), 0);
    });
}

#[test]
fn collect_a_living_list() {
    on_a_small_stack(|| {
        let (first, last) = list(LENGTH);
        // Make it a ring, so that every node is tried and found alive.
        *last.next.borrow_mut() = Some(first.clone());
        drop(last);
        assert_eq!(gc::collect(), 0);
        *first.next.borrow_mut() = None;
        drop(first);
    });
}

#[test]
fn collect_a_dead_list() {
    on_a_small_stack(|| {
        gc::disable();
        let (first, last) = list(LENGTH);
        *last.next.borrow_mut() = Some(first);
        drop(last);
        assert_eq!(gc::collect(), LENGTH);
        assert_eq!(gc::objects().len(), 0);
    });
}

#[test]
fn a_tree_that_is_freed_by_its_count_inside_a_collection() {
    on_a_small_stack(|| {
        gc::disable();
        let (first, _last) = list(LENGTH / 10);
        drop(_last);
        // A dead ring that holds the list: clearing the ring drops the list.
        #[derive(Trace)]
        struct Ring(RefCell<Option<Gc<Ring>>>, Gc<Node>);
        let ring = Gc::new(Ring(RefCell::default(), first));
        *ring.0.borrow_mut() = Some(ring.clone());
        drop(ring);
        assert_eq!(gc::collect(), LENGTH / 10 + 1);
        assert_eq!(gc::objects().len(), 0);
    });
}
