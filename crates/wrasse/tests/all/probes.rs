//! Odd but safe things to do, each of which would show a hole in the host.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::at_drop::AtDrop;
use wrasse::{Gc, Trace, Weak, WeakKeyMap, WeakValueMap, coerce, gc};

#[derive(Trace, Default)]
struct Node {
    edges: RefCell<Vec<Gc<dyn Trace>>>,
    weak: RefCell<Vec<Weak<Node>>>,
    #[trace(skip)]
    at_drop: AtDrop,
}

fn at_drop(node: &Node, action: impl FnOnce() + 'static) {
    node.at_drop.set(action);
}

/// An object in a cycle with itself.
fn looped() -> Gc<Node> {
    let node = Gc::<Node>::default();
    let again = coerce!(node.clone() => dyn Trace);
    node.edges.borrow_mut().push(again);
    node
}

fn nothing_left() {
    gc::collect();
    assert_eq!(gc::collect(), 0);
    assert_eq!(gc::objects().len(), 0);
}

#[test]
fn a_value_that_never_came_to_be() {
    let kept: Rc<RefCell<Vec<Weak<Node>>>> = Rc::default();
    let inner = Rc::clone(&kept);
    let result = catch_unwind(AssertUnwindSafe(|| {
        Gc::new_cyclic(|weak: &Weak<Node>| {
            inner.borrow_mut().push(weak.clone());
            // Another one inside, which is completed.
            let other = Gc::new_cyclic(|other: &Weak<Node>| {
                assert!(weak.upgrade().is_none() && other.upgrade().is_none());
                gc::collect();
                Node::default()
            });
            inner.borrow_mut().push(Gc::downgrade(&other));
            assert!(inner.borrow()[1].upgrade().is_some());
            drop(looped());
            gc::collect();
            gc::freeze();
            gc::unfreeze();
            panic!("before it was made");
        })
    }));
    assert!(result.is_err());
    for _ in 0..3 {
        assert!(kept.borrow().iter().all(|weak| weak.upgrade().is_none()));
        assert_eq!(kept.borrow()[0].ref_count(), 0);
        drop(Gc::<Node>::default());
        gc::collect();
    }
    nothing_left();
}

#[test]
fn sizes_from_nothing_to_a_megabyte_in_one_cycle() {
    type Slot = RefCell<Option<Gc<dyn Trace>>>;
    #[derive(Trace, Default)]
    struct Nothing;
    #[derive(Trace)]
    #[repr(align(4096))]
    struct Aligned(Slot);
    #[derive(Trace)]
    struct Huge(Slot, [u64; 1 << 17]);

    let small = Gc::<Node>::default();
    let aligned = Gc::new(Aligned(RefCell::default()));
    assert_eq!(Gc::as_ptr(&aligned).addr() % 4096, 0);
    let slice: Gc<[Slot]> = vec![RefCell::new(None)].into();
    // Too large for this thread's stack, most likely.
    let thread = std::thread::Builder::new().stack_size(16 << 20);
    let sum = thread.spawn(|| {
        let huge = Gc::new(Huge(RefCell::default(), [7; 1 << 17]));
        *huge.0.borrow_mut() = Some(coerce!(huge.clone() => dyn Trace));
        let sum: u64 = huge.1.iter().sum();
        drop(huge);
        assert_eq!(gc::collect(), 1);
        sum
    });
    assert_eq!(sum.unwrap().join().unwrap(), 7 << 17);

    *aligned.0.borrow_mut() = Some(coerce!(small.clone() => dyn Trace));
    *slice[0].borrow_mut() = Some(coerce!(aligned => dyn Trace));
    #[derive(Trace)]
    struct Wrapped(Gc<[Slot]>);
    let nothing = coerce!(Gc::new(Nothing) => dyn Trace);
    let wrapped = coerce!(Gc::new(Wrapped(slice)) => dyn Trace);
    small.edges.borrow_mut().extend([nothing, wrapped]);
    assert_eq!(gc::collect(), 0);
    drop(small);
    assert_eq!(gc::collect(), 4, "and the one without a size");
    nothing_left();
}

#[test]
fn slices_of_nothing() {
    let units: Gc<[()]> = vec![(); 1 << 16].into();
    let weak = Gc::downgrade(&units);
    assert_eq!(weak.upgrade().unwrap().len(), 1 << 16);
    drop(units);
    assert!(weak.upgrade().is_none());
    let empty: Gc<[Gc<Node>]> = Vec::new().into();
    let mut empty = empty;
    assert!(Gc::get_mut(&mut empty).unwrap().is_empty());
    drop(empty);
    nothing_left();
}

