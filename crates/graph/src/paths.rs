//! Shortest paths from roots, breadth first.

use std::collections::HashMap;

use crate::bits::Bits;
use crate::exhausted::{Exhausted, filled, push};
use crate::graph::{NONE, Node};
use crate::references::References;

/// By which node each node was reached first. 8 bytes a node.
#[derive(Debug)]
pub struct Paths {
    /// [`NONE`] where nothing leads to, the node itself at a start.
    previous: Vec<Node>,
    order: Vec<Node>,
}

impl Paths {
    /// Searches from each group of starts in turn: a node that the first group
    /// reaches is never reached by a shorter path from the second. No path
    /// leads through `barrier`, though one may end there. Linear in nodes and
    /// references.
    ///
    /// # Errors
    /// No memory.
    pub fn from(
        heap: &impl References,
        groups: &[&[Node]],
        barrier: Option<Node>,
    ) -> Result<Self, Exhausted> {
        Self::around(heap, groups, |node| Some(node) == barrier)
    }

    /// The same with any number of barriers.
    ///
    /// # Errors
    /// No memory.
    pub fn around(
        heap: &impl References,
        groups: &[&[Node]],
        is_barrier: impl Fn(Node) -> bool,
    ) -> Result<Self, Exhausted> {
        Self::search(heap, groups, is_barrier, usize::MAX, |_, _| false)
    }

    /// As [`from`](Self::from), until `met` says that it has seen enough: it is called
    /// with each reference that is looked at, its source first. A start to which the search
    /// has not come by then begins its own path. There is no order.
    ///
    /// # Errors
    /// No memory.
    pub fn until(
        heap: &impl References,
        groups: &[&[Node]],
        barrier: Option<Node>,
        met: impl FnMut(Node, Node) -> bool,
    ) -> Result<Self, Exhausted> {
        // A list of so many nodes takes as much as a bit for each there is.
        let wide = (heap.len() / 32).max(1024);
        Self::search(heap, groups, |node| Some(node) == barrier, wide, met)
    }

    /// What is further away than another is looked at after it. Of what is equally
    /// far away a list is kept, which becomes the order; or, if there are more than `wide`, a bit for
    /// each node.
    fn search(
        heap: &impl References,
        groups: &[&[Node]],
        is_barrier: impl Fn(Node) -> bool,
        wide: usize,
        mut met: impl FnMut(Node, Node) -> bool,
    ) -> Result<Self, Exhausted> {
        let keeps_order = wide == usize::MAX;
        let mut previous = filled(heap.len(), NONE)?;
        let mut order = Vec::new();
        let mut here = Level::default();
        let mut next = Level::default();
        let mut enough = false;
        'groups: for group in groups {
            for &start in *group {
                if previous[start as usize] == NONE {
                    previous[start as usize] = start;
                    here.add(start, wide, heap.len())?;
                }
            }
            while !here.is_empty() {
                let mut failed = Ok(());
                here.each(|node| {
                    if keeps_order {
                        failed = failed.and(push(&mut order, node));
                    }
                    if enough || is_barrier(node) {
                        return;
                    }
                    heap.each(node, |target| {
                        enough = enough || met(node, target);
                        if previous[target as usize] == NONE {
                            previous[target as usize] = node;
                            if keeps_order || heap.refers(target) {
                                failed = failed.and(next.add(target, wide, heap.len()));
                            }
                        }
                    });
                });
                failed?;
                if enough {
                    break 'groups;
                }
                here.clear();
                std::mem::swap(&mut here, &mut next);
            }
        }
        for &start in groups.iter().copied().flatten() {
            if previous[start as usize] == NONE {
                previous[start as usize] = start;
            }
        }
        Ok(Self { previous, order })
    }

    /// All nodes to which a path leads, in the order in which they were reached:
    /// by group, then by distance.
    pub fn order(&self) -> &[Node] {
        &self.order
    }

    /// Whether a path leads to `node`.
    #[inline]
    pub fn reaches(&self, node: Node) -> bool {
        self.previous[node as usize] != NONE
    }

    /// Who comes before `node` on the path to it: itself, if that begins there;
    /// `None` if there is no path.
    #[inline]
    pub fn previous(&self, node: Node) -> Option<Node> {
        Some(self.previous[node as usize]).filter(|previous| *previous != NONE)
    }

    /// The path to `node`, which comes last, from a start, which comes first;
    /// empty if there is none.
    ///
    /// # Errors
    /// No memory.
    pub fn to(&self, node: Node) -> Result<Vec<Node>, Exhausted> {
        let mut path = Vec::new();
        let mut here = node;
        while self.previous[here as usize] != NONE {
            path.try_reserve(1)?;
            path.push(here);
            if self.previous[here as usize] == here {
                break;
            }
            here = self.previous[here as usize];
        }
        path.reverse();
        Ok(path)
    }

    /// How many nodes the path to each node has, 0 if there is none, in time linear in
    /// the nodes.
    ///
    /// # Errors
    /// No memory.
    pub fn lengths(&self) -> Result<Vec<u32>, Exhausted> {
        let mut lengths: Vec<u32> = filled(self.previous.len(), 0)?;
        // Who comes before a node was reached before it.
        for &node in &self.order {
            let previous = self.previous[node as usize];
            lengths[node as usize] = match previous == node {
                true => 1,
                false => lengths[previous as usize] + 1,
            };
        }
        Ok(lengths)
    }
}

