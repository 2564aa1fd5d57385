//! Who allocated: trees of calls and tables, by line, by function, by file and by
//! type, each cut to what is largest.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;

use wrasse_capture::Amount;

use super::tree::{Grouping, Keyed, ROOT, Tree};
use crate::stacks::{Place, Stacks};
use crate::text::printable;

/// Nodes of a tree, at most.
const MOST_NODES: usize = 20_000;
/// Rows of a table, at most.
const MOST_ROWS: usize = 5_000;
/// Tracebacks with the largest changes of each measure.
const MOST_TRACEBACKS: usize = 300;

/// Everything by call.
#[derive(Serialize)]
pub struct Calls {
    /// Names of files and functions.
    pub strings: Vec<String>,
    /// Bytes and blocks of each measure.
    pub whole: Vec<[u64; 2]>,
    /// By line, by function, by file, and by type if types are known.
    pub groups: Vec<Group>,
    /// Tracebacks with the largest changes, of recordings that are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracebacks: Option<Vec<Changed>>,
}

/// A traceback that has allocated more or less than before.
#[derive(Serialize)]
pub struct Changed {
    /// File, function plus one and line of each frame, the most recent first.
    frames: Vec<[u32; 3]>,
    /// Bytes and blocks: of each measure after, of each measure before.
    own: Vec<[u64; 2]>,
}

/// One way to sum up.
#[derive(Serialize)]
pub struct Group {
    /// `line`, `function`, `file` or `type`.
    pub by: &'static str,
    /// The measure whose figures are the only ones there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<usize>,
    /// Of each name: file, function plus one, line, type plus one.
    pub names: Vec<[u32; 4]>,
    /// The tree of calls.
    pub tree: Nodes,
    /// The table: a row for each name, the largest first.
    pub rows: Vec<Row>,
    /// What is not in the table.
    pub rest: Rest,
}

/// A tree in columns; the first node is no call. With a node its caller is there,
/// before it.
#[derive(Serialize, Default)]
pub struct Nodes {
    /// The caller's number.
    pub parent: Vec<u32>,
    /// The name's number.
    pub name: Vec<u32>,
    /// Bytes with all that it called, for each measure.
    pub bytes: Vec<Vec<u64>>,
    /// Blocks likewise.
    pub blocks: Vec<Vec<u64>>,
    /// Of those bytes, what callees allocated that are left out.
    pub hidden: Vec<Vec<u64>>,
    /// How many nodes below it are left out; a list of pairs of node and number.
    pub hidden_nodes: Vec<[u32; 2]>,
    /// How many nodes the tree had.
    pub of: usize,
}

/// A row of a table: what a name allocated itself, and with all that it called.
#[derive(Serialize)]
pub struct Row {
    /// The name's number.
    pub name: u32,
    /// Bytes and blocks of each measure.
    pub own: Vec<[u64; 2]>,
    /// The same with what it called.
    pub total: Vec<[u64; 2]>,
}

/// What a table leaves out.
#[derive(Serialize, Default)]
pub struct Rest {
    /// Rows.
    pub rows: usize,
    /// Bytes and blocks of each measure, allocated there.
    pub own: Vec<[u64; 2]>,
}

fn pair(amount: Amount) -> [u64; 2] {
    [amount.bytes, amount.blocks]
}

/// What was live at the end, told apart by type.
pub struct Typed<'a> {
    /// One column, with a type below each line.
    pub stacks: Stacks<'a>,
    /// The number of that measure.
    pub measure: usize,
}

