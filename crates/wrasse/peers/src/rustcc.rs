//! rust-cc.

use std::cell::Cell;

use rust_cc::{Cc, Context, Finalize, Trace, collect_cycles, config::config};

use crate::peer::Peer;

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
    type Node = Cc<Node>;
    const LONG_LISTS: bool = false;

    fn node(value: u64) -> Cc<Node> {
        Cc::new(Node {
            value,
            edges: [const { Cell::new(None) }; 3],
        })
    }

    fn link(from: &Cc<Node>, edge: usize, to: &Cc<Node>) {
        debug_assert!(from.value < u64::MAX);
        from.edges[edge].set(Some(to.clone()));
    }

    fn collect() -> bool {
        collect_cycles();
        true
    }

    fn set_automatic(automatic: bool) -> bool {
        config(|config| config.set_auto_collect(automatic)).expect("not while collecting");
        true
    }
}