#[test]
fn a_map_is_gone_through_while_its_keys_go() {
    let mut map = WeakKeyMap::new();
    let keys: Rc<RefCell<Vec<Gc<Node>>>> = Rc::default();
    for _ in 0..50 {
        let key = looped();
        map.insert(&key, looped());
        keys.borrow_mut().push(key);
    }
    let mut seen = 0;
    for (key, value) in map.iter() {
        seen += 1;
        let gone = keys.borrow_mut().pop();
        drop(gone);
        gc::collect();
        assert_eq!(
            (key.edges.borrow().len(), value.edges.borrow().len()),
            (1, 1)
        );
        drop(looped());
    }
    assert!((25..=50).contains(&seen), "{seen}");
    drop(keys.take());
    gc::collect();
    assert!(map.is_empty());
    drop(map);

    let mut values = WeakValueMap::new();
    let mut owners: Vec<Gc<Node>> = (0..50).map(|_| looped()).collect();
    for (number, owner) in owners.iter().enumerate() {
        values.insert(number, owner);
    }
    for (_, value) in values.iter() {
        owners.pop();
        gc::collect();
        assert_eq!(value.edges.borrow().len(), 1);
    }
    drop(owners);
    nothing_left();
    assert!(values.is_empty());
}

#[test]
fn looking_at_everything_while_it_goes() {
    gc::set_debug(gc::Debug {
        collectable: true,
        ..gc::Debug::default()
    });
    let looks = Rc::new(Cell::new(0));
    for _ in 0..5 {
        let node = looped();
        let slice: Gc<[Gc<Node>]> = vec![node.clone()].into();
        let inner = Rc::clone(&looks);
        let look = move || {
            inner.set(inner.get() + 1);
            let leaks = wrasse::leaks();
            assert!(!format!("{leaks} {leaks:?}").is_empty());
            assert!(wrasse::leaks::graph().starts_with("digraph"));
            for object in gc::objects() {
                assert!(object.ref_count() > 0 && !object.type_name().is_empty());
                object.referents();
            }
        };
        at_drop(&node, look.clone());
        let watch = Gc::downgrade_with(&node, look);
        drop((node, slice));
        gc::collect();
        drop(watch);
    }
    gc::set_debug(gc::Debug::default());
    assert_eq!(looks.get(), 10);
    nothing_left();
}

#[test]
fn what_is_leaked_stays() {
    let leaked: &'static Gc<Node> = Box::leak(Box::new(looped()));
    let forgotten = looped();
    let weak = Gc::downgrade(&forgotten);
    std::mem::forget(forgotten);
    std::mem::forget(Gc::downgrade_with(leaked, || panic!("it never goes")));
    for _ in 0..3 {
        gc::collect();
    }
    assert_eq!(leaked.edges.borrow().len(), 1);
    assert_eq!(weak.upgrade().unwrap().edges.borrow().len(), 1);
    assert_eq!(gc::objects().len(), 2);
}

#[test]
fn a_panic_that_panics_when_it_is_dropped() {
    struct Bad(Rc<Cell<u32>>);
    // SAFETY: only one thread ever sees it; a panic's payload has to be `Send`.
    unsafe impl Send for Bad {}
    impl Drop for Bad {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            if !std::thread::panicking() {
                std::panic::panic_any(Bad(Rc::clone(&self.0)));
            }
        }
    }
    let ends = Rc::new(Cell::new(0));
    for _ in 0..3 {
        let node = looped();
        let ends = Rc::clone(&ends);
        at_drop(&node, move || std::panic::panic_any(Bad(ends)));
    }
    let result = catch_unwind(gc::collect);
    std::mem::forget(result.expect_err("the first panic goes on"));
    assert!(ends.get() > 0, "the others were dropped");
    assert_eq!(gc::objects().len(), 0, "all values are gone");
    nothing_left();
    drop(looped());
    assert_eq!(gc::collect(), 1, "and the collector works");
}

#[test]
fn callbacks_that_collect_and_let_others_go() {
    let chain: Rc<RefCell<Vec<Gc<Node>>>> = Rc::default();
    let watches: Rc<RefCell<Vec<Weak<Node>>>> = Rc::default();
    let told = Rc::new(Cell::new(0));
    for _ in 0..100 {
        let node = looped();
        let (chain_inner, told) = (Rc::clone(&chain), Rc::clone(&told));
        watches
            .borrow_mut()
            .push(Gc::downgrade_with(&node, move || {
                told.set(told.get() + 1);
                assert_eq!(gc::collect(), 0, "one is running");
                let next = chain_inner.borrow_mut().pop();
                drop(next);
            }));
        chain.borrow_mut().push(node);
    }
    let first = chain.borrow_mut().pop();
    drop(first);
    let mut rounds = 0;
    while told.get() < 100 {
        gc::collect();
        rounds += 1;
        assert!(rounds <= 100);
    }
    assert!(watches.borrow().iter().all(|weak| weak.upgrade().is_none()));
    nothing_left();
}

#[test]
fn references_across_everything_at_the_end_of_a_thread() {
    // Objects in a thread-local that is destroyed late, which hold others with
    // callbacks that allocate, collect and look.
    thread_local!(static LATE: RefCell<Vec<(Gc<Node>, Weak<Node>)>> = const { RefCell::new(Vec::new()) });
    let thread = std::thread::spawn(|| {
        LATE.with(|_| ());
        for _ in 0..20 {
            let node = looped();
            node.edges.borrow_mut().clear();
            at_drop(&node, || {
                drop(looped());
                gc::collect();
                gc::objects();
            });
            let watch = Gc::downgrade_with(&node, || {
                drop(Gc::new(vec![Gc::new(1)]));
                gc::collect();
            });
            LATE.with_borrow_mut(|late| late.push((node, watch)));
        }
    });
    assert!(thread.join().is_ok());
}
