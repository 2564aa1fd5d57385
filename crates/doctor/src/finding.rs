//! One thing that is wrong.

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a program's memory: where, what it costs, how
/// that is known, and what to write instead.
///
/// There is no finding without bytes or milliseconds behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's code: `W101`.
    pub code: String,
    /// The rule's name: `reference-cycle`.
    pub name: String,
    /// The file of the line to change, as its code object names it.
    pub file: String,
    /// The line to change; 0 where none is known.
    pub line: u32,
    /// Bytes of memory that the fix saves.
    pub bytes: Option<u64>,
    /// Milliseconds that the fix saves.
    pub milliseconds: Option<f64>,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// How that is known: lines of words and references by name.
    pub evidence: Vec<String>,
    /// What to write instead, and where.
    pub fix: String,
}

impl Finding {
    /// The place as `file:line`, or the file alone.
    #[must_use]
    pub fn place(&self) -> String {
        match (self.file.as_str(), self.line) {
            ("", _) => "the program".into(),
            (file, 0) => file.into(),
            (file, line) => format!("{file}:{line}"),
        }
    }
}
