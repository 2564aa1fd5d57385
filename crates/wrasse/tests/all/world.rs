//! Operations on real objects, and a naive model of which of them must be alive.
//!
//! Property tests and the fuzzer drive it: an operation is made from three
//! numbers, so that both can make any sequence.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use wrasse::{Finalize, Gc, Trace, Weak, WeakKeyMap, coerce, gc};

/// What panics that are part of the test say.
pub const PLANNED: &str = "planned";

/// One operation; numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Allocate,
    Clone(usize),
    Drop(usize),
    Link(usize, usize),
    /// Through a slice of two.
    LinkSlice(usize, usize),
    /// Through a trait object, which is large and strangely aligned.
    LinkDynamic(usize, usize),
    /// Without counting: no reference is dropped.
    Move(usize, usize),
    Unlink(usize, usize),
    Weak(usize),
    Upgrade(usize),
    /// A weak reference with a callback.
    Watch(usize, usize),
    Unwatch(usize),
    /// An entry of a weak map: the value lives as long as the key.
    Attach(usize, usize),
    Detach(usize),
    /// Has the finalizer do something.
    AtEnd(usize, usize),
    /// Has the destructor do something.
    AtDrop(usize, usize),
    /// Lends the value exclusively while this and that happens.
    Lend(usize),
    /// Takes the value out of its object.
    TakeOut(usize),
    /// A value that gets a weak reference to itself before it is there.
    Cyclic(usize),
    Collect(usize),
    Freeze,
    Unfreeze,
    Churn(usize),
    /// Looks at everything there is.
    Look,
}

impl Operation {
    /// The operation for any numbers; frequent ones have more kinds.
    pub fn new(kind: u8, a: u16, b: u16) -> Self {
        use Operation::*;
        let (a, b) = (usize::from(a), usize::from(b));
        match kind % 48 {
            0..=5 => Allocate,
            6..=7 => Clone(a),
            8..=14 => Drop(a),
            15..=20 => Link(a, b),
            21 => LinkSlice(a, b),
            22 => LinkDynamic(a, b),
            23..=25 => Move(a, b),
            26..=28 => Unlink(a, b),
            29 => Weak(a),
            30 => Upgrade(a),
            31 => Watch(a, b),
            32 => Unwatch(a),
            33..=34 => Attach(a, b),
            35 => Detach(a),
            36..=37 => AtEnd(a, b),
            38 => AtDrop(a, b),
            39 => Lend(a),
            40 => TakeOut(a),
            41 => Cyclic(a),
            42..=43 => Collect(a % 3),
            44 => Freeze,
            45 => Unfreeze,
            46 => Churn(a % 200),
            _ => Look,
        }
    }
}

/// What foreign code does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Deed {
    #[default]
    Nothing,
    /// Finalizers only: stores a reference to a neighbour outside.
    Resurrect,
    /// Finalizers only: drops all references of the object.
    Unlink,
    AllocateCycle,
    Collect,
    Panic,
    Freeze,
}

impl Deed {
    fn new(number: usize) -> Self {
        use Deed::*;
        [
            Nothing,
            Resurrect,
            Unlink,
            AllocateCycle,
            Collect,
            Panic,
            Freeze,
        ][number % 7]
    }

    fn run(self, shared: &Rc<Shared>) {
        match self {
            Self::Nothing | Self::Resurrect | Self::Unlink => {}
            Self::AllocateCycle => {
                let (a, b) = (shared.allocate(), shared.allocate());
                a.edges.borrow_mut().push(Edge::Direct(b.clone()));
                b.edges.borrow_mut().push(Edge::Direct(a));
            }
            Self::Collect => {
                gc::collect();
            }
            Self::Panic if !std::thread::panicking() => panic!("{PLANNED}"),
            Self::Panic => {}
            Self::Freeze => gc::freeze(),
        }
    }
}

#[derive(Trace)]
#[trace(finalize)]
pub struct Node {
    id: usize,
    edges: RefCell<Vec<Edge>>,
    me: RefCell<Weak<Node>>,
    #[trace(skip)]
    shared: Rc<Shared>,
    #[trace(skip)]
    at_end: Cell<Deed>,
    finalized: Cell<bool>,
    #[trace(skip)]
    end: End,
}

/// The ways from one node to another.
#[derive(Trace)]
enum Edge {
    Direct(Gc<Node>),
    Slice(Gc<[RefCell<Option<Gc<Node>>>]>),
    Dynamic(Gc<dyn Holder>),
}

