//! Who allocated what, ready to be summed up: tracebacks that share their oldest
//! frames, and for each the figures in some columns.
//!
//! Of one recording, of two that are compared, or of what was live at the end,
//! told apart by type: what sums up needs to know nothing of that.

use std::borrow::Cow;
use std::collections::HashMap;

use wrasse_capture::{Amount, Capture};

use crate::look::TypedBlocks;
use crate::recording::{Measure, Recording, Row};

/// A source line and, below one, a type of objects that it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file, a string of the stacks.
    pub file: u32,
    /// The function, if known: a string of the stacks.
    pub function: Option<u32>,
    /// The line.
    pub line: u32,
    /// The type: a string of the stacks.
    pub kind: Option<u32>,
}

/// A column of figures.
#[derive(Clone, Copy, Debug)]
pub enum Column<'a> {
    /// Those of a measure.
    Of(Measure),
    /// By traceback.
    Given(&'a [Amount]),
}

impl Column<'_> {
    fn amount(self, row: &Row) -> Amount {
        match self {
            Column::Of(measure) => row.amount(measure),
            Column::Given(all) => all.get(row.traceback).copied().unwrap_or_default(),
        }
    }
}

/// Tracebacks with figures.
pub struct Stacks<'a> {
    strings: Vec<Cow<'a, [u8]>>,
    /// Source lines, and types at them.
    pub places: Vec<Place>,
    /// Calls: the caller's number plus one, or 0, and the place. Callers come first.
    pub nodes: Vec<(u32, u32)>,
    /// How many columns there are.
    pub width: usize,
    /// Of each row, the node of its most recent frame plus one, or 0 for none.
    ends: Vec<u32>,
    /// Its figures, row by row.
    amounts: Vec<Amount>,
}

