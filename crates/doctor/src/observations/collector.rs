//! The collector's work.

use serde::{Deserialize, Serialize};

/// What collections cost and found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Collector {
    /// How many collections there were, by generation, youngest first.
    pub collections: [u64; 3],
    /// Objects freed by them, by generation.
    pub collected: [u64; 3],
    /// Time spent in them, by generation, in seconds.
    pub seconds: [f64; 3],
    /// Full collections that found nothing.
    pub idle_full: u64,
    /// Time spent in those, in seconds.
    pub idle_full_seconds: f64,
    /// Objects that those looked at, the most of one.
    pub idle_full_objects: u64,
    /// Which full collections `gc.collect()` asked for, and their time.
    pub explicit_full: u64,
    /// Time spent in those, in seconds.
    pub explicit_full_seconds: f64,
    /// The longest pause.
    pub longest: Option<Pause>,
    /// The program's thresholds at the end, if it set them.
    pub thresholds: Option<[u32; 3]>,
}

/// The program stood still for a collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pause {
    /// When it began, in seconds from the start.
    pub start: f64,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// The generation that was collected.
    pub generation: u32,
    /// Objects looked at.
    pub candidates: u64,
    /// Objects freed.
    pub collected: u64,
    /// The lines that ran, innermost first.
    pub frames: Vec<super::Line>,
}
