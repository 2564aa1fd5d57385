//! [`Snapshot`]: what was alive at one moment, with source lines.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use wrasse_tracer::LocationId;

use super::filter::Filter;
use super::record::{self, Quiet};
use super::resolve::resolve;
use super::statistics::{Key, Statistic, StatisticDiff, Totals, bytes, compared, sorted};
use super::traceback::{Frame, Traceback};

/// A block in a snapshot; Python's `Trace`.
///
/// ```
/// use wrasse::{Gc, tracemalloc::{self, GC_DOMAIN}};
///
/// tracemalloc::start(1);
/// let object = Gc::new([0u8; 100]);
/// let snapshot = tracemalloc::take_snapshot().unwrap();
/// let block = snapshot.traces().next().unwrap();
/// assert_eq!((block.domain, block.size), (GC_DOMAIN, 16 + 100));
/// println!("{block}"); // src/main.rs:4: 116 B
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedBlock {
    /// 0, or [`GC_DOMAIN`](super::GC_DOMAIN) for an object.
    pub domain: u32,
    /// Its bytes.
    pub size: usize,
    /// Where it was allocated.
    pub traceback: Traceback,
}

impl fmt::Display for TracedBlock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.traceback, bytes(self.size))
    }
}

/// What was alive at one moment, from [`take_snapshot`](super::take_snapshot).
///
/// A snapshot refers to nothing of the program: it can be sent to another thread,
/// and with the feature `serde` be saved and loaded in any format.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// Each frame once.
    frames: Vec<Frame>,
    /// Each traceback once, of frames by number, the most recent first.
    tracebacks: Vec<Box<[u32]>>,
    blocks: Vec<Block>,
    limit: usize,
}

/// A block, with its traceback by number.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Block {
    domain: u32,
    traceback: u32,
    size: usize,
}

impl Snapshot {
    /// Finds the source lines of what was recorded.
    pub(super) fn of(raw: &wrasse_tracer::Snapshot) -> Self {
        let _quiet = Quiet::begin();
        let limit = record::limit();
        let ips: Vec<usize> = (0..raw.location_count() as u32)
            .map(|location| address(raw, LocationId(location)))
            .collect();
        let resolved = resolve(&ips);
        let mut snapshot = Self {
            frames: Vec::new(),
            tracebacks: Vec::new(),
            blocks: Vec::with_capacity(raw.blocks().len()),
            limit,
        };
        let unknown = Frame::of_file("<unknown>".into(), 0);
        let mut frame_ids: HashMap<Frame, u32> = HashMap::new();
        let mut traceback_ids: HashMap<Box<[u32]>, u32> = HashMap::new();
        let count = raw.tracebacks().len() as u32;
        let ids: Vec<u32> = (0..count)
            .map(|id| {
                let places = raw.tracebacks().frames(wrasse_tracer::TracebackId(id));
                let frames = places.iter().flat_map(|place| &*resolved[place.0 as usize]);
                let mut numbers: Vec<u32> = Vec::new();
                let mut number = |frame: &Frame| {
                    *frame_ids.entry(frame.clone()).or_insert_with(|| {
                        snapshot.frames.push(frame.clone());
                        snapshot.frames.len() as u32 - 1
                    })
                };
                numbers.extend(frames.take(limit).map(&mut number));
                if numbers.is_empty() {
                    numbers.push(number(&unknown));
                }
                let numbers = numbers.into_boxed_slice();
                *traceback_ids.entry(numbers).or_insert_with_key(|numbers| {
                    snapshot.tracebacks.push(numbers.clone());
                    snapshot.tracebacks.len() as u32 - 1
                })
            })
            .collect();
        snapshot
            .blocks
            .extend(raw.blocks().iter().map(|block| Block {
                domain: block.domain,
                traceback: ids[block.traceback.0 as usize],
                size: block.size,
            }));
        snapshot
    }

    /// The most frames that a traceback of this snapshot can have.
    pub fn traceback_limit(&self) -> usize {
        self.limit
    }