impl Calls {
    /// Of stacks. If `is_compared`, the second half of their columns is what the
    /// first half was before.
    pub fn new(stacks: &Stacks<'_>, is_compared: bool, typed: Option<&Typed<'_>>) -> Self {
        let lines = Tree::of_lines(stacks);
        let whole = (0..stacks.width)
            .map(|column| pair(lines.whole(column)))
            .collect();
        // Places of the stacks have the same numbers in those with types.
        let mut strings = Strings::new(typed.map_or(stacks, |typed| &typed.stacks));
        let by_line = Grouping::of(stacks, |at| *at);
        let by_function = Grouping::of(stacks, |at| Place { line: 0, ..*at });
        let by_file = Grouping::of(stacks, |at| Place {
            function: None,
            line: 0,
            ..*at
        });
        let groupings = [&by_line, &by_function, &by_file];
        let keys = groupings.map(|grouping| (&*grouping.keys, grouping.names.len()));
        let [own_lines, own_functions, own_files] = Keyed::all(stacks, keys);
        let mut group = |by, grouping: &Grouping<Place>, keyed: &Keyed, folds| {
            // A writer numbers each line once; then there is nothing to be merged.
            let are_lines = grouping.names.len() == grouping.keys.len();
            let merged = (!are_lines || folds)
                .then(|| lines.merged(|place| grouping.keys[place as usize], folds));
            let tree = merged.as_ref().unwrap_or(&lines);
            let changed = is_compared.then(|| tree.with_changes());
            let tree = changed.as_ref().unwrap_or(tree);
            Group::new(by, tree, keyed, &grouping.names, &mut strings)
        };
        let mut groups = vec![
            group("line", &by_line, &own_lines, false),
            group("function", &by_function, &own_functions, false),
            group("file", &by_file, &own_files, true),
        ];
        if let Some(Typed { stacks, measure }) = typed {
            let places = Grouping::of(stacks, |at| *at);
            let [keyed] = Keyed::all(stacks, [(&*places.keys, places.names.len())]);
            let tree = Tree::of_lines(stacks);
            let mut group = Group::new("type", &tree, &keyed, &places.names, &mut strings);
            // Lines have nothing of their own here: types have.
            let names = &group.names;
            group.rows.retain(|row| names[row.name as usize][3] > 0);
            group.only = Some(*measure);
            groups.push(group);
        }
        let tracebacks = is_compared.then(|| changed(stacks, &lines, &mut strings));
        Calls {
            tracebacks,
            strings: strings.list,
            whole,
            groups,
        }
    }

    /// The rows with the most bytes of a measure, allocated there: name and bytes.
    pub fn top(&self, group: usize, measure: usize) -> Vec<([u32; 4], u64)> {
        let group = &self.groups[group];
        let mut rows: Vec<_> = group
            .rows
            .iter()
            .map(|row| (group.names[row.name as usize], row.own[measure][0]))
            .filter(|(_, bytes)| *bytes > 0)
            .collect();
        rows.sort_by_key(|(_, bytes)| Reverse(*bytes));
        rows
    }
}

impl Group {
    fn new(
        by: &'static str,
        tree: &Tree<'_>,
        keyed: &Keyed,
        names: &[Place],
        strings: &mut Strings<'_>,
    ) -> Self {
        let mut shown = Shown {
            strings,
            names,
            numbers: HashMap::new(),
            list: Vec::new(),
        };
        let nodes = Nodes::new(tree, MOST_NODES, &mut shown);
        let (rows, rest) = rows(keyed, names.len(), &mut shown);
        Group {
            by,
            only: None,
            names: shown.list,
            tree: nodes,
            rows,
            rest,
        }
    }
}

