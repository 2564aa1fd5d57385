//! What grew while the program ran, between looks that were taken repeatedly.

use serde::{Deserialize, Serialize};

use super::Line;

/// Repeated looks at what is alive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Growth {
    /// When the looks were taken and what was alive in all, in their order.
    pub looks: Vec<GrowthPoint>,
    /// Lines whose live memory grew.
    pub lines: Vec<LineGrowth>,
    /// Types whose objects are many at the end.
    pub types: Vec<TypeGrowth>,
    /// Objects with more references than anyone could be found to hold.
    pub unheld: Vec<Unheld>,
}

/// One look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrowthPoint {
    /// Seconds since the start.
    pub seconds: f64,
    /// Seconds of processor time since the start of the process.
    pub cpu_seconds: f64,
    /// Traced bytes alive.
    pub bytes: u64,
}

/// One traceback's live memory at each look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LineGrowth {
    /// The lines, innermost first.
    pub frames: Vec<Line>,
    /// Bytes alive at each look, as many as there are looks.
    pub bytes: Vec<u64>,
    /// Blocks alive at each look.
    pub blocks: Vec<u64>,
    /// The functions of these lines, as far as they are known.
    pub functions: Vec<String>,
    /// The path from a root to an object allocated there: `app.cache['x'] → list[3]`.
    pub path: String,
    /// The path to the first container on it that has many items, or to the first one;
    /// empty if there is none.
    pub container: String,
    /// That container's type.
    pub container_type: String,
    /// For the containers that the path goes through, or the objects if there are
    /// none, the function that made each, as far as it is known.
    pub holders: Vec<String>,
    /// Whether that root is a module.
    pub is_global: bool,
    /// The variable of a running function at which the path begins, where no module led
    /// there. `bytes` and `blocks` then end at the look at which they were most.
    pub variable: Option<Variable>,
    /// The types of the objects allocated there, and how many were met at the end; 0 if
    /// they were not counted.
    pub types: Vec<(String, u64)>,
}

/// A variable of a function that was running.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The function.
    pub function: String,
    /// The function's file.
    pub file: String,
    /// The line at which the function's code begins.
    pub first_line: u32,
    /// It refers to the container itself, rather than to what holds that.
    pub is_container: bool,
}

impl Variable {
    /// The beginning of a path there.
    #[must_use]
    pub fn in_words(&self) -> String {
        format!("'{}' of {}()", self.name, self.function)
    }

    /// The name in such a beginning.
    #[must_use]
    pub fn name_in(words: &str) -> Option<&str> {
        let (name, _) = words.strip_prefix('\'')?.split_once("' of ")?;
        Some(name)
    }
}

/// One type's live memory at each look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeGrowth {
    /// The type's name.
    pub name: String,
    /// How many objects there were at the end.
    pub count: u64,
    /// Their bytes at each look, with what only they hold: as much of each line's as
    /// were of this type at the end.
    pub bytes: Vec<u64>,
    /// The program's lines that made them, those that made most first.
    pub lines: Vec<TypeLine>,
    /// The functions that were running there.
    pub functions: Vec<String>,
    /// The path from a root to the nearest of them.
    pub path: String,
    /// As for [`LineGrowth`].
    pub container: String,
    /// As for [`LineGrowth`].
    pub holders: Vec<String>,
    /// Whether that root is a module.
    pub is_global: bool,
}

/// A line that makes objects of one type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeLine {
    /// The line.
    pub line: Line,
    /// Its function.
    pub function: String,
    /// The objects' own bytes.
    pub bytes: u64,
}

/// Objects of one type and place that C code holds, or nobody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unheld {
    /// The type's name.
    pub name: String,
    /// How many objects.
    pub count: u64,
    /// References that nobody was found to hold, in all.
    pub references: u64,
    /// Bytes of the objects and of what only they keep alive.
    pub bytes: u64,
    /// Where they were allocated, innermost line first.
    pub frames: Vec<Line>,
}