    /// The number of blocks.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there is no block.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The blocks, in no particular order.
    pub fn traces(&self) -> impl Iterator<Item = TracedBlock> + '_ {
        self.blocks.iter().map(|block| TracedBlock {
            domain: block.domain,
            size: block.size,
            traceback: self.traceback(block.traceback),
        })
    }

    fn traceback(&self, id: u32) -> Traceback {
        Traceback::new(self.recent_first(id).rev().cloned())
    }

    fn recent_first(&self, id: u32) -> impl DoubleEndedIterator<Item = &Frame> {
        let numbers = self.tracebacks[id as usize].iter();
        numbers.map(|&frame| &self.frames[frame as usize])
    }

    /// Sums by `key`, the largest first.
    ///
    /// Takes time in proportion to the blocks, and to the frames of the different
    /// tracebacks.
    ///
    /// ```
    /// # #[global_allocator]
    /// # static ALLOCATOR: wrasse::tracemalloc::Allocator = wrasse::tracemalloc::Allocator::new();
    /// use wrasse::tracemalloc::{self, Key};
    ///
    /// tracemalloc::start(1);
    /// let numbers: Vec<u64> = (0..1000).collect();
    /// let snapshot = tracemalloc::take_snapshot().unwrap();
    /// for statistic in snapshot.statistics(Key::Line).iter().take(10) {
    ///     println!("{statistic}"); // src/main.rs:8: size=8000 B, count=1, average=8000 B
    /// }
    /// # assert_eq!(snapshot.statistics(Key::Line)[0].size, 8 * numbers.len());
    /// ```
    pub fn statistics(&self, key: Key) -> Vec<Statistic> {
        let _quiet = Quiet::begin();
        sorted(self.totals(key))
    }

    /// What is different from `old`, by `key`, the largest difference first.
    ///
    /// ```
    /// # #[global_allocator]
    /// # static ALLOCATOR: wrasse::tracemalloc::Allocator = wrasse::tracemalloc::Allocator::new();
    /// use wrasse::tracemalloc::{self, Key};
    ///
    /// tracemalloc::start(1);
    /// let before = tracemalloc::take_snapshot().unwrap();
    /// let text = "more".repeat(100);
    /// let after = tracemalloc::take_snapshot().unwrap();
    /// let differences = after.compare_to(&before, Key::Line);
    /// assert_eq!(differences[0].size_diff, text.len() as isize);
    /// assert_eq!(differences[0].count_diff, 1);
    /// ```
    pub fn compare_to(&self, old: &Self, key: Key) -> Vec<StatisticDiff> {
        let _quiet = Quiet::begin();
        compared(self.totals(key), old.totals(key))
    }

    /// A snapshot of those blocks that `filters` keep.
    ///
    /// ```
    /// # #[global_allocator]
    /// # static ALLOCATOR: wrasse::tracemalloc::Allocator = wrasse::tracemalloc::Allocator::new();
    /// use wrasse::{Gc, tracemalloc::{self, Filter, GC_DOMAIN}};
    ///
    /// tracemalloc::start(1);
    /// let object = Gc::new(7);
    /// let snapshot = tracemalloc::take_snapshot().unwrap();
    /// let objects = snapshot.filter_traces(&[Filter::include("*").domain(GC_DOMAIN)]);
    /// assert_eq!(objects.len(), 1);
    /// ```
    pub fn filter_traces(&self, filters: &[Filter]) -> Self {
        let _quiet = Quiet::begin();
        let mut filtered = self.clone();
        filtered.blocks.retain(|block| {
            Filter::keep(filters, block.domain, || self.recent_first(block.traceback))
        });
        filtered
    }

    fn totals(&self, key: Key) -> Totals {
        // First by number, so that a traceback is only made once.
        let mut sums = vec![(0, 0); self.tracebacks.len()];
        for block in &self.blocks {
            let (size, count) = &mut sums[block.traceback as usize];
            *size += block.size;
            *count += 1;
        }
        let mut totals = Totals::new();
        for (id, (size, count)) in sums.into_iter().enumerate() {
            if count == 0 {
                continue;
            }
            let id = id as u32;
            let mut add = |place: Traceback| {
                let total = totals.entry(place).or_default();
                total.0 += size;
                total.1 += count;
            };
            let line = |frame: &Frame| Traceback::new([frame.clone()].into_iter());
            let file = |frame: &Frame| {
                let file = Arc::clone(frame.shared_filename());
                Traceback::new([Frame::of_file(file, 0)].into_iter())
            };
            match key {
                Key::Line => self.recent_first(id).take(1).map(line).for_each(&mut add),
                Key::File => self.recent_first(id).take(1).map(file).for_each(&mut add),
                Key::Traceback => add(self.traceback(id)),
                Key::CumulativeLine => self.recent_first(id).map(line).for_each(&mut add),
                Key::CumulativeFile => self.recent_first(id).map(file).for_each(&mut add),
            }
        }
        totals
    }
}

/// The code address that a location stands for, see `record`.
fn address(raw: &wrasse_tracer::Snapshot, location: LocationId) -> usize {
    let (upper, lower) = raw.location(location);
    let name = &raw.names()[upper.0 as usize];
    let upper = <[u8; 4]>::try_from(&**name).map_or(0, u32::from_le_bytes);
    (u64::from(upper) << 32 | u64::from(lower)) as usize
}
