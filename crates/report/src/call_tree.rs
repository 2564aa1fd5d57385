//! Who called whom to allocate, as a tree in the terminal.

use serde::Serialize;

use crate::html::tree::{Grouping, ROOT, Tree};
use crate::recording::{Measure, Recording};
use crate::stacks::{Column, Stacks};
use crate::text::{line, printable};
use crate::units::{count, size};

/// What a branch of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeBy {
    /// A source line.
    Line,
    /// A function.
    Function,
    /// A file; calls within a file are no branches.
    File,
}

/// The calls with the most memory, and their callers.
#[derive(Debug, Serialize)]
pub struct CallTree {
    /// Version of this form.
    schema: u32,
    measure: &'static str,
    total_bytes: u64,
    total_blocks: u64,
    /// Callers before what they call, of one caller those with the most bytes first.
    calls: Vec<Call>,
    /// How many calls have any bytes, shown or not.
    of: usize,
}

#[derive(Debug, Serialize)]
struct Call {
    /// How many callers stand above it.
    depth: usize,
    file: String,
    function: Option<String>,
    /// Not there in a tree of functions or files.
    line: Option<u32>,
    /// With all that it called.
    bytes: u64,
    blocks: u64,
    /// What of that was allocated in calls that are left out.
    hidden_bytes: u64,
    hidden_calls: usize,
}

impl Call {
    fn place(&self) -> String {
        let file = printable(&self.file);
        let place = match self.line {
            Some(line) => format!("{file}:{line}"),
            None => file,
        };
        match &self.function {
            Some(function) => format!("{}  {place}", printable(function)),
            None => place,
        }
    }
}

impl CallTree {
    /// The `most` largest calls. With a call its callers are there.
    ///
    /// # Errors
    /// One line that says why there is no such tree.
    pub fn new(
        recording: &Recording,
        measure: Measure,
        by: TreeBy,
        most: usize,
    ) -> Result<Self, String> {
        recording.check(measure)?;
        let stacks = Stacks::of(recording, &[Column::Of(measure)]);
        let names = Grouping::of(&stacks, |at| {
            let function = at.function.filter(|_| by != TreeBy::File);
            (
                at.file,
                function,
                if by == TreeBy::Line { at.line } else { 0 },
            )
        });
        let tree =
            Tree::of_lines(&stacks).merged(|place| names.keys[place as usize], by == TreeBy::File);
        let kept = tree.largest(most.saturating_add(1));
        let totals = tree.totals(0);
        let mut is_kept = vec![false; tree.len()];
        kept.iter().for_each(|node| is_kept[*node as usize] = true);
        let mut children: Vec<Vec<u32>> = vec![Vec::new(); tree.len()];
        let mut hidden = vec![(0, 0); tree.len()];
        for node in (1..tree.len()).rev() {
            let parent = tree.parents[node] as usize;
            let total = totals[node];
            if is_kept[node] {
                children[parent].push(node as u32);
            } else if total.bytes > 0 {
                hidden[parent].1 += 1 + hidden[node].1;
                if is_kept[parent] {
                    hidden[parent].0 += total.bytes;
                }
            }
        }
        let text = |string| stacks.string(string).into_owned();
        let mut calls = Vec::new();
        let mut open = vec![(ROOT, 0)];
        while let Some((node, depth)) = open.pop() {
            let below = &mut children[node as usize];
            // The last is taken first.
            below.sort_by_key(|child| (totals[*child as usize].bytes, std::cmp::Reverse(*child)));
            open.extend(below.iter().map(|child| (*child, depth + 1)));
            if node == ROOT {
                continue;
            }
            let (file, function, line) = names.names[tree.keys[node as usize] as usize];
            let total = totals[node as usize];
            let (hidden_bytes, hidden_calls) = hidden[node as usize];
            calls.push(Call {
                depth: depth - 1,
                file: text(file),
                function: function.map(text),
                line: (by == TreeBy::Line).then_some(line),
                bytes: total.bytes,
                blocks: total.blocks,
                hidden_bytes,
                hidden_calls,
            });
        }
        let whole = totals[ROOT as usize];
        Ok(CallTree {
            schema: 1,
            measure: measure.name(),
            total_bytes: whole.bytes,
            total_blocks: whole.blocks,
            calls,
            of: (1..tree.len())
                .filter(|node| totals[*node].bytes > 0)
                .count(),
        })
    }

    /// As indented text.
    #[must_use]
    pub fn to_text(&self) -> String {
        /// Deeper calls are not indented any further.
        const DEEPEST: usize = 40;
        let mut text = String::new();
        let whole = format!(
            "{} in {} blocks {}",
            size(self.total_bytes),
            count(self.total_blocks),
            self.measure
        );
        line(&mut text, &whole);
        for call in &self.calls {
            let share = call.bytes as f64 * 100.0 / self.total_bytes.max(1) as f64;
            let indent = "  ".repeat(call.depth.min(DEEPEST));
            let bytes = size(call.bytes);
            line(
                &mut text,
                &format!("{bytes:>10} {share:5.1}%  {indent}{}", call.place()),
            );
        }
        if self.of > self.calls.len() {
            let more = count((self.of - self.calls.len()) as u64);
            line(&mut text, &format!("and {more} smaller calls"));
        }
        text
    }

    /// As one JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        crate::text::json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::tests::recording;

    #[test]
    fn calls_stand_below_their_callers_and_nothing_is_lost() {
        // Most recent first: 9 calls 5, which calls 1 or 2.
        let recording = recording(&[
            (vec![8, 8, 8], 1),
            (vec![1, 5, 9], 100),
            (vec![2, 5, 9], 50),
            (vec![3], 1),
            (vec![7, 9], 30),
        ]);
        let tree = CallTree::new(&recording, Measure::Peak, TreeBy::Line, 100).unwrap();
        let seen: Vec<_> = tree
            .calls
            .iter()
            .map(|call| (call.depth, call.line.unwrap(), call.bytes))
            .collect();
        let expected = [
            (0, 9, 180),
            (1, 5, 150),
            (2, 1, 100),
            (2, 2, 50),
            (1, 7, 30),
            (0, 8, 1),
            (1, 8, 1),
            (2, 8, 1),
            (0, 3, 1),
        ];
        assert_eq!(seen, expected);
        assert_eq!((tree.total_bytes, tree.of), (182, 9));
        let text = tree.to_text();
        assert!(text.contains("     100 B  54.9%      f0  "), "{text}");

        let few = CallTree::new(&recording, Measure::Peak, TreeBy::Line, 2).unwrap();
        assert_eq!(few.calls.len(), 2);
        assert_eq!(
            (few.calls[0].hidden_bytes, few.calls[0].hidden_calls),
            (30, 1)
        );
        assert_eq!(
            (few.calls[1].hidden_bytes, few.calls[1].hidden_calls),
            (150, 2)
        );
        assert!(few.to_text().contains("and 7 smaller calls"));

        let by_file = CallTree::new(&recording, Measure::Peak, TreeBy::File, 100).unwrap();
        assert!(by_file.calls.iter().all(|call| call.function.is_none()));
        assert_eq!(
            by_file.calls.iter().filter(|call| call.depth == 2).count(),
            1
        );
    }
}
