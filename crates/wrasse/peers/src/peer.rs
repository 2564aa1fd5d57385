//! What a peer is asked to do.

use std::hint::black_box;
use std::mem::{ManuallyDrop, MaybeUninit};

use crate::graph::Random;
use crate::memory;

/// What is done to a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Dropped by its counts.
    Drop,
    /// Collected while it is alive.
    Live,
    /// Made a ring, dropped and collected.
    Dead,
}

/// A reference to a node with a number and three edges.
pub trait Peer: Sized + 'static {
    /// A reference.
    type Node: Clone;

    /// A node without edges.
    fn node(value: u64) -> Self::Node;
    /// Sets one of three edges.
    fn link(from: &Self::Node, edge: usize, to: &Self::Node);
    /// Collects everything; false if the peer cannot.
    fn collect() -> bool;
    /// Whether collections run by themselves.
    fn set_automatic(automatic: bool) -> bool;
    /// Whether a node goes with its last reference; else with the next collection.
    const COUNTS: bool = true;

    /// Allocate and drop at once.
    fn at_once(count: u64) -> Option<f64> {
        Self::set_automatic(false);
        Some(per(count, || {
            for value in 0..count {
                black_box(Self::node(value));
            }
        }))
    }

    /// Allocate many, drop many.
    fn batch(count: u64) -> Option<f64> {
        Self::set_automatic(false);
        let mut nodes = Vec::with_capacity(count as usize);
        Some(per(count, || {
            nodes.extend((0..count).map(Self::node));
            nodes.clear();
            if !Self::COUNTS {
                Self::collect();
            }
        }))
    }

    /// Clone and drop one reference.
    fn clone_one(count: u64) -> Option<f64> {
        Self::set_automatic(false);
        let node = Self::node(1);
        Some(per(count, || {
            for _ in 0..count {
                black_box(black_box(&node).clone());
            }
        }))
    }

    /// Pairs that refer to each other.
    fn cycles(count: u64) -> Option<f64> {
        if !Self::set_automatic(true) {
            return None;
        }
        Some(per(count, || {
            for value in 0..count / 2 {
                let (a, b) = (Self::node(value), Self::node(value));
                Self::link(&a, 0, &b);
                Self::link(&b, 0, &a);
            }
            Self::collect();
        }))
    }

    /// A random graph in which everything is alive, by its root; each node has
    /// lost a reference.
    fn graph(count: u64) -> Self::Node {
        let nodes: Vec<Self::Node> = (0..count).map(Self::node).collect();
        let mut random = Random::new();
        for (index, node) in nodes.iter().enumerate() {
            // The first edges make a tree, so that one root reaches all.
            if index > 0 {
                Self::link(&nodes[(index - 1) / 2], (index - 1) % 2, node);
            }
            Self::link(node, 2, &nodes[random.below(count) as usize]);
        }
        nodes[0].clone()
    }

    /// A full collection of the graph; or one more, when nothing has changed.
    fn live(count: u64, again: bool) -> Option<f64> {
        Self::set_automatic(false);
        // Never dropped: for some peers that would overflow the stack.
        let _root = ManuallyDrop::new(Self::graph(count));
        if again && !Self::collect() {
            return None;
        }
        let begin = now();
        if !Self::collect() {
            return None;
        }
        Some((now() - begin) / count as f64)
    }

    /// Bytes of memory for a node of the graph.
    fn bytes(count: u64) -> Option<f64> {
        Self::set_automatic(false);
        let before = memory::resident()?;
        let _root = ManuallyDrop::new(Self::graph(count));
        Some((memory::resident()? - before) / count as f64)
    }

    /// Bytes of memory for a node of the graph that a collection needs besides.
    fn extra_bytes(count: u64) -> Option<f64> {
        Self::set_automatic(false);
        let _root = ManuallyDrop::new(Self::graph(count));
        let before = memory::begin_peak()?;
        if !Self::collect() {
            return None;
        }
        Some((memory::peak()? - before) / count as f64)
    }

    /// Trees whose nodes know their parents; many that die young, one that stays.
    fn trees() -> Option<f64> {
        if !Self::set_automatic(true) {
            return None;
        }
        fn tree<P: Peer>(depth: u32, made: &mut u64) -> P::Node {
            let node = P::node(u64::from(depth));
            *made += 1;
            if depth > 0 {
                for edge in 0..2 {
                    let child = tree::<P>(depth - 1, made);
                    P::link(&node, edge, &child);
                    P::link(&child, 2, &node);
                }
            }
            node
        }
        let mut made = 0;
        let begin = now();
        let kept = tree::<Self>(15, &mut made);
        for depth in (4..=14).step_by(2) {
            for _ in 0..1 << (16 - depth) {
                black_box(tree::<Self>(depth, &mut made));
            }
        }
        Self::collect();
        let time = now() - begin;
        drop(kept);
        Some(time / made as f64)
    }

    /// A long list.
    fn list(count: u64, what: List) -> Option<f64> {
        Self::set_automatic(false);
        let last = Self::node(0);
        let mut first = last.clone();
        for value in 1..count {
            let node = Self::node(value);
            Self::link(&node, 0, &first);
            first = node;
        }
        if what == List::Dead {
            Self::link(&last, 0, &first);
        }
        let alive = (what == List::Live).then(|| first.clone());
        let begin = now();
        drop((first, last));
        if (what != List::Drop || !Self::COUNTS) && !Self::collect() {
            return None;
        }
        let time = now() - begin;
        std::mem::forget(alive);
        Some(time / count as f64)
    }
}

/// The nodes of a peer whose pointer can be in a `Cell`.
macro_rules! nodes_with_cells {
    ($($pointer:ident)::+, $node:ident) => {
        type Node = $($pointer)::+<$node>;

        fn node(value: u64) -> Self::Node {
            $($pointer)::+::new($node {
                value,
                edges: [const { Cell::new(None) }; 3],
            })
        }

        fn link(from: &Self::Node, edge: usize, to: &Self::Node) {
            debug_assert!(from.value < u64::MAX);
            from.edges[edge].set(Some(to.clone()));
        }
    };
}

/// The nodes of a peer that needs a cell which is borrowed.
macro_rules! nodes_with_borrows {
    ($($pointer:ident)::+, $node:ident, $($cell:ident)::+) => {
        type Node = $($pointer)::+<$node>;

        fn node(value: u64) -> Self::Node {
            $($pointer)::+::new($node {
                value,
                edges: $($cell)::+::new([None, None, None]),
            })
        }

        fn link(from: &Self::Node, edge: usize, to: &Self::Node) {
            debug_assert!(from.value < u64::MAX);
            from.edges.borrow_mut()[edge] = Some(to.clone());
        }
    };
}

pub(crate) use {nodes_with_borrows, nodes_with_cells};

/// Nanoseconds for each of `count`; the second of two runs.
fn per(count: u64, mut run: impl FnMut()) -> f64 {
    run();
    let begin = now();
    run();
    (now() - begin) / count as f64
}

/// CPU time of the process, in nanoseconds.
pub fn now() -> f64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the call fills the structure.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
