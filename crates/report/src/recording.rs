//! A capture file, ready to be shown: each traceback with its figures.

use std::borrow::Cow;
use std::path::Path;

pub use wrasse_capture::Amount;
use wrasse_capture::{Capture, Measure as Blocks, Sums};

use crate::destination::reason;

/// Which figures are meant where there is room for one kind only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// What was live when most was.
    Peak,
    /// What was live at the end.
    End,
    /// All that was ever allocated.
    Allocated,
    /// What was freed before the next was allocated.
    Temporary,
}

impl Measure {
    /// Each of them.
    pub const ALL: [Measure; 4] = [
        Measure::Peak,
        Measure::End,
        Measure::Allocated,
        Measure::Temporary,
    ];

    /// The measure's name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Measure::Peak => "live at the peak",
            Measure::End => "live at the end",
            Measure::Allocated => "allocated in all",
            Measure::Temporary => "temporary",
        }
    }

    /// The same in the words of [`Sums`] of the end.
    #[must_use]
    pub(crate) fn blocks(self) -> Blocks {
        match self {
            Measure::Peak => Blocks::Peak,
            Measure::End => Blocks::Live,
            Measure::Allocated => Blocks::Allocated,
            Measure::Temporary => Blocks::Temporary,
        }
    }
}

/// One traceback and what it has allocated.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number in the capture.
    pub traceback: usize,
    /// Live at the peak.
    pub peak: Amount,
    /// Live at the end.
    pub end: Amount,
    /// Ever allocated; 0 where that was not counted.
    pub allocated: Amount,
    /// Freed before the next was allocated; 0 where that was not counted.
    pub temporary: Amount,
}

impl Row {
    /// The figures of one measure.
    #[must_use]
    pub fn amount(&self, measure: Measure) -> Amount {
        match measure {
            Measure::Peak => self.peak,
            Measure::End => self.end,
            Measure::Allocated => self.allocated,
            Measure::Temporary => self.temporary,
        }
    }
}

/// A frame, in words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrameName<'a> {
    /// The file, as its code names it.
    pub file: Cow<'a, str>,
    /// The function, if known.
    pub function: Option<Cow<'a, str>>,
    /// The line; 0 where none is known.
    pub line: u32,
}

impl FrameName<'_> {
    /// `function (file:line)`, or `file:line`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.function {
            Some(function) => format!("{function} ({}:{})", self.file, self.line),
            None => format!("{}:{}", self.file, self.line),
        }
    }
}

/// A capture and the figures of its tracebacks.
#[derive(Debug)]
pub struct Recording {
    /// The capture.
    pub capture: Capture,
    /// Every traceback that has any figures.
    pub rows: Vec<Row>,
}

