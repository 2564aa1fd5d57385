//! Thresholds that adapt to the program, until the program sets its own.
//!
//! CPython compares the count of its youngest generation with a field of its
//! state. While `gc.set_threshold` has not been called, that field holds the
//! count at which the policy (`wrasse_collector::Policy`) wants to be asked, and
//! `gc.get_threshold()` answers what the field held before. A value in the field
//! that is not ours was put there by a stock function somebody had kept: it
//! counts as set.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use wrasse_collector::{Generations, Outcome, Policy, Reading, Reason, Step, Thresholds};

use crate::interpreter::Interpreter;
use crate::{process, slices};

/// CPython's thresholds in this version.
const DEFAULTS: Thresholds = if cfg!(Py_3_13) {
    [2000, 10, 10]
} else {
    [700, 10, 10]
};

/// Nanoseconds that a collection of the youngest generation may take, unless the
/// program has said how long pauses may be.
const YOUNG_PAUSE: u64 = 10_000_000;

/// One interpreter's policy and the thresholds that its program knows.
pub struct Adaptation {
    on: Cell<bool>,
    policy: Cell<Policy>,
    /// What `gc.get_threshold()` answers, and what is in CPython's field.
    known: Cell<Thresholds>,
    field: Cell<i32>,
}

impl Adaptation {
    /// On if `thresholds` are the defaults.
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            on: (thresholds == DEFAULTS).into(),
            policy: Policy::new(thresholds[0].max(1) as usize, YOUNG_PAUSE).into(),
            known: thresholds.into(),
            field: thresholds[0].into(),
        }
    }

    /// Pauses are to take `target` at most: half of it, since the time that is
    /// measured is the processor's. With `None` as long as they did.
    pub fn set_pause_target(&self, target: Option<Duration>) {
        let half = target.map(|target| u64::try_from(target.as_nanos() / 2).unwrap_or(u64::MAX));
        self.update(|policy| policy.set_pause(half.unwrap_or(YOUNG_PAUSE), half.is_some()));
    }

    /// A full collection begins that will be done in parts.
    pub fn began(&self) {
        self.update(|policy| policy.began(read(0)));
    }

    /// A full collection that was done in parts is over.
    pub fn ended(&self, outcome: &Outcome) {
        self.update(|policy| policy.ended(outcome));
    }

    /// Whether the policy decides.
    pub fn is_on(&self) -> bool {
        self.on.get()
    }

    /// Asks the policy, with `count` objects in the youngest generation.
    pub fn look(&self, count: i32, generations: &Generations) -> Step {
        self.update(|policy| policy.look(read(count), generations))
    }

    /// The part of the old objects that a look says to have been let go.
    pub fn examined(&self, lost: Option<f64>, count: i32, generations: &Generations) -> Step {
        self.update(|policy| policy.examined(lost, read(count), generations))
    }

    /// Why the policy last wanted something.
    pub fn reason(&self) -> Reason {
        self.policy.get().reason()
    }

    /// Objects that the youngest generation may hold now.
    pub fn nursery(&self) -> usize {
        self.policy.get().nursery()
    }

    /// `generation` and younger were moved, the youngest of `count` objects;
    /// returns how many reached the oldest.
    pub fn promoted(&self, generation: usize, count: i32) -> usize {
        let objects = usize::try_from(count).unwrap_or(0);
        self.update(|policy| policy.promoted(generation, objects, read(0)))
    }

    /// A collection took so much of the processor's `time`.
    pub fn collected(&self, generation: usize, outcome: &Outcome, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.update(|policy| policy.collected(generation, outcome, nanoseconds, read(0)));
    }

    /// All objects were set aside.
    pub fn frozen(&self) {
        self.update(|policy| policy.frozen(read(0)));
    }

    fn update<T>(&self, change: impl FnOnce(&mut Policy) -> T) -> T {
        let mut policy = self.policy.get();
        let result = change(&mut policy);
        self.policy.set(policy);
        result
    }
}

impl Interpreter {
    /// The thresholds as the program knows them.
    pub fn thresholds(&self) -> Thresholds {
        self.notice_thresholds();
        if self.adaptation.is_on() {
            self.adaptation.known.get()
        } else {
            self.fields()
        }
    }

    /// What is in CPython's state.
    fn fields(&self) -> Thresholds {
        // SAFETY: the state is part of the interpreter, which is alive.
        unsafe { std::array::from_fn(|g| (*self.state).generations[g].threshold) }
    }

    fn young_count(&self) -> usize {
        // SAFETY: as in `fields`.
        usize::try_from(unsafe { (*self.state).generations[0].count }).unwrap_or(0)
    }

    fn set_field(&self, threshold: i32) {
        self.adaptation.field.set(threshold);
        // SAFETY: as in `fields`.
        unsafe { (*self.state).generations[0].threshold = threshold }
    }

    /// Looks whether a stock function has set thresholds.
    pub fn notice_thresholds(&self) {
        let [_, middle, old] = self.adaptation.known.get();
        if self.adaptation.is_on() && self.fields() != [self.adaptation.field.get(), middle, old] {
            self.adaptation.on.set(false);
        }
    }

    /// Has CPython come back when the policy wants to look again.
    pub fn set_trigger(&self) {
        if self.adaptation.is_on() {
            let mut look = self.adaptation.policy.get().next_look();
            if self.slices.is_busy() {
                look = look.min(self.young_count() + slices::INTERVAL);
            }
            self.set_field(i32::try_from(look).unwrap_or(i32::MAX).max(1));
        }
    }

    /// Stops adapting: CPython's state holds the thresholds that the program
    /// knows. Says whether that changed anything.
    pub fn show_thresholds(&self) -> bool {
        self.notice_thresholds();
        let adapted = self.adaptation.on.replace(false);
        if adapted {
            self.set_field(self.adaptation.known.get()[0]);
        }
        adapted
    }

    /// Takes back [`show_thresholds`](Self::show_thresholds), if the thresholds
    /// are still the same.
    pub fn hide_thresholds(&self) {
        if self.fields() == self.adaptation.known.get() {
            self.adaptation.on.set(true);
            self.set_trigger();
        }
    }
}

/// What there is to measure, with `count` objects in the youngest generation.
fn read(count: i32) -> Reading {
    static START: OnceLock<Instant> = OnceLock::new();
    let now = START.get_or_init(Instant::now).elapsed().as_nanos();
    Reading {
        count: usize::try_from(count).unwrap_or(0),
        bytes: process::resident_bytes(),
        now: u64::try_from(now).unwrap_or(u64::MAX),
    }
}
