//! Strongly connected components: the cycles of the heap.
//!
//! R. Tarjan's algorithm (*Depth-first search and linear graph algorithms*,
//! SIAM J. Comput. 1, 1972), with its own stack.

use crate::exhausted::{Exhausted, filled, push};
use crate::graph::{Graph, NONE, Node};

const UNSEEN: u32 = 0;
/// The component of the node is complete.
const DONE: u32 = u32::MAX;

/// Calls `found` with each component of more than one node, and with each
/// single node that refers to itself, among the nodes for which `belongs` is
/// true: references from and to others are passed over.
///
/// Linear in nodes and references; 8 bytes a node, and at most 12 for each on
/// the longest path of the search.
///
/// # Errors
/// No memory.
pub fn components(
    graph: &Graph,
    belongs: impl Fn(Node) -> bool,
    mut found: impl FnMut(&[Node]) -> Result<(), Exhausted>,
) -> Result<(), Exhausted> {
    let mut seen = filled(graph.len(), UNSEEN)?;
    // The earliest node known to be reachable, by when it was seen.
    let mut lowest = filled(graph.len(), 0)?;
    let mut count = 0;
    let mut open: Vec<Node> = Vec::new();
    let mut path: Vec<(Node, u32)> = Vec::new();
    for root in graph.nodes() {
        if seen[root as usize] != UNSEEN || !belongs(root) {
            continue;
        }
        let mut entering = root;
        loop {
            if entering != NONE {
                count += 1;
                seen[entering as usize] = count;
                lowest[entering as usize] = count;
                push(&mut open, entering)?;
                push(&mut path, (entering, graph.row(entering).start))?;
                entering = NONE;
            }
            let Some((node, next)) = path.last_mut() else {
                break;
            };
            let node = *node;
            let end = graph.row(node).end;
            while *next < end {
                let target = graph.target(*next);
                *next += 1;
                match seen[target as usize] {
                    UNSEEN if belongs(target) => {
                        entering = target;
                        break;
                    }
                    UNSEEN | DONE => {}
                    at => lowest[node as usize] = lowest[node as usize].min(at),
                }
            }
            if entering != NONE {
                continue;
            }
            path.pop();
            if lowest[node as usize] == seen[node as usize] {
                let begin = open.iter().rposition(|each| *each == node).unwrap_or(0);
                let members = &open[begin..];
                for &member in members {
                    seen[member as usize] = DONE;
                }
                if members.len() > 1 || graph.targets(node).contains(&node) {
                    found(members)?;
                }
                open.truncate(begin);
            }
            if let Some(&(above, _)) = path.last() {
                lowest[above as usize] = lowest[above as usize].min(lowest[node as usize]);
            }
        }
    }
    Ok(())
}