impl Recording {
    /// Read a file.
    ///
    /// # Errors
    /// One line that names the file and says what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let data = std::fs::read(path)
            .map_err(|error| format!("cannot read {shown}: {}", reason(&error)))?;
        let capture = Capture::read(data).map_err(|error| format!("{shown}: {error}"))?;
        Ok(Recording::new(capture))
    }

    /// What a capture holds.
    #[must_use]
    pub fn new(capture: Capture) -> Self {
        let last = capture.samples.len().saturating_sub(1);
        let end = capture.totals(last);
        let peak = capture.peak_known();
        let rows = end.iter().enumerate().map(|(traceback, end)| Row {
            traceback,
            peak: peak.get(traceback).copied().unwrap_or_default(),
            end: Amount {
                bytes: end.live_bytes,
                blocks: end.live_blocks,
            },
            allocated: Amount {
                bytes: end.allocated_bytes,
                blocks: end.allocated_blocks,
            },
            temporary: Amount {
                bytes: end.temporary_bytes,
                blocks: end.temporary_blocks,
            },
        });
        let has_figures = |row: &Row| row.peak.blocks + row.end.blocks + row.allocated.blocks > 0;
        let rows = rows.filter(has_figures).collect();
        Recording { capture, rows }
    }

    /// The program's command line, without the interpreter.
    #[must_use]
    pub fn title(&self) -> String {
        let arguments = &self.capture.meta.arguments;
        match arguments.get(1..) {
            Some(rest) if !rest.is_empty() => rest.join(" "),
            _ => arguments.join(" "),
        }
    }

    /// Nanoseconds from the beginning to the end, or to the last that is known.
    #[must_use]
    pub fn duration(&self) -> u64 {
        let last = self.capture.samples.last().map(|sample| sample.time);
        let end = self.capture.end.map(|end| end.time);
        end.max(last).unwrap_or(0)
    }

    /// Are allocations counted that were not alive any more at a sample?
    #[must_use]
    pub fn counts_allocations(&self) -> bool {
        self.capture.meta.counts_allocations
    }

    /// The measures of which there are figures.
    pub fn measures(&self) -> impl Iterator<Item = Measure> {
        let all = Measure::ALL.into_iter();
        all.filter(|each| self.check(*each).is_ok())
    }

    /// Is there anything to show for a measure?
    ///
    /// # Errors
    /// One line that says why not.
    pub fn check(&self, measure: Measure) -> Result<(), String> {
        match measure {
            Measure::Allocated if !self.counts_allocations() => {
                Err("this capture does not count what was freed between two samples: choose --measure peak or end".into())
            }
            Measure::Temporary if !self.capture.counts_temporary() => {
                Err("this capture does not count what was temporary: choose another --measure, or record it with this version of wrasse".into())
            }
            _ => Ok(()),
        }
    }

    /// What had grown by the end, by traceback: of those of which more was live at each
    /// quarter of the run than at the one before, from the first on, the growth.
    /// Nothing where there are too few samples to tell.
    #[must_use]
    pub fn growing(&self) -> Option<Vec<Amount>> {
        /// Samples without which a quarter says little.
        const FEWEST: usize = 8;
        let samples = &self.capture.samples;
        let last = samples
            .len()
            .checked_sub(1)
            .filter(|last| *last >= FEWEST)?;
        let end = samples[last].time;
        let quarter = |part: u64| {
            let time = u128::from(end) * u128::from(part) / 4;
            let after = samples.partition_point(|sample| u128::from(sample.time) <= time);
            after.saturating_sub(1)
        };
        let quarters = [quarter(1), quarter(2), quarter(3), last];
        if !quarters.is_sorted_by(|one, other| one < other) {
            return None;
        }
        let live = self.capture.live_at(&quarters);
        let at = |quarter: usize, traceback: usize| {
            let found: Option<&Amount> = live[quarter].get(traceback);
            found.copied().unwrap_or_default()
        };
        let growth = |traceback: usize| {
            let bytes = [0, 1, 2, 3].map(|quarter| at(quarter, traceback).bytes);
            if !bytes.is_sorted_by(|one, other| one < other) {
                return Amount::default();
            }
            let (first, last) = (at(0, traceback), at(3, traceback));
            Amount {
                bytes: last.bytes - first.bytes,
                blocks: last.blocks.saturating_sub(first.blocks),
            }
        };
        Some((0..live[3].len()).map(growth).collect())
    }

    /// The figures at the end, of all measures.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.capture
            .sums(self.capture.samples.len().saturating_sub(1))
    }

    /// A location, in words.
    #[must_use]
    pub fn name(&self, location: u32) -> FrameName<'_> {
        let location = self.capture.locations()[location as usize];
        let text = |string| String::from_utf8_lossy(self.capture.string(string));
        FrameName {
            file: text(location.file),
            function: location.function.map(text),
            line: location.line,
        }
    }

    /// The frames of a row, the oldest first.
    #[must_use]
    pub fn oldest_first(&self, row: &Row) -> Vec<u32> {
        let mut frames: Vec<u32> = self.capture.frames(row.traceback).collect();
        frames.reverse();
        frames
    }
}
