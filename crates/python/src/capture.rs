//! The capture file of a run: written from time to time while the program runs.
//!
//! Who calls is the program itself, at moments when it holds the GIL and no
//! lock of ours is taken: after a block was recorded ([`spent`]), and after a
//! collection ([`pause`]). So there is no thread that the program could
//! notice, and the file is never further behind than [`STEP`] bytes of
//! allocations or one interval. An interval is long enough that taking samples
//! costs at most about a hundredth of the time, and grows with the run, so that
//! the file does not grow with it much further.
//!
//! A sample is also due when clearly more is alive than ever at a sample, unless
//! samples have taken too much of the time already: what was live at the peak is
//! then known to within a sixty-fourth and [`STEP`].

mod file;
mod signals;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use wrasse_capture::{Ending, Meta, Moment, Pause, Writer};
use wrasse_collector::Outcome;
use wrasse_tracer::{TracebackId, View};

use crate::doctor::{growth, looks};
use crate::process::{self, Errno};
use crate::{boot, hooks, run};
use file::OutputFile;

/// Bytes allocated between two looks at the clock.
pub const STEP: u64 = 256 << 10;
/// The shortest time between two samples, unless there is a new peak.
const SHORTEST: Duration = Duration::from_millis(20);
/// Samples in the time that the run has taken so far, at most.
const SAMPLES_A_RUN: u32 = 1000;
/// The time between two samples as a multiple of what one costs.
const COST: u32 = 100;
/// The part of the run's time that all samples together may take for one of a
/// new peak to be taken at once.
const PEAK_COST: u32 = 10;
/// And what they may take besides, so that short runs have their peaks too.
const PEAK_CREDIT: Duration = Duration::from_millis(50);
/// By which part more must be alive than ever at a sample.
const PEAK_GROWTH: u64 = 64;
/// The time between two times that what each thread has allocated is written down.
const THREADS: Duration = Duration::from_secs(1);
/// Pauses kept until the next sample; what is more is not in the file.
const MOST_PAUSES: usize = 1 << 14;

/// Bytes that may be allocated until the next look at the clock. Threads may
/// lose each other's subtractions: then the look comes a little later.
static BUDGET: AtomicI64 = AtomicI64::new(i64::MAX);
/// What it was when it was set.
static GRANTED: AtomicI64 = AtomicI64::new(i64::MAX);
static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
/// Whether there is one, readable without the lock.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

struct Running {
    file: OutputFile,
    writer: Writer,
    process: u32,
    begun: Instant,
    /// When the last sample was done, and what it cost of the processor's time.
    last: Duration,
    cost: Duration,
    /// When the threads were written down.
    threads: Option<Duration>,
    /// What all samples have cost.
    total_cost: Duration,
    /// The most bytes that were alive at a sample.
    highest: u64,
    pauses: Vec<Pause>,
    /// What was live at the end is in the file: what goes while the interpreter
    /// is taken down does not show.
    is_last_taken: bool,
}

/// Does this process write a capture?
pub fn is_on() -> bool {
    IS_RUNNING.load(Ordering::Relaxed)
}

/// So many bytes were allocated, by a thread that holds a GIL and no lock of ours.
#[inline]
pub fn spent(size: usize) {
    if spend(size) {
        look();
    }
}

/// As [`spent`], where the caller will [`look`] if the answer is yes.
#[inline(always)]
pub fn spend(size: usize) -> bool {
    // No program allocates what it would take to come round.
    let left = BUDGET.load(Ordering::Relaxed).wrapping_sub(size as i64);
    BUDGET.store(left, Ordering::Relaxed);
    left < 0
}

/// Takes a sample if one is due, as [`spent`] does.
#[cold]
#[inline(never)]
pub fn look() {
    let _errno = Errno::keep();
    let used = GRANTED
        .load(Ordering::Relaxed)
        .saturating_sub(BUDGET.load(Ordering::Relaxed));
    growth::tick(used.max(0) as u64);
    let step = looks::due().min(growth_step());
    if !is_on() {
        grant(step);
        return;
    }
    grant(step.min(STEP as i64));
    with_running(|running| running.sample_if_due());
}

