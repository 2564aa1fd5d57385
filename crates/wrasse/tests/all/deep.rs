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

/// Chains in which each link goes by other code than a value's own fields.
const LINKS: usize = LENGTH / 10;

#[test]
fn a_chain_of_callbacks() {
    use std::rc::Rc;
    on_a_small_stack(|| {
        let chain: Rc<RefCell<Vec<Gc<u64>>>> = Rc::default();
        let mut watches = Vec::new();
        for number in 0..LINKS as u64 {
            let object = Gc::new(number);
            let inner = Rc::clone(&chain);
            watches.push(Gc::downgrade_with(&object, move || {
                let next = inner.borrow_mut().pop();
                drop(next);
            }));
            chain.borrow_mut().push(object);
        }
        let first = chain.borrow_mut().pop();
        drop(first);
        assert!(chain.borrow().is_empty());
        assert!(watches.iter().all(|weak| weak.upgrade().is_none()));
    });
}

#[test]
fn a_chain_of_finalizers() {
    use wrasse::Finalize;
    #[derive(Trace)]
    #[trace(finalize)]
    struct Link(RefCell<Option<Gc<Link>>>);
    impl Finalize for Link {
        fn finalize(&self) {
            drop(self.0.take());
        }
    }
    on_a_small_stack(|| {
        gc::disable();
        let mut first = Gc::new(Link(RefCell::new(None)));
        for _ in 1..LINKS {
            first = Gc::new(Link(RefCell::new(Some(first))));
        }
        drop(first);
        assert_eq!(gc::objects().len(), 0);
        // In a ring, where the first finalizer unties it all inside the collection.
        let last = Gc::new(Link(RefCell::new(None)));
        let mut first = last.clone();
        for _ in 1..LINKS {
            first = Gc::new(Link(RefCell::new(Some(first))));
        }
        *last.0.borrow_mut() = Some(first);
        drop(last);
        gc::collect();
        assert_eq!(gc::objects().len(), 0);
    });
}

#[test]
fn a_chain_of_weak_map_entries() {
    use wrasse::WeakKeyMap;
    on_a_small_stack(|| {
        let mut map: WeakKeyMap<Node, Node> = WeakKeyMap::new();
        let first = Gc::<Node>::default();
        let mut key = first.clone();
        for _ in 1..LINKS {
            let value = Gc::<Node>::default();
            map.insert(&key, value.clone());
            key = value;
        }
        // A ring that only the entries close: the last value refers to the first key.
        *key.next.borrow_mut() = Some(first.clone());
        drop(key);
        assert_eq!(gc::collect(), 0);
        assert_eq!(map.len(), LINKS - 1);
        drop(first);
        gc::collect();
        assert_eq!(gc::objects().len(), 0);
        assert!(map.is_empty());
    });
}
