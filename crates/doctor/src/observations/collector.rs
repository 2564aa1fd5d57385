//! The collector's work.

use serde::{Deserialize, Serialize};

use super::Line;

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
    /// Where the program called for collections, or stood at long ones.
    pub places: Vec<CollectedAt>,
    /// The longest pause.
    pub longest: Option<Pause>,
    /// The program's thresholds at the end, if it set them.
    pub thresholds: Option<[u32; 3]>,
    /// Where it set them, innermost line first.
    pub thresholds_set_at: Vec<Line>,
}

/// The collections that came at one line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectedAt {
    /// The lines, innermost first.
    pub frames: Vec<Line>,
    /// Whether the program called for them there.
    pub asked: bool,
    /// How many.
    pub count: u64,
    /// Their time, in seconds.
    pub seconds: f64,
    /// Full ones that found nothing.
    pub idle_full: u64,
    /// The time of those, in seconds.
    pub idle_full_seconds: f64,
}

impl Collector {
    /// Time spent in all collections, in seconds.
    #[must_use]
    pub fn all_seconds(&self) -> f64 {
        self.seconds.iter().sum()
    }

    /// The place with most of an amount, if that is more than half of `whole`.
    pub fn main_place(
        &self,
        whole: f64,
        amount: impl Fn(&CollectedAt) -> f64,
    ) -> Option<&CollectedAt> {
        let most = self
            .places
            .iter()
            .max_by(|a, b| amount(a).total_cmp(&amount(b)))?;
        (amount(most) > whole / 2.0).then_some(most)
    }
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
    pub frames: Vec<Line>,
}
