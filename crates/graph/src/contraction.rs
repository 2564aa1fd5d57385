//! A heap made small for its dominators: what certainly has no share in the
//! question is left out.
//!
//! Most objects of most heaps have one holder, and everything they lead to is
//! theirs alone, but for what is found without them too (their type, say).
//! Such a *part* is dominated by its holder, and dominates nothing but parts:
//! its subtree is drawn into the nearest node above that is none, with its
//! bytes and its references. The dominators of all others stay what they were.
//!
//! Why that is so. A [`Survey`] says of which nodes one reference alone leads
//! in from above. A walk along these references from all other nodes (*heads*)
//! confirms that every other reference to such a node comes from what the walk
//! found below it; what fails is made a head, and the walk repeated. Then no
//! path enters the subtree of an owned node but through that node and its
//! holder: the holder is its dominator. (A path's first node in the subtree,
//! if it is not the top, would have been entered by a reference from outside,
//! which none has.) An owned node is a part if from its subtree references
//! lead only to parts below it, to nodes above it as far as its head, which
//! dominate it (such a reference is on no path that matters), and to nodes
//! *near* the roots: those to which a path leads that has no part in it, so
//! that no part dominates them.

use std::collections::HashMap;

use crate::bits::{BitStack, Bits};
use crate::exhausted::{Exhausted, push, room};
use crate::graph::{Builder, Graph, Node};
use crate::references::{References, Weighted};
use crate::search::{Pending, Step};
use crate::survey::Survey;

/// One in so many owned nodes, those nearest to the roots, is kept out of the
/// parts, so that what they refer to is known to be near.
const NEAR: usize = 64;
/// How often the walk is repeated before there are no parts.
const ROUNDS: usize = 4;

/// Which nodes are parts of others, and a small graph of the rest.
#[derive(Debug)]
pub struct Contraction {
    parts: Bits,
    rank: Rank,
    /// Of what is no part, in ascending order.
    graph: Graph,
}

impl Contraction {
    /// Finds the parts and builds the graph of the rest, in which each node has
    /// its own bytes and those of its parts.
    ///
    /// While it runs this takes a bit more than half a byte a node, four bytes for each on the
    /// longest path of parts and beside it, and the graph.
    ///
    /// # Errors
    /// No memory, or more than 2^31 nodes.
    pub fn of(
        heap: &impl Weighted,
        roots: &[Node],
        survey: &mut Survey,
    ) -> Result<Self, Exhausted> {
        let parts = parts(heap, roots, survey)?;
        let rank = Rank::of(&parts, heap.len())?;
        let mut builder = Builder::new(rank.others, 0)?;
        let mut seen = Bits::new(heap.len())?;
        let mut pending = Vec::new();
        // By which node's parts each was last referred to: many parts have the
        // same few targets.
        let mut last: HashMap<Node, Node> = HashMap::new();
        for node in (0..heap.len() as Node).filter(|node| !parts.get(*node)) {
            let mut failed = Ok(());
            let (kind, mut bytes) = heap.weigh(node, |target| {
                let added = match parts.get(target) {
                    true => push(&mut pending, target),
                    false => builder.reference(rank.below(&parts, target)),
                };
                if added.is_err() {
                    failed = added;
                }
            });
            while let Some(part) = pending.pop() {
                seen.set(part);
                let (_, more) = heap.weigh(part, |target| {
                    let added = if !parts.get(target) {
                        if last.get(&target) == Some(&node) {
                            Ok(())
                        } else if last.try_reserve(1).is_err() {
                            Err(Exhausted)
                        } else {
                            last.insert(target, node);
                            builder.reference(rank.below(&parts, target))
                        }
                    } else if seen.get(target) {
                        // Back to what is above.
                        Ok(())
                    } else {
                        push(&mut pending, target)
                    };
                    if added.is_err() {
                        failed = added;
                    }
                });
                bytes += more;
            }
            failed?;
            builder.node(kind, bytes)?;
        }
        let mut graph = builder.finish();
        let mut small = room(roots.len())?;
        small.extend(roots.iter().map(|root| rank.below(&parts, *root)));
        graph.set_roots(small);
        Ok(Self { parts, rank, graph })
    }

    /// The graph of what is no part.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Which node of the heap a node of the graph is. Logarithmic in the heap's nodes.
    pub fn node(&self, small: Node) -> Node {
        self.rank.find(&self.parts, small)
    }

    /// Which node of the graph a node of the heap is, unless it is a part.
    pub fn find(&self, node: Node) -> Option<Node> {
        (!self.parts.get(node)).then(|| self.rank.below(&self.parts, node))
    }

    /// Whether `node` is a part.
    #[inline]
    pub fn is_part(&self, node: Node) -> bool {
        self.parts.get(node)
    }
}

