//! `Gc` objects in the tracer: a domain of their own, exact line by line.

use std::cell::RefCell;
use std::sync::Mutex;

use wrasse::tracemalloc::{self, Filter, GC_DOMAIN, Snapshot, take_snapshot};
use wrasse::{Finalize, Gc, Trace, Weak, coerce, gc};

use crate::{Lines, alone, lines_of, marked};

fn line(mark: &str) -> u32 {
    marked(include_str!("objects.rs"), mark)
}

/// The lines of this file with their blocks in a snapshot that are not objects.
fn blocks(snapshot: &Snapshot) -> Lines {
    let blocks = snapshot.filter_traces(&[Filter::include("*").domain(0)]);
    lines_of(&blocks, file!())
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
    assert_eq!(
        blocks(&snapshot),
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

static FINALIZED: Mutex<Option<Box<[u8; 321]>>> = Mutex::new(None);
static DROPPED: Mutex<Option<Box<[u8; 123]>>> = Mutex::new(None);
static CALLED: Mutex<Option<Box<[u8; 213]>>> = Mutex::new(None);
/// Taken in the middle of a collection.
static MEANWHILE: Mutex<Option<Snapshot>> = Mutex::new(None);

#[derive(Trace)]
#[trace(finalize)]
struct Busy {
    me: RefCell<Option<Gc<Busy>>>,
    last: Last,
}

impl Finalize for Busy {
    fn finalize(&self) {
        *FINALIZED.lock().unwrap() = Some(Box::new([1; 321])); // finalizer
        *MEANWHILE.lock().unwrap() = Some(take_snapshot().unwrap());
    }
}

struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        *DROPPED.lock().unwrap() = Some(Box::new([1; 123])); // destructor
    }
}

// SAFETY: owns no `Gc`.
unsafe impl Trace for Last {
    fn trace(&self, _: &mut wrasse::Tracer<'_>) {}
}

#[test]
fn collections_are_not_traced_but_what_they_run_is() {
    let _alone = alone();
    tracemalloc::start(10);
    let root: Gc<Node> = Gc::default();
    root.edges.borrow_mut().reserve_exact(50_000); // edges
    for _ in 0..50_000 {
        root.edges.borrow_mut().push(Gc::default());
    }
    for _ in 0..2000 {
        let ring: Gc<Node> = Gc::default();
        let me = ring.clone();
        ring.edges.borrow_mut().push(me); // ring
    }
    let busy = Gc::new(Busy {
        me: RefCell::default(),
        last: Last,
    });
    *busy.me.borrow_mut() = Some(busy.clone());
    assert_eq!(size_of_val(&busy.last), 0);
    let call = || *CALLED.lock().unwrap() = Some(Box::new([1; 213])); // callback
    let weak = Gc::downgrade_with(&busy, call); // watched
    drop(busy);
    gc::collect(); // collection
    assert!(weak.upgrade().is_none());
    drop(weak);

    let edges = (line("edges"), 1, 50_000 * size_of::<Gc<Node>>());
    let finalizer = (line("finalizer"), 1, 321);
    let callback = (line("callback"), 1, 213);
    let after = take_snapshot().unwrap();
    let mut wanted = [finalizer, (line("destructor"), 1, 123), edges, callback];
    wanted.sort_unstable();
    assert_eq!(blocks(&after), wanted);
    let meanwhile = MEANWHILE.lock().unwrap().take().unwrap();
    let during = blocks(&meanwhile);
    assert!(during.contains(&finalizer) && during.contains(&callback));
    let expected = ["finalizer", "callback", "edges", "ring", "watched"].map(line);
    assert!(
        during.iter().all(|(at, ..)| expected.contains(at)),
        "{during:?}"
    );

    let mut collected = 0;
    for block in after
        .traces()
        .filter(|block| matches!(block.size, 321 | 123 | 213))
    {
        let frames = block.traceback.frames();
        assert!(
            frames
                .iter()
                .any(|frame| frame.lineno() == line("collection")),
            "{}",
            block.traceback.format()
        );
        for frame in frames {
            assert!(!frame.filename().contains("/collector/src/"), "{frame}");
            assert!(!frame.filename().contains("/wrasse/src/"), "{frame}");
        }
        collected += 1;
    }
    assert_eq!(collected, 3);
    *FINALIZED.lock().unwrap() = None;
    *DROPPED.lock().unwrap() = None;
    *CALLED.lock().unwrap() = None;
}
