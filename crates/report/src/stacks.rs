//! Who allocated what, ready to be summed up: tracebacks that share their oldest
//! frames, and for each the figures in some columns.
//!
//! Of one recording, of two that are compared, or of what was live at the end,
//! told apart by type: what sums up needs to know nothing of that.

use std::borrow::Cow;
use std::collections::HashMap;

use wrasse_capture::{Amount, Capture};

use crate::look::TypedBlocks;
use crate::pairs::Pairs;
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
    /// Calls, from 1 on: the number of each one's caller, or 0. Callers come first.
    pub callers: Vec<u32>,
    /// The place of each call.
    pub lines: Vec<u32>,
    /// How many columns there are.
    pub width: usize,
    /// Of each row, the call of its most recent frame, or 0 for none.
    ends: Vec<u32>,
    figures: Figures<'a>,
}

/// Where the figures of rows are: with millions of rows and many columns a table
/// of them all would be larger than the captures.
enum Figures<'a> {
    /// In the rows of a recording.
    Rows(&'a [Row], Vec<Column<'a>>),
    /// In those of two recordings, the newer one's first, whose measures come first, too.
    Compared {
        new: Vec<Row>,
        old: Vec<Row>,
        measures: Vec<Measure>,
    },
    /// Here: there is one column.
    Listed(Vec<Amount>),
}

impl<'a> Stacks<'a> {
    /// Those of a recording. Places have the capture's numbers, calls those of its nodes
    /// plus one.
    pub fn of(recording: &'a Recording, columns: &[Column<'a>]) -> Self {
        let capture = &recording.capture;
        let nodes = capture.nodes();
        let with_root = |all: &mut dyn Iterator<Item = u32>| {
            let mut list = Vec::with_capacity(nodes.len() + 1);
            list.push(0);
            list.extend(all);
            list
        };
        let mut stacks = Stacks {
            strings: (0..capture.string_count() as u32)
                .map(|string| Cow::Borrowed(capture.string(string)))
                .collect(),
            places: Vec::with_capacity(capture.locations().len()),
            callers: with_root(&mut nodes.iter().map(|(caller, _)| *caller)),
            lines: with_root(&mut nodes.iter().map(|(_, line)| *line)),
            width: columns.len(),
            ends: Vec::with_capacity(recording.rows.len()),
            figures: Figures::Rows(&recording.rows, columns.to_vec()),
        };
        stacks
            .places
            .extend(capture.locations().iter().map(|at| Place {
                file: at.file,
                function: at.function,
                line: at.line,
                kind: None,
            }));
        let rows = recording.rows.iter();
        stacks
            .ends
            .extend(rows.map(|row| capture.node(row.traceback)));
        stacks
    }

    /// The measures of `new`, and behind them those of `old`, whose rows are taken and
    /// whose captures are left without tracebacks: with millions of calls there is no room
    /// for them twice.
    pub fn compared(
        old: &mut Recording,
        new: &mut Recording,
        measures: &[Measure],
    ) -> Stacks<'static> {
        old.capture.forget_figures();
        new.capture.forget_figures();
        let of_new = Stacks::of(new, &[]);
        let strings = of_new.strings.into_iter();
        let mut stacks = Stacks {
            strings: strings.map(|text| Cow::Owned(text.into_owned())).collect(),
            places: of_new.places,
            callers: of_new.callers,
            lines: of_new.lines,
            width: 2 * measures.len(),
            ends: of_new.ends,
            figures: Figures::Listed(Vec::new()),
        };
        new.capture.forget_tracebacks();
        let calls = stacks.add_calls(&old.capture);
        let rows = old.rows.iter();
        stacks
            .ends
            .extend(rows.map(|row| calls[old.capture.node(row.traceback) as usize]));
        old.capture.forget_tracebacks();
        stacks.figures = Figures::Compared {
            new: std::mem::take(&mut new.rows),
            old: std::mem::take(&mut old.rows),
            measures: measures.to_vec(),
        };
        stacks
    }

    /// Makes the calls of another capture known; says, by its node plus one, which
    /// node plus one that is here.
    fn add_calls(&mut self, other: &Capture) -> Vec<u32> {
        let strings = self.strings.iter().enumerate();
        let mut known: HashMap<Vec<u8>, u32> = strings
            .map(|(number, text)| (text.to_vec(), number as u32))
            .collect();
        let mut string = |stacks: &mut Self, text: &[u8]| {
            *known.entry(text.to_vec()).or_insert_with(|| {
                stacks.strings.push(Cow::Owned(text.to_vec()));
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
        let mut calls = Calls::default();
        for call in 1..self.callers.len() {
            calls.number(
                self,
                (self.callers[call], self.lines[call]),
                Some(call as u32),
            );
        }
        let mut by_node = Vec::with_capacity(other.nodes().len() + 1);
        by_node.push(0);
        for &(caller, location) in other.nodes() {
            let call = (by_node[caller as usize], by_location[location as usize]);
            by_node.push(calls.number(self, call, None));
        }
        by_node
    }

    /// What was live at the end, with a type below each line. What is known to be
    /// no object's, or of nobody knows what, is below the line as `rest`.
    pub fn by_type(recording: &'a Recording, typed: &TypedBlocks, rest: &'static str) -> Self {
        let mut stacks = Stacks::of(recording, &[]);
        stacks.width = 1;
        stacks.ends.clear();
        let mut amounts = Vec::new();
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
                let line = match node {
                    1.. => stacks.places[stacks.lines[node as usize] as usize],
                    0 => Place {
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
                    stacks.callers.push(node);
                    stacks.lines.push(place);
                    stacks.callers.len() as u32 - 1
                });
                stacks.ends.push(end);
                amounts.push(amount);
            }
        }
        stacks.figures = Figures::Listed(amounts);
        stacks
    }

    /// A text.
    pub fn string(&self, string: u32) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.strings[string as usize])
    }

    /// Of each row, the call of its most recent frame, or 0 for none.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// A figure of a row.
    pub fn amount(&self, row: usize, column: usize) -> Amount {
        match &self.figures {
            Figures::Rows(rows, columns) => columns[column].amount(&rows[row]),
            Figures::Listed(amounts) => amounts[row],
            Figures::Compared { new, old, measures } => {
                let (rows, row, column) = match row.checked_sub(new.len()) {
                    None => (new, row, Some(column)),
                    Some(row) => (old, row, column.checked_sub(measures.len())),
                };
                let measure = column.and_then(|column| measures.get(column));
                measure.map_or_else(Amount::default, |measure| rows[row].amount(*measure))
            }
        }
    }

    /// The places from a call to its oldest caller.
    pub fn frames(&self, end: u32) -> impl Iterator<Item = u32> {
        let mut call = end as usize;
        std::iter::from_fn(move || {
            let place = (call > 0).then(|| self.lines[call])?;
            call = self.callers[call] as usize;
            Some(place)
        })
    }
}

/// The calls of stacks, to be found by caller and line.
#[derive(Default)]
struct Calls(Pairs);

impl Calls {
    /// The number of a call. If it has none, it gets `new`, or it is added.
    fn number(&mut self, stacks: &mut Stacks<'_>, call: (u32, u32), new: Option<u32>) -> u32 {
        let next = new.unwrap_or(stacks.callers.len() as u32);
        let known = self.0.number(call, next, |number| {
            let number = number as usize;
            (stacks.callers[number], stacks.lines[number])
        });
        if known.is_none() && new.is_none() {
            stacks.callers.push(call.0);
            stacks.lines.push(call.1);
        }
        known.unwrap_or(next)
    }
}
