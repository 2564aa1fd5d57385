//! One bit for each node, and a stack of bits.

use crate::exhausted::{Exhausted, filled, push};
use crate::graph::Node;

/// A set of nodes: a bit for each there is.
#[derive(Clone, Debug, Default)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// The empty set, with room for nodes below `count`.
    ///
    /// # Errors
    /// No memory.
    pub fn new(count: usize) -> Result<Self, Exhausted> {
        Ok(Self(filled(count.div_ceil(64), 0)?))
    }

    /// Takes `node` in.
    #[inline]
    pub fn set(&mut self, node: Node) {
        self.0[node as usize / 64] |= 1 << (node % 64);
    }

    /// Lets `node` go.
    #[inline]
    pub fn unset(&mut self, node: Node) {
        self.0[node as usize / 64] &= !(1 << (node % 64));
    }

    /// Whether `node` is in the set.
    #[inline]
    pub fn get(&self, node: Node) -> bool {
        self.0[node as usize / 64] >> (node % 64) & 1 != 0
    }

    /// Lets all go.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// How many nodes there are in the set. Linear in the room.
    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Calls `visit` with each node in the set, in ascending order.
    pub fn each(&self, mut visit: impl FnMut(Node)) {
        for (place, &word) in self.0.iter().enumerate() {
            let mut rest = word;
            while rest != 0 {
                visit((place * 64) as Node + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
    }

    pub(crate) fn words(&mut self) -> &mut [u64] {
        &mut self.0
    }

    pub(crate) fn word(&self, place: usize) -> u64 {
        self.0[place]
    }
}

/// A bit for each node on the path of a search.
#[derive(Default)]
pub(crate) struct BitStack {
    words: Vec<u64>,
    len: usize,
}

impl BitStack {
    /// Puts an unset bit on top.
    pub(crate) fn push(&mut self) -> Result<(), Exhausted> {
        let (word, bit) = (self.len / 64, self.len % 64);
        if word == self.words.len() {
            push(&mut self.words, 0)?;
        }
        self.words[word] &= !(1 << bit);
        self.len += 1;
        Ok(())
    }

    /// Takes the bit on top off.
    pub(crate) fn pop(&mut self) -> bool {
        debug_assert!(self.len > 0, "what is left was entered");
        self.len -= 1;
        self.words[self.len / 64] >> (self.len % 64) & 1 != 0
    }

    /// Sets the bit on top, if there is one.
    pub(crate) fn set(&mut self) {
        if let Some(top) = self.len.checked_sub(1) {
            self.words[top / 64] |= 1 << (top % 64);
        }
    }
}
