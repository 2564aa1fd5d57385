//! Full collections that keep pauses short: in slices, between which the program
//! runs.
//!
//! Off unless the program sets a target (`wrasse.set_pause_target`, `pause=` in
//! `WRASSE`). Then automatic full collections that would take longer are done as
//! a [`Cycle`], a slice at a time at CPython's own safe points; young and middle
//! collections are kept small by the policy. A full collection that somebody asks
//! for is done at once and complete, and ends a cycle in progress; so does
//! `gc.freeze()`.
//!
//! *Garbage.* A cycle finds what was garbage when it began. If so many objects
//! grow old meanwhile that the next full collection is due, that one is done at
//! once: so there is never more old garbage than two full collections in a row
//! would leave. To get there in time, slices follow one another without a rest
//! when half of that room is used; before, the program runs at least as long as
//! the slice before took.
//!
//! *What is not sliced*: one piece of garbage (objects that refer to each other)
//! is tried at once, however large, but cleared in slices (`clearing.rs`); the
//! references that an object of a C type shows, a set's for one, are looked at at once.

mod clearing;
mod cycle;
mod marker;
mod marks;
mod own_types;
mod place;

use std::cell::Cell;
use std::time::{Duration, Instant};

use pyo3_ffi::*;
use wrasse_collector::{MarkStack, Model, OLDEST, Outcome, Reason};

use crate::collection::DEBUG_STATS;
use crate::interpreter::Interpreter;
use crate::layout::INSTANCE;
use crate::list::Link;
use crate::{capture, finalization, log, statistics, unraisable};
use clearing::Condemned;
use cycle::{Cycle, Phase};

/// Allocations between two looks whether a slice is due, while thresholds adapt.
pub const INTERVAL: usize = 1000;
/// Nanoseconds that trying an object takes, its finalizer included, and that a full
/// collection takes for each object, until that is measured.
const TRIAL_EACH: f64 = 250.0;
const WHOLE_EACH: f64 = 50.0;
/// The part of the target that slices are planned to take: the clock is not
/// looked at after every step, and what is tried may take longer than expected.
const PLANNED: f64 = 0.7;
/// The part of that which trying what is tried together may take.
const TRIED: f64 = 0.5;
/// Objects that are tried together at the least.
const LEAST_TRIED: usize = 100;

/// One interpreter's target and what is going on.
pub struct Slices {
    target: Cell<Option<Duration>>,
    cycle: Cell<Option<Box<Cycle>>>,
    /// Whether a cycle is in progress, in its place or in use.
    busy: Cell<bool>,
    /// The cycle in use has to end.
    cancelled: Cell<bool>,
    reason: Cell<Reason>,
    /// The last slice's end and length.
    last: Cell<Option<(Instant, Duration)>>,
    condemned: Condemned,
    /// Nanoseconds an object, see [`TRIAL_EACH`].
    trial_each: Cell<f64>,
    whole_each: Cell<f64>,
}

impl Default for Slices {
    fn default() -> Self {
        Self {
            target: None.into(),
            cycle: None.into(),
            busy: false.into(),
            cancelled: false.into(),
            reason: Reason::Asked.into(),
            last: None.into(),
            condemned: Condemned::default(),
            trial_each: TRIAL_EACH.into(),
            whole_each: WHOLE_EACH.into(),
        }
    }
}

impl Slices {
    /// How long a pause may be.
    pub fn target(&self) -> Option<Duration> {
        self.target.get()
    }

    /// Whether a full collection is in progress.
    pub fn is_busy(&self) -> bool {
        self.busy.get()
    }

    /// Gives a cycle up that is in progress: what it has not found yet is left to
    /// the next full collection.
    fn abandon(&self) {
        self.cancelled.set(true);
        if let Some(cycle) = self.cycle.take() {
            self.busy.set(false);
            drop(cycle);
        }
    }

    /// A full collection of `objects` took so many `seconds`.
    pub fn learn_whole(&self, objects: usize, seconds: f64) {
        if objects > 10_000 {
            let each = seconds * 1e9 / objects as f64;
            self.whole_each.set((self.whole_each.get() + each) / 2.0);
        }
    }

    /// Trying `objects` took so many `seconds`. Rises at once, falls slowly.
    fn learn_trial(&self, objects: usize, seconds: f64) {
        if objects >= LEAST_TRIED {
            let (each, known) = (seconds * 1e9 / objects as f64, self.trial_each.get());
            let part = if each > known { 0.7 } else { 0.2 };
            self.trial_each.set(known + (each - known) * part);
        }
    }
}

impl Interpreter {
    /// Gives up a full collection that is in progress; what it has condemned is
    /// cleared now, unless another collection is at work: that one, in a finalizer or
    /// in another thread, may end before all is cleared, and what survives its own
    /// clearing must not be met while it is on a list of ours. The next collection
    /// clears it then.
    ///
    /// # Safety
    /// The GIL is held and no exception is set. Runs foreign code.
    pub unsafe fn abandon_slices(&self) {
        self.slices.abandon();
        // SAFETY: the caller's contract.
        unsafe {
            if (*self.state).collecting == 0 {
                self.clear_rest();
            }
        }
    }

