//! Who allocated what is alive: Python's `tracemalloc` for Rust programs.
//!
//! With [`Allocator`] as the global allocator, every block is traced while
//! tracing is on; [`Gc`] objects are traced always, also without it. Names and
//! meanings are those of Python's module, in Rust form.
//!
//! ```
//! use wrasse::tracemalloc::{self, Key};
//!
//! #[global_allocator]
//! static ALLOCATOR: tracemalloc::Allocator = tracemalloc::Allocator::new();
//!
//! tracemalloc::start(5);
//! let before = tracemalloc::take_snapshot().unwrap();
//! let words: Vec<String> = "an example of words".split(' ').map(String::from).collect();
//! let after = tracemalloc::take_snapshot().unwrap();
//!
//! for difference in after.compare_to(&before, Key::Line) {
//!     println!("{difference}");
//! }
//! let (current, peak) = tracemalloc::get_traced_memory();
//! println!("{current} bytes in use, {peak} at most, for {} words", words.len());
//! tracemalloc::stop();
//! ```
//!
//! # Frames
//! While tracing, only return addresses are recorded. Files and lines are looked
//! up when a snapshot is made; that takes the program's debug information (line
//! tables suffice: `debug = "line-tables-only"`). Inlined functions are frames
//! like others. Frames of the standard library and of this crate are not shown, as
//! Python shows none for its built-in functions: the most recent frame of a
//! traceback is the program's own line. What the heap and the collector allocate
//! for themselves is not traced, nor what a [`Trace`](crate::Trace) allocates while
//! a collection runs; what finalizers, callbacks and destructors allocate is.
//!
//! # What it costs
//! Off, a load and a branch for each call of the allocator, and nothing for `Gc`.
//! On, two numbers are kept for each block, and a traceback once for all blocks
//! that share it.

use std::fmt;

use wrasse_tracer::Exhausted;

use crate::pointer::Gc;

mod allocator;
mod filter;
pub(crate) mod record;
mod resolve;
mod snapshot;
mod statistics;
mod symbols;
mod traceback;
mod unwind;

pub use allocator::Allocator;
pub use filter::Filter;
pub use record::{GC_DOMAIN, MAX_FRAMES};
pub use snapshot::{Snapshot, TracedBlock};
pub use statistics::{Key, Statistic, StatisticDiff};
pub use traceback::{Frame, Traceback};

/// Why there is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Nothing is traced: [`start`] comes first.
    NotTracing,
    /// There is no memory for the copy.
    Exhausted,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotTracing => "call tracemalloc::start before taking a snapshot",
            Self::Exhausted => "no memory left for a snapshot",
        })
    }
}

impl std::error::Error for Error {}

