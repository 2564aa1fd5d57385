//! When to collect, while nobody has asked for particular thresholds.
//!
//! Fixed thresholds make a program pay for each object it keeps, again and
//! again, whether or not there is any garbage. This policy pays where garbage is
//! found:
//!
//! * *The nursery* grows while collections find next to nothing, and returns
//!   to [`WORKING_NURSERY`] when they do: large enough that most of what it holds
//!   has had the time to die, small enough for a processor's second cache.
//! * *Sampling.* After a run of collections without garbage, whole nurseries are
//!   promoted to the middle generation without being looked at, and only every
//!   second, fourth, eighth one is collected; if that one is clean, the middle
//!   generation is promoted in turn. The first that has garbage in it ends this,
//!   and the middle generation is collected next.
//! * *The oldest generation* is due, as in CPython, when the objects waiting for
//!   their first full collection are a quarter of those that survived the last, and
//!   not before so many were made as its thresholds amount to.
//!   Each full collection that found next to nothing doubles that share, up to
//!   [`LARGEST_SHARE`]; garbage, there or in a nursery, takes it back.
//! * *Looks.* While that share is larger than CPython's, the host is asked at each quarter
//!   what part of the old objects seems to have been let go ([`Step::Examine`]). If it is
//!   [`WORTH_WHILE`] the full collection comes then. One that finds next to nothing has the
//!   first look come later the next time.
//!
//! What garbage may cost is bounded four ways. *Memory*: the process may not
//! grow by more than a thirty-second (at least [`LEAST_GROWTH`]) before a nursery
//! is done with, whatever its size in objects, nor by a sixteenth without one's
//! being collected; the host is asked to come back often enough to notice.
//! *Time*: no nursery is larger than what was measured to fit the pause target,
//! and where the program has set one, neither is the middle generation.
//! *Resources*: garbage with finalizers may hold more than memory, so finding
//! some brings the host's own threshold back at once. *Age*: a nursery that has
//! waited for [`LONGEST_WAIT`] is collected when it is looked at.
//!
//! The policy knows no clock and no operating system: the host passes what it
//! measured.

use crate::collect::Outcome;
use crate::generation::{Generations, OLDEST};
use crate::stats::Reason;

/// Objects in a nursery in which garbage is found.
pub const WORKING_NURSERY: usize = 10_000;
/// Objects in a nursery at most.
pub const LARGEST_NURSERY: usize = 200_000;
/// Bytes that the process may always grow by between two looks at a nursery.
pub const LEAST_GROWTH: usize = 2 << 20;
/// Nanoseconds after which a nursery is collected whatever its size.
pub const LONGEST_WAIT: u64 = 500_000_000;
/// New objects over old ones at which a full collection is due, at most.
pub const LARGEST_SHARE: f64 = 1.0;
/// The part of the old objects that makes a full collection due if a look says that it
/// has been let go.
pub const WORTH_WHILE: f64 = 0.1;
/// CPython's share.
const STOCK_SHARE: f64 = 0.25;
/// Doublings after which the first look comes when the full collection is due anyway.
const MOST_MISTRUST: u32 = 2;
/// The process may grow by one part in so many between two looks.
const GROWTH_PART: usize = 32;
/// Garbage per candidate below which a collection was not worth its while.
const LITTLE: f64 = 0.02;
/// Garbage per candidate above which it was.
const MUCH: f64 = 0.2;
/// A nursery is at most one part in so many of the tracked objects, and what was
/// promoted and nobody looked at one in so many.
const NURSERY_PART: usize = 64;
const UNSEEN_PART: usize = 16;
/// Nurseries promoted for each one collected, at most.
const MOST_SKIPPED: u32 = 7;
/// Collections in a row with little garbage before nurseries are skipped.
const CLEAN_RUN: u32 = 4;
/// The middle generation may hold so many nurseries while it holds no garbage.
const MIDDLE_NURSERIES: usize = 10;
/// Objects in a middle generation in which garbage is found.
const WORKING_MIDDLE: usize = 5_000;
/// The first look at a nursery is at so many times the host's own threshold.
const FIRST_LOOK: usize = 2;
/// Nanoseconds that collecting one object may take, until that is measured.
const ASSUMED_NANOSECONDS: u64 = 100;
/// Bytes that one more tracked object may bring, until that is measured.
const ASSUMED_BYTES: usize = 256;

/// What the host measured when it came to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Allocations less deallocations since the youngest generation was emptied.
    pub count: usize,
    /// Bytes of the process, if the host can tell.
    pub bytes: Option<usize>,
    /// Nanoseconds since any fixed moment.
    pub now: u64,
}

