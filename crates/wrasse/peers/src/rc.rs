//! The standard library's `Rc`, which leaks cycles.

use std::cell::Cell;
use std::rc::Rc;

use crate::peer::{Peer, nodes_with_cells};

pub struct StdRc;

pub struct Node {
    value: u64,
    edges: [Cell<Option<Rc<Node>>>; 3],
}

impl Peer for StdRc {
    nodes_with_cells!(Rc, Node);

    fn collect() -> bool {
        false
    }

    fn set_automatic(automatic: bool) -> bool {
        !automatic
    }
}