impl Edge {
    fn targets(&self) -> Vec<Gc<Node>> {
        match self {
            Self::Direct(node) => vec![node.clone()],
            Self::Slice(slice) => slice
                .iter()
                .filter_map(|slot| slot.borrow().clone())
                .collect(),
            Self::Dynamic(holder) => vec![holder.held()],
        }
    }
}

trait Holder: Trace {
    fn held(&self) -> Gc<Node>;
}

#[derive(Trace)]
#[repr(align(128))]
struct Wide(Gc<Node>, [u64; 300]);

impl Holder for Wide {
    fn held(&self) -> Gc<Node> {
        assert!(self.1.iter().all(|&word| word == self.0.id as u64));
        self.0.clone()
    }
}

/// Tells that a node's value was dropped.
struct End(usize, Rc<Shared>, Cell<Deed>);

impl Drop for End {
    fn drop(&mut self) {
        let first = self.1.dropped.borrow_mut().insert(self.0);
        assert!(first, "dropped twice");
        let deed = self.2.get();
        self.1.clone().guarded(|shared| deed.run(shared));
    }
}

/// What the nodes know of the world.
#[derive(Default)]
struct Shared {
    dropped: RefCell<HashSet<usize>>,
    resurrected: RefCell<Vec<Gc<Node>>>,
    next: Cell<usize>,
    /// Foreign code inside foreign code; it does nothing of its own too deep.
    depth: Cell<usize>,
}

impl Shared {
    fn allocate(self: &Rc<Self>) -> Gc<Node> {
        Gc::new(self.value())
    }

    fn value(self: &Rc<Self>) -> Node {
        let id = self.next.replace(self.next.get() + 1);
        Node {
            id,
            edges: RefCell::default(),
            me: RefCell::default(),
            shared: Rc::clone(self),
            at_end: Cell::default(),
            finalized: Cell::new(false),
            end: End(id, Rc::clone(self), Cell::default()),
        }
    }

    fn guarded(self: &Rc<Self>, foreign: impl FnOnce(&Rc<Self>)) {
        struct Depth<'a>(&'a Cell<usize>);
        impl Drop for Depth<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.depth.set(self.depth.get() + 1);
        let depth = Depth(&self.depth);
        if self.depth.get() < 4 {
            foreign(self);
        }
        drop(depth);
    }

    fn is_dropped(&self, id: usize) -> bool {
        self.dropped.borrow().contains(&id)
    }
}

impl Finalize for Node {
    fn finalize(&self) {
        assert!(!self.finalized.replace(true), "finalized twice");
        assert!(!self.shared.is_dropped(self.id));
        // Foreign code may be looking at the references.
        let targets: Vec<_> = match self.edges.try_borrow() {
            Ok(edges) => edges.iter().flat_map(Edge::targets).collect(),
            Err(_) => Vec::new(),
        };
        for target in &targets {
            assert!(!self.shared.is_dropped(target.id), "a neighbour is gone");
        }
        let deed = self.at_end.get();
        if deed == Deed::Resurrect
            && let Some(target) = targets.first()
        {
            self.shared.resurrected.borrow_mut().push(target.clone());
        }
        drop(targets);
        if deed == Deed::Unlink
            && let Ok(mut edges) = self.edges.try_borrow_mut()
        {
            let edges = std::mem::take(&mut *edges);
            drop(edges);
        }
        self.shared.guarded(|shared| deed.run(shared));
    }
}

/// The heap, and what holds its objects.
#[derive(Default)]
pub struct World {
    shared: Rc<Shared>,
    handles: Vec<Gc<Node>>,
    weak: Vec<(usize, Weak<Node>)>,
    map: WeakKeyMap<Node, Node>,
    /// What the map ought to hold, for keys that were never about to go.
    entries: HashMap<usize, usize>,
}

impl World {
    /// Runs operations in a heap of its own: a fresh thread's.
    pub fn run(operations: Vec<Operation>, threshold: i32) -> std::thread::Result<()> {
        std::thread::spawn(move || {
            gc::set_threshold([threshold, 3, 3]);
            let mut world = Self::default();
            for operation in operations {
                world.plan(|world| world.apply(operation));
                world.check(false);
            }
            world.finish();
        })
        .join()
    }

