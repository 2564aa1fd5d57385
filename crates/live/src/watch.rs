//! Follows a capture, and says at any moment what it holds.

use std::collections::VecDeque;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use wrasse_capture::{Ending, Follower};
use wrasse_report::printable;

use crate::growing::{Growing, unreadable};
use crate::look::{Line, Look, Order, Pauses};
use crate::process;

/// How far back changes are looked for.
const WINDOW: Duration = Duration::from_secs(5);
/// The time between two moments that are kept for that.
const MARK: Duration = Duration::from_secs(1);
/// The most lines that are named.
const LINES: usize = 500;
/// Pauses that are named.
const LAST_PAUSES: usize = 50;
/// How long a file may be empty at first: whoever writes it has just made it.
const BEGINNING: Duration = Duration::from_secs(2);
/// A file not written to for so long, of a process that is not here, has ended.
const SILENCE: Duration = Duration::from_secs(3);

/// What was known a while ago.
struct Mark {
    /// When, on the watch's own clock.
    time: Duration,
    /// Bytes alive, by location; then those without a frame.
    live: Vec<u64>,
    unframed: u64,
    allocated: u64,
}

/// Figures of one line.
#[derive(Clone, Copy, Default)]
struct Sum {
    live: u64,
    blocks: u64,
    temporary: u64,
}

/// A capture that is being followed.
pub struct Watch {
    growing: Growing,
    beginnings: u32,
    is_from_start: bool,
    begun: Instant,
    marks: VecDeque<Mark>,
    /// Durations of all pauses, in the order of length.
    durations: Vec<u64>,
    pauses: Pauses,
    pauses_read: usize,
}

impl Watch {
    /// Follow the file at `path`, which may be there only later. With `is_from_start`
    /// the program begins now, so that all it has is more than before.
    #[must_use]
    pub fn new(path: &Path, is_from_start: bool) -> Self {
        Watch {
            growing: Growing::new(path),
            beginnings: 0,
            is_from_start,
            begun: Instant::now(),
            marks: VecDeque::new(),
            durations: Vec::new(),
            pauses: Pauses::default(),
            pauses_read: 0,
        }
    }

