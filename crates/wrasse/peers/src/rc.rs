//! The standard library's `Rc`, which leaks cycles.

use std::cell::Cell;
use std::rc::Rc;

use crate::peer::Peer;

pub struct StdRc;

pub struct Node {
    value: u64,
    edges: [Cell<Option<Rc<Node>>>; 3],
}

impl Peer for StdRc {
    type Node = Rc<Node>;
    const LONG_LISTS: bool = false;

    fn node(value: u64) -> Rc<Node> {
        Rc::new(Node {
            value,
            edges: [const { Cell::new(None) }; 3],
        })
    }

    fn link(from: &Rc<Node>, edge: usize, to: &Rc<Node>) {
        debug_assert!(from.value < u64::MAX);
        from.edges[edge].set(Some(Rc::clone(to)));
    }

    fn collect() -> bool {
        false
    }

    fn set_automatic(automatic: bool) -> bool {
        !automatic
    }
}