impl<'a> Stacks<'a> {
    /// Those of a recording. Places and nodes have the capture's numbers.
    pub fn of(recording: &'a Recording, columns: &[Column<'_>]) -> Self {
        let capture = &recording.capture;
        let mut stacks = Stacks {
            strings: (0..capture.string_count() as u32)
                .map(|string| Cow::Borrowed(capture.string(string)))
                .collect(),
            places: Vec::with_capacity(capture.locations().len()),
            nodes: capture.nodes().to_vec(),
            width: columns.len(),
            ends: Vec::with_capacity(recording.rows.len()),
            amounts: Vec::with_capacity(recording.rows.len() * columns.len()),
        };
        stacks
            .places
            .extend(capture.locations().iter().map(|at| Place {
                file: at.file,
                function: at.function,
                line: at.line,
                kind: None,
            }));
        for row in &recording.rows {
            stacks.ends.push(capture.node(row.traceback));
            let amounts = columns.iter().map(|column| column.amount(row));
            stacks.amounts.extend(amounts);
        }
        stacks
    }

    /// The measures of `new`, and behind them those of `old`.
    pub fn compared(old: &'a Recording, new: &'a Recording, measures: &[Measure]) -> Self {
        let columns: Vec<Column<'_>> = measures.iter().map(|each| Column::Of(*each)).collect();
        let mut stacks = Stacks::of(new, &columns);
        let width = measures.len();
        stacks.width = 2 * width;
        stacks.amounts = stacks
            .amounts
            .chunks(width.max(1))
            .flat_map(|after| {
                let before = vec![Amount::default(); width];
                after.iter().copied().chain(before)
            })
            .collect();
        let nodes = stacks.add_calls(&old.capture);
        for row in &old.rows {
            let node = old.capture.node(row.traceback) as usize;
            stacks.ends.push(nodes[node]);
            let after = vec![Amount::default(); width];
            stacks.amounts.extend(after);
            let before = columns.iter().map(|column| column.amount(row));
            stacks.amounts.extend(before);
        }
        stacks
    }

    /// Makes the calls of another capture known; says, by its node plus one, which
    /// node plus one that is here.
    fn add_calls(&mut self, other: &'a Capture) -> Vec<u32> {
        let strings = self.strings.iter().enumerate();
        let mut known: HashMap<Vec<u8>, u32> = strings
            .map(|(number, text)| (text.to_vec(), number as u32))
            .collect();
        let mut string = |stacks: &mut Self, text: &'a [u8]| {
            *known.entry(text.to_vec()).or_insert_with(|| {
                stacks.strings.push(Cow::Borrowed(text));
                stacks.strings.len() as u32 - 1
            })
        };
        let places = self.places.iter().enumerate();
        let mut known_places: HashMap<(u32, u32), u32> = places
            .map(|(number, at)| ((at.file, at.line), number as u32))
            .collect();
        let mut by_location = Vec::with_capacity(other.locations().len());
        for at in other.locations() {
            let file = string(self, other.string(at.file));
            let number = match known_places.get(&(file, at.line)) {
                Some(number) => *number,
                None => {
                    let function = at.function.map(|name| string(self, other.string(name)));
                    self.places.push(Place {
                        file,
                        function,
                        line: at.line,
                        kind: None,
                    });
                    let number = self.places.len() as u32 - 1;
                    known_places.insert((file, at.line), number);
                    number
                }
            };
            by_location.push(number);
        }
        let nodes = self.nodes.iter().enumerate();
        let mut known_nodes: HashMap<(u32, u32), u32> = nodes
            .map(|(number, node)| (*node, number as u32 + 1))
            .collect();
        let mut by_node = vec![0];
        for &(caller, location) in other.nodes() {
            let node = (by_node[caller as usize], by_location[location as usize]);
            let number = *known_nodes.entry(node).or_insert_with(|| {
                self.nodes.push(node);
                self.nodes.len() as u32
            });
            by_node.push(number);
        }
        by_node
    }

    /// What was live at the end, with a type below each line. What is known to be
    /// no object's, or of nobody knows what, is below the line as `rest`.
    pub fn by_type(recording: &'a Recording, typed: &TypedBlocks, rest: &'static str) -> Self {
        let mut stacks = Stacks::of(recording, &[]);
        stacks.width = 1;
        stacks.ends.clear();
        let first = stacks.strings.len() as u32;
        let names = typed.types.iter().map(|name| name.clone().into_bytes());
        stacks.strings.extend(names.map(Cow::Owned));
        let rest_name = stacks.strings.len() as u32;
        stacks.strings.push(Cow::Borrowed(rest.as_bytes()));
        let mut found: HashMap<usize, Vec<(u32, Amount)>> = HashMap::new();
        for &[traceback, kind, blocks, bytes] in &typed.rows {
            if let Ok(traceback) = usize::try_from(traceback)
                && kind < typed.types.len() as u64
            {
                let list = found.entry(traceback).or_default();
                list.push((first + kind as u32, Amount { bytes, blocks }));
            }
        }
        let mut places: HashMap<Place, u32> = HashMap::new();
        let mut nodes: HashMap<(u32, u32), u32> = HashMap::new();
        for row in recording.rows.iter().filter(|row| row.end.blocks > 0) {
            let node = recording.capture.node(row.traceback);
            let mut parts = found.remove(&row.traceback).unwrap_or_default();
            // What the look at the heap has seen more than the last sample is not
            // of that moment.
            let mut left = row.end;
            for (_, amount) in &mut parts {
                amount.bytes = amount.bytes.min(left.bytes);
                amount.blocks = amount.blocks.min(left.blocks);
                left.bytes -= amount.bytes;
                left.blocks -= amount.blocks;
            }
            parts.push((rest_name, left));
            for (kind, amount) in parts {
                if amount == Amount::default() {
                    continue;
                }
                let line = match node.checked_sub(1) {
                    Some(node) => stacks.places[stacks.nodes[node as usize].1 as usize],
                    None => Place {
                        file: rest_name,
                        function: None,
                        line: 0,
                        kind: None,
                    },
                };
                let place = Place {
                    kind: Some(kind),
                    ..line
                };
                let place = *places.entry(place).or_insert_with(|| {
                    stacks.places.push(place);
                    stacks.places.len() as u32 - 1
                });
                let end = *nodes.entry((node, place)).or_insert_with(|| {
                    stacks.nodes.push((node, place));
                    stacks.nodes.len() as u32
                });
                stacks.ends.push(end);
                stacks.amounts.push(amount);
            }
        }
        stacks
    }

    /// A text.
    pub fn string(&self, string: u32) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.strings[string as usize])
    }

    /// Each row: the node of its most recent frame plus one, or 0, and its figures.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &[Amount])> {
        let figures = |row: usize| &self.amounts[row * self.width..(row + 1) * self.width];
        let ends = self.ends.iter().enumerate();
        ends.map(move |(row, end)| (*end, figures(row)))
    }

    /// The places from a node, plus one, to its oldest caller.
    pub fn frames(&self, end: u32) -> impl Iterator<Item = u32> {
        let mut node = end;
        std::iter::from_fn(move || {
            let (caller, place) = self.nodes[node.checked_sub(1)? as usize];
            node = caller;
            Some(place)
        })
    }
}
