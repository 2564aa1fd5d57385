//! Random operations on real objects against a naive model.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;
use wrasse::{Finalize, Gc, Trace, Weak, gc};

/// One operation; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Operation {
    Allocate,
    Clone(usize),
    Drop(usize),
    Link(usize, usize),
    Move(usize, usize),
    Unlink(usize, usize),
    Weak(usize),
    Upgrade(usize),
    Resurrect(usize),
    Collect(usize),
    Freeze,
    Unfreeze,
    Churn(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let n = 0..1000_usize;
    prop_oneof![
        4 => Just(Allocate),
        2 => n.clone().prop_map(Clone),
        5 => n.clone().prop_map(Drop),
        6 => (n.clone(), n.clone()).prop_map(|(a, b)| Link(a, b)),
        3 => (n.clone(), n.clone()).prop_map(|(a, b)| Move(a, b)),
        2 => (n.clone(), n.clone()).prop_map(|(a, b)| Unlink(a, b)),
        2 => n.clone().prop_map(Weak),
        2 => n.clone().prop_map(Upgrade),
        1 => n.clone().prop_map(Resurrect),
        2 => (0..3_usize).prop_map(Collect),
        1 => Just(Freeze),
        1 => Just(Unfreeze),
        1 => (0..200_usize).prop_map(Churn),
    ]
}

#[derive(Trace)]
#[trace(finalize)]
struct Node {
    id: usize,
    edges: RefCell<Vec<Gc<Node>>>,
    /// More for some, so that several size classes are used.
    _ballast: Vec<u8>,
    #[trace(skip)]
    shared: Rc<Shared>,
    resurrect: std::cell::Cell<bool>,
    #[trace(skip)]
    _end: End,
}

/// Tells that a node's value was dropped.
struct End(usize, Rc<Shared>);

impl std::ops::Drop for End {
    fn drop(&mut self) {
        let twice = self.1.dropped.borrow_mut().insert(self.0);
        assert!(twice, "dropped twice");
    }
}

#[derive(Default)]
struct Shared {
    dropped: RefCell<std::collections::HashSet<usize>>,
    resurrected: RefCell<Vec<Gc<Node>>>,
    me: RefCell<std::collections::HashMap<usize, Weak<Node>>>,
}

impl Finalize for Node {
    fn finalize(&self) {
        assert!(!self.shared.dropped.borrow().contains(&self.id));
        for target in self.edges.borrow().iter() {
            assert!(
                !self.shared.dropped.borrow().contains(&target.id),
                "a neighbour is gone"
            );
        }
        if self.resurrect.get()
            && let Some(target) = self.edges.borrow().first()
        {
            self.shared.resurrected.borrow_mut().push(target.clone());
        }
    }
}

/// The heap, and what holds its objects.
struct World {
    shared: Rc<Shared>,
    handles: Vec<Gc<Node>>,
    weak: Vec<(usize, Weak<Node>)>,
    next: usize,
}

impl World {
    fn allocate(&mut self) -> Gc<Node> {
        let id = self.next;
        self.next += 1;
        let node = Gc::new(Node {
            id,
            edges: RefCell::default(),
            _ballast: vec![0; id % 7],
            shared: Rc::clone(&self.shared),
            resurrect: std::cell::Cell::new(false),
            _end: End(id, Rc::clone(&self.shared)),
        });
        self.shared.me.borrow_mut().insert(id, Gc::downgrade(&node));
        node
    }

