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

/// Room that a stack may have unused, in elements.
const SPARE: usize = 1 << 16;

/// Gives a stack's memory back as it shrinks: what is on another one instead
/// may need it.
#[inline]
fn give_back<T>(stack: &mut Vec<T>) {
    if stack.capacity() - stack.len() >= 2 * SPARE && stack.capacity() > 4 * SPARE {
        stack.shrink_to(stack.len() + SPARE);
    }
}

/// Numbers on a stack, small ones in a byte or two.
#[derive(Default)]
pub(crate) struct Numbers(Vec<u8>);

impl Numbers {
    /// Marks the lowest seven bits, which come up last.
    const LAST: u8 = 0x80;

    pub(crate) fn push(&mut self, mut number: u64) -> Result<(), Exhausted> {
        let mut mark = Self::LAST;
        loop {
            push(&mut self.0, mark | (number as u8 & !Self::LAST))?;
            number >>= 7;
            mark = 0;
            if number == 0 {
                return Ok(());
            }
        }
    }

    pub(crate) fn pop(&mut self) -> u64 {
        let mut number = 0;
        while let Some(byte) = self.0.pop() {
            number = number << 7 | u64::from(byte & !Self::LAST);
            if byte & Self::LAST != 0 {
                break;
            }
        }
        give_back(&mut self.0);
        number
    }
}

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

    #[inline]
    pub(crate) fn next(&mut self) -> Option<Step> {
        let word = self.stack.pop()?;
        give_back(&mut self.stack);
        Some(match word & MARK {
            0 => Step::Meet(word),
            _ => Step::Leave(word & !MARK),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_reverse() {
        let mut numbers = Numbers::default();
        let all = [
            0,
            1,
            127,
            128,
            255,
            1 << 14,
            u64::MAX,
            0,
            1 << 63,
            12345678901,
        ];
        all.iter().for_each(|number| numbers.push(*number).unwrap());
        let back: Vec<u64> = all.iter().map(|_| numbers.pop()).collect();
        assert!(back.iter().rev().eq(&all), "{back:?}");
        assert!(numbers.0.is_empty());
    }

    #[test]
    fn memory_is_given_back() {
        let mut stack = vec![0_u32; 8 * SPARE];
        while stack.pop().is_some() {
            give_back(&mut stack);
            assert!(stack.capacity() <= (stack.len() + 2 * SPARE).max(4 * SPARE));
        }
    }
}
