//! Calls as a tree, with what was allocated in and below each, and the part of
//! it that is worth showing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use wrasse_capture::Amount;

use crate::stacks::{Place, Stacks};

/// The node above all others.
pub const ROOT: u32 = 0;

/// Calls, oldest first. A node's caller has a smaller number; node 0 is no call.
pub struct Tree {
    /// The caller of each node.
    pub parents: Vec<u32>,
    /// What each node is: a number by which equal ones are told. [`ROOT`]'s means nothing.
    pub keys: Vec<u32>,
    /// How many columns there are.
    pub width: usize,
    /// What each node and all that it called allocated, by node and measure.
    total: Vec<Amount>,
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

fn add_all(into: &mut [Amount], more: &[Amount]) {
    for (into, more) in into.iter_mut().zip(more) {
        add(into, *more);
    }
}

fn add(into: &mut Amount, more: Amount) {
    into.bytes = into.bytes.saturating_add(more.bytes);
    into.blocks = into.blocks.saturating_add(more.blocks);
}

/// What `one` has more than `other`, or nothing.
fn less(one: Amount, other: Amount) -> Amount {
    Amount {
        bytes: one.bytes.saturating_sub(other.bytes),
        blocks: one.blocks.saturating_sub(other.blocks),
    }
}

impl Tree {
    /// The nodes of stacks by source line; keys are the stacks' places.
    pub fn of_lines(stacks: &Stacks<'_>) -> Self {
        let (nodes, width) = (&stacks.nodes, stacks.width);
        let mut tree = Tree {
            parents: vec![ROOT; nodes.len() + 1],
            keys: vec![0; nodes.len() + 1],
            width,
            total: vec![Amount::default(); (nodes.len() + 1) * width],
        };
        for (at, &(caller, place)) in nodes.iter().enumerate() {
            (tree.parents[at + 1], tree.keys[at + 1]) = (caller, place);
        }
        for (end, amounts) in stacks.rows() {
            add_all(&mut tree.total[end as usize * width..], amounts);
        }
        tree.add_to_callers();
        tree
    }

    /// What each node has, to all that called it. Linear in the nodes.
    fn add_to_callers(&mut self) {
        for node in (1..self.len()).rev() {
            let parent = self.parents[node] as usize;
            debug_assert!(parent < node, "callers come first");
            let (before, at) = self.total.split_at_mut(node * self.width);
            add_all(&mut before[parent * self.width..], &at[..self.width]);
        }
    }

    /// What each node has by itself, by node and column.
    pub fn own(&self) -> Vec<Amount> {
        let mut own = self.total.clone();
        self.take_from_callers(&mut own, self.width);
        own
    }

    /// Takes from `sums`, which has those of each node in a row of `width`, what is its
    /// callees'.
    fn take_from_callers(&self, sums: &mut [Amount], width: usize) {
        for node in 1..self.len() {
            let parent = self.parents[node] as usize;
            for column in 0..self.width {
                let above = &mut sums[parent * width + column];
                *above = less(*above, self.total(node, column));
            }
        }
    }

    /// Of a tree whose second half of columns is what the first half was before:
    /// the same, and by how much each node itself, and what it called, has more
    /// than before; then by how much less. Either adds up to the callers.
    pub fn with_changes(&self) -> Self {
        debug_assert!(self.width.is_multiple_of(2));
        let half = self.width / 2;
        let width = 4 * half;
        let mut changed = Tree {
            parents: self.parents.clone(),
            keys: self.keys.clone(),
            width,
            total: vec![Amount::default(); self.len() * width],
        };
        // What each node has by itself is put where its sums will be: with millions of
        // nodes a table beside these would be the largest thing there is.
        for node in 0..self.len() {
            let into = &mut changed.total[node * width..][..self.width];
            into.copy_from_slice(&self.total[node * self.width..][..self.width]);
        }
        self.take_from_callers(&mut changed.total, width);
        for into in changed.total.chunks_mut(width.max(1)) {
            for column in 0..half {
                let (after, before) = (into[column], into[half + column]);
                into[2 * half + column] = less(after, before);
                into[3 * half + column] = less(before, after);
            }
        }
        changed.add_to_callers();
        changed
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
                merged.total.resize(length, Amount::default());
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
    pub fn total(&self, node: usize, measure: usize) -> Amount {
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
    /// How many columns there are.
    pub width: usize,
    own: Vec<Amount>,
    total: Vec<Amount>,
}

impl Keyed {
    /// What the rows of stacks allocated, for each of `groups`: the keys of
    /// their frames' places, and how many keys there are. Linear in all frames.
    pub fn all<const N: usize>(stacks: &Stacks<'_>, groups: [(&[u32], usize); N]) -> [Self; N] {
        let width = stacks.width;
        // Of each group also the last row that met a key: what calls itself again
        // counts once.
        let mut all = groups.map(|(_, count)| {
            let sums = vec![Amount::default(); count * width];
            let (own, total) = (sums.clone(), sums);
            (Keyed { width, own, total }, vec![usize::MAX; count])
        });
        let mut frames: Vec<u32> = Vec::new();
        for (number, (end, amounts)) in stacks.rows().enumerate() {
            frames.clear();
            frames.extend(stacks.frames(end));
            for ((keyed, met), (keys, _)) in all.iter_mut().zip(groups) {
                for (depth, &place) in frames.iter().enumerate() {
                    let key = keys[place as usize] as usize;
                    let sums = key * width..(key + 1) * width;
                    if depth == 0 {
                        add_all(&mut keyed.own[sums.clone()], amounts);
                    }
                    if met[key] != number {
                        met[key] = number;
                        add_all(&mut keyed.total[sums], amounts);
                    }
                }
            }
        }
        all.map(|(keyed, _)| keyed)
    }

    /// Allocated there.
    pub fn own(&self, key: usize, measure: usize) -> Amount {
        self.own[key * self.width + measure]
    }

    /// Allocated there and in all that was called from there.
    pub fn total(&self, key: usize, measure: usize) -> Amount {
        self.total[key * self.width + measure]
    }
}

/// Numbers for what the places of stacks have in common.
pub struct Grouping<K> {
    /// By place.
    pub keys: Vec<u32>,
    /// By number.
    pub names: Vec<K>,
}

impl<K: Copy + Eq + Hash> Grouping<K> {
    /// Places for which `name` is the same have the same number.
    pub fn of(stacks: &Stacks<'_>, name: impl Fn(&Place) -> K) -> Self {
        let mut numbers: HashMap<K, u32> = HashMap::new();
        let mut names = Vec::new();
        let keys = stacks.places.iter().map(|place| {
            let name = name(place);
            *numbers.entry(name).or_insert_with(|| {
                names.push(name);
                names.len() as u32 - 1
            })
        });
        let keys = keys.collect();
        Grouping { keys, names }
    }
}
