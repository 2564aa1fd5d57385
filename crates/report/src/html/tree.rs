//! Calls as a tree, with what was allocated in and below each, and the part of
//! it that is worth showing.

use std::collections::HashMap;
use std::hash::Hash;

use wrasse_capture::Capture;

use crate::recording::{Measure, Recording};

/// Bytes and the number of blocks in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Bytes.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
}

/// The node above all others.
pub const ROOT: u32 = 0;

/// Calls, oldest first. A node's caller has a smaller number; node 0 is no call.
pub struct Tree {
    /// The caller of each node.
    pub parents: Vec<u32>,
    /// What each node is: a number by which equal ones are told. [`ROOT`]'s means nothing.
    pub keys: Vec<u32>,
    /// How many measures there are.
    width: usize,
    /// What each node allocated itself, by node and measure.
    own: Vec<Sum>,
    /// And with all that it called.
    total: Vec<Sum>,
}

fn add(into: &mut Sum, more: Sum) {
    into.bytes = into.bytes.saturating_add(more.bytes);
    into.blocks = into.blocks.saturating_add(more.blocks);
}

impl Tree {
    /// The nodes of a recording by source line; keys are the capture's locations.
    pub fn of_lines(recording: &Recording, measures: &[Measure]) -> Self {
        let capture = &recording.capture;
        let nodes = capture.nodes();
        let mut tree = Tree {
            parents: vec![ROOT; nodes.len() + 1],
            keys: vec![0; nodes.len() + 1],
            width: measures.len(),
            own: vec![Sum::default(); (nodes.len() + 1) * measures.len()],
            total: Vec::new(),
        };
        for (at, &(caller, location)) in nodes.iter().enumerate() {
            (tree.parents[at + 1], tree.keys[at + 1]) = (caller, location);
        }
        for row in &recording.rows {
            let first = capture.node(row.traceback) as usize * measures.len();
            for (place, &measure) in tree.own[first..].iter_mut().zip(measures) {
                let amount = row.amount(measure);
                let (bytes, blocks) = (amount.bytes, amount.blocks);
                add(place, Sum { bytes, blocks });
            }
        }
        tree.add_up();
        tree
    }

    /// The same with callers' neighbours of equal keys as one. If `folds`, a call
    /// from a key to itself is no call.
    pub fn merged(&self, key: impl Fn(u32) -> u32, folds: bool) -> Self {
        let mut merged = Tree {
            parents: vec![ROOT],
            keys: vec![0],
            width: self.width,
            own: vec![Sum::default(); self.width],
            total: Vec::new(),
        };
        let mut numbers: HashMap<(u32, u32), u32> = HashMap::new();
        let mut places = vec![ROOT; self.len()];
        for node in 0..self.len() {
            if node != ROOT as usize {
                let caller = places[self.parents[node] as usize];
                let key = key(self.keys[node]);
                places[node] = if folds && caller != ROOT && merged.keys[caller as usize] == key {
                    caller
                } else {
                    *numbers.entry((caller, key)).or_insert_with(|| {
                        merged.parents.push(caller);
                        merged.keys.push(key);
                        merged
                            .own
                            .resize(merged.own.len() + self.width, Sum::default());
                        merged.parents.len() as u32 - 1
                    })
                };
            }
            let place = places[node] as usize;
            for measure in 0..self.width {
                add(
                    &mut merged.own[place * self.width + measure],
                    self.own(node, measure),
                );
            }
        }
        merged.add_up();
        merged
    }

    fn add_up(&mut self) {
        self.total.clone_from(&self.own);
        for node in (1..self.len()).rev() {
            let parent = self.parents[node] as usize;
            debug_assert!(parent < node, "callers come first");
            for measure in 0..self.width {
                let more = self.total[node * self.width + measure];
                add(&mut self.total[parent * self.width + measure], more);
            }
        }
    }

    /// How many nodes there are, the root included.
    #[allow(clippy::len_without_is_empty, reason = "the root is always there")]
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// What a node allocated itself.
    pub fn own(&self, node: usize, measure: usize) -> Sum {
        self.own[node * self.width + measure]
    }

