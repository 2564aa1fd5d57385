//! Each collection, as the doctor sees it: what it found and what it cost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3_ffi::*;
use wrasse_collector::{OLDEST, Outcome, Reason};
use wrasse_doctor::Observations;
use wrasse_doctor::observations::{CollectedAt, Collector, Pause};

use super::garbage::Watch;
use crate::interpreter;

/// Seconds from which on it is noted where the program stood.
const LONG: f64 = 0.001;
/// Places of collections that are told apart.
const PLACES: usize = 100;

/// Whether collections are watched, readable without the lock.
static IS_ON: AtomicBool = AtomicBool::new(false);
static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

struct Seen {
    begun: Instant,
    watch: Watch,
    /// When each generation was last looked through.
    last: [Option<Instant>; 3],
    generation: usize,
    /// What looking at the collection at hand has taken.
    here: Duration,
    collector: Collector,
    /// The program is over: what is collected now is not counted.
    is_over: bool,
}

fn seen() -> MutexGuard<'static, Option<Seen>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on collections are watched; `places` knows which files are libraries.
pub fn begin(begun: Instant, places: Observations) {
    let mut watch = Watch::default();
    watch.shapes.places = places;
    *seen() = Some(Seen {
        begun,
        watch,
        last: [None; 3],
        generation: 0,
        here: Duration::ZERO,
        collector: Collector::default(),
        is_over: false,
    });
    IS_ON.store(true, Ordering::Relaxed);
}

/// A collection begins.
#[inline]
pub fn begin_collection(generation: usize) {
    if IS_ON.load(Ordering::Relaxed)
        && let Some(seen) = seen().as_mut()
    {
        (seen.generation, seen.here) = (generation, Duration::ZERO);
    }
}

/// A collection has found a set of objects unreachable. Nothing foreign runs here.
#[inline]
pub fn found(each: impl Fn(&mut dyn FnMut(*mut PyObject)), is_final: bool) {
    if IS_ON.load(Ordering::Relaxed) {
        look(each, is_final);
    }
}

#[cold]
fn look(each: impl Fn(&mut dyn FnMut(*mut PyObject)), is_final: bool) {
    // Another interpreter's collection, or a child's while this was locked.
    let Ok(mut seen) = SEEN.try_lock() else {
        return;
    };
    let Some(seen) = seen.as_mut() else { return };
    let waited = seen.last[seen.generation].map(|last| last.elapsed().as_secs_f64());
    // SAFETY: called by the collector, which holds the GIL and has just found these.
    let spent = unsafe { seen.watch.look(each, is_final, waited) };
    seen.here += spent;
}

/// A collection is over that took `cpu` of this thread's time.
#[inline]
pub fn end_collection(generation: usize, outcome: &Outcome, cpu: Duration, asked: bool) {
    if IS_ON.load(Ordering::Relaxed)
        && let Some(seen) = seen().as_mut()
    {
        seen.count(generation, outcome, cpu, asked);
    }
}

impl Seen {
    fn count(&mut self, generation: usize, outcome: &Outcome, cpu: Duration, asked: bool) {
        let now = Instant::now();
        self.last[..=generation].fill(Some(now));
        if self.is_over {
            return;
        }
        let seconds = cpu.saturating_sub(self.here).as_secs_f64();
        let collector = &mut self.collector;
        collector.collections[generation] += 1;
        collector.collected[generation] += outcome.collected as u64;
        collector.seconds[generation] += seconds;
        let is_idle = generation == OLDEST && outcome.collected + outcome.uncollectable == 0;
        if is_idle {
            collector.idle_full += 1;
            collector.idle_full_seconds += seconds;
            let objects = &mut collector.idle_full_objects;
            *objects = (*objects).max(outcome.candidates as u64);
        }
        if asked || seconds >= LONG {
            let frames = super::lines::of_this_thread();
            let known = collector
                .places
                .iter()
                .position(|place| place.asked == asked && place.frames == frames);
            let index = known.unwrap_or(collector.places.len());
            if known.is_none() && index < PLACES {
                collector.places.push(CollectedAt {
                    frames,
                    asked,
                    ..CollectedAt::default()
                });
            }
            if let Some(place) = collector.places.get_mut(index) {
                place.count += 1;
                place.seconds += seconds;
                if is_idle {
                    place.idle_full += 1;
                    place.idle_full_seconds += seconds;
                }
            }
        }
        let longest = collector
            .longest
            .as_ref()
            .map_or(0.0, |pause| pause.seconds);
        if seconds > longest {
            let end = now.duration_since(self.begun).as_secs_f64();
            collector.longest = Some(Pause {
                start: (end - seconds).max(0.0),
                seconds,
                generation: generation as u32,
                candidates: outcome.candidates as u64,
                collected: outcome.collected as u64,
                frames: super::lines::of_this_thread(),
            });
        }
    }
}

/// The process ends at once: garbage stays as it is, and its finalizers do not run.
pub fn skip_garbage() {
    if let Some(seen) = seen().as_mut() {
        seen.is_over = true;
    }
}

/// The program's last code has run: what lies about is found now, while the
/// interpreter is whole. It would be, a moment later, by CPython itself.
pub fn collect_the_rest() {
    match seen().as_mut() {
        Some(seen) if !seen.is_over => {
            seen.is_over = true;
            seen.watch.end();
        }
        _ => return,
    }
    // SAFETY: called at exit, with the GIL.
    unsafe {
        let Some(interpreter) = interpreter::current() else {
            return;
        };
        let state = interpreter.state;
        if let Some(seen) = seen().as_mut()
            && !interpreter.adaptation.is_on()
        {
            let thresholds = std::array::from_fn(|generation| {
                u32::try_from((*state).generations[generation].threshold).unwrap_or(0)
            });
            seen.collector.thresholds = Some(thresholds);
        }
        if (*state).collecting == 0 && PyErr_Occurred().is_null() {
            (*state).collecting = 1;
            interpreter.reason.set(Reason::Asked);
            interpreter.collect(OLDEST);
            (*state).collecting = 0;
        }
    }
}

/// Nothing is watched any more; what was seen goes into `observations`.
pub fn finish(observations: &mut Observations) {
    IS_ON.store(false, Ordering::Relaxed);
    let Some(mut seen) = seen().take() else {
        return;
    };
    seen.watch.end();
    observations.collector = seen.collector;
    observations.cycles = seen.watch.shapes.finish();
    // The collector's time is shared out by bytes.
    let freeing: f64 = observations.collector.seconds.iter().sum();
    let all: u64 = observations.cycles.iter().map(|each| each.objects).sum();
    for cycles in &mut observations.cycles {
        cycles.seconds = freeing * cycles.objects as f64 / all.max(1) as f64;
    }
}

/// The program sets thresholds.
pub fn set_threshold() {
    if IS_ON.load(Ordering::Relaxed)
        && let Some(seen) = seen().as_mut()
    {
        seen.collector.thresholds_set_at = super::lines::of_this_thread();
    }
}
