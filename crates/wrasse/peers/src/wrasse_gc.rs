//! wrasse.

use std::cell::Cell;

use wrasse::{Gc, Trace, gc};

use crate::peer::{Peer, nodes_with_cells};

pub struct Wrasse;

#[derive(Trace)]
pub struct Node {
    value: u64,
    edges: [Cell<Option<Gc<Node>>>; 3],
}

impl Peer for Wrasse {
    nodes_with_cells!(Gc, Node);

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
