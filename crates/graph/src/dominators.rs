//! The dominator tree, retained sizes and their sums by kind.
//!
//! A node dominates another if every path from a root to the other goes
//! through it: freed, it takes the other along. What it retains is the sum of
//! the sizes of all it dominates, itself included.
//!
//! The algorithm is semi-NCA (L. Georgiadis, *Linear-Time Algorithms for
//! Dominators and Related Problems*, Princeton 2005, section 2.2): the
//! semidominators of Lengauer and Tarjan by path compression, then the nearest
//! common ancestor of semidominator and tree parent. With compression alone it
//! takes O(m log n) time. Two things keep it small: only references that are
//! not in the depth-first tree are turned round, and the place of a node in
//! depth-first order is its index in every array.

use crate::exhausted::{Exhausted, filled, push, room};
use crate::graph::{Graph, NONE, Node};

/// The dominator tree of a [`Graph`], by *places*: place 0 stands above all
/// roots, place `i` is the `i`-th node in depth-first order. A node's
/// dominator has a smaller place than the node.
///
/// What no root reaches comes last; there a depth-first search begins at each
/// node that was not found yet, as if it were a root.
#[derive(Debug)]
pub struct Dominators {
    nodes: Vec<Node>,
    dominators: Vec<u32>,
    reached: usize,
}

impl Dominators {
    /// Computes the tree. Beside the graph this takes at most 25 bytes a node,
    /// 4 for each reference outside the depth-first tree, and 8 for each node on
    /// the longest path of the search; the result keeps 8 a node.
    ///
    /// # Errors
    /// No memory.
    pub fn of(graph: &Graph) -> Result<Self, Exhausted> {
        let Search {
            places,
            nodes,
            mut parents,
            reached,
        } = Search::run(graph)?;
        let mut is_root = filled(parents.len(), false)?;
        for &root in graph.roots() {
            is_root[places[root as usize] as usize] = true;
        }
        let crossing = Crossing::of(graph, &places, &parents, &is_root)?;
        drop(places);
        let semi = semidominators(crossing, &is_root, &parents, reached)?;
        // The parents turn into the dominators, in ascending order.
        for place in 1..parents.len() {
            let mut above = parents[place];
            while above > semi[place] {
                above = parents[above as usize];
            }
            parents[place] = above;
        }
        Ok(Self {
            nodes,
            dominators: parents,
            reached,
        })
    }

    /// How many places there are: one more than nodes.
    #[allow(clippy::len_without_is_empty, reason = "place 0 is always there")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The first place that no root reaches.
    pub fn first_unreached(&self) -> usize {
        self.reached
    }

    /// The node at `place`; [`NONE`] at place 0.
    #[inline]
    pub fn node(&self, place: usize) -> Node {
        self.nodes[place]
    }

    /// The place of the nearest node that dominates the one at `place`, or 0.
    #[inline]
    pub fn dominator(&self, place: usize) -> usize {
        self.dominators[place] as usize
    }

    /// The place of each node. 4 bytes a node.
    ///
    /// # Errors
    /// No memory.
    pub fn places(&self) -> Result<Vec<u32>, Exhausted> {
        let mut places = filled(self.nodes.len() - 1, 0)?;
        for (place, &node) in self.nodes.iter().enumerate().skip(1) {
            places[node as usize] = place as u32;
        }
        Ok(places)
    }

    /// The bytes that each place retains; place 0 all there are. Linear in the
    /// nodes; 8 bytes a node.
    ///
    /// # Errors
    /// No memory.
    pub fn retained(&self, graph: &Graph) -> Result<Vec<u64>, Exhausted> {
        let mut retained = room(self.nodes.len())?;
        retained.push(0);
        retained.extend(self.nodes[1..].iter().map(|&node| graph.size(node)));
        for place in (1..self.nodes.len()).rev() {
            retained[self.dominators[place] as usize] += retained[place];
        }
        Ok(retained)
    }

    /// The bytes that each kind retains: the sum over its nodes, without those
    /// that a node of the same kind dominates, for their bytes are in the
    /// other's. Linear in the nodes; 8 bytes a node while it runs.
    ///
    /// # Errors
    /// No memory.
    ///
    /// # Panics
    /// If a node's kind is not below `kinds`, or `retained` is another graph's.
    pub fn retained_by_kind(
        &self,
        graph: &Graph,
        retained: &[u64],
        kinds: usize,
    ) -> Result<Vec<u64>, Exhausted> {
        const NOBODY: u32 = 0;
        let mut first_child = filled(self.nodes.len(), NOBODY)?;
        let mut next_sibling = filled(self.nodes.len(), NOBODY)?;
        for place in (1..self.nodes.len()).rev() {
            let above = self.dominators[place] as usize;
            next_sibling[place] = first_child[above];
            first_child[above] = place as u32;
        }
        let mut sums = filled(kinds, 0)?;
        // How many nodes of each kind the walk is inside of.
        let mut open: Vec<u32> = filled(kinds, 0)?;
        let mut place = first_child[0];
        while place != NOBODY {
            let kind = graph.kind(self.nodes[place as usize]) as usize;
            if open[kind] == 0 {
                sums[kind] += retained[place as usize];
            }
            if first_child[place as usize] != NOBODY {
                open[kind] += 1;
                place = first_child[place as usize];
                continue;
            }
            while next_sibling[place as usize] == NOBODY {
                place = self.dominators[place as usize];
                if place == NOBODY {
                    return Ok(sums);
                }
                open[graph.kind(self.nodes[place as usize]) as usize] -= 1;
            }
            place = next_sibling[place as usize];
        }
        Ok(sums)
    }
}