fn parts(heap: &impl References, roots: &[Node], survey: &mut Survey) -> Result<Bits, Exhausted> {
    let count = heap.len();
    let mut surroundings = Surroundings::of(heap, roots, survey)?;
    let Surroundings { near, expanded } = &mut surroundings;
    let mut walk = Walk {
        entered: Bits::new(count)?,
        open: Bits::new(count)?,
        entangled: Bits::new(count)?,
        is_entangled: BitStack::default(),
        pending: Pending::for_nodes(count)?,
    };
    for _ in 0..ROUNDS {
        if walk.run(heap, survey, near, expanded)? {
            let mut parts = walk.entered;
            for (word, entangled) in parts.words().iter_mut().zip(walk.entangled.words()) {
                *word &= !*entangled;
            }
            return Ok(parts);
        }
        walk.entered.clear();
        walk.entangled.clear();
    }
    Bits::new(count)
}

/// What is found from the roots without going through any part.
struct Surroundings {
    near: Bits,
    /// What was gone through; none of it may become a part.
    expanded: Bits,
}

impl Surroundings {
    fn of(heap: &impl References, roots: &[Node], survey: &Survey) -> Result<Self, Exhausted> {
        let count = heap.len();
        let mut found = Self {
            near: Bits::new(count)?,
            expanded: Bits::new(count)?,
        };
        let mut owned_left = count / NEAR + 1;
        let mut queue = Vec::new();
        for &root in roots {
            if !found.near.get(root) {
                found.near.set(root);
                push(&mut queue, root)?;
            }
        }
        let mut next = 0;
        while let Some(&node) = queue.get(next) {
            next += 1;
            found.expanded.set(node);
            let mut failed = Ok(());
            heap.each(node, |target| {
                if found.near.get(target) {
                    return;
                }
                found.near.set(target);
                if !heap.refers(target) {
                    return;
                }
                if survey.is_owned(target) {
                    if owned_left == 0 {
                        return;
                    }
                    owned_left -= 1;
                }
                if let Err(error) = push(&mut queue, target) {
                    failed = Err(error);
                }
            });
            failed?;
        }
        Ok(found)
    }
}

/// A walk along references to owned nodes.
struct Walk {
    entered: Bits,
    open: Bits,
    /// What refers, itself or below it, to something that it may share with few.
    entangled: Bits,
    /// The same, for what is on the path.
    is_entangled: BitStack,
    pending: Pending,
}

impl Walk {
    /// Says whether all references were as the survey has it; what was not is
    /// not owned any more.
    fn run(
        &mut self,
        heap: &impl References,
        survey: &mut Survey,
        near: &Bits,
        expanded: &Bits,
    ) -> Result<bool, Exhausted> {
        let Self {
            entered,
            open,
            entangled,
            is_entangled,
            pending,
        } = self;
        let mut confirmed = true;
        for head in 0..heap.len() as Node {
            let may_be_part = |survey: &Survey, node| survey.is_owned(node) && !expanded.get(node);
            if may_be_part(survey, head) || !heap.refers(head) {
                continue;
            }
            pending.begin();
            heap.each(head, |target| {
                if may_be_part(survey, target) {
                    pending.add(target);
                }
            });
            pending.close()?;
            while let Some(step) = pending.next() {
                match step {
                    Step::Leave(node) => {
                        open.unset(node);
                        if is_entangled.pop() {
                            entangled.set(node);
                            is_entangled.set();
                        }
                    }
                    Step::Meet(node) if entered.get(node) => {
                        if !open.get(node) {
                            // From elsewhere than from below it.
                            survey.share(node);
                            confirmed = false;
                        }
                    }
                    Step::Meet(node) => {
                        entered.set(node);
                        if !heap.refers(node) {
                            continue;
                        }
                        open.set(node);
                        is_entangled.push()?;
                        pending.open(node)?;
                        heap.each(node, |target| {
                            if may_be_part(survey, target) {
                                if !open.get(target) {
                                    pending.add(target);
                                }
                            } else if target != head && !near.get(target) {
                                is_entangled.set();
                            }
                        });
                        pending.close()?;
                    }
                }
            }
        }
        Ok(confirmed)
    }
}

/// How many nodes before each are no parts.
#[derive(Debug)]
struct Rank {
    before: Vec<Node>,
    others: usize,
}

impl Rank {
    fn of(parts: &Bits, count: usize) -> Result<Self, Exhausted> {
        let mut before = room(count.div_ceil(64))?;
        let mut others = 0;
        for place in 0..count.div_ceil(64) {
            before.push(others as Node);
            let nodes = (count - place * 64).min(64);
            others += nodes - parts.word(place).count_ones() as usize;
        }
        Ok(Self { before, others })
    }

    /// The node that is no part and has so many such before it.
    fn find(&self, parts: &Bits, small: Node) -> Node {
        debug_assert!((small as usize) < self.others);
        let place = self.before.partition_point(|before| *before <= small) - 1;
        let mut others = !parts.word(place);
        for _ in self.before[place]..small {
            others &= others - 1;
        }
        (place * 64) as Node + others.trailing_zeros()
    }

    #[inline]
    fn below(&self, parts: &Bits, node: Node) -> Node {
        let (place, bit) = (node as usize / 64, node % 64);
        let below = !parts.word(place) & ((1 << bit) - 1);
        self.before[place] + below.count_ones()
    }
}
