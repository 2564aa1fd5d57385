//! When the doctor looks at the program while it runs.
//!
//! After so many bytes of allocations ([`due`], asked from inside a hook) a call
//! is left with the interpreter, which makes it at the main thread's next safe
//! point: between two instructions, after a call or at a loop's end. There the
//! heap is whole and frames may be read.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use pyo3_ffi::*;
use wrasse_doctor::Observations;

use super::budget::{self, Kind};
use super::growth::Seen;
use super::{built_lists, heap_looks, sources};
use crate::hooks::Silence;
use crate::process::Errno;
use crate::{capture, process, profile};

/// Bytes between two looks, unless a look asks to be followed by another sooner.
const STEP: i64 = 256 << 10;
/// And at least as many.
const SHORTEST: i64 = 16 << 10;

/// Bytes until the next look; as good as infinite while nobody is examined.
static NEXT: AtomicI64 = AtomicI64::new(i64::MAX);
/// The interpreter has been asked already.
static IS_PENDING: AtomicBool = AtomicBool::new(false);
/// Blocks from this size on are noted.
pub const LARGE: usize = 8 << 10;
/// The last of them, not all of them alive.
static LARGE_BLOCKS: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];
static NEXT_LARGE: AtomicUsize = AtomicUsize::new(0);
/// The process that is examined, not its forked children.
static PROCESS: AtomicI64 = AtomicI64::new(0);

/// From now on.
///
/// # Safety
/// The GIL is held, and no exception is set.
pub unsafe fn start() {
    // SAFETY: the caller's contract.
    if !profile::is_active() || !unsafe { built_lists::prepare() } {
        return;
    }
    PROCESS.store(i64::from(std::process::id()), Ordering::Relaxed);
    NEXT.store(STEP, Ordering::Relaxed);
    capture::look_after(STEP as u64);
}

/// The last look, at the end of the program; see [`heap_looks::last`].
///
/// # Safety
/// As for [`start`].
pub unsafe fn last(observations: &mut Observations, seen: &Seen) {
    if NEXT.swap(i64::MAX, Ordering::Relaxed) == i64::MAX {
        return;
    }
    let _silence = Silence::begin();
    // SAFETY: the caller's contract.
    unsafe {
        sources::note_main();
        sources::find(observations);
        heap_looks::last(observations, seen);
    }
    observations.lists = built_lists::take();
}

/// A look at what the program holds now, if it is examined.
///
/// # Safety
/// As for [`start`].
pub unsafe fn now() {
    if step() == i64::MAX || PROCESS.load(Ordering::Relaxed) != i64::from(std::process::id()) {
        return;
    }
    let _silence = Silence::begin();
    // SAFETY: the caller's contract.
    unsafe { heap_looks::now() };
}

/// After how many bytes [`due`] wants to be asked.
pub fn step() -> i64 {
    NEXT.load(Ordering::Relaxed)
}

/// A block of [`LARGE`] bytes or more was allocated, or made so large. Called from
/// inside a hook.
#[inline]
pub fn note(block: usize) {
    if step() != i64::MAX {
        let place = NEXT_LARGE.fetch_add(1, Ordering::Relaxed);
        LARGE_BLOCKS[place % LARGE_BLOCKS.len()].store(block, Ordering::Relaxed);
    }
}

/// The blocks noted last, some of them long gone.
pub fn large_blocks() -> Vec<usize> {
    let all = LARGE_BLOCKS.iter();
    all.map(|block| block.load(Ordering::Relaxed))
        .filter(|block| *block != 0)
        .collect()
}

/// A block is of no interest.
pub fn forget(block: usize) {
    for each in &LARGE_BLOCKS {
        let _ = each.compare_exchange(block, 0, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// So many bytes have been allocated. Returns after how many more it wants to
/// be asked again. Called from inside a hook: nothing is allocated here, no
/// exception is set.
pub fn due() -> i64 {
    let step = step();
    if step != i64::MAX && !IS_PENDING.swap(true, Ordering::Relaxed) {
        // SAFETY: takes a lock of its own and puts a call on a list of fixed
        // length. That list's lock is never held while anything is allocated.
        if unsafe { Py_AddPendingCall(Some(look), std::ptr::null_mut()) } != 0 {
            IS_PENDING.store(false, Ordering::Relaxed);
        }
    }
    step
}

/// Looks at lists, unless that has taken too much already. Returns after how many
/// bytes to look again.
fn lists() -> i64 {
    if budget::left(Kind::Lists).is_zero() {
        return STEP;
    }
    let begun = process::thread_time();
    let searched = budget::spent(Kind::Search);
    // SAFETY: as in `look`, which calls this.
    let largest = unsafe { built_lists::look() };
    let took = process::thread_time().saturating_sub(begun);
    let searching = budget::spent(Kind::Search).saturating_sub(searched);
    budget::pay(Kind::Lists, took.saturating_sub(searching));
    // A list that is being built is seen at least each time it has grown by a
    // fiftieth.
    match largest {
        Some(bytes) => i64::try_from(bytes / 50)
            .unwrap_or(STEP)
            .clamp(SHORTEST, STEP),
        None => STEP,
    }
}

extern "C" fn look(_: *mut c_void) -> c_int {
    if step() == i64::MAX || PROCESS.load(Ordering::Relaxed) != i64::from(std::process::id()) {
        NEXT.store(i64::MAX, Ordering::Relaxed);
        return 0;
    }
    let _errno = Errno::keep();
    let _silence = Silence::begin();
    // SAFETY: the interpreter calls this with the GIL, at a safe point, without
    // an exception.
    unsafe {
        sources::note_main();
        heap_looks::look_if_due(step().unsigned_abs());
    }
    let next = lists();
    NEXT.store(next, Ordering::Relaxed);
    capture::look_after(next as u64);
    IS_PENDING.store(false, Ordering::Relaxed);
    0
}