    /// Does something during which planned panics may come.
    fn plan(&mut self, action: impl FnOnce(&mut Self)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| action(self)))
            && panic
                .downcast_ref::<String>()
                .is_none_or(|text| text != PLANNED)
        {
            resume_unwind(panic);
        }
    }

    fn finish(&mut self) {
        gc::unfreeze();
        self.settle();
        self.check(true);
        while let Some(handle) = self.handles.pop() {
            self.plan(|_| drop(handle));
        }
        self.settle();
        self.check(true);
        assert_eq!(gc::objects().len(), 0, "something is left");
    }

    fn pick(&self, number: usize) -> Option<Gc<Node>> {
        let count = self.handles.len().max(1);
        self.handles.get(number % count).cloned()
    }

    fn pair(&self, a: usize, b: usize) -> Option<(Gc<Node>, Gc<Node>)> {
        Some((self.pick(a)?, self.pick(b)?))
    }

    fn take(&mut self, number: usize) -> Option<Gc<Node>> {
        let count = self.handles.len();
        (count > 0).then(|| self.handles.swap_remove(number % count))
    }

    fn apply(&mut self, operation: Operation) {
        let link = |from: &Gc<Node>, edge| from.edges.borrow_mut().push(edge);
        match operation {
            Operation::Allocate => {
                let node = self.shared.allocate();
                self.handles.push(node);
            }
            Operation::Clone(n) => self.handles.extend(self.pick(n)),
            Operation::Drop(n) => drop(self.take(n)),
            Operation::Link(a, b) => {
                if let Some((from, to)) = self.pair(a, b) {
                    link(&from, Edge::Direct(to));
                }
            }
            Operation::LinkSlice(a, b) => {
                if let Some((from, to)) = self.pair(a, b) {
                    let slots = vec![RefCell::new(Some(to)), RefCell::new(None)];
                    let slice = Gc::from_vec(slots);
                    *slice[1].borrow_mut() = Some(from.clone());
                    link(&from, Edge::Slice(slice));
                }
            }
            Operation::LinkDynamic(a, b) => {
                if let Some((from, to)) = self.pair(a, b) {
                    let wide = Gc::new(Wide(to.clone(), [to.id as u64; 300]));
                    link(&from, Edge::Dynamic(coerce!(wide => dyn Holder)));
                }
            }
            Operation::Move(a, b) => {
                if self.handles.len() > 1
                    && let Some(to) = self.take(b)
                {
                    let from = &self.handles[a % self.handles.len()];
                    link(from, Edge::Direct(to));
                }
            }
            Operation::Unlink(a, b) => {
                if let Some(from) = self.pick(a) {
                    let mut edges = from.edges.borrow_mut();
                    if !edges.is_empty() {
                        let index = b % edges.len();
                        let edge = edges.swap_remove(index);
                        drop(edges);
                        drop(edge);
                    }
                }
            }
            Operation::Weak(n) => {
                if let Some(node) = self.pick(n) {
                    self.weak.push((node.id, Gc::downgrade(&node)));
                }
            }
            Operation::Upgrade(n) => {
                if !self.weak.is_empty() {
                    let (id, weak) = self.weak.swap_remove(n % self.weak.len());
                    if let Some(node) = weak.upgrade() {
                        assert_eq!(node.id, id);
                        assert!(!self.shared.is_dropped(id));
                        self.handles.push(node);
                    }
                }
            }
            Operation::Watch(n, deed) => {
                if let Some(node) = self.pick(n) {
                    let shared = Rc::clone(&self.shared);
                    let weak = Gc::downgrade(&node);
                    let deed = Deed::new(deed);
                    let watch = Gc::downgrade_with(&node, move || {
                        assert!(weak.upgrade().is_none(), "called too early");
                        shared.guarded(|shared| deed.run(shared));
                    });
                    self.weak.push((node.id, watch));
                }
            }
            Operation::Unwatch(n) => {
                if !self.weak.is_empty() {
                    let weak = self.weak.swap_remove(n % self.weak.len());
                    drop(weak);
                }
            }
            Operation::Attach(a, b) => {
                if let Some((key, value)) = self.pair(a, b) {
                    self.entries.insert(key.id, value.id);
                    drop(self.map.insert(&key, value));
                }
            }
            Operation::Detach(n) => {
                if let Some(key) = self.pick(n) {
                    self.entries.remove(&key.id);
                    drop(self.map.remove(&key));
                }
            }
            Operation::AtEnd(n, deed) => {
                if let Some(node) = self.pick(n) {
                    node.at_end.set(Deed::new(deed));
                }
            }
            Operation::AtDrop(n, deed) => {
                if let Some(node) = self.pick(n) {
                    node.end.2.set(Deed::new(deed));
                }
            }
            Operation::Lend(n) => {
                let count = self.handles.len().max(1);
                let other = self.pick(n + 1);
                if let Some(handle) = self.handles.get_mut(n % count)
                    && let Some(mut access) = Gc::get_mut(handle)
                {
                    let id = access.id;
                    access.edges.get_mut().extend(other.map(Edge::Direct));
                    gc::collect();
                    drop(self.shared.allocate());
                    for object in gc::objects() {
                        let node = object.downcast::<Node>();
                        assert!(node.is_none_or(|node| node.id != id), "lent to two");
                    }
                    access.edges.get_mut().pop();
                }
            }
            Operation::TakeOut(n) => {
                if let Some(handle) = self.take(n) {
                    match Gc::try_unwrap(handle) {
                        Ok(value) => {
                            gc::collect();
                            assert!(!self.shared.is_dropped(value.id));
                        }
                        Err(handle) => self.handles.push(handle),
                    }
                }
            }
            Operation::Cyclic(n) => {
                let shared = Rc::clone(&self.shared);
                let node = Gc::new_cyclic(|weak| {
                    let node = shared.value();
                    *node.me.borrow_mut() = weak.clone();
                    assert!(weak.upgrade().is_none());
                    if n % 3 == 0 {
                        gc::collect();
                    }
                    if n % 5 == 0 {
                        panic!("{PLANNED}");
                    }
                    node
                });
                let me = node.me.borrow().upgrade().expect("it is there now");
                assert!(Gc::ptr_eq(&node, &me));
                self.handles.push(node);
            }
            Operation::Collect(generation) => {
                gc::collect_generation(generation);
            }
            Operation::Freeze => gc::freeze(),
            Operation::Unfreeze => gc::unfreeze(),
            Operation::Churn(count) => {
                for number in 0..count {
                    drop(Gc::new([number; 5]));
                    drop(Gc::new((Gc::new(1), String::new())));
                }
            }
            Operation::Look => {
                let leaks = wrasse::leaks();
                assert!(!format!("{leaks:?} {leaks}").is_empty());
                assert!(wrasse::leaks::graph().ends_with("}\n"));
                for (key, value) in self.map.iter() {
                    assert!(!self.shared.is_dropped(key.id) && !self.shared.is_dropped(value.id));
                    gc::collect_generation(0);
                }
                for object in gc::objects() {
                    for target in object.referents() {
                        assert!(target.ref_count() > 1);
                    }
                }
            }
        }
    }

    /// What the handles reach, by search.
    fn reachable(&self) -> HashSet<usize> {
        let mut reached = HashSet::new();
        let resurrected = self.shared.resurrected.borrow();
        let mut stack: Vec<Gc<Node>> = self
            .handles
            .iter()
            .chain(resurrected.iter())
            .cloned()
            .collect();
        while let Some(node) = stack.pop() {
            if reached.insert(node.id) {
                stack.extend(node.edges.borrow().iter().flat_map(Edge::targets));
                let value = self.map.get(&node);
                if let Some(expected) = self.entries.get(&node.id)
                    && !node.finalized.get()
                {
                    let found = value.as_ref().expect("a weak map lost an entry");
                    assert_eq!(found.id, *expected);
                }
                stack.extend(value);
            }
        }
        reached
    }

    /// Nodes made and dropped so far.
    fn progress(&self) -> (usize, usize) {
        (self.shared.next.get(), self.shared.dropped.borrow().len())
    }

    /// Collects until nothing happens any more: no garbage is found, no
    /// finalizer brings anything back, no destructor makes anything new.
    fn settle(&mut self) {
        loop {
            let mut found = 1;
            let before = self.progress();
            self.plan(|world| {
                for node in world.shared.resurrected.take() {
                    world.plan(|_| drop(node));
                }
                // Foreign code freezes in between.
                gc::unfreeze();
                found = gc::collect() + world.shared.resurrected.borrow().len();
            });
            if found == 0 && self.progress() == before {
                return;
            }
        }
    }

    fn check(&self, complete: bool) {
        let reachable = self.reachable();
        let dropped = self.shared.dropped.borrow();
        assert!(reachable.is_disjoint(&dropped), "freed in use");
        if complete {
            let made = self.shared.next.get();
            assert_eq!(reachable.len() + dropped.len(), made, "garbage was left");
            let nodes = gc::objects()
                .iter()
                .filter(|object| object.downcast::<Node>().is_some())
                .count();
            assert_eq!(nodes, reachable.len());
        }
    }
}
