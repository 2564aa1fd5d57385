//! Panics in the program's code leave heap and collector in order.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use wrasse::{Finalize, Gc, Trace, Tracer, gc};

type Log = Rc<RefCell<Vec<String>>>;

/// Panics when dropped; owns no `Gc`, so that it may have a `Drop`.
struct Bomb(Log, &'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.borrow_mut().push(format!("drop {}", self.1));
        if self.1.starts_with("bad") && !std::thread::panicking() {
            panic!("{}", self.1);
        }
    }
}

#[derive(Trace)]
#[trace(finalize)]
struct Node {
    edges: RefCell<Vec<Gc<Node>>>,
    #[trace(skip)]
    bomb: Bomb,
    bad_finalizer: bool,
}

impl Finalize for Node {
    fn finalize(&self) {
        self.bomb
            .0
            .borrow_mut()
            .push(format!("finalize {}", self.bomb.1));
        if self.bad_finalizer {
            panic!("finalizer of {}", self.bomb.1);
        }
    }
}

fn node(log: &Log, name: &'static str) -> Gc<Node> {
    Gc::new(Node {
        edges: RefCell::default(),
        bomb: Bomb(Rc::clone(log), name),
        bad_finalizer: name.starts_with("final"),
    })
}

fn ring(nodes: &[&Gc<Node>]) {
    for (index, node) in nodes.iter().enumerate() {
        node.edges
            .borrow_mut()
            .push(nodes[(index + 1) % nodes.len()].clone());
    }
}

fn caught(action: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(action)).unwrap_err();
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| {
        panic
            .downcast_ref::<&str>()
            .map_or_else(String::new, |text| (*text).to_string())
    })
}

/// The heap works, and nothing is left in it.
fn check(log: &Log, expected: usize) {
    gc::collect();
    assert_eq!(gc::objects().len(), 0, "nothing is left");
    let drops = log
        .borrow()
        .iter()
        .filter(|line| line.starts_with("drop"))
        .count();
    assert_eq!(
        drops,
        expected,
        "each value is dropped once: {:?}",
        log.borrow()
    );
    log.borrow_mut().clear();
    let (a, b) = (node(log, "x"), node(log, "y"));
    ring(&[&a, &b]);
    drop((a, b));
    assert_eq!(gc::collect(), 2);
    log.borrow_mut()[..2].sort();
    log.borrow_mut()[2..].sort();
    assert_eq!(
        *log.borrow(),
        ["finalize x", "finalize y", "drop x", "drop y"]
    );
}

#[test]
fn in_a_destructor_during_a_collection() {
    let log = Log::default();
    let (a, b, c) = (node(&log, "a"), node(&log, "bad"), node(&log, "c"));
    ring(&[&a, &b, &c]);
    drop((a, b, c));
    assert_eq!(
        caught(|| {
            gc::collect();
        }),
        "bad"
    );
    assert_eq!(
        gc::stats().generations[2].collected,
        3,
        "the collection was completed"
    );
    check(&log, 3);
}

#[test]
fn in_a_collection_that_an_allocation_began() {
    let log = Log::default();
    let (a, b) = (node(&log, "bad"), node(&log, "b"));
    ring(&[&a, &b]);
    drop((a, b));
    gc::set_threshold([1, 1, 1]);
    let new = caught(|| drop(node(&log, "new")));
    gc::set_threshold([10_000, 10, 10]);
    assert_eq!(new, "bad");
    check(&log, 3);
    drop(node(&log, "no panic is left over"));
}

#[test]
fn in_several_destructors() {
    let log = Log::default();
    let (a, b, c) = (node(&log, "bad1"), node(&log, "bad2"), node(&log, "bad3"));
    ring(&[&a, &b, &c]);
    drop((a, b, c));
    assert!(
        caught(|| {
            gc::collect();
        })
        .starts_with("bad")
    );
    check(&log, 3);
}

