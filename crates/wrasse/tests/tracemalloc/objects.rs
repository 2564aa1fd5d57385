//! `Gc` objects in the tracer: a domain of their own, exact line by line.

use std::cell::RefCell;

use wrasse::tracemalloc::{self, Filter, GC_DOMAIN, take_snapshot};
use wrasse::{Finalize, Gc, Trace, Weak, coerce, gc};

use crate::{Lines, alone, lines_of, marked};

fn line(mark: &str) -> u32 {
    marked(include_str!("objects.rs"), mark)
}

/// The lines of this file with the objects they allocated.
fn objects() -> Lines {
    let snapshot = take_snapshot().unwrap();
    let objects = snapshot.filter_traces(&[Filter::include("*").domain(GC_DOMAIN)]);
    lines_of(&objects, file!())
}

#[derive(Trace, Default)]
struct Node {
    number: u64,
    edges: RefCell<Vec<Gc<Node>>>,
}

/// What an object takes besides its value.
const HEADER: usize = 16;

#[test]
fn objects_count_for_their_lines() {
    let _alone = alone();
    let before = Gc::new([0u64; 5]);
    tracemalloc::start(1);
    let small = Gc::new(7u8); // small
    let nodes: Vec<Gc<Node>> = (0..1000).map(|_| Gc::default()).collect(); // nodes
    let large = Gc::new([1u8; 5000]); // large
    let slice: Gc<[u32]> = Gc::from_vec(vec![1, 2, 3]); // slice
    let cyclic = Gc::new_cyclic(|_: &Weak<Node>| Node::default()); // cyclic
    let aligned = Gc::new(Aligned([1; 64])); // aligned
    let dynamic: Gc<dyn std::fmt::Debug> = coerce!(Gc::new([3u16; 9]) => dyn std::fmt::Debug); // dynamic
    let _freed = std::hint::black_box(Gc::new([0u64; 50])).len();
    drop(before);
    let snapshot = take_snapshot().unwrap();

    let node = HEADER + size_of::<Node>();
    let mut wanted = vec![
        (line("small"), 1, HEADER + 1),
        (line("nodes"), 1000, 1000 * node),
        (line("large"), 1, HEADER + 5000),
        (line("slice"), 1, HEADER + 12),
        (line("cyclic"), 1, node),
        (line("aligned"), 1, HEADER + 64),
        (line("dynamic"), 1, HEADER + 18),
    ];
    assert_eq!(objects(), wanted);
    // The pages that objects lie in are not counted once more.
    let others = snapshot.filter_traces(&[Filter::include("*").domain(0)]);
    assert_eq!(
        lines_of(&others, file!()),
        [(line("nodes"), 1, 1000 * size_of::<Gc<Node>>())]
    );

    let traceback = tracemalloc::get_object_traceback(&large).unwrap();
    assert_eq!(traceback.most_recent().lineno(), line("large"));
    assert!(tracemalloc::get_block_traceback(&raw const *large).is_none());

    let small_copy = small.clone();
    drop((small, slice, cyclic, aligned));
    let freed = ["slice", "cyclic", "aligned"].map(line);
    wanted.retain(|(at, ..)| !freed.contains(at));
    assert_eq!(objects(), wanted);
    drop((small_copy, large, dynamic, nodes));
    assert_eq!(objects(), []);
}

#[derive(Trace)]
#[repr(align(64))]
struct Aligned([u8; 64]);

