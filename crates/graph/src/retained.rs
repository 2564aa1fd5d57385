//! What objects and kinds retain, of a heap that has been [made small](Contraction).
//!
//! The dominator tree of the graph is walked depth first, and below each of its
//! nodes the parts of that. What a part retains is what was entered between
//! entering and leaving it, so that nothing is kept for a part that is not on
//! the path.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::bits::Bits;
use crate::contraction::Contraction;
use crate::dominators::Dominators;
use crate::exhausted::{Exhausted, filled};
use crate::graph::Node;
use crate::references::Weighted;
use crate::search::{Numbers, Pending, Step};

/// What is asked for of a heap's retained sizes.
#[derive(Debug)]
pub struct Retained {
    /// By kind, as [`Dominators::retained_by_kind`] has it.
    pub by_kind: Vec<u64>,
    /// The nodes that retain most, with their bytes, the most first.
    pub largest: Vec<(u64, Node)>,
    /// How many nodes no root reaches, and their own bytes.
    pub unreachable: (u64, u64),
}

impl Retained {
    /// Walks the tree. `retained` is what [`Dominators::retained`] says of the
    /// contraction's graph, `most` how many of the largest are asked for, `kinds` how many kinds there are.
    ///
    /// This takes eight bytes for each node of the graph, an eighth of a byte for
    /// each of the heap, and about six for each on the longest path of parts and beside it. Linear in
    /// nodes and references.
    ///
    /// # Errors
    /// No memory.
    pub fn of(
        heap: &impl Weighted,
        small: &Contraction,
        tree: &Dominators,
        retained: &[u64],
        kinds: usize,
        most: usize,
    ) -> Result<Self, Exhausted> {
        const NOBODY: u32 = 0;
        let mut first_child = filled(tree.len(), NOBODY)?;
        let mut next_sibling = filled(tree.len(), NOBODY)?;
        for place in (1..tree.len()).rev() {
            let above = tree.dominator(place);
            next_sibling[place] = first_child[above];
            first_child[above] = place as u32;
        }
        let mut parts = Parts {
            sums: Sums {
                by_kind: filled(kinds, 0)?,
                open: filled(kinds, (0, 0))?,
                entered: (0, 0),
            },
            largest: Largest {
                most,
                heap: BinaryHeap::new(),
            },
            seen: Bits::new(heap.len())?,
            pending: Pending::for_nodes(heap.len())?,
            distances: Numbers::default(),
        };
        let mut unreachable = (0, 0);
        let kind_at = |place: u32| small.graph().kind(tree.node(place as usize)) as usize;
        let mut place = first_child[0];
        while place != NOBODY {
            let node = small.node(tree.node(place as usize));
            parts.largest.offer(retained[place as usize], node);
            let kind = kind_at(place);
            if parts.sums.open[kind].0 == 0 {
                parts.sums.by_kind[kind] += retained[place as usize];
            }
            parts.sums.open[kind].0 += 1;
            let before = parts.sums.entered;
            parts.walk(heap, small, node)?;
            if place as usize >= tree.first_unreached() {
                unreachable.0 += parts.sums.entered.0 - before.0 + 1;
                unreachable.1 += small.graph().size(tree.node(place as usize));
            }
            if first_child[place as usize] != NOBODY {
                place = first_child[place as usize];
                continue;
            }
            parts.sums.open[kind].0 -= 1;
            while place != NOBODY && next_sibling[place as usize] == NOBODY {
                place = tree.dominator(place as usize) as u32;
                if place != NOBODY {
                    parts.sums.open[kind_at(place)].0 -= 1;
                }
            }
            if place != NOBODY {
                place = next_sibling[place as usize];
            }
        }
        Ok(Self {
            by_kind: parts.sums.by_kind,
            largest: parts.largest.sorted(),
            unreachable,
        })
    }
}

struct Sums {
    by_kind: Vec<u64>,
    /// How many nodes of each kind the walk is inside of; and, if a part is the
    /// outermost of them, the bytes entered before it.
    open: Vec<(u32, u64)>,
    /// Parts entered, and their bytes.
    entered: (u64, u64),
}

/// The walk below one node.
struct Parts {
    sums: Sums,
    largest: Largest,
    seen: Bits,
    pending: Pending,
    /// For each part on the path, how many bytes were entered between its holder and it.
    distances: Numbers,
}

impl Parts {
    fn walk(
        &mut self,
        heap: &impl Weighted,
        small: &Contraction,
        head: Node,
    ) -> Result<(), Exhausted> {
        let Self {
            sums,
            largest,
            seen,
            pending,
            distances,
        } = self;
        if !heap.refers(head) {
            return Ok(());
        }
        pending.begin();
        heap.each(head, |target| {
            if small.is_part(target) {
                pending.add(target);
            }
        });
        pending.close()?;
        // The bytes entered before the part that the walk is in.
        let mut begin = sums.entered.1;
        while let Some(step) = pending.next() {
            match step {
                Step::Meet(node) => {
                    debug_assert!(!seen.get(node), "a part has one holder");
                    seen.set(node);
                    let kind = heap.kind(node) as usize;
                    let here = sums.entered.1;
                    let open = &mut sums.open[kind];
                    if open.0 == 0 {
                        open.1 = here;
                    }
                    open.0 += 1;
                    distances.push(here - begin)?;
                    begin = here;
                    pending.open(node)?;
                    let (_, bytes) = heap.weigh(node, |target| {
                        if small.is_part(target) && !seen.get(target) {
                            pending.add(target);
                        }
                    });
                    pending.close()?;
                    sums.entered.0 += 1;
                    sums.entered.1 += bytes;
                }
                Step::Leave(node) => {
                    let kind = heap.kind(node) as usize;
                    largest.offer(sums.entered.1 - begin, node);
                    let open = &mut sums.open[kind];
                    open.0 -= 1;
                    if open.0 == 0 {
                        sums.by_kind[kind] += sums.entered.1 - open.1;
                    }
                    begin -= distances.pop();
                }
            }
        }
        Ok(())
    }
}

struct Largest {
    most: usize,
    heap: BinaryHeap<Reverse<(u64, Reverse<Node>)>>,
}

impl Largest {
    #[inline]
    fn offer(&mut self, bytes: u64, node: Node) {
        if self.heap.len() < self.most {
            self.heap.push(Reverse((bytes, Reverse(node))));
        } else if let Some(least) = self.heap.peek()
            && least.0.0 < bytes
        {
            self.heap.pop();
            self.heap.push(Reverse((bytes, Reverse(node))));
        }
    }

    fn sorted(self) -> Vec<(u64, Node)> {
        let sorted = self.heap.into_sorted_vec().into_iter();
        sorted
            .map(|Reverse((bytes, Reverse(node)))| (bytes, node))
            .collect()
    }
}
