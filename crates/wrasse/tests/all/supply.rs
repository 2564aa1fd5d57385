//! Blocks at hand: that the fast way of an allocation does not count must not
//! show.

use std::cell::{Cell, RefCell};

use wrasse::{Finalize, Gc, Trace, gc};

#[derive(Trace)]
struct Sizeable<const WORDS: usize> {
    next: RefCell<Option<Gc<Sizeable<WORDS>>>>,
    rest: [u64; WORDS],
}

fn keep<const WORDS: usize>(kept: &mut Vec<Box<dyn std::any::Any>>) {
    let object = Gc::new(Sizeable::<WORDS> {
        next: RefCell::default(),
        rest: [0; WORDS],
    });
    assert!(object.next.borrow().is_none() && object.rest[WORDS - 1] == 0);
    kept.push(Box::new(object));
}

/// Makes an object of one of several size classes, the last of which is large.
fn keep_nth(n: usize, kept: &mut Vec<Box<dyn std::any::Any>>) {
    match n % 4 {
        0 => keep::<1>(kept),
        1 => keep::<9>(kept),
        2 => keep::<40>(kept),
        _ => keep::<400>(kept),
    }
}

#[test]
fn the_count_is_exact() {
    gc::disable();
    let mut kept = Vec::new();
    for n in 0..1000 {
        assert_eq!(gc::count()[0], n);
        keep_nth(n, &mut kept);
    }
    kept.truncate(300);
    assert_eq!(gc::count()[0], 300);
    gc::collect();
    assert_eq!(gc::count()[0], 0);
    // Objects that were not counted as young do not make up for new ones.
    kept.truncate(200);
    assert_eq!(gc::count()[0], 0);
    keep_nth(0, &mut kept);
    assert_eq!(gc::count()[0], 1);
}

#[test]
fn a_collection_comes_when_it_is_due() {
    for limit in [1, 2, 10, 97, 1500] {
        gc::set_threshold([limit, 1_000_000, 1_000_000]);
        gc::collect();
        let mut kept = Vec::new();
        for n in 0..limit {
            keep_nth(n as usize, &mut kept);
        }
        let before = gc::stats().generations[0].collections;
        keep_nth(limit as usize, &mut kept);
        let after = gc::stats().generations[0].collections;
        assert_eq!(after, before + 1, "at the {limit}th object");
    }
}

#[test]
fn a_lower_threshold_holds_at_once() {
    let mut kept = Vec::new();
    for n in 0..100 {
        keep_nth(n, &mut kept);
    }
    let before = gc::stats().generations[0].collections;
    gc::set_threshold([50, 1_000_000, 1_000_000]);
    keep_nth(0, &mut kept);
    assert_eq!(gc::stats().generations[0].collections, before + 1);
}

#[test]
fn nothing_is_at_hand_while_objects_are_traced() {
    thread_local!(static ALLOCATE: Cell<bool> = const { Cell::new(false) });
    struct Allocating(#[expect(dead_code)] Gc<RefCell<Vec<Gc<u64>>>>);
    // SAFETY: reports nothing; that it allocates is what is tried.
    unsafe impl Trace for Allocating {
        fn trace(&self, _: &mut wrasse::Tracer<'_>) {
            if ALLOCATE.get() {
                drop(Gc::new(1_u64));
            }
        }
    }
    let kept = Gc::new(Allocating(Gc::new(RefCell::default())));
    // Now there are blocks of that class at hand.
    drop(Gc::new(1_u64));
    ALLOCATE.set(true);
    let panicked = std::panic::catch_unwind(gc::collect);
    ALLOCATE.set(false);
    assert!(panicked.is_err());
    drop(kept);
    gc::collect();
}

#[test]
fn finalizers_may_take_what_is_at_hand() {
    thread_local!(static MADE: RefCell<Vec<Gc<Cycle>>> = const { RefCell::new(Vec::new()) });
    #[derive(Trace)]
    #[trace(finalize)]
    struct Cycle {
        me: RefCell<Option<Gc<Cycle>>>,
        make: bool,
    }
    impl Finalize for Cycle {
        fn finalize(&self) {
            if self.make {
                MADE.with_borrow_mut(|made| {
                    made.push(Gc::new(Cycle {
                        me: RefCell::default(),
                        make: false,
                    }))
                });
            }
        }
    }
    gc::set_threshold([100, 1_000_000, 1_000_000]);
    for _ in 0..10_000 {
        let cycle = Gc::new(Cycle {
            me: RefCell::default(),
            make: true,
        });
        *cycle.me.borrow_mut() = Some(cycle.clone());
    }
    gc::collect();
    let made = MADE.take();
    assert_eq!(made.len(), 10_000);
    assert!(made.iter().all(|object| Gc::ref_count(object) == 1));
    let mut addresses: Vec<_> = made.iter().map(Gc::as_ptr).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 10_000);
}
