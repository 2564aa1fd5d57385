//! rust-cc.

use std::cell::Cell;

use rust_cc::{Cc, Context, Finalize, Trace, collect_cycles, config::config};

use crate::peer::{Peer, nodes_with_cells};

pub struct RustCc;

pub struct Node {
    value: u64,
    edges: [Cell<Option<Cc<Node>>>; 3],
}

impl Finalize for Node {}

// SAFETY: reports each edge once.
unsafe impl Trace for Node {
    fn trace(&self, context: &mut Context<'_>) {
        for edge in &self.edges {
            // SAFETY: only looked at, nobody changes it meanwhile.
            unsafe { &*edge.as_ptr() }.trace(context);
        }
    }
}

impl Peer for RustCc {
    nodes_with_cells!(Cc, Node);

    fn collect() -> bool {
        collect_cycles();
        true
    }

    fn set_automatic(automatic: bool) -> bool {
        config(|config| config.set_auto_collect(automatic)).expect("not while collecting");
        true
    }
}
