//! What others have found out about a program, as the sections of a capture
//! file hold it. Their form is documented in `docs/capture.md`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wrasse_capture::Capture;

/// The objects of one type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TypeRow {
    /// The type's full name.
    #[serde(rename = "type")]
    pub name: String,
    /// How many objects.
    pub count: u64,
    /// Their own bytes.
    pub bytes: u64,
    /// The bytes that would go with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retained: Option<u64>,
}

/// Something that keeps memory alive, and what it keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RetainedNode {
    /// What it is.
    pub name: String,
    /// The bytes that would go with it, its own included.
    pub bytes: u64,
    /// What of that goes with one thing below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<RetainedNode>,
}

/// An object of a cycle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CycleNode {
    /// By which edges name it.
    pub id: u64,
    /// The full name of its type.
    #[serde(rename = "type")]
    pub name: String,
}

/// A reference in a cycle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CycleEdge {
    /// Who refers.
    pub from: u64,
    /// To what.
    pub to: u64,
    /// By what: `.parent`, `['x']`.
    pub name: String,
}

/// Cycles of objects that are alike, one of them drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    /// How many there are.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The objects of one.
    pub nodes: Vec<CycleNode>,
    /// And their references.
    pub edges: Vec<CycleEdge>,
    /// Where they were made, if known.
    #[serde(default)]
    pub file: Option<String>,
    /// The line.
    #[serde(default)]
    pub line: Option<u32>,
}

/// Something that is wrong with a program's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which rule found it: `W101`.
    pub code: String,
    /// The rule's name.
    #[serde(default)]
    pub name: String,
    /// Where.
    #[serde(default)]
    pub file: Option<String>,
    /// The line.
    #[serde(default)]
    pub line: Option<u32>,
    /// What mending it would save.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// The time that it would save.
    #[serde(default)]
    pub milliseconds: Option<f64>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// Why that is known.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What to write instead.
    #[serde(default)]
    pub fix: Option<String>,
}

/// The blocks that were live at the end, by the type of the object that each
/// belongs to and the traceback that allocated it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TypedBlocks {
    /// Full names of types.
    pub types: Vec<String>,
    /// Traceback, by its number in the file; type, by its number here; blocks; bytes.
    pub rows: Vec<[u64; 4]>,
}

/// The sections that there are.
#[derive(Debug, Default, Serialize)]
pub struct Looks {
    /// Objects by type, the most bytes first.
    pub types: Option<Vec<TypeRow>>,
    /// What keeps what alive.
    pub retained: Option<RetainedNode>,
    /// Reference cycles, the most bytes first.
    pub cycles: Option<Vec<Cycle>>,
    /// What the doctor says.
    pub findings: Option<Vec<Finding>>,
    /// Which objects the memory at the end is of, and who allocated it.
    #[serde(skip)]
    pub typed: Option<TypedBlocks>,
    /// Sections that are there and of another form than is known here, in words.
    pub unreadable: Vec<String>,
}

impl Looks {
    /// Those of a capture.
    #[must_use]
    pub fn read(capture: &Capture) -> Self {
        let mut looks = Looks::default();
        looks.types = looks.section(capture, "types");
        looks.retained = looks.section(capture, "retained");
        looks.cycles = looks.section(capture, "cycles");
        looks.findings = looks.section(capture, "findings");
        looks.typed = looks.section(capture, "typed_blocks");
        if let Some(types) = &mut looks.types {
            types.sort_by_key(|row| std::cmp::Reverse(row.bytes));
        }
        if let Some(cycles) = &mut looks.cycles {
            cycles.sort_by_key(|cycle| std::cmp::Reverse(cycle.bytes));
        }
        looks
    }

    fn section<T: DeserializeOwned>(&mut self, capture: &Capture, name: &str) -> Option<T> {
        match serde_json::from_slice(capture.section(name)?) {
            Ok(content) => Some(content),
            Err(error) => {
                let line = format!("The section \"{name}\" cannot be read: {error}.");
                self.unreadable.push(line);
                None
            }
        }
    }
}

/// What a section with this content holds.
#[must_use]
pub fn to_section(content: &impl Serialize) -> Vec<u8> {
    // These forms have string keys only, and nothing that cannot be written.
    serde_json::to_vec(content).unwrap_or_else(|_| b"null".to_vec())
}
