//! How many references were found to each node.

use std::collections::HashMap;

use wrasse_graph::{Exhausted, Node};

use super::Failure;

/// How many references were found to each node: few, mostly.
pub struct Counts {
    few: Vec<u8>,
    /// The rest of those that a byte does not hold.
    more: HashMap<Node, u64>,
}

impl Counts {
    /// None yet.
    pub fn new(nodes: usize) -> Result<Self, Failure> {
        let mut few = Vec::new();
        few.try_reserve_exact(nodes).map_err(|_| Failure::Memory)?;
        few.resize(nodes, 0);
        Ok(Self {
            few,
            more: HashMap::new(),
        })
    }

    #[inline]
    /// One more.
    pub fn add(&mut self, node: Node) -> Result<(), Exhausted> {
        let count = &mut self.few[node as usize];
        match count.checked_add(1) {
            Some(more) => *count = more,
            None => {
                self.more.try_reserve(1)?;
                *self.more.entry(node).or_default() += 1;
            }
        }
        Ok(())
    }

    /// How many there are.
    pub fn get(&self, node: Node) -> u64 {
        let few = self.few[node as usize];
        let more = match few {
            u8::MAX => self.more.get(&node).copied().unwrap_or(0),
            _ => 0,
        };
        u64::from(few) + more
    }
}
