//! Lists and tuples, as they were while they were largest.

use serde::{Deserialize, Serialize};

use super::Line;

/// The largest list (or tuple) that one line made.
///
/// Bytes are those of `sys.getsizeof`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuiltList {
    /// Where its items were allocated: the line that makes the list or adds to it.
    pub line: Line,
    /// `list` or `tuple`.
    pub kind: String,
    /// How many items it had.
    pub items: u64,
    /// Its own bytes.
    pub own_bytes: u64,
    /// The bytes of what nobody but the list held: they go with it.
    pub item_bytes: u64,
    /// Of the items that had been iterated over by then, the part (by bytes) that
    /// somebody had kept.
    pub kept: f64,
}
