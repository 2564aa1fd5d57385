//! wrasse.

use std::cell::Cell;

use wrasse::{Gc, Trace, gc};

use crate::peer::Peer;

pub struct Wrasse;

#[derive(Trace)]
pub struct Node {
    value: u64,
    edges: [Cell<Option<Gc<Node>>>; 3],
}

impl Peer for Wrasse {
    type Node = Gc<Node>;

    fn node(value: u64) -> Gc<Node> {
        Gc::new(Node {
            value,
            edges: [const { Cell::new(None) }; 3],
        })
    }

    fn link(from: &Gc<Node>, edge: usize, to: &Gc<Node>) {
        debug_assert!(from.value < u64::MAX);
        from.edges[edge].set(Some(to.clone()));
    }

    fn collect() -> bool {
        gc::collect();
        true
    }

    fn set_automatic(automatic: bool) -> bool {
        if automatic {
            gc::enable()
        } else {
            gc::disable()
        }
        true
    }
}
