//! wrasse's own profile: the second view on the tracer.
//!
//! It records from the moment it is started, whether or not the program uses
//! `tracemalloc`, and touches no code of the interpreter: objects reused from
//! free lists keep the traceback of their memory's first owner.

use std::ffi::{c_int, c_uint, c_void};
use std::mem;

use wrasse_tracer::{LocationId, Snapshot, View};

use crate::{frame, hooks, symbols};

/// The live blocks of one source line.
pub struct LineTotal {
    /// The file, as the code object names it.
    pub file: String,
    /// The line; 0 where no Python code was running.
    pub line: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Their number.
    pub blocks: u64,
}

/// The live blocks of one traceback.
pub struct TracebackTotal {
    /// The lines, most recent call first, at most as many as are recorded.
    pub frames: Vec<(String, u32)>,
    /// Their bytes.
    pub bytes: u64,
    /// Their number.
    pub blocks: u64,
}

/// Begin to record with up to `frames` frames a traceback.
///
/// # Safety
/// Call with the GIL held and no exception set.
pub unsafe fn start(frames: u16) -> Result<(), String> {
    // SAFETY: the GIL is held.
    unsafe {
        if !hooks::active().contains(View::Program) && is_stock_tracing() {
            return Err(
                "CPython's own tracer is on already and would take the profile's hooks out \
                 with its own; let wrasse serve tracemalloc too (WRASSE=tracemalloc,trace)"
                    .into(),
            );
        }
        frame::check()?;
        hooks::start(View::Profile, frames).map_err(|e| e.to_string())
    }
}

/// Is the stock tracer on? Asked of an exported function that says so, because
/// `_tracemalloc` cannot be imported in every interpreter.
unsafe fn is_stock_tracing() -> bool {
    const NOT_TRACING: c_int = -2;
    let untrack = symbols::lookup(c"PyTraceMalloc_Untrack");
    if untrack.is_null() {
        return false;
    }
    // SAFETY: this is the function's type in every version. No extension has
    // reported a block at address 0 of this domain, so nothing is forgotten.
    unsafe {
        let untrack =
            mem::transmute::<*mut c_void, unsafe extern "C" fn(c_uint, usize) -> c_int>(untrack);
        untrack(c_uint::MAX, 0) != NOT_TRACING
    }
}

/// Does the profile record?
pub fn is_active() -> bool {
    hooks::active().contains(View::Profile)
}

/// How many frames of each traceback it keeps.
pub fn frames() -> u16 {
    let state = hooks::reading();
    state.as_ref().map_or(1, |s| s.tracer.limit(View::Profile))
}

/// Bytes alive now, and the most there ever were.
pub fn totals() -> (u64, u64) {
    match hooks::reading().as_ref() {
        None => (0, 0),
        Some(state) => {
            let counters = state.tracer.counters(View::Profile);
            (counters.current() as u64, counters.peak() as u64)
        }
    }
}

/// What is live, as one view of one moment. Empty where there is no memory for
/// the copy.
pub fn snapshot() -> Snapshot {
    match hooks::reading().as_ref() {
        None => Snapshot::default(),
        Some(state) => state.tracer.summary(View::Profile).unwrap_or_default(),
    }
}

/// The lines with the most live bytes, largest first. Empty where there is no
/// memory for the sums.
pub fn top_lines(snapshot: &Snapshot, count: usize) -> Vec<LineTotal> {
    let lines = snapshot.by_line().unwrap_or_default();
    lines
        .iter()
        .filter_map(|total| {
            let (file, line) = place(snapshot, total.location?);
            Some(LineTotal {
                file,
                line,
                bytes: total.size as u64,
                blocks: total.count as u64,
            })
        })
        .take(count)
        .collect()
}

/// The tracebacks with the most live bytes, largest first. Empty where there
/// is no memory for the sums.
pub fn top_tracebacks(snapshot: &Snapshot, count: usize) -> Vec<TracebackTotal> {
    let totals = snapshot.by_traceback().unwrap_or_default();
    let chains = totals.iter().take(count).map(|total| {
        let frames = snapshot.tracebacks().frames(total.traceback);
        TracebackTotal {
            frames: frames.iter().map(|each| place(snapshot, *each)).collect(),
            bytes: total.size as u64,
            blocks: total.count as u64,
        }
    });
    chains.collect()
}

fn place(snapshot: &Snapshot, location: LocationId) -> (String, u32) {
    let (file, line) = snapshot.location(location);
    let name = &snapshot.names()[file.0 as usize];
    (String::from_utf8_lossy(name).into_owned(), line)
}
