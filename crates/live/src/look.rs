//! What a capture says at one moment, ready to be shown.

use wrasse_capture::{Pause, Sample, ThreadTotals};

/// What comes first among lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The most live bytes.
    #[default]
    Live,
    /// The most bytes more than a while ago.
    Change,
    /// The most bytes that were freed before the next block was allocated.
    Temporary,
}

impl Order {
    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Order::Live => Order::Change,
            Order::Change => Order::Temporary,
            Order::Temporary => Order::Live,
        }
    }

    /// Its name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Order::Live => "live",
            Order::Change => "change",
            Order::Temporary => "temporary",
        }
    }
}

/// A source line and what it has allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The file, as it can be shown; empty where there is no frame.
    pub file: String,
    /// The line.
    pub line: u32,
    /// Bytes alive.
    pub live: u64,
    /// Blocks alive.
    pub blocks: u64,
    /// Bytes alive more than a while ago.
    pub change: i64,
    /// Bytes freed before the next block was allocated, so far.
    pub temporary: u64,
}

impl Line {
    /// `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        match self.file.as_str() {
            "" => "no frame".into(),
            file => format!("{file}:{}", self.line),
        }
    }
}

/// What collections have cost so far. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// How many there were.
    pub count: u64,
    /// All of them together.
    pub total: u64,
    /// Half of them were no longer than this.
    pub median: u64,
    /// 99 of 100 were no longer than this.
    pub most: u64,
    /// The longest.
    pub longest: u64,
    /// Objects freed.
    pub collected: u64,
    /// How many there were of each generation, the youngest first.
    pub generations: [u64; 3],
    /// The last ones, the latest first.
    pub last: Vec<Pause>,
}

/// What is known at one moment.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The program's command line.
    pub title: String,
    /// The process's number.
    pub process: u32,
    /// Nanoseconds that the program has been running.
    pub elapsed: u64,
    /// Nanoseconds since the last sample.
    pub behind: u64,
    /// The last sample.
    pub sample: Sample,
    /// Bytes allocated a second, a while long; nothing where that is not counted.
    pub rate: Option<u64>,
    /// How long a while is, in nanoseconds.
    pub window: u64,
    /// The program's memory limit in bytes, if it started with one.
    pub limit: Option<u64>,
    /// The lines, those first that come first in the order asked for.
    pub lines: Vec<Line>,
    /// Collections.
    pub pauses: Pauses,
    /// Threads, those with the most live bytes first.
    pub threads: Vec<ThreadTotals>,
    /// All samples.
    pub samples: Vec<Sample>,
    /// How the program ended, if it has.
    pub ended: Option<String>,
}
