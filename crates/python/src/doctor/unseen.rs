//! What came after a look at the heap: a line's memory is known exactly at every
//! moment of a run, what it consists of only at the looks.
//!
//! What a line had allocated beyond what it had at the look is taken to be of the same
//! kind. A peak that the looks were far from is not: nobody knows what was there.

use std::collections::HashMap;

use wrasse_doctor::Observations;
use wrasse_doctor::observations::Line;
use wrasse_tracer::{Totals, TracebackId, View};

use super::growth::Seen;
use super::lines;
use crate::hooks;

/// The most by which amounts are scaled.
const MOST: f64 = 1.5;

/// Live bytes by traceback, as they were at one look.
#[derive(Default)]
pub struct AtLook(Vec<u64>);

impl AtLook {
    /// What is alive now; of nothing if there is no memory for it.
    pub fn now() -> Self {
        let mut totals: Vec<Totals> = Vec::new();
        let state = hooks::state();
        if let Some(state) = state.as_ref() {
            let _ = state.tracer.totals(View::Profile, &mut totals);
        }
        Self(totals.iter().map(|each| each.live_bytes).collect())
    }
}

/// How much more than at a look each line of the program had, at most.
pub struct Unseen<'a> {
    seen: &'a Seen,
    /// The tracebacks of each line.
    behind: HashMap<Line, Vec<TracebackId>>,
}

impl<'a> Unseen<'a> {
    /// From all looks at the profile's totals.
    pub fn new(seen: &'a Seen, observations: &Observations) -> Self {
        let mut behind: HashMap<Line, Vec<TracebackId>> = HashMap::new();
        for traceback in seen.tracebacks() {
            let frames = lines::of_traceback(traceback);
            if let Some(own) = observations.own_line(&frames) {
                behind.entry(own.clone()).or_default().push(traceback);
            }
        }
        Self { seen, behind }
    }

    /// By what to multiply what `look` has found of a line; 1 if nothing is known.
    pub fn scale(&self, line: &Line, look: &AtLook) -> f64 {
        let behind = self.behind.get(line).map_or(&[][..], Vec::as_slice);
        let live = |id: &TracebackId| look.0.get(id.0 as usize).copied().unwrap_or(0);
        let then: u64 = behind.iter().map(live).sum();
        let most = self.seen.most(behind);
        match then {
            0 => 1.0,
            _ => (most as f64 / then as f64).clamp(1.0, MOST),
        }
    }
}
