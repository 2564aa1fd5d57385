//! The stack of a depth-first search that keeps no place in a node's references.
//!
//! Entering a node puts a mark on the stack and, above it, the targets that
//! are still to be entered; when the mark comes up again, the node is left. A
//! node that was entered meanwhile from further down is met again, and passed
//! over. That is the order in which a recursive search would go, at four bytes
//! for each node on the path or beside it.

use crate::exhausted::{Exhausted, push};
use crate::graph::Node;

/// The bit that tells a mark from a node.
const MARK: u32 = 1 << 31;

/// What is to be done next.
pub(crate) enum Step {
    /// Enter this node, or pass over it.
    Meet(Node),
    /// All that this node leads to has been entered.
    Leave(Node),
}

#[derive(Default)]
pub(crate) struct Pending {
    stack: Vec<u32>,
    /// Where the targets of the node entered last begin.
    begin: usize,
    failed: bool,
}

impl Pending {
    /// # Errors
    /// There are more nodes than the stack tells from marks.
    pub(crate) fn for_nodes(count: usize) -> Result<Self, Exhausted> {
        if count >= MARK as usize {
            return Err(Exhausted);
        }
        Ok(Self::default())
    }

    /// Marks `node` as entered: what is [added](Self::add) from now on are its targets.
    pub(crate) fn open(&mut self, node: Node) -> Result<(), Exhausted> {
        push(&mut self.stack, node | MARK)?;
        self.begin = self.stack.len();
        Ok(())
    }

    /// What is added from now on belongs to nobody who is left.
    pub(crate) fn begin(&mut self) {
        self.begin = self.stack.len();
    }

    /// Adds a node to enter. Whether there was memory is said by [`close`](Self::close).
    #[inline]
    pub(crate) fn add(&mut self, node: Node) {
        if self.stack.len() > self.begin && self.stack.last() == Some(&node) {
            return;
        }
        self.failed |= push(&mut self.stack, node).is_err();
    }

    /// Ends a node's targets: the first added is the first met.
    pub(crate) fn close(&mut self) -> Result<(), Exhausted> {
        self.stack[self.begin..].reverse();
        if self.failed {
            return Err(Exhausted);
        }
        Ok(())
    }

    /// A word of the caller's below the next mark.
    pub(crate) fn note(&mut self, word: u32) -> Result<(), Exhausted> {
        push(&mut self.stack, word)
    }

    /// The word that was noted before the mark that came last.
    pub(crate) fn noted(&mut self) -> u32 {
        self.stack.pop().unwrap_or(0)
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<Step> {
        let word = self.stack.pop()?;
        Some(match word & MARK {
            0 => Step::Meet(word),
            _ => Step::Leave(word & !MARK),
        })
    }
}
