//! Cycles: that they go, in the right order, and that everything else stays.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wrasse::{Finalize, Gc, Trace, Weak, gc};

/// Puts a line into a log when finalized, and does what it is told.
#[derive(Trace)]
#[trace(finalize)]
struct Node {
    name: &'static str,
    edges: RefCell<Vec<Gc<Node>>>,
    #[trace(skip)]
    end: Box<dyn Fn(&Node)>,
}

impl Finalize for Node {
    fn finalize(&self) {
        (self.end)(self);
    }
}

fn node(name: &'static str, end: impl Fn(&Node) + 'static) -> Gc<Node> {
    Gc::new(Node {
        name,
        edges: RefCell::default(),
        end: Box::new(end),
    })
}

fn plain(name: &'static str) -> Gc<Node> {
    node(name, |_| {})
}

fn link(from: &Gc<Node>, to: &Gc<Node>) {
    from.edges.borrow_mut().push(to.clone());
}

fn ring(nodes: &[&Gc<Node>]) {
    for (index, node) in nodes.iter().enumerate() {
        link(node, nodes[(index + 1) % nodes.len()]);
    }
}

#[test]
fn a_ring_is_freed() {
    let (a, b, c) = (plain("a"), plain("b"), plain("c"));
    ring(&[&a, &b, &c]);
    let weak = Gc::downgrade(&b);
    drop((a, b));
    assert_eq!(gc::collect(), 0);
    assert!(weak.upgrade().is_some());
    drop(c);
    assert_eq!(gc::collect(), 3);
    assert!(weak.upgrade().is_none());
    assert_eq!(gc::collect(), 0);
}

#[test]
fn finalizers_see_everything_whole_and_run_once() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let note = |name| {
        let log = Rc::clone(&log);
        node(name, move |node| {
            let neighbours = node
                .edges
                .borrow()
                .iter()
                .map(|n| n.name)
                .collect::<String>();
            log.borrow_mut()
                .push(format!("{} sees {neighbours}", node.name));
        })
    };
    let (a, b) = (note("a"), note("b"));
    ring(&[&a, &b]);
    drop((a, b));
    assert_eq!(gc::collect(), 2);
    assert_eq!(*log.borrow(), ["a sees b", "b sees a"]);
}

#[test]
fn a_finalizer_may_resurrect() {
    thread_local!(static SAVED: RefCell<Option<Gc<Node>>> = const { RefCell::new(None) });
    let runs = Rc::new(Cell::new(0));
    let count = Rc::clone(&runs);
    let a = node("a", move |node| {
        count.set(count.get() + 1);
        SAVED.set(Some(node.edges.borrow()[0].clone()));
    });
    let b = plain("b");
    ring(&[&a, &b]);
    let other = plain("other");
    ring(&[&other]);
    let weak = Gc::downgrade(&b);
    drop((a, b, other));
    assert_eq!(gc::collect(), 1, "only the other one");
    assert_eq!(runs.get(), 1);
    assert!(
        weak.upgrade().is_none(),
        "weak references were cleared before"
    );
    let b = SAVED.take().unwrap();
    assert_eq!(b.edges.borrow()[0].edges.borrow()[0].name, "b");
    drop(b);
    assert_eq!(gc::collect(), 2);
    assert_eq!(runs.get(), 1);
}

#[test]
fn finalizers_run_without_cycles_too() {
    thread_local!(static SAVED: RefCell<Option<Gc<Node>>> = const { RefCell::new(None) });
    let me = Rc::new(RefCell::new(Weak::<Node>::new()));
    let inner = Rc::clone(&me);
    let a = node("a", move |_| SAVED.set(inner.borrow().upgrade()));
    *me.borrow_mut() = Gc::downgrade(&a);
    drop(a);
    let a = SAVED
        .take()
        .expect("weak references are cleared after the finalizer here");
    assert_eq!(a.name, "a");
    drop(a);
    assert!(me.borrow().upgrade().is_none());
}

#[test]
fn young_collections_leave_old_garbage() {
    let (a, b) = (plain("a"), plain("b"));
    ring(&[&a, &b]);
    gc::collect();
    drop((a, b));
    let (c, d) = (plain("c"), plain("d"));
    ring(&[&c, &d]);
    drop((c, d));
    assert_eq!(gc::collect_generation(0), 2);
    assert_eq!(gc::collect_generation(1), 0);
    assert_eq!(gc::collect_generation(2), 2);
}

#[test]
fn objects_move_up_through_the_generations() {
    let a = plain("a");
    ring(&[&a]);
    let generation = |a: &Gc<Node>| gc::referrers(a)[0].generation();
    assert_eq!(generation(&a), 0);
    gc::collect_generation(0);
    assert_eq!(generation(&a), 1);
    gc::collect_generation(0);
    assert_eq!(generation(&a), 1);
    gc::collect_generation(1);
    assert_eq!(generation(&a), 2);
    drop(a);
    assert_eq!(gc::collect_generation(1), 0);
    assert_eq!(gc::collect(), 1);
}