/// What the policy wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet; come back at [`Policy::next_look`].
    Wait,
    /// Move this generation and everything younger to the next older one
    /// without collecting it.
    Promote(usize),
    /// Collect this generation and everything younger.
    Collect(usize),
    /// Look whether old objects seem to have been let go, without a collection, and say so
    /// to [`Policy::examined`], which knows what to do then.
    Examine,
}

/// The nursery, the share of the oldest generation, and what led to them.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The host's own threshold: the smallest nursery.
    base: usize,
    /// Objects in a nursery now.
    nursery: usize,
    /// Objects in a nursery at most, by the pause target and by the heap.
    fitting: usize,
    largest: usize,
    /// Nanoseconds that collecting a nursery may take.
    pause: u64,
    /// That holds for the middle generation too.
    strict: bool,
    /// Collections in a row that found little.
    clean: u32,
    /// Nurseries promoted since the last one collected.
    skipped: u32,
    /// Objects in the middle generation, and of those, never looked at.
    middle: usize,
    unseen: usize,
    /// Objects in the middle generation at which it is due.
    middle_limit: usize,
    /// The middle generation has something in it that a nursery's garbage
    /// makes suspect.
    suspect: bool,
    /// New over old at which a full collection is due.
    share: f64,
    /// New over old at which a look is due before that.
    examine_at: f64,
    /// The first look is put off by so many doublings.
    mistrust: u32,
    /// The full collection that comes next was brought forward by a look.
    brought_forward: bool,
    /// Objects that nurseries held since the last full collection began.
    made: usize,
    /// When the youngest generation was last emptied.
    since: u64,
    /// What the process had then, and when a nursery was last collected.
    bytes: Option<usize>,
    bytes_seen: Option<usize>,
    /// The count for the next look.
    next_look: usize,
    /// Why what was decided last was decided.
    reason: Reason,
}

impl Policy {
    /// The policy of a host whose own threshold for the youngest generation is
    /// `base` and whose nurseries may take `pause` nanoseconds to collect.
    pub fn new(base: usize, pause: u64) -> Self {
        let base = base.max(1);
        Self {
            base,
            nursery: base,
            fitting: LARGEST_NURSERY,
            largest: WORKING_NURSERY.max(base),
            pause: pause.max(1),
            strict: false,
            clean: 0,
            skipped: 0,
            middle: 0,
            unseen: 0,
            middle_limit: WORKING_MIDDLE,
            suspect: false,
            share: STOCK_SHARE,
            examine_at: STOCK_SHARE,
            mistrust: 0,
            brought_forward: false,
            made: 0,
            since: 0,
            bytes: None,
            bytes_seen: None,
            next_look: base,
            reason: Reason::Nursery,
        }
    }

    /// From now on collecting a nursery may take `pause` nanoseconds, and, if
    /// `strict`, no longer collecting the middle generation.
    pub fn set_pause(&mut self, pause: u64, strict: bool) {
        (self.pause, self.strict) = (pause.max(1), strict);
        let fitting = usize::try_from(self.pause / ASSUMED_NANOSECONDS).unwrap_or(usize::MAX);
        self.fitting = fitting.clamp(self.base, LARGEST_NURSERY.max(self.base));
        self.nursery = self.nursery.min(self.fitting);
    }

    /// Objects that the middle generation may have when it is collected.
    fn room(&self) -> usize {
        if self.strict {
            (self.fitting / 2).max(self.base)
        } else {
            usize::MAX
        }
    }

    /// The count above which the host should ask again.
    pub fn next_look(&self) -> usize {
        self.next_look
    }

    /// Why the last [`look`](Self::look) did not end with [`Step::Wait`].
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Objects that the nursery may hold now.
    pub fn nursery(&self) -> usize {
        self.nursery
    }

    /// The host has come to look: what now?
    pub fn look(&mut self, reading: Reading, generations: &Generations) -> Step {
        let full = reading.count > self.nursery;
        let old = reading.now.saturating_sub(self.since) >= LONGEST_WAIT;
        if !full && !old && !self.has_grown(&reading) {
            return Step::Wait;
        }
        self.reason = match (full, old) {
            (true, _) => Reason::Nursery,
            (false, true) => Reason::Age,
            (false, false) => Reason::Growth,
        };
        self.made += reading.count;
        let (total, pending) = generations.long_lived();
        // As many are made at the least as CPython's thresholds amount to. How many of
        // them are still there is no matter: what grew old while it was being built,
        // and died then, is all that a program with small structures leaves.
        let is_time = self.made > self.base * 11 * 11;
        if is_time && pending as f64 > total as f64 * self.share {
            self.reason = Reason::Share;
            return Step::Collect(OLDEST);
        }
        if is_time && self.share > STOCK_SHARE && pending as f64 > total as f64 * self.examine_at {
            return Step::Examine;
        }
        self.younger(reading, generations)
    }