/// A depth-first search from place 0.
struct Search {
    places: Vec<u32>,
    nodes: Vec<Node>,
    parents: Vec<u32>,
    reached: usize,
}

impl Search {
    fn run(graph: &Graph) -> Result<Self, Exhausted> {
        let count = graph.len() + 1;
        let mut search = Self {
            places: filled(graph.len(), 0)?,
            nodes: room(count)?,
            parents: room(count)?,
            reached: 0,
        };
        search.nodes.push(NONE);
        search.parents.push(0);
        // A node and where its next reference is.
        let mut path: Vec<(Node, u32)> = Vec::new();
        for &root in graph.roots() {
            search.descend(graph, root, &mut path)?;
        }
        search.reached = search.nodes.len();
        for node in graph.nodes() {
            search.descend(graph, node, &mut path)?;
        }
        debug_assert_eq!(search.nodes.len(), count);
        Ok(search)
    }

    fn enter(&mut self, node: Node, parent: u32) {
        self.places[node as usize] = self.nodes.len() as u32;
        self.nodes.push(node);
        self.parents.push(parent);
    }

    fn descend(
        &mut self,
        graph: &Graph,
        root: Node,
        path: &mut Vec<(Node, u32)>,
    ) -> Result<(), Exhausted> {
        if self.places[root as usize] != 0 {
            return Ok(());
        }
        self.enter(root, 0);
        push(path, (root, graph.row(root).start))?;
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            let end = graph.row(node).end;
            let mut found = NONE;
            while *next < end {
                let target = graph.target(*next);
                *next += 1;
                if self.places[target as usize] == 0 {
                    found = target;
                    break;
                }
            }
            if found == NONE {
                path.pop();
            } else {
                self.enter(found, self.places[node as usize]);
                let row = graph.row(found);
                // What refers to nothing need not be returned to.
                if !row.is_empty() {
                    push(path, (found, row.start))?;
                }
            }
        }
        Ok(())
    }
}

/// The references outside the depth-first tree, by the place of their target.
struct Crossing {
    starts: Vec<u32>,
    sources: Vec<u32>,
}

impl Crossing {
    /// `is_root` has the places of roots: their dominator is known.
    fn of(
        graph: &Graph,
        places: &[u32],
        parents: &[u32],
        is_root: &[bool],
    ) -> Result<Self, Exhausted> {
        let each = |visit: &mut dyn FnMut(u32, u32)| {
            for node in graph.nodes() {
                let source = places[node as usize];
                for &target in graph.targets(node) {
                    let target = places[target as usize];
                    if parents[target as usize] != source && !is_root[target as usize] {
                        visit(source, target);
                    }
                }
            }
        };
        let mut starts: Vec<u32> = filled(parents.len() + 1, 0)?;
        each(&mut |_, target| starts[target as usize + 1] += 1);
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let count = starts.last().map_or(0, |count| *count as usize);
        let mut sources = filled(count, 0)?;
        each(&mut |source, target| {
            let place = &mut starts[target as usize];
            sources[*place as usize] = source;
            *place += 1;
        });
        // Each row's start has moved to its end, which is the next one's start.
        starts.rotate_right(1);
        starts[0] = 0;
        Ok(Self { starts, sources })
    }

    #[inline]
    fn sources(&self, place: usize) -> &[u32] {
        &self.sources[self.starts[place] as usize..self.starts[place + 1] as usize]
    }
}

/// The semidominator of each place.
fn semidominators(
    crossing: Crossing,
    is_root: &[bool],
    parents: &[u32],
    reached: usize,
) -> Result<Vec<u32>, Exhausted> {
    let mut semi = filled(parents.len(), 0)?;
    let mut ancestors = filled(parents.len(), 0)?;
    ancestors.copy_from_slice(parents);
    // The least semidominator on the compressed path above each place.
    let mut least = filled(parents.len(), 0)?;
    let mut path = Vec::new();
    for place in (1..parents.len()).rev() {
        let mut best = parents[place];
        if is_root[place] {
            best = 0;
        } else {
            for &source in crossing.sources(place) {
                // Garbage may refer to what is alive; it keeps nothing alive.
                if place < reached && source as usize >= reached {
                    continue;
                }
                let candidate = if (source as usize) <= place {
                    source
                } else {
                    compress(source, place as u32, &mut ancestors, &mut least, &mut path)?
                };
                best = best.min(candidate);
            }
        }
        semi[place] = best;
        least[place] = best;
    }
    Ok(semi)
}

/// The least semidominator on the path from `from` up to, and without, the
/// first place that is not above `last`, the one being worked on.
fn compress(
    from: u32,
    last: u32,
    ancestors: &mut [u32],
    least: &mut [u32],
    path: &mut Vec<u32>,
) -> Result<u32, Exhausted> {
    let mut top = from;
    while ancestors[top as usize] > last {
        push(path, top)?;
        top = ancestors[top as usize];
    }
    while let Some(place) = path.pop() {
        let above = ancestors[place as usize] as usize;
        least[place as usize] = least[place as usize].min(least[above]);
        ancestors[place as usize] = ancestors[above];
    }
    Ok(least[from as usize])
}
