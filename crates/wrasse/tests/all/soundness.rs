//! What brought other crates down: the classes of unsoundness that are known
//! from cycle collectors, one test or more for each.
//!
//! The tests look for wrong values and panics; run under AddressSanitizer,
//! valgrind or Miri they also find accesses to freed memory.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::at_drop::AtDrop;
use wrasse::{Finalize, Gc, Trace, Weak, coerce, gc};

/// A value that notices if it is used after its end.
struct Alive(Cell<u64>);

const MAGIC: u64 = 0x5EAF_00D5_5EAF_00D5;

impl Alive {
    fn new() -> Self {
        Self(Cell::new(MAGIC))
    }

    fn check(&self) {
        assert_eq!(self.0.get(), MAGIC, "used after its end");
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.check();
        self.0.set(0);
    }
}

type Action = Box<dyn Fn(&Node)>;

/// Does something when finalized and something when dropped.
#[derive(Trace)]
#[trace(finalize)]
struct Node {
    #[trace(skip)]
    alive: Alive,
    edges: RefCell<Vec<Gc<Node>>>,
    weak: RefCell<Vec<Weak<Node>>>,
    #[trace(skip)]
    at_end: RefCell<Option<Action>>,
    #[trace(skip)]
    at_drop: AtDrop,
}

impl Finalize for Node {
    fn finalize(&self) {
        self.alive.check();
        if let Some(action) = self.at_end.take() {
            action(self);
        }
    }
}

impl Node {
    fn new() -> Gc<Self> {
        Gc::new(Self {
            alive: Alive::new(),
            edges: RefCell::default(),
            weak: RefCell::default(),
            at_end: RefCell::default(),
            at_drop: AtDrop::default(),
        })
    }

    fn at_end(&self, action: impl Fn(&Node) + 'static) {
        *self.at_end.borrow_mut() = Some(Box::new(action));
    }

    fn at_drop(&self, action: impl FnOnce() + 'static) {
        self.at_drop.set(action);
    }
}

fn ring(length: usize) -> Vec<Gc<Node>> {
    let nodes: Vec<_> = (0..length).map(|_| Node::new()).collect();
    for index in 0..length {
        nodes[index]
            .edges
            .borrow_mut()
            .push(nodes[(index + 1) % length].clone());
    }
    nodes
}

thread_local!(static SAVED: RefCell<Vec<Gc<Node>>> = const { RefCell::new(Vec::new()) });

fn saved() -> Vec<Gc<Node>> {
    SAVED.take()
}

fn nothing_left() {
    gc::collect();
    gc::collect();
    assert_eq!(gc::objects().len(), 0);
}

// 1, 2: a destructor or finalizer looks at a dead neighbour, or saves it.

#[test]
fn a_finalizer_reads_its_neighbours() {
    for node in &ring(4) {
        node.at_end(|me| {
            me.edges.borrow()[0].alive.check();
            me.edges.borrow()[0].edges.borrow()[0].alive.check();
        });
    }
    assert_eq!(gc::collect(), 4);
    nothing_left();
}

#[test]
fn a_finalizer_saves_its_neighbour() {
    let nodes = ring(4);
    nodes[0].at_end(|me| SAVED.with_borrow_mut(|saved| saved.push(me.edges.borrow()[0].clone())));
    drop(nodes);
    assert_eq!(gc::collect(), 0);
    let saved = saved();
    let mut node = saved[0].clone();
    for _ in 0..8 {
        node.alive.check();
        let next = node.edges.borrow()[0].clone();
        node = next;
    }
    drop((node, saved));
    assert_eq!(gc::collect(), 4);
    nothing_left();
}

#[test]
fn a_destructor_finds_no_way_to_its_neighbours() {
    let nodes = ring(3);
    for index in 0..3 {
        let weak = Gc::downgrade(&nodes[index]);
        let other = Gc::downgrade(&nodes[(index + 1) % 3]);
        nodes[index].at_drop(move || {
            assert!(weak.upgrade().is_none() && other.upgrade().is_none());
            assert!(gc::objects().is_empty());
        });
    }
    drop(nodes);
    assert_eq!(gc::collect(), 3);
    nothing_left();
}