    /// A look that [`Step::Examine`] wanted says that the part `lost` of the old objects
    /// seems to have been let go, or, with `None`, that it cannot tell. `reading` is the
    /// one that led to it, but for the time.
    pub fn examined(
        &mut self,
        lost: Option<f64>,
        reading: Reading,
        generations: &Generations,
    ) -> Step {
        self.examine_at += STOCK_SHARE;
        if lost.is_some_and(|lost| lost >= WORTH_WHILE) {
            self.brought_forward = true;
            self.reason = Reason::Share;
            return Step::Collect(OLDEST);
        }
        self.younger(reading, generations)
    }

    /// What now, as long as no full collection is due?
    fn younger(&mut self, reading: Reading, generations: &Generations) -> Step {
        let old = reading.now.saturating_sub(self.since) >= LONGEST_WAIT;
        let (total, pending) = generations.long_lived();
        if self.suspect {
            self.reason = Reason::Middle;
            return Step::Collect(OLDEST - 1);
        }
        let known = total + pending + self.middle;
        let skipping = self.skips() > 0;
        if skipping && !old {
            let unseen = WORKING_NURSERY.max(known / UNSEEN_PART).min(self.room());
            if self.skipped == 0 && self.middle > unseen / 2 && !self.has_grown_unseen(&reading) {
                return Step::Promote(OLDEST - 1);
            }
            if self.skipped < self.skips()
                && self.unseen + reading.count <= unseen
                && !self.has_grown_unseen(&reading)
            {
                return Step::Promote(0);
            }
        }
        if self.middle > self.middle_limit.min(self.room()) && !skipping {
            self.reason = Reason::Middle;
            return Step::Collect(OLDEST - 1);
        }
        self.largest = WORKING_NURSERY.max(known / NURSERY_PART);
        Step::Collect(0)
    }

    /// Whether the process has grown by all that it may; if not, sets the next look.
    fn has_grown(&mut self, reading: &Reading) -> bool {
        let left_by_count = self.nursery.saturating_sub(reading.count);
        let (Some(then), Some(now)) = (self.bytes, reading.bytes) else {
            // Nothing to see: as if each object had a usual size.
            self.next_look = reading.count + left_by_count.min(LEAST_GROWTH / ASSUMED_BYTES);
            return reading.count > LEAST_GROWTH / ASSUMED_BYTES;
        };
        let allowed = (now / GROWTH_PART).max(LEAST_GROWTH);
        let grown = now.saturating_sub(then);
        if grown >= allowed {
            return true;
        }
        // As the process grew so far, but never to be surprised by more than
        // the same again.
        let each = (grown / reading.count.max(1)).max(1);
        let left_by_bytes = (allowed - grown) / each;
        let step = left_by_bytes.min(reading.count).max(self.base);
        self.next_look = reading.count + left_by_count.min(step);
        false
    }

    /// Whether the process has grown by as much as it may without a nursery's
    /// being collected.
    fn has_grown_unseen(&self, reading: &Reading) -> bool {
        let (Some(then), Some(now)) = (self.bytes_seen, reading.bytes) else {
            return self.unseen + reading.count > LEAST_GROWTH / ASSUMED_BYTES;
        };
        now.saturating_sub(then) >= (now / UNSEEN_PART).max(LEAST_GROWTH)
    }

    /// Nurseries to promote for each one collected, from how long nothing was found.
    fn skips(&self) -> u32 {
        match self.clean.checked_sub(CLEAN_RUN) {
            None => 0,
            Some(more) => ((2u32 << more.min(8)) - 1).min(MOST_SKIPPED),
        }
    }

    /// `generation` and everything younger, of which the youngest had `count`
    /// objects, were moved to the next older one. Returns how many objects
    /// reached the oldest generation, for [`Generations::promoted`].
    pub fn promoted(&mut self, generation: usize, count: usize, reading: Reading) -> usize {
        self.skipped += 1;
        self.middle += count;
        self.unseen += count;
        self.emptied(reading);
        if generation == 0 {
            return 0;
        }
        let promoted = self.middle;
        self.forget_middle();
        promoted
    }

