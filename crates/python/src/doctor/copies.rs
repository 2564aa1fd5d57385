//! Objects that are equal to others, by the line that made them.

use std::collections::HashMap;

use pyo3_ffi::PyObject;
use wrasse_doctor::observations::{Duplicates, Line};
use wrasse_tracer::TracebackId;

use crate::by_address::Spread;

/// Different ones that are remembered at a time; with more, a part of them stands for
/// all.
const DIFFERENT: usize = 100_000;

/// Objects by what is in them.
#[derive(Default)]
pub struct Copies {
    all: HashMap<u64, Same, Spread>,
    /// Only hashes with these bits clear are remembered.
    mask: u64,
}

struct Same {
    first: *mut PyObject,
    others: Vec<*mut PyObject>,
}

/// The copies that one line made.
#[derive(Default)]
pub struct AtLine {
    /// What is told of them.
    pub told: Duplicates,
    /// Those that were remembered.
    pub copies: Vec<*mut PyObject>,
}

impl Copies {
    /// Takes an object in; what is in it comes to `hash`.
    pub fn add(&mut self, object: *mut PyObject, hash: u64) {
        if hash & self.mask != 0 {
            return;
        }
        match self.all.get_mut(&hash) {
            Some(same) => same.others.push(object),
            None => {
                let others = Vec::new();
                let first = object;
                self.all.insert(hash, Same { first, others });
            }
        }
        while self.all.len() > DIFFERENT {
            self.mask = self.mask << 1 | 1;
            let mask = self.mask;
            self.all.retain(|hash, _| hash & mask == 0);
        }
    }

    /// All that are equal to one seen before, where a line of the program's made them:
    /// `traceback_of` an object, `line_of` all that have the same.
    pub fn by_line(
        self,
        mut traceback_of: impl FnMut(*mut PyObject) -> Option<TracebackId>,
        mut line_of: impl FnMut(TracebackId) -> Option<Line>,
        mut bytes_of: impl FnMut(*mut PyObject) -> u64,
        example_of: impl Fn(*mut PyObject) -> String,
    ) -> Vec<AtLine> {
        // Tracebacks are fewer than copies: lines are numbered.
        let mut lines: Vec<AtLine> = Vec::new();
        let mut numbers: HashMap<Line, usize> = HashMap::new();
        let mut places: HashMap<TracebackId, Option<usize>> = HashMap::new();
        let scale = self.mask + 1;
        for same in self.all.into_values() {
            let mut is_first = true;
            for copy in same.others {
                let Some(traceback) = traceback_of(copy) else {
                    continue;
                };
                let place = places.entry(traceback).or_insert_with(|| {
                    let line = line_of(traceback)?;
                    let number = *numbers.entry(line.clone()).or_insert(lines.len());
                    if number == lines.len() {
                        let mut at_line = AtLine::default();
                        at_line.told.line = line;
                        lines.push(at_line);
                    }
                    Some(number)
                });
                let Some(place) = *place else { continue };
                let entry = &mut lines[place];
                let told = &mut entry.told;
                told.count += scale;
                told.bytes += scale * bytes_of(copy);
                if is_first {
                    told.different += scale;
                    is_first = false;
                }
                if told.example.is_empty() {
                    told.example = example_of(same.first);
                }
                entry.copies.push(copy);
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stands_for_all() {
        let different = 3 * DIFFERENT;
        let mut copies = Copies::default();
        for _ in 0..2 {
            for number in 0..different {
                // Never looked into.
                copies.add(number as *mut PyObject, number as u64);
            }
        }
        let line = Line {
            file: "a.py".into(),
            line: 1,
        };
        let lines = copies.by_line(
            |_| Some(TracebackId(3)),
            |_| Some(line.clone()),
            |_| 8,
            |_| "one".into(),
        );
        let [AtLine { told, copies }] = lines.as_slice() else {
            panic!("{} lines", lines.len());
        };
        assert_eq!(copies.len(), different / 4);
        assert_eq!((&told.line, told.example.as_str()), (&line, "one"));
        let all = different as u64;
        assert_eq!(
            (told.count, told.different, told.bytes),
            (all, all, 8 * all)
        );
    }
}