impl Nodes {
    /// The `most` largest of a tree.
    fn new(tree: &Tree<'_>, most: usize, shown: &mut Shown<'_, '_>) -> Self {
        let measures = tree.width;
        let kept = tree.largest(most);
        let mut nodes = Nodes {
            of: tree.len() - 1,
            bytes: vec![vec![0; kept.len()]; measures],
            blocks: vec![vec![0; kept.len()]; measures],
            hidden: vec![vec![0; kept.len()]; measures],
            ..Nodes::default()
        };
        let mut counts = vec![0u32; kept.len()];
        // By node, the place of the nearest that is shown: itself, or a caller.
        let mut places = vec![0; tree.len()];
        let mut next = kept.iter().enumerate().peekable();
        // Whether a node is shown, by its number.
        let mut is_shown = vec![false; tree.len()];
        for node in 0..tree.len() {
            let caller = tree.parents[node] as usize;
            if let Some((place, _)) = next.next_if(|(_, kept)| **kept as usize == node) {
                is_shown[node] = true;
                nodes.parent.push(places[caller]);
                places[node] = place as u32;
                nodes.name.push(match place {
                    0 => 0,
                    _ => shown.name(tree.keys[node]),
                });
                continue;
            }
            places[node] = places[caller];
            let above = places[node] as usize;
            counts[above] += 1;
        }
        for measure in 0..measures {
            let (bytes, blocks) = (&mut nodes.bytes[measure], &mut nodes.blocks[measure]);
            let hidden = &mut nodes.hidden[measure];
            tree.each_own(measure, |node, amount| {
                let place = places[node] as usize;
                bytes[place] = bytes[place].saturating_add(amount.bytes);
                blocks[place] = blocks[place].saturating_add(amount.blocks);
                if !is_shown[node] {
                    hidden[place] = hidden[place].saturating_add(amount.bytes);
                }
            });
            for place in (1..kept.len()).rev() {
                let above = nodes.parent[place] as usize;
                bytes[above] = bytes[above].saturating_add(bytes[place]);
                blocks[above] = blocks[above].saturating_add(blocks[place]);
            }
        }
        let counted = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        nodes.hidden_nodes = counted.map(|(at, count)| [at as u32, *count]).collect();
        nodes
    }
}

/// The tracebacks with the largest changes, by node of the tree by line.
fn changed(stacks: &Stacks<'_>, lines: &Tree<'_>, strings: &mut Strings<'_>) -> Vec<Changed> {
    let width = lines.width;
    let changes = lines.with_changes();
    let mut chosen: Vec<u32> = Vec::new();
    for measure in 0..width / 2 {
        // A node has more than before, or less.
        let mut nodes: Vec<(Reverse<u64>, u32)> = Vec::new();
        for column in [width + measure, width + width / 2 + measure] {
            changes.each_own(column, |node, amount| {
                if amount.bytes > 0 {
                    nodes.push((Reverse(amount.bytes), node as u32));
                }
            });
        }
        if nodes.len() > MOST_TRACEBACKS {
            nodes.select_nth_unstable(MOST_TRACEBACKS);
            nodes.truncate(MOST_TRACEBACKS);
        }
        chosen.extend(nodes.iter().map(|(_, node)| *node));
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen.retain(|node| *node != ROOT);
    let mut own = vec![Vec::new(); chosen.len()];
    for column in 0..width {
        own.iter_mut().for_each(|all| all.push([0; 2]));
        lines.each_own(column, |node, amount| {
            if let Ok(at) = chosen.binary_search(&(node as u32)) {
                own[at][column] = pair(amount);
            }
        });
    }
    let frame = |place: u32, strings: &mut Strings<'_>| {
        let at = stacks.places[place as usize];
        let function = at.function.map_or(0, |name| strings.number(name) + 1);
        [strings.number(at.file), function, at.line]
    };
    chosen
        .into_iter()
        .zip(own)
        .map(|(node, own)| Changed {
            frames: stacks
                .frames(node)
                .map(|place| frame(place, strings))
                .collect(),
            own,
        })
        .collect()
}

fn rows(keyed: &Keyed, count: usize, shown: &mut Shown<'_, '_>) -> (Vec<Row>, Rest) {
    let measures = keyed.width;
    let whole: Vec<u64> = (0..measures)
        .map(|measure| {
            let all = (0..count).map(|key| keyed.own(key, measure).bytes);
            all.fold(0, u64::saturating_add).max(1)
        })
        .collect();
    // By what they allocated themselves; who only called comes last.
    let share = |key: usize| {
        let part = |bytes: u64, measure: usize| bytes as f64 / whole[measure] as f64;
        let here = (0..measures).map(|m| part(keyed.own(key, m).bytes, m));
        let with_calls = (0..measures).map(|m| part(keyed.total(key, m).bytes, m));
        (here.fold(0.0, f64::max), with_calls.fold(0.0, f64::max))
    };
    let mut order: Vec<(usize, (f64, f64))> = (0..count)
        .map(|key| (key, share(key)))
        .filter(|(_, (here, with_calls))| here + with_calls > 0.0)
        .collect();
    order.sort_by(|(key, a), (other, b)| {
        let by_own = b.0.total_cmp(&a.0);
        by_own.then(b.1.total_cmp(&a.1)).then(key.cmp(other))
    });
    let rest = &order[order.len().min(MOST_ROWS)..];
    let rest = Rest {
        rows: rest.len(),
        own: (0..measures)
            .map(|measure| {
                rest.iter().fold([0, 0], |[bytes, blocks], (key, _)| {
                    let more = keyed.own(*key, measure);
                    [
                        u64::saturating_add(bytes, more.bytes),
                        u64::saturating_add(blocks, more.blocks),
                    ]
                })
            })
            .collect(),
    };
    order.truncate(MOST_ROWS);
    let row = |&(key, _): &(usize, (f64, f64))| Row {
        name: shown.name(key as u32),
        own: (0..measures).map(|m| pair(keyed.own(key, m))).collect(),
        total: (0..measures).map(|m| pair(keyed.total(key, m))).collect(),
    };
    (order.iter().map(row).collect(), rest)
}