fn grant(bytes: i64) {
    GRANTED.store(bytes, Ordering::Relaxed);
    BUDGET.store(bytes, Ordering::Relaxed);
}

/// The next look comes after `bytes` more at the latest.
pub fn look_after(bytes: u64) {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let left = BUDGET.load(Ordering::Relaxed);
    if bytes < left {
        GRANTED.fetch_sub(left - bytes, Ordering::Relaxed);
        BUDGET.store(bytes, Ordering::Relaxed);
    }
}

/// Bytes until [`growth`] wants to be asked again.
fn growth_step() -> i64 {
    if growth::is_on() {
        STEP as i64
    } else {
        i64::MAX
    }
}

/// A collection of `generation` is over that took `seconds`.
pub fn pause(generation: usize, outcome: &Outcome, seconds: f64) {
    if !is_on() {
        return;
    }
    with_running(|running| {
        let duration = Duration::from_secs_f64(seconds.max(0.0));
        let start = running.begun.elapsed().saturating_sub(duration);
        if running.pauses.len() < MOST_PAUSES && running.pauses.try_reserve(1).is_ok() {
            running.pauses.push(Pause {
                start: nanoseconds(start),
                duration: nanoseconds(duration),
                generation: generation as u8,
                collected: outcome.collected as u64,
                uncollectable: outcome.uncollectable as u64,
            });
        }
        running.sample_if_due()
    });
}

/// Begin to write a capture to `path`. What is there is replaced.
///
/// # Errors
/// One line that says why there will be no capture.
pub fn begin(path: &Path, frames: u16) -> Result<(), String> {
    let mut file = OutputFile::create(path)?;
    let meta = meta(since_1970(), frames);
    let mut writer = Writer::new(&meta).map_err(|e| e.to_string())?;
    file.append(writer.pending())?;
    writer.written();
    let begun = Instant::now();
    signals::watch(&file, begun);
    let Ok(mut running) = RUNNING.lock() else {
        return Err("an earlier capture was given up".into());
    };
    *running = Some(Running {
        file,
        writer,
        process: std::process::id(),
        begun,
        last: Duration::ZERO,
        cost: Duration::ZERO,
        threads: None,
        total_cost: Duration::ZERO,
        highest: 0,
        pauses: Vec::new(),
        is_last_taken: false,
    });
    IS_RUNNING.store(true, Ordering::Relaxed);
    grant(STEP as i64);
    Ok(())
}

/// The last sample: what is live now is what was live at the end.
pub fn take_last_sample() {
    if is_on() {
        with_running(|running| {
            running.is_last_taken = true;
            running.sample()
        });
        grant(i64::MAX);
    }
}

/// Adds what else is known of the process: `json`, under a name that readers look
/// for (`docs/capture.md` has them). False if no capture is written here, or it
/// had to be given up. The caller holds a GIL and no lock of ours.
pub fn section(name: &str, json: &[u8]) -> bool {
    if !is_on() {
        return false;
    }
    let mut is_written = false;
    with_running(|running| {
        let added = running.writer.section(name, json);
        added.map_err(|error| error.to_string())?;
        running.flush()?;
        is_written = true;
        Ok(())
    });
    is_written
}

/// The numbers by which the capture of this process knows tracebacks; none of those
/// that are not in it yet. The caller holds a GIL and no lock of ours.
pub fn numbers_of(tracebacks: &[TracebackId]) -> Vec<Option<u32>> {
    let mut numbers = Vec::new();
    with_running(|running| {
        if let Some(state) = hooks::state().as_ref() {
            let number = |id: &TracebackId| running.writer.number_of(&state.tracer, *id);
            numbers = tracebacks.iter().map(number).collect();
        }
        Ok(())
    });
    numbers.resize(tracebacks.len(), None);
    numbers
}

/// The end of the process, which nothing follows.
pub fn finish() {
    if !is_on() {
        return;
    }
    with_running(|running| {
        let time = nanoseconds(running.begun.elapsed());
        let writer = &mut running.writer;
        let added = writer
            .pauses(&std::mem::take(&mut running.pauses))
            .and_then(|()| writer.end(time, Ending::Finished));
        added.map_err(|error| error.to_string())?;
        running.flush()
    });
    stop();
}

