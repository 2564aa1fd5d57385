//! What came after a look at the heap: a line's memory is known exactly at every
//! moment of a run, what it consists of only at the looks.
//!
//! What a line had allocated beyond what it had at the largest look is taken to be of
//! the same kind, by half at most: nobody knows what was at a peak that the looks were
//! far from. Where looks before have seen what is told of keep its part of the line's
//! memory while that grew by some factor, it is taken to keep it for that factor twice
//! again.

use std::collections::HashMap;

use wrasse_doctor::Observations;
use wrasse_doctor::observations::Line;
use wrasse_tracer::{Amount, TracebackId, View};

use super::growth::Seen;
use super::lines;
use crate::hooks;

/// The most by which amounts are scaled of which nothing more is known.
const MOST: f64 = 1.5;
/// By how much more one step must have than the one before.
const STEP: f64 = 1.5;
/// Steps that are kept: the first, and the last ones.
const STEPS: usize = 3;
/// A part of a line's memory is the same if it changed by this factor at most.
const SAME: f64 = 1.5;

/// Live bytes by traceback, as they were at one look.
#[derive(Default)]
pub struct AtLook(Vec<u64>);

impl AtLook {
    /// What is alive now; of nothing if there is no memory for it.
    pub fn now() -> Self {
        let mut live: Vec<Amount> = Vec::new();
        let state = hooks::reading();
        if let Some(state) = state.as_ref() {
            let _ = state.tracer.live(View::Profile, &mut live);
        }
        Self(live.iter().map(|each| each.bytes).collect())
    }

    /// What of a traceback was alive.
    pub fn of(&self, traceback: TracebackId) -> u64 {
        self.0.get(traceback.0 as usize).copied().unwrap_or(0)
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

    /// What of a line's memory came after the largest of `course`.
    pub fn after<'b, T>(
        &self,
        line: &Line,
        course: &'b Course<T>,
        looks: &[AtLook],
        bytes: impl Fn(&T) -> u64,
    ) -> After<'b, T> {
        let behind = self.behind.get(line).map_or(&[][..], Vec::as_slice);
        let at = |look: usize| -> f64 {
            let live = |id: &TracebackId| looks[look].of(*id);
            behind.iter().map(live).sum::<u64>() as f64
        };
        let (largest, look) = &course.largest;
        let then = at(*look);
        if then == 0.0 {
            return After {
                factor: 1.0,
                bytes: 0.0,
                before: None,
            };
        }
        let part = bytes(largest) as f64 / then;
        let mut steps = course.steps.iter().filter_map(|(step, look)| {
            let line = at(*look);
            let was = bytes(step) as f64 / line;
            let is_same = line > 0.0 && (part / SAME..=part * SAME).contains(&was);
            (is_same && line * STEP <= then).then_some((step, line))
        });
        let first = steps.next();
        let limit = first.map_or(MOST, |(_, line)| MOST.max((then / line).powi(2)));
        let factor = (self.seen.most(behind) as f64 / then).clamp(1.0, limit);
        let before = steps.next_back().or(first);
        After {
            factor,
            bytes: (factor - 1.0) * then,
            before: before.map(|(step, line)| (step, then - line)),
        }
    }
}

/// What a line had allocated beyond what it had at a look.
pub struct After<'a, T> {
    /// By what its memory had grown.
    pub factor: f64,
    /// The same in bytes.
    pub bytes: f64,
    /// What a look before had found, and what the line's memory had grown by since.
    pub before: Option<(&'a T, f64)>,
}

/// What looks have found of one thing: the largest, and smaller ones of looks before,
/// each with the number of its look.
pub struct Course<T> {
    /// The largest.
    pub largest: (T, usize),
    steps: Vec<(T, usize)>,
}

impl<T: Clone> Course<T> {
    /// So far.
    pub fn new(first: T, look: usize) -> Self {
        Self {
            steps: vec![(first.clone(), look)],
            largest: (first, look),
        }
    }

    /// One more look, if it has found at least as much.
    pub fn add(&mut self, found: T, look: usize, bytes: impl Fn(&T) -> u64) {
        if bytes(&found) < bytes(&self.largest.0) {
            return;
        }
        let last = self.steps.last().map_or(0, |(step, _)| bytes(step));
        if bytes(&found) as f64 >= STEP * last as f64 {
            if self.steps.len() >= STEPS {
                self.steps.remove(1);
            }
            self.steps.push((found.clone(), look));
        }
        self.largest = (found, look);
    }

    /// The looks that are asked for.
    pub fn looks(&self) -> impl Iterator<Item = usize> {
        let steps = self.steps.iter().map(|(_, look)| *look);
        steps.chain([self.largest.1])
    }
}
