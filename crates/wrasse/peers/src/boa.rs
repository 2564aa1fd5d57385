//! boa_gc, a mark and sweep collector with counted roots; it cannot be switched
//! off.

use boa_gc::{Finalize, Gc, GcRefCell, Trace, force_collect};

use crate::peer::{Peer, nodes_with_borrows};

pub struct BoaGc;

#[derive(Trace, Finalize)]
pub struct Node {
    value: u64,
    edges: GcRefCell<[Option<Gc<Node>>; 3]>,
}

impl Peer for BoaGc {
    nodes_with_borrows!(Gc, Node, GcRefCell);
    const COUNTS: bool = false;

    fn collect() -> bool {
        force_collect();
        true
    }

    fn set_automatic(_: bool) -> bool {
        true
    }
}
