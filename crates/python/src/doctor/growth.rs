//! What grows while the program runs: the profile's totals by traceback, looked
//! at again and again.
//!
//! A look is taken after so many bytes of allocations, wherever the program
//! stands: time would make small programs come out differently each time. When
//! there are as many looks as are kept, each second one is dropped and the
//! distance doubled. All looks together take a small part of the program's time.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use wrasse_doctor::Observations;
use wrasse_doctor::observations::{GrowthPoint, Line, LineGrowth};
use wrasse_tracer::{Amount, TracebackId, View};

use super::budget::{self, Kind};
use super::lines;
use crate::{capture, hooks, process};

/// Looks kept, at most; even.
const MOST_LOOKS: usize = 64;
/// Tracebacks with less than this are left out of a look.
const LEAST_BYTES: u64 = 1 << 10;
/// Lines of which is told, at most, and what they must have grown by.
const MOST_LINES: usize = 20;
const LEAST_GROWTH: u64 = 16 << 10;

static IS_ON: AtomicBool = AtomicBool::new(false);
static LOOKS: Mutex<Option<Looks>> = Mutex::new(None);

struct Looks {
    process: u32,
    begun: Instant,
    begun_cpu: f64,
    taken: Vec<Look>,
    /// Bytes allocated between two looks, and since the last.
    distance: u64,
    since: u64,
    live: Vec<Amount>,
}

#[derive(Default)]
struct Look {
    point: GrowthPoint,
    /// Traceback, bytes and blocks, in ascending order of the first.
    live: Vec<(u32, u64, u64)>,
}

fn looks() -> MutexGuard<'static, Option<Looks>> {
    LOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on.
pub fn begin(begun: Instant) {
    *looks() = Some(Looks {
        process: std::process::id(),
        begun,
        begun_cpu: process::cpu_time().as_secs_f64(),
        taken: Vec::new(),
        distance: capture::STEP,
        since: 0,
        live: Vec::new(),
    });
    IS_ON.store(true, Ordering::Relaxed);
}

/// Is anybody looking?
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// `bytes` more have been allocated. The caller holds the GIL and no lock of
/// ours; nothing of Python is called.
pub fn tick(bytes: u64) {
    if !is_on() {
        return;
    }
    // Another interpreter may be looking, or may have been when this process was
    // forked from it.
    if let Ok(mut looks) = LOOKS.try_lock()
        && let Some(looks) = looks.as_mut()
        && looks.process == std::process::id()
    {
        looks.tick(bytes);
    }
}

impl Looks {
    fn tick(&mut self, bytes: u64) {
        self.since += bytes;
        if self.since < self.distance {
            return;
        }
        self.since = 0;
        let begin = process::thread_time();
        if budget::left(Kind::Growth).is_zero() {
            return;
        }
        self.look();
        if self.taken.len() >= MOST_LOOKS {
            let mut number = 0;
            self.taken.retain(|_| {
                number += 1;
                number % 2 == 0
            });
            self.distance *= 2;
        }
        budget::pay(Kind::Growth, process::thread_time().saturating_sub(begin));
    }

    fn look(&mut self) {
        let state = hooks::reading();
        let Some(state) = state.as_ref() else { return };
        if state.tracer.live(View::Profile, &mut self.live).is_err() {
            return;
        }
        let mut look = Look::default();
        look.point.seconds = self.begun.elapsed().as_secs_f64();
        look.point.cpu_seconds = super::own_time().as_secs_f64();
        look.point.bytes = state.tracer.counters(View::Profile).current() as u64;
        for (number, live) in self.live.iter().enumerate() {
            if live.bytes >= LEAST_BYTES && look.live.try_reserve(1).is_ok() {
                look.live.push((number as u32, live.bytes, live.blocks));
            }
        }
        self.taken.push(look);
    }
}

/// What all looks have seen, by traceback.
#[derive(Default)]
pub struct Seen {
    /// The tracebacks behind each of the lines that grew most.
    pub behind: Vec<Vec<TracebackId>>,
    taken: Vec<Look>,
}