    /// As [`abandon_slices`](Self::abandon_slices), by who collects, or at the end of
    /// the program: all is cleared now.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn end_slices(&self) {
        self.slices.abandon();
        // SAFETY: the caller's contract.
        unsafe { self.clear_rest() };
    }

    /// Clears what is condemned, if nobody is about it.
    unsafe fn clear_rest(&self) {
        let condemned = &self.slices.condemned;
        if condemned.waits() && !condemned.is_busy() {
            let start = Instant::now();
            // SAFETY: the caller's contract.
            unsafe { self.clear_condemned(None) };
            self.record_slice(Phase::Try, &Outcome::default(), start.elapsed());
        }
    }

    /// Has pauses take `target` at most from now on, as far as that is possible.
    ///
    /// # Safety
    /// As for [`abandon_slices`](Self::abandon_slices).
    pub unsafe fn set_pause_target(&self, target: Option<Duration>) {
        // SAFETY: the caller's contract.
        unsafe {
            if target.is_none() {
                self.abandon_slices();
            } else {
                self.slices.condemned.prepare();
            }
        }
        self.slices.target.set(target);
        self.adaptation.set_pause_target(target);
        self.set_trigger();
    }

    /// A full collection is due. Begins one in slices and says so, if there is a
    /// target that it would miss otherwise, and if the last one is over.
    ///
    /// # Safety
    /// The GIL is held, no exception is set, and `collecting` is set in CPython's
    /// state.
    pub unsafe fn begin_slices(&self) -> bool {
        // SAFETY: the caller's contract. Merging proper lists in the order of age
        // is what the beginning of any full collection does.
        unsafe {
            let Some(target) = self.slices.target.get() else {
                return false;
            };
            let (total, pending) = self.generations.get().long_lived();
            let young = (*self.state).generations[0].count.max(0) as usize;
            let expected = (total + pending + young) as f64 * self.slices.whole_each.get();
            if self.slices.is_busy()
                || (*self.state).debug & DEBUG_STATS != 0
                || finalization::has_begun()
                || expected < target.as_nanos() as f64 * PLANNED
            {
                return false;
            }
            let heap = self.heap();
            let oldest = self.list(OLDEST);
            for younger in (0..OLDEST).rev() {
                heap.merge(&self.list(younger), &oldest);
            }
            let Ok(cycle) = Cycle::new(&oldest) else {
                return false;
            };
            (*self.state).generations[0].count = 0;
            let mut generations = self.generations.get();
            generations.begin_in_parts(young);
            self.generations.set(generations);
            self.adaptation.began();
            // What is noted is of before; this collection will have dealt with it.
            self.landmarks.take();
            self.slices.reason.set(self.reason.take());
            self.slices.last.set(None);
            self.slices.busy.set(true);
            self.slices.cycle.set(Some(cycle));
            true
        }
    }

    /// Whether the next slice of a cycle in progress is due, `used` being the time
    /// that the program has stood still already.
    fn is_slice_due(&self, target: Duration, used: Duration) -> bool {
        let (total, pending) = self.generations.get().long_lived();
        let has_rested =
            (self.slices.last.get()).is_none_or(|(end, length)| end.elapsed() >= length);
        pending >= total / 8 || has_rested && used <= target / 4
    }

    /// Runs a slice of the cycle in progress, if it is due. The program has stood
    /// still since `begun`.
    ///
    /// # Safety
    /// As for [`begin_slices`](Self::begin_slices).
    pub unsafe fn continue_slices(&self, begun: Instant) {
        if !self.slices.is_busy() {
            // SAFETY: the caller's contract.
            unsafe { self.clear_rest() };
        }
        let Some(target) = self.slices.target.get() else {
            return;
        };
        if !self.slices.is_busy() || !self.is_slice_due(target, begun.elapsed()) {
            return;
        }
        let Some(mut cycle) = self.slices.cycle.take() else {
            return;
        };
        // SAFETY: the caller's contract. The cycle is in nobody else's hands: what
        // runs in between only says that it has to end.
        unsafe {
            self.slices.cancelled.set(false);
            self.active.set(true);
            self.call_back(self.words.start, OLDEST, &Outcome::default());
            #[cfg(feature = "sanity")]
            let begun = {
                crate::sanity::check(self.state, "before a slice of");
                begun + crate::sanity::take_spent()
            };
            let start = Instant::now();
            let phase = cycle.phase();
            let planned = target.mul_f64(PLANNED).saturating_sub(start - begun);
            let until = start + planned.max(target / 4);
            let mut outcome = Outcome::default();
            let state = self.work(&mut cycle, until, &mut outcome);
            if state != State::Going || self.slices.cancelled.get() {
                self.clear_condemned(None);
            }
            if state == State::Finished {
                self.clear_free_lists();
            }
            let length = start.elapsed();
            #[cfg(feature = "sanity")]
            crate::sanity::check(self.state, "after a slice of");
            self.record_slice(phase, &outcome, length);
            if state == State::Finished {
                self.finish_cycle(&cycle.total);
            }
            self.call_back(self.words.stop, OLDEST, &outcome);
            self.active.set(false);
            self.slices.last.set(Some((Instant::now(), length)));
            capture::pause(OLDEST, &outcome, length.as_secs_f64());
            if state == State::Going && !self.slices.cancelled.get() {
                self.slices.cycle.set(Some(cycle));
                return;
            }
            drop(cycle);
            self.slices.busy.set(false);
            if state == State::Stuck {
                self.reason.set(self.slices.reason.get());
                self.collect(OLDEST);
            }
        }
    }

    /// Takes `cycle` on until about `until`.
    unsafe fn work(&self, cycle: &mut Cycle, until: Instant, outcome: &mut Outcome) -> State {
        // SAFETY: as for `continue_slices`.
        unsafe {
            let oldest = self.list(OLDEST);
            if !self.clear_condemned(Some(until)) {
                return State::Going;
            }
            if self.slices.cancelled.get() || !cycle.fits(&oldest) {
                return State::Over;
            }
            INSTANCE.prepare();
            let room = (self.slices.target.get().unwrap_or_default()).mul_f64(PLANNED);
            let most = room.as_nanos() as f64 * TRIED / self.slices.trial_each.get();
            let most = (most as usize).max(LEAST_TRIED);
            if cycle.phase() != Phase::Try && cycle.advance(&oldest, until, most).is_err() {
                return State::Stuck;
            }
            if cycle.phase() != Phase::Try {
                return State::Going;
            }
            let mut is_first = true;
            while let Some(size) = cycle.next_size() {
                let left = until.saturating_duration_since(Instant::now()).as_nanos() as f64;
                // A slice that has done nothing yet tries one whatever it takes.
                let fits = size as f64 * self.slices.trial_each.get() <= left
                    || is_first && left >= room.as_nanos() as f64 / 2.0;
                if !fits {
                    return State::Going;
                }
                is_first = false;
                self.try_segment(cycle, outcome);
                let is_clear = self.clear_condemned(Some(until));
                if self.slices.cancelled.get() || !cycle.fits(&oldest) {
                    return State::Over;
                }
                if !is_clear {
                    return State::Going;
                }
            }
            State::Finished
        }
    }

    /// Finds what is garbage in the next segment and condemns it.
    unsafe fn try_segment(&self, cycle: &mut Cycle, outcome: &mut Outcome) {
        // SAFETY: as for `continue_slices`.
        unsafe {
            let start = Instant::now();
            let heap = self.heap();
            let segment = heap.empty();
            cycle.take_segment(&segment);
            let stack = |work: &mut dyn FnMut(&mut MarkStack<Link>)| {
                work(&mut self.stack.borrow_mut());
            };
            let oldest = self.list(OLDEST);
            let mut found = wrasse_collector::collect_and(
                &heap,
                &segment,
                &oldest,
                false,
                OLDEST,
                stack,
                |garbage, ran_foreign_code| self.condemn(&heap, garbage, ran_foreign_code),
            );
            found.bytes = heap.freed_bytes();
            if !PyErr_Occurred().is_null() {
                unraisable::in_collection();
            }
            self.slices
                .learn_trial(found.candidates, start.elapsed().as_secs_f64());
            cycle.total.survivors += found.survivors;
            for sum in [&mut cycle.total, outcome] {
                sum.collected += found.collected;
                sum.uncollectable += found.uncollectable;
                sum.finalized += found.finalized;
                sum.bytes += found.bytes;
            }
            outcome.candidates += found.candidates;
        }
    }

    fn record_slice(&self, phase: Phase, outcome: &Outcome, length: Duration) {
        let seconds = length.as_secs_f64();
        let mut stats = self.stats.get();
        // What was looked at counts when the cycle is over, each object once.
        let mut counted = *outcome;
        counted.candidates = 0;
        stats.record_slice(OLDEST, &counted, seconds);
        stats.slices += 1;
        self.stats.set(stats);
        statistics::record_slice(OLDEST, outcome, seconds);
        let reason = self.slices.reason.get();
        log::collection(OLDEST, reason, Some(phase.word()), outcome, seconds, || {
            self.pause_share()
        });
    }

    /// A cycle has come to its end, and `total` came of it.
    unsafe fn finish_cycle(&self, total: &Outcome) {
        let mut generations = self.generations.get();
        generations.end_in_parts(total.survivors);
        self.generations.set(generations);
        let mut stats = self.stats.get();
        stats.generations[OLDEST].collections += 1;
        stats.generations[OLDEST].candidates += total.candidates;
        stats.reasons[self.slices.reason.get() as usize] += 1;
        self.stats.set(stats);
        statistics::record_end(OLDEST);
        self.notice_thresholds();
        if self.adaptation.is_on() {
            self.adaptation.ended(total);
        }
    }
}

/// What became of a cycle in a slice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is more to do.
    Going,
    /// It has come to its end.
    Finished,
    /// It was given up.
    Over,
    /// It cannot go on for want of memory.
    Stuck,
}