    /// `generation` was collected in `nanoseconds`; `reading` is of afterwards.
    pub fn collected(
        &mut self,
        generation: usize,
        outcome: &Outcome,
        nanoseconds: u64,
        reading: Reading,
    ) {
        let found = (outcome.collected + outcome.uncollectable) as f64;
        let rate = found / (outcome.candidates as f64).max(1.0);
        match generation {
            0 => {
                self.middle += outcome.survivors;
                self.skipped = 0;
                self.adapt(rate, outcome, nanoseconds);
                self.suspect = rate > MUCH && self.unseen > 0;
                if rate > MUCH {
                    self.share = STOCK_SHARE;
                }
            }
            OLDEST => {
                self.made = 0;
                self.ended(outcome);
                self.forget_middle();
            }
            _ => {
                if rate > MUCH {
                    self.share = STOCK_SHARE;
                    self.clean = 0;
                    self.middle_limit = (self.middle_limit / 2).max(WORKING_MIDDLE);
                } else if rate < LITTLE {
                    let most = self.nursery.saturating_mul(MIDDLE_NURSERIES);
                    self.middle_limit = (self.middle_limit * 2).min(most.max(WORKING_MIDDLE));
                }
                self.forget_middle();
            }
        }
        let before = self.bytes;
        self.emptied(reading);
        // What garbage has made the process grow by does not raise the mark that
        // growth is measured from: or garbage could double its room each time.
        if let (Some(before), Some(after)) = (before, reading.bytes) {
            let kept = after.saturating_sub(before) as f64 * (1.0 - rate.clamp(0.0, 1.0));
            self.bytes = Some(before.min(after) + kept as usize);
        }
        self.bytes_seen = self.bytes;
    }

    /// A full collection begins that will be done in parts: all objects count as
    /// old from now on.
    pub fn began(&mut self, reading: Reading) {
        // What is made from now on is what makes the next one due, before this one is
        // over or after.
        self.made = 0;
        self.forget_middle();
        self.emptied(reading);
        self.bytes_seen = self.bytes;
    }

    /// A full collection is over, be it one that was done in parts.
    pub fn ended(&mut self, outcome: &Outcome) {
        let found = (outcome.collected + outcome.uncollectable) as f64;
        let rate = found / (outcome.candidates as f64).max(1.0);
        if rate < LITTLE {
            self.share = (self.share * 2.0).min(LARGEST_SHARE);
        } else if rate > MUCH {
            self.share = STOCK_SHARE;
        }
        self.mistrust = match (std::mem::take(&mut self.brought_forward), rate < LITTLE) {
            (true, true) => (self.mistrust + 1).min(MOST_MISTRUST),
            (true, false) => 0,
            (false, _) => self.mistrust.saturating_sub(1),
        };
        self.examine_at = STOCK_SHARE * f64::from(1 << self.mistrust);
    }

    /// All objects were set aside.
    pub fn frozen(&mut self, reading: Reading) {
        self.forget_middle();
        self.emptied(reading);
    }

    fn forget_middle(&mut self) {
        self.middle = 0;
        self.unseen = 0;
        self.suspect = false;
    }

    /// The nursery that the garbage found in one calls for.
    fn adapt(&mut self, rate: f64, outcome: &Outcome, nanoseconds: u64) {
        if outcome.candidates >= self.base / 2 {
            let each = (nanoseconds / outcome.candidates as u64).max(1);
            let fitting = usize::try_from(self.pause / each).unwrap_or(usize::MAX);
            self.fitting = fitting.clamp(self.base, LARGEST_NURSERY.max(self.base));
        }
        self.clean = if rate < LITTLE { self.clean + 1 } else { 0 };
        let working = WORKING_NURSERY.max(self.base);
        let wanted = if outcome.finalized != 0 {
            self.base
        } else if rate > MUCH {
            (self.nursery / 2).max(working)
        } else if rate < LITTLE {
            self.nursery.saturating_mul(2)
        } else {
            self.nursery
        };
        // Never by leaps, so that one odd nursery changes little.
        let most = self.fitting.min(self.largest.max(self.base));
        self.nursery = wanted.min(self.nursery.saturating_mul(2)).min(most);
    }

    /// The youngest generation is empty.
    fn emptied(&mut self, reading: Reading) {
        self.since = reading.now;
        self.bytes = reading.bytes;
        self.next_look = self.nursery.min(self.base * FIRST_LOOK);
    }
}
