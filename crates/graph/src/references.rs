//! What the algorithms need to know of a heap: its nodes and their references.
//!
//! A [`Graph`] has them written down. A heap that stands still can be asked
//! again instead, each time: that takes longer, and no memory.

use crate::graph::{Graph, Node};

/// Nodes, numbered from 0, and what they refer to.
pub trait References {
    /// How many nodes there are.
    fn len(&self) -> usize;

    /// Whether there is no node.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `visit` with what `node` refers to, always in the same order.
    fn each(&self, node: Node, visit: impl FnMut(Node));

    /// Whether `node` may refer to anything: cheaper to ask than [`each`](Self::each).
    fn refers(&self, node: Node) -> bool;
}

/// References between nodes that have a kind and a size.
pub trait Weighted: References {
    /// What the host says `node` is.
    fn kind(&self, node: Node) -> u32;

    /// As [`each`](References::each); returns the node's kind and its bytes.
    fn weigh(&self, node: Node, visit: impl FnMut(Node)) -> (u32, u64);
}

impl References for Graph {
    fn len(&self) -> usize {
        Self::len(self)
    }

    #[inline]
    fn each(&self, node: Node, visit: impl FnMut(Node)) {
        self.targets(node).iter().copied().for_each(visit);
    }

    #[inline]
    fn refers(&self, node: Node) -> bool {
        !self.row(node).is_empty()
    }
}

impl Weighted for Graph {
    fn kind(&self, node: Node) -> u32 {
        Self::kind(self, node)
    }

    fn weigh(&self, node: Node, visit: impl FnMut(Node)) -> (u32, u64) {
        self.each(node, visit);
        (Self::kind(self, node), self.size(node))
    }
}
