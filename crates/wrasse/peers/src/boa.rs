//! boa_gc, a mark and sweep collector with counted roots; it cannot be switched
//! off.

use boa_gc::{Finalize, Gc, GcRefCell, Trace, force_collect};

use crate::peer::{List, Peer, now};

pub struct BoaGc;

#[derive(Trace, Finalize)]
pub struct Node {
    value: u64,
    edges: GcRefCell<[Option<Gc<Node>>; 3]>,
}

impl Peer for BoaGc {
    type Node = Gc<Node>;

    fn node(value: u64) -> Gc<Node> {
        Gc::new(Node {
            value,
            edges: GcRefCell::new([None, None, None]),
        })
    }

    fn link(from: &Gc<Node>, edge: usize, to: &Gc<Node>) {
        debug_assert!(from.value < u64::MAX);
        from.edges.borrow_mut()[edge] = Some(to.clone());
    }

    fn collect() -> bool {
        force_collect();
        true
    }

    fn set_automatic(_: bool) -> bool {
        true
    }

    fn list(count: u64, what: List) -> Option<f64> {
        let mut first = Self::node(0);
        for value in 1..count {
            let node = Self::node(value);
            Self::link(&node, 0, &first);
            first = node;
        }
        let alive = (what == List::Live).then(|| first.clone());
        let begin = now();
        drop(first);
        force_collect();
        let time = now() - begin;
        drop(alive);
        Some(time / count as f64)
    }
}
