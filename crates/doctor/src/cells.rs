//! A notebook's cells as one module.
//!
//! Each cell that ran has a file name of its own, `<ipython-input-3-…>`, but all share
//! their names. Rules read them as one text, in the order in which they ran; findings
//! say the cell and the line in it.

use std::collections::HashMap;

use crate::finding::Finding;
use crate::observations::{Held, Line, Observations};

/// How the program's own "file" is called while a notebook is examined.
pub const NOTEBOOK: &str = "<notebook>";
/// How the file names of cells begin.
pub const CELL: &str = "<ipython-input-";

/// The cells that ran, put together.
pub struct Cells {
    /// All of their text.
    pub text: String,
    /// What was run, as the user named it.
    program: String,
    /// The number of each cell, and how many lines come before it; ascending by that.
    begins: Vec<(u32, u32)>,
}

/// The number of a cell, by its file name.
fn number(file: &str) -> Option<u32> {
    file.strip_prefix(CELL)?.split('-').next()?.parse().ok()
}

/// What was measured, with all lines of cells as lines of [`NOTEBOOK`]; `None` if it was
/// no notebook.
pub fn join(observations: &Observations) -> Option<(Observations, Cells)> {
    let cells = observations.texts.iter();
    let mut cells: Vec<_> = cells
        .filter_map(|text| number(&text.file).map(|number| (number, text)))
        .collect();
    if cells.is_empty() {
        return None;
    }
    cells.sort_by_key(|(number, _)| *number);
    let mut joined = Cells {
        text: String::new(),
        program: observations.program.clone(),
        begins: Vec::new(),
    };
    let mut before: HashMap<String, u32> = HashMap::new();
    let mut lines = 0;
    for (number, cell) in cells {
        before.insert(cell.file.clone(), lines);
        joined.begins.push((number, lines));
        for line in cell.text.lines() {
            joined.text.push_str(line);
            joined.text.push('\n');
            lines += 1;
        }
    }
    let mut moved = observations.clone();
    each_line(&mut moved, |file, numbers| {
        if let Some(before) = before.get(file) {
            *file = NOTEBOOK.into();
            for number in numbers.iter_mut().filter(|number| ***number != 0) {
                **number += before;
            }
        }
    });
    Some((moved, joined))
}

impl Cells {
    /// The cell and the line in it.
    pub fn place(&self, line: u32) -> Option<(u32, u32)> {
        let after = self.begins.partition_point(|(_, before)| *before < line);
        let (number, before) = self.begins.get(after.checked_sub(1)?)?;
        Some((*number, line - before))
    }

    /// The last line of a cell that says something, counted from the first cell's.
    pub fn last_line(&self, number: u32) -> Option<u32> {
        let at = self.begins.iter().rposition(|(each, _)| *each == number)?;
        let first = self.begins[at].1 as usize;
        let next = self.begins.get(at + 1);
        let count = next.map_or(usize::MAX, |(_, next)| *next as usize - first);
        let lines = self.text.lines().enumerate().skip(first).take(count);
        let last = lines
            .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
            .last();
        last.map(|(index, _)| index as u32 + 1)
    }

    /// Puts the cell's name and line into a finding.
    pub fn name(&self, finding: &mut Finding) {
        if finding.file != NOTEBOOK {
            return;
        }
        match self.place(finding.line) {
            Some((number, line)) => {
                finding.file = format!("{}:cell {number}", self.program);
                finding.line = line;
            }
            None => finding.file = self.program.clone(),
        }
    }
}

/// Visits all lines of files, with the numbers that are of one file.
fn each_line(observations: &mut Observations, visit: impl Fn(&mut String, &mut [&mut u32])) {
    let one = |line: &mut Line| visit(&mut line.file, &mut [&mut line.line]);
    let collector = &mut observations.collector;
    let pauses = collector.longest.iter_mut().map(|each| &mut each.frames);
    let places = collector.places.iter_mut().map(|each| &mut each.frames);
    let cycles = observations.cycles.iter_mut();
    let exceptions = cycles.filter_map(|each| each.exception.as_mut());
    exceptions.for_each(|each| one(&mut each.line));
    let cycles = observations.cycles.iter_mut().map(|each| &mut each.frames);
    let growth = &mut observations.growth;
    let grown = growth.lines.iter_mut().map(|each| &mut each.frames);
    let unheld = growth.unheld.iter_mut().map(|each| &mut each.frames);
    let makers = growth.types.iter_mut().flat_map(|each| &mut each.lines);
    makers.for_each(|each| one(&mut each.line));
    let stacks = pauses.chain(places).chain(cycles).chain(grown);
    let stacks = stacks.chain(unheld).flatten();
    stacks.chain(&mut collector.thresholds_set_at).for_each(one);
    let heap = &mut observations.heap;
    let lists = observations.lists.iter_mut().map(|each| &mut each.line);
    let copies = heap.duplicates.iter_mut().chain(&mut heap.tuples);
    let oversized = heap.oversized.iter_mut().map(|each| &mut each.line);
    let numbers = heap.numbers.iter_mut().map(|each| &mut each.line);
    let lines = lists.chain(copies.map(|each| &mut each.line));
    lines.chain(oversized).chain(numbers).for_each(one);
    for each in &mut heap.held {
        let Held {
            file,
            first_line,
            at_line,
            users,
            ..
        } = each;
        let mut numbers = vec![first_line, at_line];
        numbers.extend(users);
        visit(file, &mut numbers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observations::Text;

    #[test]
    fn lines_go_to_one_text_and_back_to_their_cells() {
        let text = |file: &str, text: &str| Text {
            file: file.into(),
            text: text.into(),
        };
        let mut observations = Observations {
            program: "a.ipynb".into(),
            texts: vec![
                text("<ipython-input-2-b>", "y = 1\n# done\n\n"),
                text("<ipython-input-1-a>", "x = 1\nx"),
                text("<string>", "z"),
            ],
            ..Observations::default()
        };
        observations.heap.held = vec![Held {
            file: "<ipython-input-2-b>".into(),
            at_line: 1,
            users: vec![2],
            ..Held::default()
        }];
        let (moved, cells) = join(&observations).unwrap();
        assert_eq!(cells.text, "x = 1\nx\ny = 1\n# done\n\n");
        let held = &moved.heap.held[0];
        assert_eq!(held.file, NOTEBOOK);
        assert_eq!((held.first_line, held.at_line), (0, 3));
        assert_eq!(held.users, [4]);
        let places = [0, 1, 2, 3, 5].map(|line| cells.place(line));
        assert_eq!(
            places,
            [None, Some((1, 1)), Some((1, 2)), Some((2, 1)), Some((2, 3))]
        );
        assert_eq!(cells.last_line(2), Some(3));
        assert_eq!(cells.last_line(3), None);
        observations.texts.clear();
        assert!(join(&observations).is_none());
    }
}
