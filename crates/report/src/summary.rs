//! The figures of one run. The serialised form is documented in
//! `docs/cli.md`: change [`SCHEMA`] whenever a reader would have to change.

use serde::{Deserialize, Serialize};

/// Version of the JSON form of [`Summary`].
pub const SCHEMA: u32 = 1;

/// Everything `wrasse run` reports about one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Version of this form, see [`SCHEMA`].
    pub schema: u32,
    /// Version of wrasse.
    pub wrasse: String,
    /// Version of the interpreter, such as `3.12.1`.
    pub python: String,
    /// Seconds from wrasse's start inside the interpreter to its end.
    pub wall_seconds: f64,
    /// Largest resident set of the process, in bytes.
    pub peak_rss_bytes: u64,
    /// The collector's work; absent where CPython's own collector stayed on.
    pub collector: Option<Collector>,
    /// The allocator's work; absent where CPython's own allocator stayed on.
    pub allocator: Option<Allocator>,
    /// What was recorded about allocations; absent unless asked for.
    pub trace: Option<Trace>,
}

/// The collector's work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Collector {
    /// The three generations, youngest first.
    pub generations: Vec<Generation>,
    /// Time the program stood still for collections, in seconds.
    pub total_pause_seconds: f64,
    /// The longest single pause, in seconds.
    pub longest_pause_seconds: f64,
    /// Types of the objects found in unreachable cycles, most frequent first.
    pub cycle_types: Vec<CycleType>,
}

/// What the collections of one generation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    /// How many collections there were.
    pub collections: u64,
    /// Objects freed by them.
    pub collected: u64,
    /// Unreachable objects that could not be freed.
    pub uncollectable: u64,
    /// Time spent in them, in seconds.
    pub seconds: f64,
}

/// How many objects of one type were found in unreachable cycles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CycleType {
    /// Name of the type.
    #[serde(rename = "type")]
    pub name: String,
    /// Number of objects.
    pub objects: u64,
}

/// The allocator's work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Allocator {
    /// The most bytes that it held at one time, for objects and empty.
    pub peak_bytes: u64,
    /// Bytes it gave back to the system while the program ran, in all.
    pub given_back_bytes: u64,
    /// The limit at the end, in bytes.
    pub limit_bytes: Option<u64>,
    /// How many requests the limit refused.
    pub refused: u64,
}

/// What was recorded about allocations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Bytes live at the end of the program.
    pub current_bytes: u64,
    /// The most bytes ever live at one time.
    pub peak_bytes: u64,
    /// Lines holding the most memory at the end, largest first.
    pub top: Vec<TracedLine>,
    /// Tracebacks holding the most memory at the end, largest first. Empty
    /// where one frame was recorded: they would say what `top` says.
    #[serde(default)]
    pub tracebacks: Vec<Traceback>,
}

/// Memory allocated by one chain of calls and still live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traceback {
    /// Live bytes.
    pub bytes: u64,
    /// Live blocks.
    pub blocks: u64,
    /// The lines of the chain, the one that allocated first, then its callers.
    pub frames: Vec<Frame>,
}

/// One line of a traceback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// File of the line, as its code object names it.
    pub file: String,
    /// Line number; 0 stands for all of the file, where files are summed up.
    pub line: u32,
}

/// Memory allocated by one source line and still live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedLine {
    /// File of the line, as its code object names it.
    pub file: String,
    /// Line number.
    pub line: u32,
    /// Live bytes.
    pub bytes: u64,
    /// Live blocks.
    pub blocks: u64,
}

impl Summary {
    /// The summary as one JSON document, with a newline at the end.
    #[must_use]
    pub fn to_json(&self) -> String {
        crate::text::json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_reads_back_as_the_same_summary() {
        let summary = Summary {
            schema: SCHEMA,
            wrasse: "0.1.0".into(),
            python: "3.12.1".into(),
            wall_seconds: 1.5,
            peak_rss_bytes: 10 << 20,
            collector: Some(Collector {
                generations: vec![Generation {
                    collections: 3,
                    collected: 9,
                    uncollectable: 1,
                    seconds: 0.25,
                }],
                total_pause_seconds: 0.25,
                longest_pause_seconds: 0.125,
                cycle_types: vec![CycleType {
                    name: "a\"b\n".into(),
                    objects: 7,
                }],
            }),
            allocator: Some(Allocator {
                peak_bytes: 5 << 20,
                given_back_bytes: 3 << 16,
                limit_bytes: None,
                refused: 0,
            }),
            trace: Some(Trace {
                current_bytes: 1,
                peak_bytes: 2,
                top: vec![TracedLine {
                    file: "x.py".into(),
                    line: 4,
                    bytes: 5,
                    blocks: 6,
                }],
                tracebacks: vec![Traceback {
                    bytes: 5,
                    blocks: 6,
                    frames: vec![Frame {
                        file: "x.py".into(),
                        line: 4,
                    }],
                }],
            }),
        };
        let read: Summary = serde_json::from_str(&summary.to_json()).unwrap();
        assert_eq!(read, summary);
        assert!(summary.to_json().contains(r#""type": "a\"b\n""#));
    }
}