impl From<Exhausted> for Error {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

/// Begins to trace, keeping up to `nframe` frames (1 to [`MAX_FRAMES`]; what is
/// outside counts as the nearest) of each traceback. If tracing is on already,
/// nothing changes.
///
/// The first call reads the program's symbols, which takes some milliseconds.
/// Blocks that were allocated before are not traced.
///
/// ```
/// use wrasse::tracemalloc;
///
/// assert!(!tracemalloc::is_tracing());
/// tracemalloc::start(25);
/// assert!(tracemalloc::is_tracing());
/// assert_eq!(tracemalloc::get_traceback_limit(), 25);
/// tracemalloc::stop();
/// ```
pub fn start(nframe: usize) {
    if record::start(nframe) {
        crate::heap::tracing_changed();
    }
}

/// Ends tracing and forgets what was traced; snapshots stay.
///
/// ```
/// use wrasse::{Gc, tracemalloc};
///
/// tracemalloc::start(1);
/// let object = Gc::new(7);
/// let snapshot = tracemalloc::take_snapshot().unwrap();
/// tracemalloc::stop();
/// assert_eq!(tracemalloc::get_traced_memory(), (0, 0));
/// assert_eq!(snapshot.len(), 1);
/// ```
pub fn stop() {
    record::stop();
    crate::heap::tracing_changed();
}

/// Whether tracing is on.
pub fn is_tracing() -> bool {
    record::is_tracing()
}

/// Forgets what was traced so far, and goes on.
///
/// ```
/// use wrasse::{Gc, tracemalloc};
///
/// tracemalloc::start(1);
/// let object = Gc::new(1);
/// tracemalloc::clear_traces();
/// assert!(tracemalloc::get_object_traceback(&object).is_none());
/// ```
pub fn clear_traces() {
    record::clear();
}

/// The number of frames of the last [`start`], or 1.
pub fn get_traceback_limit() -> usize {
    record::limit()
}

/// Bytes of the traced blocks: now, and at most so far. Both are 0 while tracing
/// is off.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: wrasse::tracemalloc::Allocator = wrasse::tracemalloc::Allocator::new();
/// use wrasse::tracemalloc;
///
/// tracemalloc::start(1);
/// drop(vec![0u8; 100_000]);
/// let (current, peak) = tracemalloc::get_traced_memory();
/// assert!(current < 100_000 && peak >= 100_000);
/// ```
pub fn get_traced_memory() -> (usize, usize) {
    record::memory()
}

/// Begins the peak of [`get_traced_memory`] anew, with what is in use now.
///
/// ```
/// use wrasse::{Gc, tracemalloc};
///
/// tracemalloc::start(1);
/// drop(Gc::new([0u64; 100]));
/// assert!(tracemalloc::get_traced_memory().1 >= 800);
/// tracemalloc::reset_peak();
/// assert!(tracemalloc::get_traced_memory().1 < 800);
/// ```
pub fn reset_peak() {
    record::reset_peak();
}

/// Bytes that the tracer itself uses, about.
///
/// ```
/// use wrasse::{Gc, tracemalloc};
///
/// tracemalloc::start(1);
/// let objects: Vec<Gc<u64>> = (0..1000).map(Gc::new).collect();
/// assert!(tracemalloc::get_tracemalloc_memory() >= 16 * objects.len());
/// ```
pub fn get_tracemalloc_memory() -> usize {
    record::overhead()
}

/// A copy of what is traced, with source lines.
///
/// The first one reads the program's debug information, which may take seconds
/// for a large program and then stays in memory (untraced).
///
/// # Errors
/// If tracing is off, or memory is short.
///
/// ```
/// use wrasse::{Gc, tracemalloc::{self, Error}};
///
/// assert_eq!(tracemalloc::take_snapshot().unwrap_err(), Error::NotTracing);
/// tracemalloc::start(1);
/// let object = Gc::new(7);
/// assert_eq!(tracemalloc::take_snapshot().unwrap().len(), 1);
/// ```
pub fn take_snapshot() -> Result<Snapshot, Error> {
    let _quiet = record::Quiet::begin();
    let raw = record::snapshot().ok_or(Error::NotTracing)??;
    Ok(Snapshot::of(&raw))
}

/// Where an object was allocated; none if that was not traced.
///
/// ```
/// use wrasse::{Gc, tracemalloc};
///
/// tracemalloc::start(1);
/// let object = Gc::new("made here");
/// let traceback = tracemalloc::get_object_traceback(&object).unwrap();
/// println!("made at {}", traceback.most_recent());
/// assert_eq!(traceback.len(), 1);
/// ```
pub fn get_object_traceback<T: ?Sized>(object: &Gc<T>) -> Option<Traceback> {
    traceback_of(GC_DOMAIN, object.object().addr().get())
}

/// Where a block of the global allocator was allocated, by its address (that of
/// what is in a `Box`, of a `Vec`'s first element and so on); none if that was not
/// traced.
///
/// ```
/// # #[global_allocator]
/// # static ALLOCATOR: wrasse::tracemalloc::Allocator = wrasse::tracemalloc::Allocator::new();
/// use wrasse::tracemalloc;
///
/// tracemalloc::start(1);
/// let text = String::from("made here");
/// assert!(tracemalloc::get_block_traceback(text.as_ptr()).is_some());
/// assert!(tracemalloc::get_block_traceback(&text).is_none(), "on the stack");
/// ```
pub fn get_block_traceback<T>(block: *const T) -> Option<Traceback> {
    traceback_of(0, block.addr())
}

fn traceback_of(domain: u32, address: usize) -> Option<Traceback> {
    let _quiet = record::Quiet::begin();
    let raw = record::snapshot_of(domain, address)?.ok()?;
    let trace = Snapshot::of(&raw).traces().next();
    trace.map(|trace| trace.traceback)
}

/// Where those of the objects with headers at `addresses` were allocated that are
/// traced.
pub(crate) fn objects_traced(mut addresses: Vec<usize>) -> Vec<(usize, Traceback)> {
    let _quiet = record::Quiet::begin();
    let Some(Ok(raw)) = record::snapshot_among(GC_DOMAIN, &mut addresses) else {
        return Vec::new();
    };
    let snapshot = Snapshot::of(&raw);
    let traces = snapshot.traces().map(|trace| trace.traceback);
    addresses.into_iter().zip(traces).collect()
}