#[test]
fn collected_finalized_and_unwrapped_objects_are_gone() {
    #[derive(Trace)]
    #[trace(finalize)]
    struct Final(RefCell<Option<Gc<Final>>>);
    impl Finalize for Final {
        fn finalize(&self) {}
    }
    #[derive(Trace)]
    struct Panics(Bomb);
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new(()));
        }
    }
    // SAFETY: owns no `Gc`.
    unsafe impl Trace for Bomb {
        fn trace(&self, _: &mut wrasse::Tracer<'_>) {}
    }

    let _alone = alone();
    tracemalloc::start(4);
    gc::collect();
    for _ in 0..10 {
        let ring: Vec<Gc<Node>> = (0..10).map(|_| Gc::default()).collect();
        for index in 0..10 {
            let next = ring[(index + 1) % 10].clone();
            ring[index].edges.borrow_mut().push(next);
        }
    }
    assert_eq!(
        objects().iter().map(|(_, count, _)| count).sum::<usize>(),
        100
    );
    assert_eq!(gc::collect(), 100);
    assert_eq!(objects(), []);

    let last = Gc::new(Final(RefCell::default()));
    *last.0.borrow_mut() = Some(last.clone());
    drop(last);
    drop(Gc::new(Final(RefCell::default())));
    gc::collect();
    assert!(Gc::try_unwrap(Gc::new(Node::default())).is_ok());
    let watched = Gc::new(String::from("text"));
    let weak = Gc::downgrade_with(&watched, || ());
    drop(watched);
    assert!(weak.upgrade().is_none());
    let panicked = std::panic::catch_unwind(|| drop(Gc::new(Panics(Bomb))));
    assert!(panicked.is_err());
    assert_eq!(objects(), []);

    // A list that is dropped, each node by the one before.
    let mut list: Option<Gc<Node>> = None;
    for number in 0..1000 {
        let edges = RefCell::new(list.take().into_iter().collect());
        list = Some(Gc::new(Node { number, edges }));
    }
    assert_eq!(list.as_ref().unwrap().number, 999);
    assert_eq!(objects()[0].1, 1000);
    drop(list);
    assert_eq!(objects(), []);
}

#[test]
fn tracing_that_begins_late_or_ends_early() {
    let _alone = alone();
    let mut nodes: Vec<Gc<Node>> = (0..100).map(|_| Gc::default()).collect();
    for round in 0..5 {
        tracemalloc::start(2);
        let _ = tracemalloc::get_traced_memory();
        for _ in 0..50 {
            nodes.push(Gc::default());
        }
        nodes.drain(0..30);
        let counted: usize = objects().iter().map(|(_, count, _)| count).sum();
        // Those of this round, less those that went already.
        assert_eq!(counted, nodes.len().min(50), "{round}");
        tracemalloc::stop();
        nodes.drain(0..10);
        nodes.push(Gc::default());
    }
}

#[test]
fn objects_of_other_threads() {
    let _alone = alone();
    let (send, receive) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel();
    let early = std::thread::spawn(move || {
        // Has objects, and blocks at hand, before tracing begins.
        let nodes: Vec<Gc<Node>> = (0..10).map(|_| Gc::default()).collect();
        send.send(()).unwrap();
        wait.recv().unwrap();
        // Unlike any other line, so that the compiler does not merge it with one.
        let node = |number| {
            let edges = RefCell::default();
            Gc::new(Node { number, edges }) // more
        };
        let more: Vec<Gc<Node>> = (77..10_077).map(node).collect();
        let counted = objects()[0];
        drop((nodes, more));
        (counted, objects().len())
    });
    receive.recv().unwrap();
    tracemalloc::start(1);
    go.send(()).unwrap();
    let ((at, count, _), left) = early.join().unwrap();
    assert_eq!(at, line("more"));
    // It notices when what it has at hand is used up: less than a page.
    assert!(
        (10_000 - 32 * 1024 / 48..=10_000).contains(&count),
        "{count}"
    );
    assert_eq!(left, 0);

    let late = std::thread::spawn(|| {
        let nodes: Vec<Gc<Node>> = (0..1000).map(|_| Gc::default()).collect();
        let counted = objects()[0].1;
        std::mem::forget(nodes[0].clone());
        counted
    });
    assert_eq!(late.join().unwrap(), 1000);
    assert_eq!(objects()[0].1, 1, "what was forgotten");
}