#[test]
fn a_destructor_that_owns_a_reference_keeps_its_object() {
    // The reference is in a closure, unseen: a reference from outside.
    let nodes = ring(2);
    let other = ring(2);
    let held = nodes[0].clone();
    other[0].at_drop(move || held.edges.borrow()[0].alive.check());
    drop((nodes, other));
    assert_eq!(gc::collect(), 2, "first those that hold the reference");
    assert_eq!(gc::collect(), 2);
    nothing_left();
}

// 3, 4: resurrection, and finalizers that make objects with finalizers.

#[test]
fn resurrected_objects_are_collected_later_without_finalizer() {
    let nodes = ring(3);
    for node in &nodes {
        node.at_end(|me| SAVED.with_borrow_mut(|saved| saved.push(me.edges.borrow()[0].clone())));
    }
    drop(nodes);
    assert_eq!(gc::collect(), 0);
    assert_eq!(saved().len(), 3);
    assert_eq!(gc::collect(), 3);
    nothing_left();
}

#[test]
fn finalizers_that_make_garbage_with_finalizers_come_to_an_end() {
    fn storm(me: &Node) {
        me.alive.check();
        let nodes = ring(2);
        nodes[0].at_end(storm);
    }
    let nodes = ring(1);
    nodes[0].at_end(storm);
    drop(nodes);
    for _ in 0..5 {
        let found = gc::collect();
        assert!(
            found == 1 || found == 2,
            "each collection deals with what it found"
        );
    }
    // At the end of the thread it is given up after some passes.
}

// 5: weak references during and after the end.

#[test]
fn weak_references_that_finalizers_make_are_cleared() {
    thread_local!(static WEAK: RefCell<Vec<Weak<Node>>> = const { RefCell::new(Vec::new()) });
    let nodes = ring(2);
    nodes[0]
        .at_end(|me| WEAK.with_borrow_mut(|weak| weak.push(Gc::downgrade(&me.edges.borrow()[0]))));
    for node in &nodes {
        node.at_drop(|| WEAK.with_borrow(|weak| assert!(weak[0].upgrade().is_none())));
    }
    drop(nodes);
    assert_eq!(gc::collect(), 2);
    assert!(WEAK.take()[0].upgrade().is_none());
    nothing_left();
}

#[test]
fn callbacks_cannot_bring_their_object_back() {
    let nodes = ring(2);
    let weak = Rc::new(RefCell::new(Weak::<Node>::new()));
    let inner = Rc::clone(&weak);
    let watch = Gc::downgrade_with(&nodes[0], move || {
        assert!(inner.borrow().upgrade().is_none())
    });
    *weak.borrow_mut() = Gc::downgrade(&nodes[1]);
    drop(nodes);
    assert_eq!(gc::collect(), 2);
    drop(watch);
    nothing_left();
}

#[test]
fn a_weak_reference_is_dropped_by_its_own_callback() {
    let slot = Rc::new(RefCell::new(None));
    let inner = Rc::clone(&slot);
    let node = Node::new();
    *slot.borrow_mut() = Some(Gc::downgrade_with(&node, move || drop(inner.take())));
    drop(node);
    assert!(slot.borrow().is_none());
    nothing_left();
}

// 6: `Trace` is unsafe to implement, so safe code cannot report too much; what
// is shared between values has no `Trace` (tests/ui/fail_rc.rs).

// 7: cells that are borrowed while the collector looks.

#[test]
fn borrowed_cells_keep_what_is_in_them() {
    let nodes = ring(3);
    let first = nodes[0].clone();
    drop(nodes);
    {
        let mut edges = first.edges.borrow_mut();
        assert_eq!(gc::collect(), 0);
        edges[0].alive.check();
        edges.push(Node::new());
        assert_eq!(gc::collect(), 0);
        edges.pop();
    }
    {
        let edges = first.edges.borrow();
        assert_eq!(gc::collect(), 0);
        edges[0].edges.borrow()[0].alive.check();
    }
    std::mem::forget(first.edges.borrow_mut());
    drop(first);
    assert_eq!(gc::collect(), 0, "nobody can look into the cell any more");
}

// 8: the graph changes between the phases: by finalizers only, and then it is
// searched again.