    /// What a node and all that it called allocated.
    pub fn total(&self, node: usize, measure: usize) -> Sum {
        self.total[node * self.width + measure]
    }

    /// The largest part that the node has of any measure.
    fn share(&self, node: usize) -> f64 {
        let share = |measure| {
            let whole = self.total(ROOT as usize, measure).bytes;
            self.total(node, measure).bytes as f64 / whole.max(1) as f64
        };
        (0..self.width).map(share).fold(0.0, f64::max)
    }

    /// The at most `most` nodes with the largest parts, callers before what they
    /// call, the root among them. With a node its callers are there too: they
    /// have at least as large a part. What has no bytes is left out.
    pub fn largest(&self, most: usize) -> Vec<u32> {
        let shares: Vec<f64> = (0..self.len()).map(|node| self.share(node)).collect();
        let mut nodes: Vec<u32> = (1..self.len() as u32)
            .filter(|node| shares[*node as usize] > 0.0)
            .collect();
        let most = most.max(1) - 1;
        if nodes.len() > most {
            // Of equal ones the caller first, which has the smaller number.
            nodes.select_nth_unstable_by(most, |a, b| {
                let (first, second) = (shares[*a as usize], shares[*b as usize]);
                second.total_cmp(&first).then(a.cmp(b))
            });
            nodes.truncate(most);
        }
        nodes.push(ROOT);
        nodes.sort_unstable();
        nodes
    }

    /// For each of `count` keys what its nodes allocated themselves, and with all
    /// that they called: what is called from itself again counts once.
    pub fn by_key(&self, count: usize) -> Keyed {
        let mut keyed = Keyed {
            width: self.width,
            own: vec![Sum::default(); count * self.width],
            total: vec![Sum::default(); count * self.width],
        };
        let mut first_child = vec![ROOT; self.len()];
        let mut next_sibling = vec![ROOT; self.len()];
        for node in (1..self.len()).rev() {
            let parent = self.parents[node] as usize;
            next_sibling[node] = first_child[parent];
            first_child[parent] = node as u32;
        }
        // How many nodes of each key the walk is inside of.
        let mut open = vec![0u32; count];
        let mut node = first_child[ROOT as usize] as usize;
        'walk: while node != ROOT as usize {
            let key = self.keys[node] as usize;
            for measure in 0..self.width {
                let at = key * self.width + measure;
                add(&mut keyed.own[at], self.own(node, measure));
                if open[key] == 0 {
                    add(&mut keyed.total[at], self.total(node, measure));
                }
            }
            if first_child[node] != ROOT {
                open[key] += 1;
                node = first_child[node] as usize;
                continue;
            }
            while next_sibling[node] == ROOT {
                node = self.parents[node] as usize;
                if node == ROOT as usize {
                    break 'walk;
                }
                open[self.keys[node] as usize] -= 1;
            }
            node = next_sibling[node] as usize;
        }
        keyed
    }
}

/// Sums by key.
pub struct Keyed {
    width: usize,
    own: Vec<Sum>,
    total: Vec<Sum>,
}

impl Keyed {
    /// Allocated there.
    pub fn own(&self, key: usize, measure: usize) -> Sum {
        self.own[key * self.width + measure]
    }

    /// Allocated there and in all that was called from there.
    pub fn total(&self, key: usize, measure: usize) -> Sum {
        self.total[key * self.width + measure]
    }
}

/// Numbers for what the locations of a capture have in common.
pub struct Grouping<K> {
    /// By location.
    pub keys: Vec<u32>,
    /// By number.
    pub names: Vec<K>,
}

impl<K: Copy + Eq + Hash> Grouping<K> {
    /// Locations for which `name` is the same have the same number.
    pub fn of(capture: &Capture, name: impl Fn(&wrasse_capture::Location) -> K) -> Self {
        let mut numbers: HashMap<K, u32> = HashMap::new();
        let mut names = Vec::new();
        let locations = capture.locations().iter();
        let keys = locations.map(|location| {
            let name = name(location);
            *numbers.entry(name).or_insert_with(|| {
                names.push(name);
                names.len() as u32 - 1
            })
        });
        let keys = keys.collect();
        Grouping { keys, names }
    }
}
