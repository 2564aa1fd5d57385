//! What is recorded, and the one lock it is behind.
//!
//! # Re-entrancy
//! Recording allocates, and so do unwinding and symbolising. Each thread has a
//! [`Mode`] that says what it is at: outside, everything is recorded; while it is
//! [`Quiet`], what it allocates is not, but what it frees is noticed (it may be
//! older); while it holds the lock, nothing is looked at, since only the tracer's
//! own tables come and go then. The mode is a thread-local without a destructor:
//! it can be asked at any time of a thread's life.
//!
//! # Order of locks
//! Nothing foreign runs under the lock: stacks are walked before it is taken and
//! symbols are looked up after it is given back, because the loader and the
//! symboliser have locks of their own, under which they allocate.
//!
//! # Forks
//! A child has only the thread that forked. So the lock is held across a fork,
//! and both sides find the tables whole.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use wrasse_tracer::{
    Exhausted, LocationId, Released, Snapshot, TracebackBuilder, TracebackId, Tracer, View,
};

use super::Frame;
use super::resolve::Resolved;
use super::unwind::{self, Stack};

/// The domain of [`Gc`](crate::Gc) objects; that of all other blocks is 0.
pub const GC_DOMAIN: u32 = 1;

/// The most frames a traceback can have.
pub const MAX_FRAMES: usize = u16::MAX as usize;

static TRACING: AtomicBool = AtomicBool::new(false);
/// The frames that tracebacks are to have.
static LIMIT: AtomicUsize = AtomicUsize::new(1);
static STATE: Mutex<Option<Box<State>>> = Mutex::new(None);

/// What a thread is at, as far as its allocations are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// The program: everything is recorded.
    Program,
    /// Work for the tracer, or bookkeeping of the heap: only releases count.
    Quiet,
    /// The lock is held.
    Locked,
}

thread_local!(static MODE: Cell<Mode> = const { Cell::new(Mode::Program) });

/// While it lives, what the thread allocates is not recorded.
pub struct Quiet(Mode);

impl Quiet {
    /// Begins.
    pub fn begin() -> Self {
        Self::enter(Mode::Quiet)
    }

    fn enter(mode: Mode) -> Self {
        let before = MODE.get();
        debug_assert!(before != Mode::Locked, "code that runs under the lock");
        MODE.set(mode);
        Self(before)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        MODE.set(self.0);
    }
}

/// What is known while tracing.
struct State {
    tracer: Tracer,
    builder: TracebackBuilder,
    places: HashMap<usize, LocationId, IpHasher>,
    /// What was symbolised before.
    resolved: HashMap<usize, Resolved>,
}

type IpHasher = std::hash::BuildHasherDefault<Multiply>;

/// Code addresses need no stronger hash, and each allocation looks up several.
#[derive(Default)]
struct Multiply(u64);