    /// Follow a capture that is there.
    ///
    /// # Errors
    /// One line that says what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, String> {
        std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        let mut watch = Watch::new(path, false);
        loop {
            watch.read()?;
            if watch.follower().is_begun() {
                return Ok(watch);
            }
            let is_old = watch.growing.age().is_none_or(|age| age > BEGINNING);
            if is_old || watch.begun.elapsed() > BEGINNING {
                let error = wrasse_capture::Unreadable::Empty;
                return Err(format!("{}: {error}", path.display()));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn follower(&self) -> &Follower {
        self.growing.follower()
    }

    /// The number of the process that writes; 0 while that is not known.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.follower().meta().process
    }

    /// Read what has come since the last time.
    ///
    /// # Errors
    /// One line that says what is wrong with the file.
    pub fn read(&mut self) -> Result<(), String> {
        self.growing.read()?;
        if self.beginnings != self.growing.beginnings() {
            self.beginnings = self.growing.beginnings();
            self.marks.clear();
            self.durations.clear();
            self.pauses = Pauses::default();
            self.pauses_read = 0;
        }
        Ok(())
    }

    /// How the program ended, as far as the file and the system say: nothing while
    /// it runs.
    #[must_use]
    pub fn ending(&self) -> Option<String> {
        let follower = self.follower();
        if let Some(end) = follower.end() {
            return Some(match end.ending {
                Ending::Finished => "ended".into(),
                Ending::Signal(number) => format!("ended by signal {number}"),
                Ending::Stopped => "the capture has stopped".into(),
            });
        }
        let meta = follower.meta();
        let is_gone = follower.is_begun()
            && self.growing.age().is_none_or(|age| age > SILENCE)
            && !process::is_running(meta.process, meta.started);
        is_gone.then(|| "cut off: killed, or in another container".into())
    }

    /// What is known now. `ended` says how the program ended, if it has: then time
    /// stands still.
    pub fn look(&mut self, order: Order, ended: Option<String>) -> Look {
        let now = self.begun.elapsed();
        self.look_at(now, order, ended)
    }

    fn look_at(&mut self, now: Duration, order: Order, ended: Option<String>) -> Look {
        let (sums, unframed) = self.sums();
        if ended.is_none() || self.marks.is_empty() {
            self.mark(now, &sums, unframed);
        }
        self.read_pauses();
        let follower = self.growing.follower();
        let sample = follower.samples().last().copied().unwrap_or_default();
        let elapsed = elapsed(follower, ended.is_some());
        let base = self.marks.front();
        let window = base.map_or(Duration::ZERO, |base| now.saturating_sub(base.time));
        let counts = follower.meta().counts_allocations;
        let rate = base
            .filter(|_| counts && !window.is_zero() && ended.is_none())
            .map(|base| {
                let more = sample.allocated_bytes.saturating_sub(base.allocated);
                (more as f64 / window.as_secs_f64()) as u64
            });
        let mut threads = follower.threads().to_vec();
        threads.sort_by_key(|thread| std::cmp::Reverse(thread.live.bytes));
        Look {
            title: title(&follower.meta().arguments),
            process: follower.meta().process,
            elapsed,
            behind: elapsed.saturating_sub(sample.time),
            sample,
            rate,
            window: nanoseconds(window.min(WINDOW)),
            limit: follower
                .section("limit")
                .and_then(|content| std::str::from_utf8(content).ok()?.parse().ok()),
            lines: self.lines(&sums, unframed, order),
            pauses: self.pauses.clone(),
            threads,
            samples: follower.samples().to_vec(),
            ended,
        }
    }

    /// What each location has, and what there is without one.
    fn sums(&self) -> (Vec<Sum>, Sum) {
        let follower = self.follower();
        let mut sums = vec![Sum::default(); follower.locations().len()];
        let mut unframed = Sum::default();
        for (traceback, totals) in follower.totals().iter().enumerate() {
            if totals.allocated_blocks == 0 && totals.live_blocks == 0 {
                continue;
            }
            let sum = match follower.line(traceback) {
                Some(location) => &mut sums[location as usize],
                None => &mut unframed,
            };
            sum.live = sum.live.saturating_add(totals.live_bytes);
            sum.blocks = sum.blocks.saturating_add(totals.live_blocks);
            sum.temporary = sum.temporary.saturating_add(totals.temporary_bytes);
        }
        (sums, unframed)
    }

    fn mark(&mut self, now: Duration, sums: &[Sum], unframed: Sum) {
        if self.marks.is_empty() && self.is_from_start {
            self.marks.push_back(Mark {
                time: Duration::ZERO,
                live: Vec::new(),
                unframed: 0,
                allocated: 0,
            });
        }
        let is_due = |last: &Mark| now.saturating_sub(last.time) >= MARK;
        if self.marks.back().is_none_or(is_due) {
            let sample = self.follower().samples().last();
            let allocated = sample.map_or(0, |sample| sample.allocated_bytes);
            self.marks.push_back(Mark {
                time: now,
                live: sums.iter().map(|sum| sum.live).collect(),
                unframed: unframed.live,
                allocated,
            });
        }
        // The first is the youngest that is old enough, if there is one.
        while self
            .marks
            .get(1)
            .is_some_and(|second| second.time + WINDOW <= now)
        {
            self.marks.pop_front();
        }
    }

    fn lines(&self, sums: &[Sum], unframed: Sum, order: Order) -> Vec<Line> {
        let base = self.marks.front();
        let before = |place: usize| {
            let live = base.and_then(|mark| mark.live.get(place));
            live.copied().unwrap_or(0)
        };
        let change = |now: u64, before: u64| now.wrapping_sub(before) as i64;
        let mut all: Vec<(Option<usize>, Sum, i64)> = sums
            .iter()
            .enumerate()
            .map(|(place, sum)| (Some(place), *sum, change(sum.live, before(place))))
            .chain([(
                None,
                unframed,
                change(unframed.live, base.map_or(0, |mark| mark.unframed)),
            )])
            .filter(|(_, sum, change)| sum.live > 0 || sum.temporary > 0 || *change != 0)
            .collect();
        // Of lines that are alike the larger, then the earlier one, comes first: a table
        // that is looked at must not dance.
        all.sort_by_key(|(place, sum, change)| {
            let first = match order {
                Order::Live => i128::from(sum.live),
                Order::Change => i128::from(*change),
                Order::Temporary => i128::from(sum.temporary),
            };
            (-first, std::cmp::Reverse(sum.live), *place)
        });
        let follower = self.follower();
        let line = |(place, sum, change): (Option<usize>, Sum, i64)| {
            let location = place.map(|place| follower.locations()[place]);
            let file = location.map_or_else(String::new, |location| {
                printable(&String::from_utf8_lossy(follower.string(location.file)))
            });
            Line {
                file,
                line: location.map_or(0, |location| location.line),
                live: sum.live,
                blocks: sum.blocks,
                change,
                temporary: sum.temporary,
            }
        };
        all.into_iter().take(LINES).map(line).collect()
    }

    fn read_pauses(&mut self) {
        let all = self.growing.follower().pauses();
        let new = &all[self.pauses_read.min(all.len())..];
        if new.is_empty() {
            return;
        }
        for pause in new {
            let pauses = &mut self.pauses;
            pauses.count += 1;
            pauses.total = pauses.total.saturating_add(pause.duration);
            pauses.longest = pauses.longest.max(pause.duration);
            pauses.collected = pauses.collected.saturating_add(pause.collected);
            if let Some(count) = pauses.generations.get_mut(usize::from(pause.generation)) {
                *count += 1;
            }
            self.durations.push(pause.duration);
        }
        self.pauses_read = all.len();
        // Unlike an unstable sort this finds what was in order before: linear but for
        // the new ones.
        self.durations.sort();
        // The smallest that so many of a hundred are not above.
        let part = |hundredths: usize| {
            let place = (self.durations.len() * hundredths).div_ceil(100);
            self.durations[place.saturating_sub(1)]
        };
        (self.pauses.median, self.pauses.most) = (part(50), part(99));
        self.pauses.last = all.iter().rev().take(LAST_PAUSES).copied().collect();
    }
}

/// How long the program has been running, in nanoseconds.
fn elapsed(follower: &Follower, has_ended: bool) -> u64 {
    let last = follower.samples().last().map_or(0, |sample| sample.time);
    if let Some(end) = follower.end() {
        return end.time.max(last);
    }
    if has_ended || !follower.is_begun() {
        return last;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = nanoseconds(now.unwrap_or_default());
    now.saturating_sub(follower.meta().started).max(last)
}

/// The command line, without the interpreter.
fn title(arguments: &[String]) -> String {
    let shown = match arguments.get(1..) {
        Some(rest) if !rest.is_empty() => rest.join(" "),
        _ => arguments.join(" "),
    };
    printable(&shown)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