    fn apply(&mut self, operation: &Operation) {
        let pick = |n: usize, handles: &[Gc<Node>]| handles.get(n % handles.len().max(1)).cloned();
        match *operation {
            Operation::Allocate => {
                let node = self.allocate();
                self.handles.push(node);
            }
            Operation::Clone(n) => self.handles.extend(pick(n, &self.handles)),
            Operation::Drop(n) => {
                if !self.handles.is_empty() {
                    let index = n % self.handles.len();
                    drop(self.handles.swap_remove(index));
                }
            }
            Operation::Link(a, b) => {
                if let (Some(from), Some(to)) = (pick(a, &self.handles), pick(b, &self.handles)) {
                    from.edges.borrow_mut().push(to);
                }
            }
            Operation::Move(a, b) => {
                // Without counting: no reference is dropped.
                if self.handles.len() > 1 {
                    let to = self.handles.swap_remove(b % self.handles.len());
                    let from = &self.handles[a % self.handles.len()];
                    from.edges.borrow_mut().push(to);
                }
            }
            Operation::Unlink(a, b) => {
                if let Some(from) = pick(a, &self.handles) {
                    let mut edges = from.edges.borrow_mut();
                    if !edges.is_empty() {
                        let index = b % edges.len();
                        let edge = edges.swap_remove(index);
                        std::mem::drop(edges);
                        std::mem::drop(edge);
                    }
                }
            }
            Operation::Weak(n) => {
                if let Some(node) = pick(n, &self.handles) {
                    self.weak.push((node.id, Gc::downgrade(&node)));
                }
            }
            Operation::Upgrade(n) => {
                if !self.weak.is_empty() {
                    let (id, weak) = self.weak.swap_remove(n % self.weak.len());
                    if let Some(node) = weak.upgrade() {
                        assert_eq!(node.id, id);
                        assert!(!self.shared.dropped.borrow().contains(&id));
                        self.handles.push(node);
                    }
                }
            }
            Operation::Resurrect(n) => {
                if let Some(node) = pick(n, &self.handles) {
                    node.resurrect.set(true);
                }
            }
            Operation::Collect(generation) => {
                gc::collect_generation(generation);
            }
            Operation::Freeze => gc::freeze(),
            Operation::Unfreeze => gc::unfreeze(),
            Operation::Churn(count) => {
                for _ in 0..count {
                    drop(Gc::new([0_u64; 5]));
                    drop(Gc::new((Gc::new(1), String::new())));
                }
            }
        }
    }

    /// What the handles reach, by search.
    fn reachable(&self) -> std::collections::HashSet<usize> {
        let mut reached = std::collections::HashSet::new();
        let resurrected = self.shared.resurrected.borrow();
        let mut stack: Vec<Gc<Node>> = self
            .handles
            .iter()
            .chain(resurrected.iter())
            .cloned()
            .collect();
        while let Some(node) = stack.pop() {
            if reached.insert(node.id) {
                stack.extend(node.edges.borrow().iter().cloned());
            }
        }
        reached
    }

    /// Collects until finalizers bring nothing back any more.
    fn settle(&self) {
        while gc::collect() > 0 || !self.shared.resurrected.borrow().is_empty() {
            drop(self.shared.resurrected.take());
        }
    }

    fn check(&self, complete: bool) {
        let reachable = self.reachable();
        let dropped = self.shared.dropped.borrow();
        assert!(reachable.is_disjoint(&dropped), "freed in use");
        if complete {
            assert_eq!(
                reachable.len() + dropped.len(),
                self.next,
                "garbage was left"
            );
            assert_eq!(gc::objects().len(), reachable.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn operations(
        operations in prop::collection::vec(operation(), 0..120),
        threshold in prop_oneof![Just(10_000), 1..20_i32],
    ) {
        // A thread for each case: a heap of its own.
        std::thread::spawn(move || {
            gc::set_threshold([threshold, 3, 3]);
            let mut world =
                World { shared: Rc::default(), handles: Vec::new(), weak: Vec::new(), next: 0 };
            for operation in &operations {
                world.apply(operation);
                world.check(false);
            }
            gc::unfreeze();
            world.settle();
            world.check(true);
            world.handles.clear();
            world.settle();
            world.check(true);
            assert_eq!(gc::objects().len(), 0);
        })
        .join()
        .map_err(|_| TestCaseError::fail("see above"))?;
    }
}
