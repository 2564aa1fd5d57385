//! Nodes with their references, in compressed sparse rows, built in one pass.

use std::collections::HashMap;

use crate::exhausted::{Exhausted, push, room};

/// The number of a node, from 0.
pub type Node = u32;

/// No node.
pub const NONE: Node = Node::MAX;

/// Stands in `Graph::sizes` for a size that is in `Graph::large`.
const LARGE: u32 = u32::MAX;

/// What refers to what: 12 bytes a node and 4 a reference.
#[derive(Debug, Default)]
pub struct Graph {
    /// Where each node's references begin, and one more: where the last's end.
    starts: Vec<u32>,
    targets: Vec<Node>,
    kinds: Vec<u32>,
    sizes: Vec<u32>,
    large: HashMap<Node, u64>,
    roots: Vec<Node>,
}

impl Graph {
    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// How many references are kept. One directly after another to the same
    /// node is not: it changes no answer.
    pub fn references(&self) -> usize {
        self.targets.len()
    }

    /// All nodes.
    pub fn nodes(&self) -> std::ops::Range<Node> {
        0..self.kinds.len() as Node
    }

    /// What `node` refers to.
    #[inline]
    pub fn targets(&self, node: Node) -> &[Node] {
        let row = self.row(node);
        &self.targets[row.start as usize..row.end as usize]
    }

    /// Where the references of `node` are among all of them.
    #[inline]
    pub(crate) fn row(&self, node: Node) -> std::ops::Range<u32> {
        self.starts[node as usize]..self.starts[node as usize + 1]
    }

    /// The target of the reference at `place`, of a [`Graph::row`].
    #[inline]
    pub(crate) fn target(&self, place: u32) -> Node {
        self.targets[place as usize]
    }

    /// What the host says `node` is.
    #[inline]
    pub fn kind(&self, node: Node) -> u32 {
        self.kinds[node as usize]
    }

    /// The bytes of `node` itself.
    #[inline]
    pub fn size(&self, node: Node) -> u64 {
        match self.sizes[node as usize] {
            LARGE => self.large[&node],
            size => u64::from(size),
        }
    }

    /// The nodes that are alive by themselves.
    pub fn roots(&self) -> &[Node] {
        &self.roots
    }

    /// Makes `roots` the nodes that are alive by themselves; doubles do no harm.
    ///
    /// # Panics
    /// If one of them is no node.
    pub fn set_roots(&mut self, roots: Vec<Node>) {
        let len = self.len();
        assert!(
            roots.iter().all(|root| (*root as usize) < len),
            "a root is a node"
        );
        self.roots = roots;
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        4 * (self.starts.capacity()
            + self.targets.capacity()
            + self.kinds.capacity()
            + self.sizes.capacity()
            + self.roots.capacity())
            + self.large.capacity() * size_of::<(Node, u64)>()
    }
}

/// A [`Graph`] under construction.
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
    nodes: usize,
}

impl Builder {
    /// Room for exactly `nodes`, and for `references` without asking again.
    ///
    /// # Errors
    /// No memory, or more than 32 bits count.
    pub fn new(nodes: usize, references: usize) -> Result<Self, Exhausted> {
        if nodes >= NONE as usize {
            return Err(Exhausted);
        }
        let mut graph = Graph {
            starts: room(nodes + 1)?,
            targets: room(references)?,
            kinds: room(nodes)?,
            sizes: room(nodes)?,
            ..Graph::default()
        };
        graph.starts.push(0);
        Ok(Self { graph, nodes })
    }

    /// Adds a reference of the node that comes next.
    ///
    /// # Errors
    /// No memory, or more than 32 bits count.
    ///
    /// # Panics
    /// If `target` is not going to be a node.
    #[inline]
    pub fn reference(&mut self, target: Node) -> Result<(), Exhausted> {
        assert!((target as usize) < self.nodes, "a target is a node");
        let begin = self.graph.starts[self.graph.kinds.len()] as usize;
        let targets = &mut self.graph.targets;
        if targets.len() > begin && targets[targets.len() - 1] == target {
            return Ok(());
        }
        if targets.len() >= u32::MAX as usize {
            return Err(Exhausted);
        }
        push(targets, target)
    }

    /// Ends a node: the references added since the last one are its own.
    ///
    /// # Errors
    /// No memory for the rare size of 4 GiB and more.
    ///
    /// # Panics
    /// If there are more nodes than were announced.
    #[inline]
    pub fn node(&mut self, kind: u32, size: u64) -> Result<(), Exhausted> {
        let graph = &mut self.graph;
        assert!(graph.kinds.len() < self.nodes, "a node too many");
        if size >= u64::from(LARGE) {
            graph.large.try_reserve(1)?;
            graph.large.insert(graph.kinds.len() as Node, size);
        }
        graph.sizes.push(u32::try_from(size).unwrap_or(LARGE));
        graph.kinds.push(kind);
        graph.starts.push(graph.targets.len() as u32);
        Ok(())
    }

    /// The graph, without roots yet.
    ///
    /// # Panics
    /// If there are fewer nodes than were announced.
    pub fn finish(self) -> Graph {
        assert_eq!(self.graph.kinds.len(), self.nodes, "nodes are missing");
        self.graph
    }
}