fn stop() {
    IS_RUNNING.store(false, Ordering::Relaxed);
    grant(looks::step().min(growth_step()));
    signals::forget();
}

/// Calls `act` with the capture, unless another thread is at it. A capture that
/// cannot go on is given up, which is said once. `errno` stays as it was: whoever
/// allocates, or lets the collector run, does not expect it to change.
fn with_running(act: impl FnOnce(&mut Running) -> Result<(), String>) {
    let _errno = Errno::keep();
    let mut guard: MutexGuard<'_, Option<Running>> = match RUNNING.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::WouldBlock) => return,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
    };
    let Some(running) = guard.as_mut() else {
        return;
    };
    if running.process != std::process::id() {
        // A forked child: the file is its parent's.
        IS_RUNNING.store(false, Ordering::Relaxed);
        grant(i64::MAX);
        return;
    }
    if let Err(reason) = act(running) {
        boot::say(&format!("the capture ends early: {reason}"));
        *guard = None;
        stop();
    }
}

impl Running {
    fn sample_if_due(&mut self) -> Result<(), String> {
        if self.is_last_taken {
            return Ok(());
        }
        let now = self.begun.elapsed();
        let since = now.saturating_sub(self.last);
        let interval = SHORTEST
            .max(now / SAMPLES_A_RUN)
            .max(self.cost.saturating_mul(COST));
        if since >= interval {
            return self.sample();
        }
        if self.total_cost + self.cost > PEAK_CREDIT + now / PEAK_COST {
            return Ok(());
        }
        let counters = hooks::reading()
            .as_ref()
            .map(|state| state.tracer.counters(View::Profile));
        let live = counters.unwrap_or_default().current() as u64;
        if live > self.highest + self.highest / PEAK_GROWTH + STEP {
            return self.sample();
        }
        Ok(())
    }

    fn sample(&mut self) -> Result<(), String> {
        let begun = self.begun.elapsed();
        let busy = process::thread_time();
        let moment = Moment {
            time: nanoseconds(begun),
            resident_bytes: process::resident_bytes().unwrap_or(0) as u64,
        };
        if let Some(state) = hooks::reading().as_ref() {
            let live = state.tracer.counters(View::Profile).current() as u64;
            self.highest = self.highest.max(live);
            let sampled = self.writer.sample(&state.tracer, View::Profile, moment);
            sampled.map_err(|error| error.to_string())?;
            if self.is_last_taken {
                let written = self.writer.peak(&state.tracer, View::Profile);
                written.map_err(|error| error.to_string())?;
            }
            let is_due = |last: Duration| begun.saturating_sub(last) >= THREADS;
            if self.is_last_taken || self.threads.is_none_or(is_due) {
                let threads = state.tracer.threads(View::Profile);
                let written = threads.and_then(|threads| self.writer.threads(&threads));
                written.map_err(|error| error.to_string())?;
                self.threads = Some(begun);
            }
        }
        self.writer
            .pauses(&self.pauses)
            .map_err(|error| error.to_string())?;
        self.pauses.clear();
        self.flush()?;
        self.last = self.begun.elapsed();
        self.cost = process::thread_time().saturating_sub(busy);
        self.total_cost += self.cost;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        signals::while_writing(|| self.file.append(self.writer.pending()))?;
        self.writer.written();
        Ok(())
    }
}

/// The time of day.
pub fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

/// What a capture of this process, begun now, says of it.
pub fn meta(since_1970: Duration, frames: u16) -> Meta {
    Meta {
        arguments: command_line(),
        host: format!("CPython {}", run::python_version()),
        wrasse: env!("CARGO_PKG_VERSION").into(),
        process: std::process::id(),
        started: nanoseconds(since_1970),
        frames,
        counts_allocations: true,
    }
}

/// A time as captures have it.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The process's command line, the interpreter included.
fn command_line() -> Vec<String> {
    let all = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let all = all.strip_suffix(b"\0").unwrap_or(&all);
    let parts = all.split(|byte| *byte == 0);
    parts
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}