impl Seen {
    /// A traceback's bytes at each look.
    pub fn series(&self, traceback: TracebackId) -> Vec<u64> {
        let looks = self.taken.iter();
        looks.map(|look| look.of(traceback.0).0).collect()
    }

    /// The same with the blocks.
    pub fn course(&self, traceback: TracebackId) -> Vec<(u64, u64)> {
        let looks = self.taken.iter();
        looks.map(|look| look.of(traceback.0)).collect()
    }

    /// The most that these had together at any look.
    pub fn most(&self, tracebacks: &[TracebackId]) -> u64 {
        let sum = |look: &Look| tracebacks.iter().map(|each| look.of(each.0).0).sum();
        self.taken.iter().map(sum).max().unwrap_or(0)
    }

    /// All that were alive at any look, each once.
    pub fn tracebacks(&self) -> Vec<TracebackId> {
        let looks = self.taken.iter();
        let all: BTreeSet<u32> = looks
            .flat_map(|look| look.live.iter().map(|each| each.0))
            .collect();
        all.into_iter().map(TracebackId).collect()
    }
}

impl Look {
    /// A traceback's bytes and blocks.
    fn of(&self, traceback: u32) -> (u64, u64) {
        let place = self.live.binary_search_by_key(&traceback, |each| each.0);
        place.map_or((0, 0), |place| (self.live[place].1, self.live[place].2))
    }
}

/// The last look, when the process had used `cpu_seconds`. What grew most goes into
/// `observations`.
pub fn finish(observations: &mut Observations, cpu_seconds: f64) -> Seen {
    IS_ON.store(false, Ordering::Relaxed);
    let Some(mut looks) = looks().take() else {
        return Seen::default();
    };
    looks.look();
    let mut taken = looks.taken;
    if let Some(last) = taken.last_mut() {
        // What the doctor did since is not the program's.
        last.point.cpu_seconds = cpu_seconds;
    }
    // Before the program began, nothing was its own.
    let mut first = Look::default();
    first.point.cpu_seconds = looks.begun_cpu;
    taken.insert(0, first);
    let Some(last) = taken.last() else {
        return Seen::default();
    };
    // Of all the ways to a line the growth is summed up.
    let mut grown: Vec<(LineGrowth, Vec<(u64, TracebackId)>)> = Vec::new();
    let mut places: HashMap<Option<Line>, usize> = HashMap::new();
    for &(traceback, bytes, _) in &last.live {
        let frames = lines::of_traceback(TracebackId(traceback));
        let own = observations.own_line(&frames).cloned();
        let index = *places.entry(own).or_insert(grown.len());
        if index == grown.len() {
            let growth = LineGrowth {
                bytes: vec![0; taken.len()],
                blocks: vec![0; taken.len()],
                ..LineGrowth::default()
            };
            grown.push((growth, Vec::new()));
        }
        let (growth, tracebacks) = &mut grown[index];
        for (number, look) in taken.iter().enumerate() {
            let (bytes, blocks) = look.of(traceback);
            growth.bytes[number] += bytes;
            growth.blocks[number] += blocks;
        }
        if tracebacks.iter().all(|(most, _)| *most < bytes) {
            growth.frames = frames;
            growth.functions = lines::functions_of(TracebackId(traceback));
        }
        tracebacks.push((bytes, TracebackId(traceback)));
    }
    let increase = |growth: &LineGrowth| growth.bytes.last().copied().unwrap_or(0);
    grown.retain(|(growth, _)| increase(growth) >= LEAST_GROWTH);
    grown.sort_by_key(|(growth, _)| std::cmp::Reverse(increase(growth)));
    grown.truncate(MOST_LINES);
    observations.growth.looks = taken.iter().map(|look| look.point).collect();
    let mut behind = Vec::new();
    for (growth, tracebacks) in grown {
        observations.growth.lines.push(growth);
        behind.push(tracebacks.into_iter().map(|(_, id)| id).collect());
    }
    Seen { behind, taken }
}