impl std::hash::Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(byte.into());
        }
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        let product = (self.0 ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

impl State {
    fn new() -> Self {
        Self {
            tracer: Tracer::default(),
            builder: TracebackBuilder::default(),
            places: HashMap::default(),
            resolved: HashMap::new(),
        }
    }

    /// The number of a code address.
    ///
    /// The tracer knows files and lines, which are not known yet: the upper half
    /// of the address stands for the file and the lower for the line.
    #[inline]
    fn place(&mut self, ip: usize) -> Result<LocationId, Exhausted> {
        match self.places.get(&ip) {
            Some(&place) => Ok(place),
            None => self.new_place(ip),
        }
    }

    #[cold]
    fn new_place(&mut self, ip: usize) -> Result<LocationId, Exhausted> {
        self.places.try_reserve(1)?;
        let locations = self.tracer.locations_mut();
        let upper = ((ip as u64 >> 32) as u32).to_le_bytes();
        let file = locations.file(&upper)?;
        let place = locations.location(file, ip as u32)?;
        self.places.insert(ip, place);
        Ok(place)
    }

    fn intern(&mut self, stack: &Stack) -> Result<TracebackId, Exhausted> {
        let mut builder = std::mem::take(&mut self.builder);
        builder.reset(u16::MAX);
        let mut pushed = Ok(());
        for &ip in stack {
            pushed = self.place(ip).and_then(|place| builder.push(place));
            if pushed.is_err() {
                break;
            }
        }
        let id = pushed.and_then(|()| self.tracer.intern(&builder));
        self.builder = builder;
        id
    }

    fn record(
        &mut self,
        domain: u32,
        address: usize,
        size: usize,
        stack: &Stack,
    ) -> Result<(), Exhausted> {
        if !self.tracer.active().contains(View::Program) {
            return Ok(());
        }
        let traceback = self.intern(stack)?;
        if domain == 0 {
            self.tracer.record(address, size, traceback)?;
        } else {
            let view = View::Program;
            // A block that is reported again has a new owner.
            self.tracer.track(view, domain, address, size, traceback)?;
        }
        Ok(())
    }

    fn release(&mut self, domain: u32, address: usize) -> Option<Released> {
        match domain {
            0 => self.tracer.release(address),
            _ => self.tracer.untrack(View::Program, domain, address),
        }
    }
}

/// Runs `work` under the lock. Callers may be in any mode but [`Mode::Locked`].
fn locked<R>(work: impl FnOnce(&mut State) -> R) -> R {
    let _mode = Quiet::enter(Mode::Locked);
    let mut state = lock();
    work(state.get_or_insert_with(|| Box::new(State::new())))
}

fn lock() -> MutexGuard<'static, Option<Box<State>>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether allocations are recorded.
#[inline]
pub fn is_tracing() -> bool {
    TRACING.load(Ordering::Relaxed)
}

/// Aborts if it is dropped: a panic must not leave an allocator.
struct Unwinding;

impl Drop for Unwinding {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// A block was allocated, if `block` is one.
#[cold]
#[inline(never)]
pub fn allocated(block: *mut u8, size: usize) {
    if !block.is_null() {
        record(0, block.addr(), size);
    }
}

/// An object was allocated.
#[cold]
#[inline(never)]
pub fn object_allocated(address: usize, size: usize) {
    record(GC_DOMAIN, address, size);
}

#[inline(always)]
fn record(domain: u32, address: usize, size: usize) {
    if MODE.get() != Mode::Program {
        return;
    }
    let unwinding = Unwinding;
    let _quiet = Quiet::begin();
    let mut stack = Stack::new();
    unwind::walk(LIMIT.load(Ordering::Relaxed), &mut stack);
    locked(|state| {
        // Without memory for its trace a block goes untraced.
        let _ = state.record(domain, address, size, &stack);
    });
    std::mem::forget(unwinding);
}

/// A block is about to be freed.
#[cold]
#[inline(never)]
pub fn releasing(block: *mut u8) {
    release(0, block.addr());
}

/// An object is being freed.
#[cold]
#[inline(never)]
pub fn object_released(address: usize) {
    release(GC_DOMAIN, address);
}

/// A block is about to be resized; if that fails, the answer is for [`restore`].
#[cold]
#[inline(never)]
pub fn releasing_for_now(block: *mut u8) -> Option<Released> {
    release(0, block.addr())
}

fn release(domain: u32, address: usize) -> Option<Released> {
    if MODE.get() == Mode::Locked {
        return None;
    }
    let unwinding = Unwinding;
    let known = locked(|state| state.release(domain, address));
    std::mem::forget(unwinding);
    known
}

/// A block that was to be resized stays as it was.
#[cold]
#[inline(never)]
pub fn restore(block: *mut u8, known: Option<Released>) {
    if let Some(known) = known {
        let unwinding = Unwinding;
        locked(|state| {
            let _ = state.tracer.restore(block.addr(), known);
        });
        std::mem::forget(unwinding);
    }
}

/// Begins to trace; says whether it was not traced before.
pub fn start(limit: usize) -> bool {
    survive_forks();
    let _quiet = Quiet::begin();
    unwind::prepare();
    let started = locked(|state| state.tracer.start(View::Program, u16::MAX));
    if started {
        LIMIT.store(limit.clamp(1, MAX_FRAMES), Ordering::Relaxed);
        TRACING.store(true, Ordering::SeqCst);
    }
    started
}

/// Ends it and forgets everything.
pub fn stop() {
    TRACING.store(false, Ordering::SeqCst);
    locked(|state| {
        if state.tracer.active().contains(View::Program) {
            *state = State::new();
        }
    });
}

/// Forgets the blocks recorded so far.
pub fn clear() {
    locked(|state| state.tracer.clear(View::Program));
}

/// The number of frames last asked for.
pub fn limit() -> usize {
    LIMIT.load(Ordering::Relaxed)
}

/// Bytes traced now, and at most.
pub fn memory() -> (usize, usize) {
    locked(|state| {
        let counters = state.tracer.counters(View::Program);
        (counters.current(), counters.peak())
    })
}

/// Begins the peak anew.
pub fn reset_peak() {
    locked(|state| state.tracer.reset_peak(View::Program));
}

/// Bytes that the tracer's own tables hold.
pub fn overhead() -> usize {
    let tables = locked(|state| {
        let frames: usize = state.resolved.values().map(|frames| frames.len()).sum();
        state.tracer.memory()
            + state.places.capacity() * size_of::<(usize, LocationId)>()
            + state.resolved.capacity() * size_of::<(usize, Resolved)>()
            + frames * size_of::<Frame>()
    });
    tables + unwind::memory()
}

/// A copy of what is recorded; none while nothing is.
pub fn snapshot() -> Option<Result<Snapshot, Exhausted>> {
    look(|tracer| tracer.snapshot(View::Program))
}

/// A copy of what is recorded of one block.
pub fn snapshot_of(domain: u32, address: usize) -> Option<Result<Snapshot, Exhausted>> {
    look(|tracer| tracer.snapshot_of(View::Program, domain, address))
}

/// A copy of what is recorded of those of `addresses` that are known, to which the
/// vector is cut.
pub fn snapshot_among(
    domain: u32,
    addresses: &mut Vec<usize>,
) -> Option<Result<Snapshot, Exhausted>> {
    look(|tracer| tracer.snapshot_among(View::Program, domain, addresses))
}

fn look<R>(work: impl FnOnce(&Tracer) -> R) -> Option<R> {
    locked(|state| {
        let tracing = state.tracer.active().contains(View::Program);
        tracing.then(|| work(&state.tracer))
    })
}

/// What was symbolised before, for each of `ips`.
pub fn resolved(ips: &[usize]) -> Vec<Option<Resolved>> {
    locked(|state| {
        ips.iter()
            .map(|ip| state.resolved.get(ip).cloned())
            .collect()
    })
}

/// Keeps what was symbolised.
pub fn keep_resolved(new: impl Iterator<Item = (usize, Resolved)>) {
    locked(|state| state.resolved.extend(new));
}

/// Has the lock held across forks.
#[cfg(unix)]
fn survive_forks() {
    use std::cell::UnsafeCell;

    type Guard = MutexGuard<'static, Option<Box<State>>>;
    struct Held(UnsafeCell<Option<(Guard, Mode)>>);
    // SAFETY: only who holds the lock looks into it.
    unsafe impl Sync for Held {}
    static HELD: Held = Held(UnsafeCell::new(None));

    extern "C" fn before() {
        if MODE.get() == Mode::Locked {
            // A fork from a signal handler that interrupted us.
            return;
        }
        let mode = MODE.replace(Mode::Locked);
        let guard = lock();
        // SAFETY: the lock is held.
        unsafe { *HELD.0.get() = Some((guard, mode)) }
    }

    extern "C" fn after() {
        // SAFETY: `before` took the lock in this thread, or left the cell empty
        // while this thread held it anyway.
        if let Some((guard, mode)) = unsafe { (*HELD.0.get()).take() } {
            drop(guard);
            MODE.set(mode);
        }
    }

    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handlers are functions of this program, and stay.
        let failed = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
        debug_assert_eq!(failed, 0);
    });
}

#[cfg(not(unix))]
fn survive_forks() {}