#[test]
fn a_finalizer_rewires_everything() {
    let nodes = ring(6);
    let outside = Node::new();
    let target = Gc::downgrade(&outside);
    nodes[2].at_end(move |me| {
        let outside = target.upgrade().unwrap();
        let next = me.edges.borrow()[0].clone();
        outside.edges.borrow_mut().push(next.clone());
        next.edges.borrow_mut().clear();
        me.edges.borrow_mut().clear();
    });
    drop(nodes);
    gc::collect();
    outside.edges.borrow()[0].alive.check();
    assert_eq!(gc::objects().len(), 2, "outside and the one it was given");
    drop(outside);
    nothing_left();
}

// 10, 11: collecting, allocating and cloning where one should not.

#[test]
fn collect_and_allocate_in_destructors_and_finalizers() {
    let nodes = ring(3);
    for node in &nodes {
        node.at_end(|_| {
            assert_eq!(gc::collect(), 0);
            drop(ring(2));
        });
        node.at_drop(|| {
            assert_eq!(gc::collect(), 0);
            drop(ring(2));
        });
    }
    drop(nodes);
    assert_eq!(gc::collect(), 3);
    assert_eq!(gc::collect(), 12);
    nothing_left();

    // The same without a cycle: here a collection may run inside a destructor.
    let list = Node::new();
    for _ in 0..3 {
        let node = Node::new();
        node.at_drop(|| {
            drop(ring(2));
            assert_eq!(gc::collect(), 2);
        });
        list.edges.borrow_mut().push(node);
    }
    list.at_end(|_| {
        drop(ring(2));
        assert_eq!(gc::collect(), 2);
    });
    drop(list);
    nothing_left();
}

#[test]
fn collections_that_come_by_themselves_in_all_places() {
    gc::set_threshold([1, 1, 1]);
    for round in 0..50 {
        let nodes = ring(1 + round % 4);
        nodes[0].at_end(|me| {
            drop(ring(2));
            me.edges.borrow_mut().push(Node::new());
        });
        nodes[0].at_drop(|| drop(ring(3)));
        let text: Gc<[Gc<String>]> = (0..3).map(|n| Gc::new(n.to_string())).collect();
        assert_eq!(*text[2], "2");
    }
    gc::set_threshold([10_000, 10, 10]);
    nothing_left();
}

// 13: counters.

