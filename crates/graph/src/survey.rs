//! One search through the whole heap: what is reached, what has one holder
//! only, and what cannot be on a cycle.

use crate::bits::{BitStack, Bits};
use crate::exhausted::Exhausted;
use crate::graph::Node;
use crate::references::References;
use crate::search::{Pending, Step};

/// What a depth-first search from the roots, and then from what they do not
/// reach, says of each node. Five bits a node are kept.
#[derive(Debug)]
pub struct Survey {
    /// Whether a root leads there.
    reached: Bits,
    /// Whether a reference leads there that does not come from below.
    held: Bits,
    /// Whether more than one such does, or it is a root.
    shared: Bits,
    /// Whether it may be on a cycle, or lead to one.
    wild: Bits,
}

impl Survey {
    /// Searches the heap. Beside the result this takes a quarter of a byte a
    /// node, and four bytes for each on the longest path and beside it. Linear
    /// in nodes and references. Cycles are those of nodes for which `belongs`
    /// is true, as for [`components`](crate::components).
    ///
    /// # Errors
    /// No memory, or more than 2^31 nodes.
    pub fn of(
        heap: &impl References,
        roots: &[Node],
        belongs: impl Fn(Node) -> bool,
    ) -> Result<Self, Exhausted> {
        let count = heap.len();
        let mut survey = Self {
            reached: Bits::default(),
            held: Bits::new(count)?,
            shared: Bits::new(count)?,
            wild: Bits::new(count)?,
        };
        let mut search = Search {
            entered: Bits::new(count)?,
            open: Bits::new(count)?,
            is_wild: BitStack::default(),
            pending: Pending::for_nodes(count)?,
        };
        for &root in roots {
            survey.shared.set(root);
            search.from(root, heap, &belongs, &mut survey)?;
        }
        survey.reached = search.entered.clone();
        for node in 0..count as Node {
            search.from(node, heap, &belongs, &mut survey)?;
        }
        Ok(survey)
    }

    /// Whether a root leads to `node`.
    pub fn is_reached(&self, node: Node) -> bool {
        self.reached.get(node)
    }

    /// Whether `node` may be on a cycle or lead to one; what is on one always is.
    pub fn is_wild(&self, node: Node) -> bool {
        self.wild.get(node)
    }

    /// Whether one reference leads to `node`, besides those from what only
    /// `node` leads to, as far as is known.
    pub(crate) fn is_owned(&self, node: Node) -> bool {
        self.held.get(node) && !self.shared.get(node)
    }

    /// Has `node` stay out of what is [left out](crate::Contraction).
    pub fn share(&mut self, node: Node) {
        self.shared.set(node);
    }
}

struct Search {
    entered: Bits,
    open: Bits,
    /// For each node on the path, whether it is wild.
    is_wild: BitStack,
    pending: Pending,
}

impl Search {
    fn from(
        &mut self,
        start: Node,
        heap: &impl References,
        belongs: &impl Fn(Node) -> bool,
        survey: &mut Survey,
    ) -> Result<(), Exhausted> {
        if self.entered.get(start) {
            return Ok(());
        }
        // Where garbage is entered counts as a root.
        survey.shared.set(start);
        let Self {
            entered,
            open,
            is_wild,
            pending,
        } = self;
        pending.begin();
        pending.add(start);
        while let Some(step) = pending.next() {
            match step {
                Step::Leave(node) => {
                    open.unset(node);
                    if is_wild.pop() {
                        survey.wild.set(node);
                        if belongs(node) {
                            is_wild.set();
                        }
                    }
                }
                Step::Meet(node) if entered.get(node) => {
                    if (open.get(node) || survey.wild.get(node)) && belongs(node) {
                        is_wild.set();
                    }
                }
                Step::Meet(node) => {
                    entered.set(node);
                    if !heap.refers(node) {
                        continue;
                    }
                    open.set(node);
                    is_wild.push()?;
                    pending.open(node)?;
                    heap.each(node, |target| {
                        if open.get(target) {
                            // From below: it may be that nothing else leads there.
                            if belongs(target) {
                                is_wild.set();
                            }
                            return;
                        }
                        if survey.held.get(target) {
                            survey.shared.set(target);
                        }
                        survey.held.set(target);
                        if !entered.get(target) {
                            pending.add(target);
                        } else if survey.wild.get(target) && belongs(target) {
                            is_wild.set();
                        }
                    });
                    pending.close()?;
                }
            }
        }
        Ok(())
    }
}
