//! Calls as a tree, with what was allocated in and below each, and the part of
//! it that is worth showing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use wrasse_capture::Capture;

use crate::recording::{Measure, Recording, Row};

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
    /// What each node and all that it called allocated, by node and measure.
    total: Vec<Sum>,
}

/// Mixes one word, which is all that is hashed here; nobody chooses the words to
/// make them collide but who makes a report slow for themselves.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }
    fn write_u64(&mut self, word: u64) {
        let wide = u128::from(word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

fn amount(row: &Row, measure: Measure) -> Sum {
    let amount = row.amount(measure);
    let (bytes, blocks) = (amount.bytes, amount.blocks);
    Sum { bytes, blocks }
}

fn add_all(into: &mut [Sum], more: &[Sum]) {
    for (into, more) in into.iter_mut().zip(more) {
        add(into, *more);
    }
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
            total: vec![Sum::default(); (nodes.len() + 1) * measures.len()],
        };
        for (at, &(caller, location)) in nodes.iter().enumerate() {
            (tree.parents[at + 1], tree.keys[at + 1]) = (caller, location);
        }
        for row in &recording.rows {
            let first = capture.node(row.traceback) as usize * measures.len();
            for (place, &measure) in tree.total[first..].iter_mut().zip(measures) {
                add(place, amount(row, measure));
            }
        }
        for node in (1..tree.len()).rev() {
            let parent = tree.parents[node] as usize;
            debug_assert!(parent < node, "callers come first");
            let (before, at) = tree.total.split_at_mut(node * tree.width);
            add_all(&mut before[parent * tree.width..], &at[..tree.width]);
        }
        tree
    }

    /// The same with callers' neighbours of equal keys as one. If `folds`, a call
    /// from a key to itself is no call.
    pub fn merged(&self, key: impl Fn(u32) -> u32, folds: bool) -> Self {
        let mut merged = Tree {
            parents: vec![ROOT],
            keys: vec![0],
            width: self.width,
            total: self.total[..self.width].to_vec(),
        };
        let mut numbers: HashMap<u64, u32, BuildHasherDefault<Mixer>> = HashMap::default();
        let mut places = vec![ROOT; self.len()];
        for node in 1..self.len() {
            let caller = places[self.parents[node] as usize];
            let key = key(self.keys[node]);
            if folds && caller != ROOT && merged.keys[caller as usize] == key {
                // Its bytes are among its caller's already.
                places[node] = caller;
                continue;
            }
            let pair = u64::from(caller) << 32 | u64::from(key);
            let place = *numbers.entry(pair).or_insert_with(|| {
                merged.parents.push(caller);
                merged.keys.push(key);
                let length = merged.total.len() + self.width;
                merged.total.resize(length, Sum::default());
                merged.parents.len() as u32 - 1
            });
            places[node] = place;
            let from = node * self.width;
            add_all(
                &mut merged.total[place as usize * self.width..],
                &self.total[from..from + self.width],
            );
        }
        merged
    }

    /// How many nodes there are, the root included.
    #[allow(clippy::len_without_is_empty, reason = "the root is always there")]
    pub fn len(&self) -> usize {
        self.parents.len()
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
}

/// What is allocated by key.
pub struct Keyed {
    width: usize,
    own: Vec<Sum>,
    total: Vec<Sum>,
}

impl Keyed {
    /// What the rows of a recording allocated, for each of `groups`: the keys of
    /// their frames' locations, and how many keys there are. Linear in all frames.
    pub fn all<const N: usize>(
        recording: &Recording,
        measures: &[Measure],
        groups: [(&[u32], usize); N],
    ) -> [Self; N] {
        let width = measures.len();
        // Of each group also the last row that met a key: what calls itself again
        // counts once.
        let mut all = groups.map(|(_, count)| {
            let sums = vec![Sum::default(); count * width];
            let (own, total) = (sums.clone(), sums);
            (Keyed { width, own, total }, vec![usize::MAX; count])
        });
        let mut amounts = vec![Sum::default(); width];
        let mut frames: Vec<u32> = Vec::new();
        for (number, row) in recording.rows.iter().enumerate() {
            for (into, &measure) in amounts.iter_mut().zip(measures) {
                *into = amount(row, measure);
            }
            frames.clear();
            frames.extend(recording.capture.frames(row.traceback));
            for ((keyed, met), (keys, _)) in all.iter_mut().zip(groups) {
                for (depth, &location) in frames.iter().enumerate() {
                    let key = keys[location as usize] as usize;
                    let place = key * width..(key + 1) * width;
                    if depth == 0 {
                        add_all(&mut keyed.own[place.clone()], &amounts);
                    }
                    if met[key] != number {
                        met[key] = number;
                        add_all(&mut keyed.total[place], &amounts);
                    }
                }
            }
        }
        all.map(|(keyed, _)| keyed)
    }

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