/// The strings that are shown, each once.
struct Strings<'a> {
    stacks: &'a Stacks<'a>,
    numbers: HashMap<u32, u32>,
    list: Vec<String>,
}

impl<'a> Strings<'a> {
    fn new(stacks: &'a Stacks<'a>) -> Self {
        Strings {
            stacks,
            numbers: HashMap::new(),
            list: Vec::new(),
        }
    }

    fn number(&mut self, string: u32) -> u32 {
        *self.numbers.entry(string).or_insert_with(|| {
            self.list.push(printable(&self.stacks.string(string)));
            self.list.len() as u32 - 1
        })
    }
}

/// The names of a group that are shown, each once.
struct Shown<'a, 'b> {
    strings: &'a mut Strings<'b>,
    names: &'a [Place],
    numbers: HashMap<u32, u32>,
    list: Vec<[u32; 4]>,
}

impl Shown<'_, '_> {
    fn name(&mut self, key: u32) -> u32 {
        if let Some(&known) = self.numbers.get(&key) {
            return known;
        }
        let name = self.names[key as usize];
        let file = self.strings.number(name.file);
        let mut plus_one = |string: Option<u32>| match string {
            Some(string) => self.strings.number(string) + 1,
            None => 0,
        };
        let (function, kind) = (plus_one(name.function), plus_one(name.kind));
        let number = self.list.len() as u32;
        self.list.push([file, function, name.line, kind]);
        self.numbers.insert(key, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::tests::{MEASURES, recording};

    #[test]
    fn what_is_cut_off_is_added_up_where_it_was() {
        let rows: Vec<(Vec<u32>, u64)> = (1..60)
            .map(|n| (vec![n % 7, n % 5, n % 3, n], u64::from(n) * 10))
            .collect();
        let recording = recording(&rows);
        let stacks = Stacks::of(&recording, MEASURES);
        let tree = Tree::of_lines(&stacks);
        for most in [1, 2, 10, 40, 10_000] {
            let mut strings = Strings::new(&stacks);
            let mut shown = Shown {
                strings: &mut strings,
                names: &stacks.places,
                numbers: HashMap::new(),
                list: Vec::new(),
            };
            let nodes = Nodes::new(&tree, most, &mut shown);
            assert_eq!(nodes.parent.len(), most.min(tree.len()));
            let hidden: u32 = nodes.hidden_nodes.iter().map(|[_, count]| count).sum();
            assert_eq!(hidden as usize, tree.len() - nodes.parent.len());
            for measure in 0..MEASURES.len() {
                let bytes = &nodes.bytes[measure];
                let mut below = nodes.hidden[measure].clone();
                for (node, bytes) in bytes.iter().enumerate().skip(1) {
                    let parent = nodes.parent[node] as usize;
                    assert!(parent < node);
                    below[parent] += bytes;
                }
                // What is left is what a node allocated itself.
                let own: u64 = (0..bytes.len()).map(|n| bytes[n] - below[n]).sum();
                let cut: u64 = nodes.hidden[measure].iter().sum();
                assert_eq!(own + cut, tree.whole(measure).bytes);
            }
        }
    }
}
