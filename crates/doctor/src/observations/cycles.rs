//! Garbage that only the collector could free.

use serde::{Deserialize, Serialize};

use super::Line;

/// Reference cycles of one shape from one place, over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cycles {
    /// Where the object that closes the cycle was allocated, innermost line first.
    pub frames: Vec<Line>,
    /// The objects of one cycle: names of their types, in the order of `edges`.
    pub nodes: Vec<String>,
    /// The references of the shortest cycle through them, each from one node to the next.
    pub edges: Vec<Edge>,
    /// How many such sets of objects there were; exact.
    pub count: u64,
    /// Objects in them and what hung on them, in all.
    pub objects: u64,
    /// Bytes of all those, over the run.
    pub bytes: u64,
    /// Bytes of those that one collection found: what lay waiting at one time.
    pub most_bytes: u64,
    /// How many sets were looked at closely; bytes and objects of the others are
    /// taken to be as theirs.
    pub looked_at: u64,
    /// How long some of them lay waiting at most, in seconds: the time since the
    /// collection before that looked through the same objects.
    pub longest_wait: Option<f64>,
    /// Names of types among them whose objects have a `__del__`.
    pub finalizers: Vec<String>,
    /// The local variable and function through which a frame holds an exception
    /// whose traceback holds the frame.
    pub exception: Option<HeldException>,
    /// Which other references close circles of these objects, if the one that is best made
    /// weak is so: `Class.attribute`.
    pub other_ways: Vec<String>,
    /// There may be more of them.
    pub has_more_ways: bool,
    /// They could not be freed at all.
    pub uncollectable: bool,
    /// The collector's time for them, in seconds.
    pub seconds: f64,
}

/// A frame and an exception that hold each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeldException {
    /// The exception's type.
    pub kind: String,
    /// The local variable; empty where the reference has no name.
    pub variable: String,
    /// The attribute that refers to the exception, as `Class.attribute`; empty where
    /// the variable itself does, or nothing with such a name.
    pub keeper: String,
    /// It is an item of a container: `keeper` or `variable` refers to that.
    pub is_item: bool,
    /// The function of the frame.
    pub function: String,
    /// The line at which the frame stands.
    pub line: Line,
}

/// A reference by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Edge {
    /// The node that holds it.
    pub from: usize,
    /// The node it refers to.
    pub to: usize,
    /// How it is written behind its holder: `.parent`, `[0]`, or in words.
    pub name: String,
}