#[test]
fn forgotten_references_never_free_an_object() {
    let node = Node::new();
    for _ in 0..100_000 {
        std::mem::forget(node.clone());
    }
    assert_eq!(Gc::ref_count(&node), 100_001);
    let weak = Gc::downgrade(&node);
    drop(node);
    gc::collect();
    assert_eq!(weak.ref_count(), 100_000);
    weak.upgrade().unwrap().alive.check();
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long without optimization")]
fn a_count_that_overflows_keeps_its_object() {
    let node = ring(1).remove(0);
    let weak = Gc::downgrade(&node);
    for _ in 0..(1_u64 << 27) + 10 {
        std::mem::forget(node.clone());
    }
    for _ in 0..100 {
        drop(node.clone());
    }
    assert_eq!(Gc::ref_count(&node), 1 << 27, "the count stays");
    drop(node);
    gc::collect();
    let again = weak.upgrade().unwrap();
    again.alive.check();
    assert!(Gc::try_unwrap(again).is_err());
}

// 14: values that are not there yet.

#[test]
fn new_cyclic_under_collection() {
    gc::set_threshold([1, 1, 1]);
    let node = Gc::new_cyclic(|weak: &Weak<Node>| {
        drop(ring(3));
        gc::collect();
        assert!(weak.upgrade().is_none());
        assert!(
            gc::objects()
                .iter()
                .all(|object| object.downcast::<Node>().is_some())
        );
        let node = Node::new();
        node.weak.borrow_mut().push(weak.clone());
        Gc::try_unwrap(node).ok().unwrap()
    });
    gc::set_threshold([10_000, 10, 10]);
    assert!(Gc::ptr_eq(&node, &node.weak.borrow()[0].upgrade().unwrap()));
    drop(node);
    nothing_left();
}

// 15: values of unusual size: slices, trait objects, alignments.

#[test]
fn cycles_through_slices_and_trait_objects() {
    type Slot = RefCell<Option<Gc<Wide>>>;
    #[derive(Trace)]
    #[repr(align(128))]
    struct Wide {
        other: RefCell<Option<Gc<dyn Trace>>>,
        more: RefCell<Option<Gc<[Slot]>>>,
        #[trace(skip)]
        alive: Alive,
    }
    let make = || {
        Gc::new(Wide {
            other: RefCell::default(),
            more: RefCell::default(),
            alive: Alive::new(),
        })
    };
    let (a, b) = (make(), make());
    *a.other.borrow_mut() = Some(coerce!(b.clone() => dyn Trace));
    let slice: Gc<[_]> = vec![RefCell::new(Some(a.clone())), RefCell::new(None)].into();
    *b.more.borrow_mut() = Some(slice.clone());
    drop((a, b));
    assert_eq!(gc::collect(), 0);
    slice[0].borrow().as_ref().unwrap().alive.check();
    drop(slice);
    assert_eq!(gc::collect(), 3);
    nothing_left();
}

#[test]
fn same_address_is_same_object() {
    let node = Node::new();
    let one: Gc<dyn Trace> = coerce!(node.clone() => dyn Trace);
    let two: Gc<dyn Trace> = coerce!(node => dyn Trace);
    assert!(Gc::ptr_eq(&one, &two));
    let (a, b) = (Gc::new(()), Gc::new(()));
    assert!(
        !Gc::ptr_eq(&a, &b),
        "values without size have addresses of their own"
    );
}

// 16: exclusive access.

#[test]
fn exclusive_access_under_collection() {
    gc::set_threshold([1, 1, 1]);
    let mut list = Gc::new(Vec::<Gc<Node>>::new());
    {
        let mut access = Gc::get_mut(&mut list).unwrap();
        let vector: &mut Vec<_> = &mut access;
        for _ in 0..100 {
            vector.push(Node::new());
            drop(ring(2));
        }
        for object in gc::objects() {
            assert!(
                object.downcast::<Vec<Gc<Node>>>().is_none(),
                "nobody may look at it"
            );
        }
        std::mem::forget(access);
    }
    gc::collect();
    list.iter().for_each(|node| node.alive.check());
    gc::set_threshold([10_000, 10, 10]);
    drop(list);
    nothing_left();
}

// 18: containers with keys, values and hashers.

#[test]
fn maps_hold_cycles() {
    use std::collections::{BTreeMap, HashMap};
    #[derive(Trace, Default)]
    struct Map {
        hash: RefCell<HashMap<u32, Gc<Map>>>,
        tree: RefCell<BTreeMap<String, Gc<Map>>>,
    }
    let map = Gc::new(Map::default());
    for key in 0..10 {
        map.hash.borrow_mut().insert(key, map.clone());
        map.tree.borrow_mut().insert(key.to_string(), map.clone());
    }
    drop(map);
    assert_eq!(gc::collect(), 1);
    nothing_left();
}

// 20: effort.

#[test]
fn collections_are_linear() {
    thread_local!(static TRACED: Cell<usize> = const { Cell::new(0) });
    struct Counted(RefCell<Vec<Gc<Counted>>>);
    // SAFETY: reports its only field.
    unsafe impl Trace for Counted {
        fn trace(&self, tracer: &mut wrasse::Tracer<'_>) {
            TRACED.set(TRACED.get() + 1);
            self.0.trace(tracer);
        }
    }
    gc::disable();
    for length in [1000, 10_000, 100_000] {
        let nodes: Vec<_> = (0..length)
            .map(|_| Gc::new(Counted(RefCell::default())))
            .collect();
        for (index, node) in nodes.iter().enumerate() {
            // In a ring; all refer to the first and it to all.
            let mut edges = node.0.borrow_mut();
            edges.push(nodes[(index + 1) % length].clone());
            edges.push(nodes[0].clone());
            drop(edges);
            nodes[0].0.borrow_mut().push(node.clone());
        }
        let first = nodes[0].clone();
        drop(nodes);
        TRACED.set(0);
        assert_eq!(gc::collect(), 0);
        assert!(
            TRACED.get() <= 2 * length,
            "each object is traced twice at most"
        );
        drop(first);
        TRACED.set(0);
        assert_eq!(gc::collect(), length);
        assert!(TRACED.get() <= 2 * length);
    }
    gc::enable();
}