#[test]
fn collections_run_by_themselves() {
    gc::set_threshold([50, 5, 5]);
    let before = gc::stats();
    for _ in 0..10_000 {
        let (a, b) = (plain("a"), plain("b"));
        ring(&[&a, &b]);
    }
    let after = gc::stats();
    assert!(after.generations[0].collections > before.generations[0].collections + 100);
    assert!(gc::objects().len() <= 60);
    gc::disable();
    let collections = gc::stats().generations[0].collections;
    for _ in 0..1000 {
        ring(&[&plain("a")]);
    }
    assert_eq!(gc::stats().generations[0].collections, collections);
    assert!(gc::count()[0] >= 1000);
    gc::enable();
}

#[test]
fn weak_callbacks() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let say = |what: &'static str| {
        let log = Rc::clone(&log);
        move || log.borrow_mut().push(what)
    };
    let a = node("a", {
        let say = say("finalizer");
        move |_| say()
    });
    ring(&[&a]);
    let _kept = Gc::downgrade_with(&a, say("callback"));
    drop(Gc::downgrade_with(&a, say("dropped")));
    #[derive(Trace)]
    struct Holder(
        RefCell<Option<Gc<Node>>>,
        Weak<Node>,
        RefCell<Option<Gc<Holder>>>,
    );
    let holder = Gc::new(Holder(
        RefCell::new(Some(a.clone())),
        Gc::downgrade_with(&a, say("garbage itself")),
        RefCell::default(),
    ));
    *holder.2.borrow_mut() = Some(holder.clone());
    drop((a, holder));
    assert_eq!(gc::collect(), 2);
    assert_eq!(*log.borrow(), ["callback", "finalizer"]);
}

#[test]
fn introspection() {
    let (a, b) = (plain("a"), plain("b"));
    link(&a, &b);
    link(&a, &b);
    assert_eq!(gc::referents(&a).len(), 2);
    let referrers = gc::referrers(&b);
    assert_eq!(referrers.len(), 1);
    assert!(referrers[0].is(&a) && referrers[0].downcast::<Node>().is_some());
    assert!(referrers[0].downcast::<String>().is_none());
    assert!(gc::is_tracked(&a) && !gc::is_finalized(&a));
    assert!(!gc::is_tracked(&Gc::new(1)));
    assert_eq!(gc::objects().len(), 2);
}

#[test]
fn freezing() {
    let a = plain("a");
    ring(&[&a]);
    gc::freeze();
    assert_eq!((gc::freeze_count(), gc::count()), (1, [0, 0, 0]));
    drop(a);
    assert_eq!(gc::collect(), 0);
    gc::unfreeze();
    assert_eq!((gc::collect(), gc::freeze_count()), (1, 0));
}

#[test]
fn garbage_can_be_kept() {
    let a = plain("a");
    ring(&[&a]);
    drop(a);
    gc::set_debug(gc::Debug {
        save_all: true,
        ..gc::Debug::default()
    });
    assert_eq!(gc::collect(), 1);
    gc::set_debug(gc::Debug::default());
    let garbage = gc::garbage();
    assert_eq!(garbage[0].downcast::<Node>().unwrap().name, "a");
    drop(garbage);
    gc::clear_garbage();
    assert_eq!(gc::collect(), 1);
}

#[test]
fn callbacks_are_told() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let inner = Rc::clone(&log);
    let id = gc::add_callback(move |phase, info| {
        assert_eq!(gc::collect(), 0, "one at a time");
        inner
            .borrow_mut()
            .push((phase, info.generation, info.collected));
    });
    ring(&[&plain("a")]);
    gc::collect_generation(1);
    assert!(gc::remove_callback(id) && !gc::remove_callback(id));
    gc::collect();
    assert_eq!(
        *log.borrow(),
        [(gc::Phase::Start, 1, 0), (gc::Phase::Stop, 1, 1)]
    );
}

#[test]
fn a_young_object_kept_by_old_garbage() {
    let old = plain("old");
    gc::collect();
    let young = plain("young");
    link(&old, &young);
    // Moved, so that the only reference that is ever dropped is the young one's.
    young.edges.borrow_mut().push(old);
    drop(young);
    assert_eq!(gc::collect_generation(0), 0);
    assert_eq!(gc::collect_generation(1), 0);
    assert_eq!(gc::collect(), 2);
}

#[test]
fn a_cycle_of_frozen_and_other_objects() {
    let frozen = plain("frozen");
    gc::freeze();
    let other = plain("other");
    link(&frozen, &other);
    other.edges.borrow_mut().push(frozen);
    drop(other);
    assert_eq!(gc::collect(), 0);
    assert_eq!(gc::collect(), 0);
    gc::unfreeze();
    assert_eq!(gc::collect(), 2);
}
