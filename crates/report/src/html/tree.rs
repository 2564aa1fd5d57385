//! Calls as a tree, with what was allocated in and below each, and the part of
//! it that is worth showing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;

use wrasse_capture::Amount;

use crate::pairs::Pairs;
use crate::stacks::{Place, Stacks};

/// The node above all others.
pub const ROOT: u32 = 0;

/// Calls, oldest first. A node's caller has a smaller number; node 0 is no call.
///
/// What each node allocated is worked out a column at a time, from the rows of the
/// stacks, or for the few nodes that are shown: a table of it all would be the
/// largest thing there is.
pub struct Tree<'a> {
    /// The caller of each node.
    pub parents: Cow<'a, [u32]>,
    /// What each node is: a number by which equal ones are told. [`ROOT`]'s means nothing.
    pub keys: Cow<'a, [u32]>,
    /// How many columns there are.
    pub width: usize,
    stacks: &'a Stacks<'a>,
    /// Rows of the stacks by the node where they end, in the order of the nodes.
    ends: Cow<'a, [(u32, u32)]>,
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

impl<'a> Tree<'a> {
    /// The nodes of stacks by source line; keys are the stacks' places.
    pub fn of_lines(stacks: &'a Stacks<'a>) -> Self {
        let rows = stacks.ends().iter().enumerate();
        let mut ends: Vec<(u32, u32)> = rows.map(|(row, end)| (*end, row as u32)).collect();
        ends.sort_unstable();
        debug_assert!(
            (1..stacks.callers.len()).all(|node| (stacks.callers[node] as usize) < node),
            "callers come first"
        );
        Tree {
            parents: Cow::Borrowed(&stacks.callers),
            keys: Cow::Borrowed(&stacks.lines),
            width: stacks.width,
            stacks,
            ends: Cow::Owned(ends),
        }
    }

    /// Of a tree whose second half of columns is what the first half was before:
    /// the same, and by how much each node itself, and what it called, has more
    /// than before; then by how much less. Either adds up to the callers.
    pub fn with_changes(&self) -> Tree<'_> {
        debug_assert!(self.stacks.width.is_multiple_of(2));
        Tree {
            parents: Cow::Borrowed(&self.parents),
            keys: Cow::Borrowed(&self.keys),
            width: 2 * self.stacks.width,
            stacks: self.stacks,
            ends: Cow::Borrowed(&self.ends),
        }
    }

    /// The same with callers' neighbours of equal keys as one. If `folds`, a call
    /// from a key to itself is no call.
    pub fn merged(&self, key: impl Fn(u32) -> u32, folds: bool) -> Self {
        let (mut parents, mut keys) = (vec![ROOT], vec![0]);
        let mut pairs = Pairs::default();
        let mut places = vec![ROOT; self.len()];
        for node in 1..self.len() {
            let caller = places[self.parents[node] as usize];
            let key = key(self.keys[node]);
            if folds && caller != ROOT && keys[caller as usize] == key {
                places[node] = caller;
                continue;
            }
            let next = parents.len() as u32;
            let known = pairs.number((caller, key), next, |number| {
                (parents[number as usize], keys[number as usize])
            });
            if known.is_none() {
                parents.push(caller);
                keys.push(key);
            }
            places[node] = known.unwrap_or(next);
        }
        drop(pairs);
        let ends = self.ends.iter();
        let mut ends: Vec<(u32, u32)> = ends
            .map(|(node, row)| (places[*node as usize], *row))
            .collect();
        ends.sort_unstable();
        Tree {
            parents: Cow::Owned(parents),
            keys: Cow::Owned(keys),
            width: self.width,
            stacks: self.stacks,
            ends: Cow::Owned(ends),
        }
    }

    /// Calls `visit` with each node that allocated anything itself, and that, in the
    /// order of the nodes: what the rows have in `column`.
    pub fn each_own(&self, column: usize, mut visit: impl FnMut(usize, Amount)) {
        let given = self.stacks.width;
        let sum = |rows: &[(u32, u32)], column| {
            let mut sum = Amount::default();
            for &(_, row) in rows {
                add(&mut sum, self.stacks.amount(row as usize, column));
            }
            sum
        };
        for rows in self.ends.chunk_by(|one, other| one.0 == other.0) {
            let amount = match column.checked_sub(given) {
                None => sum(rows, column),
                Some(change) => {
                    let half = given / 2;
                    let measure = change % half;
                    let (after, before) = (sum(rows, measure), sum(rows, half + measure));
                    match change / half {
                        0 => less(after, before),
                        _ => less(before, after),
                    }
                }
            };
            if amount != Amount::default() {
                visit(rows[0].0 as usize, amount);
            }
        }
    }

    /// What all nodes together have in a column.
    pub fn whole(&self, column: usize) -> Amount {
        let mut whole = Amount::default();
        self.each_own(column, |_, amount| add(&mut whole, amount));
        whole
    }

    /// What each node and all that it called allocated, in one column. Linear in the
    /// nodes.
    pub fn totals(&self, column: usize) -> Vec<Amount> {
        let mut totals = vec![Amount::default(); self.len()];
        self.each_own(column, |node, amount| totals[node] = amount);
        for node in (1..self.len()).rev() {
            let amount = totals[node];
            add(&mut totals[self.parents[node] as usize], amount);
        }
        totals
    }

    /// The largest part that each node has of the bytes of any column.
    fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.len()];
        let mut bytes = vec![0_u64; self.len()];
        for column in 0..self.width {
            bytes.fill(0);
            self.each_own(column, |node, amount| bytes[node] = amount.bytes);
            for node in (1..self.len()).rev() {
                let above = self.parents[node] as usize;
                bytes[above] = bytes[above].saturating_add(bytes[node]);
            }
            let whole = bytes[ROOT as usize].max(1) as f64;
            for (share, bytes) in shares.iter_mut().zip(&bytes) {
                *share = f64::max(*share, *bytes as f64 / whole);
            }
        }
        shares
    }

    /// How many nodes there are, the root included.
    #[allow(clippy::len_without_is_empty, reason = "the root is always there")]
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// The at most `most` nodes with the largest parts, callers before what they
    /// call, the root among them. With a node its callers are there too: they
    /// have at least as large a part. What has no bytes is left out.
    pub fn largest(&self, most: usize) -> Vec<u32> {
        let shares = self.shares();
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
        let mut amounts = vec![Amount::default(); width];
        for (number, &end) in stacks.ends().iter().enumerate() {
            for (column, amount) in amounts.iter_mut().enumerate() {
                *amount = stacks.amount(number, column);
            }
            frames.clear();
            frames.extend(stacks.frames(end));
            for ((keyed, met), (keys, _)) in all.iter_mut().zip(groups) {
                for (depth, &place) in frames.iter().enumerate() {
                    let key = keys[place as usize] as usize;
                    let sums = key * width..(key + 1) * width;
                    if depth == 0 {
                        add_all(&mut keyed.own[sums.clone()], &amounts);
                    }
                    if met[key] != number {
                        met[key] = number;
                        add_all(&mut keyed.total[sums], &amounts);
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