#[test]
fn in_a_destructor_without_a_cycle() {
    let log = Log::default();
    let (a, b, c) = (node(&log, "a"), node(&log, "bad"), node(&log, "c"));
    a.edges.borrow_mut().push(b.clone());
    b.edges.borrow_mut().push(c.clone());
    drop((b, c));
    assert_eq!(caught(|| drop(a)), "bad");
    check(&log, 3);
}

#[test]
fn in_a_finalizer() {
    let log = Log::default();
    let (a, b) = (node(&log, "final"), node(&log, "b"));
    ring(&[&a, &b]);
    drop((a, b));
    assert_eq!(
        caught(|| {
            gc::collect();
        }),
        "finalizer of final"
    );
    check(&log, 2);
    let alone = node(&log, "final");
    log.borrow_mut().clear();
    assert_eq!(caught(|| drop(alone)), "finalizer of final");
    check(&log, 1);
}

#[test]
fn in_a_callback() {
    let log = Log::default();
    let a = node(&log, "a");
    ring(&[&a]);
    let weak = Gc::downgrade_with(&a, || panic!("callback"));
    drop(a);
    assert_eq!(
        caught(|| {
            gc::collect();
        }),
        "callback"
    );
    assert!(weak.upgrade().is_none());
    check(&log, 1);
    log.borrow_mut().clear();
    let a = node(&log, "a");
    let _weak = Gc::downgrade_with(&a, || panic!("callback"));
    assert_eq!(caught(|| drop(a)), "callback");
    check(&log, 1);
    gc::add_callback(|phase, _| assert_eq!(phase, gc::Phase::Start, "told"));
    assert!(
        caught(|| {
            gc::collect();
        })
        .contains("told")
    );
}

#[test]
fn in_trace() {
    thread_local!(static FUSE: Cell<usize> = const { Cell::new(usize::MAX) });
    struct Traced(RefCell<Vec<Gc<Traced>>>);
    // SAFETY: reports its only field, if it gets that far.
    unsafe impl Trace for Traced {
        fn trace(&self, tracer: &mut Tracer<'_>) {
            FUSE.set(FUSE.get() - 1);
            assert!(FUSE.get() > 0, "trace");
            self.0.trace(tracer);
        }
    }
    for fuse in 1..25 {
        let nodes: Vec<_> = (0..5)
            .map(|_| Gc::new(Traced(RefCell::default())))
            .collect();
        for (index, node) in nodes.iter().enumerate() {
            node.0.borrow_mut().push(nodes[(index + 1) % 5].clone());
        }
        let kept = nodes[0].clone();
        drop(nodes);
        FUSE.set(fuse);
        let result = catch_unwind(gc::collect);
        FUSE.set(usize::MAX);
        assert!(result.is_ok_and(|found| found == 0) || fuse <= 10);
        assert_eq!(gc::collect(), 0);
        assert_eq!(
            kept.0.borrow()[0].0.borrow().len(),
            1,
            "everything is still there"
        );
        drop(kept);
        FUSE.set(fuse);
        let first = catch_unwind(gc::collect).unwrap_or(0);
        FUSE.set(usize::MAX);
        assert_eq!(first + gc::collect(), 5, "fuse {fuse}");
    }
}

#[test]
fn while_a_value_is_made() {
    let result = catch_unwind(|| {
        Gc::<RefCell<Vec<Gc<u8>>>>::new_cyclic(|weak| {
            std::mem::forget(weak.clone());
            panic!("making")
        })
    });
    assert!(result.is_err());
    gc::collect();
    assert_eq!(gc::objects().len(), 0);
}

#[test]
fn allocating_in_trace_is_refused() {
    struct Wrong(RefCell<Option<Gc<Wrong>>>);
    // SAFETY: it is not right to allocate here, which is found out.
    unsafe impl Trace for Wrong {
        fn trace(&self, tracer: &mut Tracer<'_>) {
            drop(Gc::new(1));
            self.0.trace(tracer);
        }
    }
    let wrong = Gc::new(Wrong(RefCell::default()));
    drop(wrong.clone());
    assert!(
        caught(|| {
            gc::collect();
        })
        .contains("must not allocate")
    );
    drop(wrong);
}
