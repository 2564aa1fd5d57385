//! Memory goes back to the system's allocator when objects are gone.
#![cfg(not(feature = "system-blocks"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use wrasse::{Gc, Trace, gc};

/// The system's allocator, with a count of the bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1 << 20;

#[derive(Trace)]
struct Node {
    next: RefCell<Option<Gc<Node>>>,
    rest: [u64; 4],
}

fn node() -> Gc<Node> {
    Gc::new(Node {
        next: RefCell::default(),
        rest: [1; 4],
    })
}

/// Runs `stage` in a thread of its own, hence with a heap of its own, and passes
/// it what tells the bytes in use since; checks that all goes with the thread.
fn alone(stage: fn(&dyn Fn() -> usize)) {
    let before = IN_USE.load(Ordering::Relaxed);
    std::thread::spawn(move || {
        let before = IN_USE.load(Ordering::Relaxed);
        stage(&|| IN_USE.load(Ordering::Relaxed).saturating_sub(before));
    })
    .join()
    .unwrap();
    let left = IN_USE.load(Ordering::Relaxed).saturating_sub(before);
    assert!(left < MIB, "{left} left after the thread");
}

const COUNT: usize = 500_000;
const BYTES: usize = COUNT * (16 + size_of::<Node>());
/// What may stay: a few chunks, and what is less than worth a look.
const LITTLE: usize = 6 * MIB;

/// One test, so that nothing else allocates meanwhile.
#[test]
fn memory_goes_back() {
    // Objects freed by their counts; the collection finds nothing but memory.
    alone(|in_use| {
        gc::disable();
        let nodes: Vec<_> = (0..COUNT).map(|_| node()).collect();
        assert_eq!(nodes.iter().map(|node| node.rest[3]).sum::<u64>(), 500_000);
        assert!(in_use() > BYTES);
        drop(nodes);
        assert_eq!(gc::collect(), 0);
        assert!(in_use() < LITTLE, "{} left", in_use());
    });
    // Objects freed by the collection.
    alone(|in_use| {
        gc::disable();
        for _ in 0..COUNT {
            let node = node();
            *node.next.borrow_mut() = Some(node.clone());
        }
        assert!(in_use() > BYTES);
        assert_eq!(gc::collect(), COUNT);
        assert!(in_use() < LITTLE, "{} left", in_use());
    });
    // Memory of one size serves another.
    alone(|in_use| {
        gc::disable();
        let nodes: Vec<_> = (0..COUNT).map(|_| node()).collect();
        let peak = in_use();
        drop(nodes);
        let others: Vec<_> = (0..COUNT / 2).map(|_| Gc::new([1_u64; 10])).collect();
        assert!(in_use() <= peak, "{} after {peak}", in_use());
        drop(others);
    });
    // A few objects on every page keep the pages, and nothing else does.
    alone(|in_use| {
        let mut nodes: Vec<_> = (0..COUNT).map(|_| node()).collect();
        let mut n = 0;
        nodes.retain(|_| {
            n += 1;
            n % 100 == 0
        });
        nodes.shrink_to_fit();
        gc::collect();
        assert!(in_use() > BYTES);
        nodes.clear();
        gc::collect();
        assert!(in_use() < LITTLE, "{} left", in_use());
    });
}
