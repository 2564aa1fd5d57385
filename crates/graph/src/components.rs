//! Strongly connected components: the cycles of the heap.
//!
//! The algorithm is D. Pearce's (*A space-efficient algorithm for finding
//! strongly connected components*, Information Processing Letters 116, 2016),
//! which keeps one number for each node. What a node leads to is looked at a
//! second time when the node is left, instead of keeping how far it was looked at.

use crate::bits::Bits;
use crate::exhausted::{Exhausted, filled, push};
use crate::graph::Node;
use crate::references::References;
use crate::search::{Pending, Step};

const UNSEEN: u32 = 0;
/// The component of the node is complete.
const DONE: u32 = u32::MAX;

/// Calls `found` with each component of more than one node, and with each
/// single node that refers to itself, among the nodes for which `belongs` is
/// true: references from and to others are passed over. The first of a
/// component is the one that was met first.
///
/// Linear in nodes and references; four bytes a node and an eighth, and at most
/// four for each on the longest path of the search, beside it or in a component
/// that is not complete.
///
/// # Errors
/// No memory, or more than 2^31 nodes.
pub fn components(
    heap: &impl References,
    belongs: impl Fn(Node) -> bool,
    mut found: impl FnMut(&[Node]) -> Result<(), Exhausted>,
) -> Result<(), Exhausted> {
    let nodes = heap.len();
    // The earliest node known to be reachable, by when it was seen.
    let mut earliest = filled(nodes, UNSEEN)?;
    // Whether that is another one.
    let mut is_below = Bits::new(nodes)?;
    let mut count = 0;
    let mut members: Vec<Node> = Vec::new();
    let mut pending = Pending::for_nodes(nodes)?;
    for start in 0..nodes as Node {
        if earliest[start as usize] != UNSEEN || !belongs(start) {
            continue;
        }
        pending.begin();
        pending.add(start);
        while let Some(step) = pending.next() {
            match step {
                Step::Meet(node) if earliest[node as usize] != UNSEEN => {}
                Step::Meet(node) => {
                    count += 1;
                    earliest[node as usize] = count;
                    pending.open(node)?;
                    heap.each(node, |target| {
                        if earliest[target as usize] == UNSEEN && belongs(target) {
                            pending.add(target);
                        }
                    });
                    pending.close()?;
                }
                Step::Leave(node) => {
                    let mut least = earliest[node as usize];
                    let mut to_itself = false;
                    heap.each(node, |target| {
                        to_itself |= target == node;
                        let there = earliest[target as usize];
                        if there != UNSEEN && there < least {
                            least = there;
                            is_below.set(node);
                        }
                    });
                    earliest[node as usize] = least;
                    if is_below.get(node) {
                        push(&mut members, node)?;
                        continue;
                    }
                    let begin = members
                        .iter()
                        .rposition(|member| earliest[*member as usize] < least)
                        .map_or(0, |last| last + 1);
                    push(&mut members, node)?;
                    members[begin..].reverse();
                    for &member in &members[begin..] {
                        earliest[member as usize] = DONE;
                    }
                    if members.len() - begin > 1 || to_itself {
                        found(&members[begin..])?;
                    }
                    members.truncate(begin);
                }
            }
        }
    }
    Ok(())
}
