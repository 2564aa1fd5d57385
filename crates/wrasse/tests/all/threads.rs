//! The end of a thread, with objects here and there.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};

use wrasse::{Finalize, Gc, Trace, Weak, gc};

static ENDED: AtomicUsize = AtomicUsize::new(0);
thread_local!(static TESTING: Cell<bool> = const { Cell::new(false) });

#[derive(Trace, Default)]
#[trace(finalize)]
struct Node {
    edges: RefCell<Vec<Gc<Node>>>,
}

impl Finalize for Node {
    fn finalize(&self) {
        ENDED.fetch_add(1, Ordering::Relaxed);
    }
}

fn ring(length: usize) -> Vec<Gc<Node>> {
    let nodes: Vec<Gc<Node>> = (0..length).map(|_| Gc::default()).collect();
    for index in 0..length {
        nodes[index]
            .edges
            .borrow_mut()
            .push(nodes[(index + 1) % length].clone());
    }
    nodes
}

fn in_a_thread(test: impl FnOnce() + Send + 'static) {
    std::thread::spawn(test).join().unwrap();
}

// One test, since the counter is shared.
#[test]
fn a_thread_ends() {
    in_a_thread(|| drop(ring(3)));
    assert_eq!(
        ENDED.swap(0, Ordering::Relaxed),
        3,
        "cycles are finalized at the end"
    );

    // A thread-local that is destroyed before the heap's end, and one after.
    thread_local! {
        static BEFORE: RefCell<Vec<Gc<Node>>> = const { RefCell::new(Vec::new()) };
        static AFTER: RefCell<Vec<Gc<Node>>> = const { RefCell::new(Vec::new()) };
    }
    in_a_thread(|| {
        AFTER.with(|_| ());
        let nodes = ring(5);
        AFTER.set(nodes);
        BEFORE.set(ring(2));
    });
    in_a_thread(|| {
        let nodes = ring(5);
        BEFORE.set(ring(2));
        AFTER.set(nodes.clone());
        AFTER.with_borrow(|nodes| nodes[0].edges.borrow_mut().clear());
    });
    ENDED.store(0, Ordering::Relaxed);

    // Objects made by a thread-local's destructor, when the heap may be gone.
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            let nodes = ring(4);
            let weak = Gc::downgrade(&nodes[0]);
            assert!(
                gc::collect() <= 1,
                "what was there before, if this is the first"
            );
            nodes[3].edges.borrow_mut().clear();
            drop(nodes);
            assert!(weak.upgrade().is_none());
            let text = Gc::new(String::from("late"));
            assert_eq!(*text, "late");
        }
    }
    thread_local! {
        static FIRST: Late = const { Late };
        static LAST: Late = const { Late };
    }
    in_a_thread(|| {
        FIRST.with(|_| ());
        drop(ring(1));
        LAST.with(|_| ());
    });
    assert_eq!(ENDED.swap(0, Ordering::Relaxed), 9);

    // A weak reference that outlives everything, in a leaked box.
    in_a_thread(|| {
        let node = ring(1).remove(0);
        let weak: &'static Weak<Node> = Box::leak(Box::new(Gc::downgrade(&node)));
        drop(node);
        thread_local!(static LOOK: Look = const { Look(Cell::new(None)) });
        struct Look(Cell<Option<&'static Weak<Node>>>);
        impl Drop for Look {
            fn drop(&mut self) {
                let weak = self.0.get().unwrap();
                assert!(weak.upgrade().is_none() || weak.ref_count() > 0);
            }
        }
        LOOK.with(|look| look.0.set(Some(weak)));
    });
}

#[test]
fn a_panic_in_a_finalizer_at_the_end_of_a_thread() {
    #[derive(Trace)]
    #[trace(finalize)]
    struct Bad(RefCell<Option<Gc<Bad>>>);
    impl Finalize for Bad {
        fn finalize(&self) {
            TESTING.with(|_| ());
            panic!("at the end");
        }
    }
    let thread = std::thread::spawn(|| {
        let bad = Gc::new(Bad(RefCell::default()));
        *bad.0.borrow_mut() = Some(bad.clone());
    });
    assert!(thread.join().is_ok(), "the panic stays in the collection");
}

#[test]
fn heaps_are_separate() {
    let nodes = ring(3);
    in_a_thread(|| {
        assert_eq!(gc::objects().len(), 0);
        gc::set_threshold([1, 1, 1]);
    });
    assert_ne!(gc::threshold(), [1, 1, 1]);
    assert!(gc::objects().len() >= nodes.len());
}