/// Nodes at one distance.
#[derive(Default)]
struct Level {
    list: Vec<Node>,
    /// Used instead where the list would be long.
    bits: Option<Bits>,
}

impl Level {
    fn is_empty(&self) -> bool {
        self.list.is_empty() && self.bits.is_none()
    }

    #[inline]
    fn add(&mut self, node: Node, wide: usize, nodes: usize) -> Result<(), Exhausted> {
        if let Some(bits) = &mut self.bits {
            bits.set(node);
            return Ok(());
        }
        if self.list.len() < wide {
            return push(&mut self.list, node);
        }
        let mut bits = Bits::new(nodes)?;
        self.list
            .drain(..)
            .chain([node])
            .for_each(|node| bits.set(node));
        self.bits = Some(bits);
        Ok(())
    }

    fn each(&self, mut visit: impl FnMut(Node)) {
        match &self.bits {
            Some(bits) => bits.each(visit),
            None => self.list.iter().for_each(|node| visit(*node)),
        }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.bits = None;
    }
}

/// A shortest cycle through `start`, which comes first and is not repeated;
/// empty if it is in none. Only nodes for which `belongs` is true are gone
/// through. Linear in the nodes and references met, in time and memory.
///
/// # Errors
/// No memory.
pub fn shortest_cycle(
    heap: &impl References,
    start: Node,
    belongs: impl Fn(Node) -> bool,
) -> Result<Vec<Node>, Exhausted> {
    let mut previous: HashMap<Node, Node> = HashMap::new();
    let mut queue = vec![start];
    let mut next = 0;
    while let Some(&node) = queue.get(next) {
        next += 1;
        let mut is_closed = false;
        let mut failed = Ok(());
        heap.each(node, |target| {
            is_closed |= target == start;
            if !is_closed && belongs(target) && !previous.contains_key(&target) {
                if previous.try_reserve(1).is_err() {
                    failed = Err(Exhausted);
                    return;
                }
                previous.insert(target, node);
                failed = failed.and(push(&mut queue, target));
            }
        });
        failed?;
        if is_closed {
            let mut cycle = Vec::new();
            let mut here = node;
            while here != start {
                push(&mut cycle, here)?;
                here = previous[&here];
            }
            push(&mut cycle, start)?;
            cycle.reverse();
            return Ok(cycle);
        }
    }
    Ok(Vec::new())
}
