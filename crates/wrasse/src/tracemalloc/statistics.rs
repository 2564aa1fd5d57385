//! Sums over snapshots, and their differences, printed as Python prints them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use super::traceback::Traceback;

/// What blocks are put together by.
///
/// ```
/// use wrasse::{Gc, tracemalloc::{self, Key}};
///
/// tracemalloc::start(10);
/// let objects: Vec<Gc<u64>> = (0..3).map(Gc::new).collect();
/// let snapshot = tracemalloc::take_snapshot().unwrap();
/// for key in [Key::Line, Key::File, Key::Traceback] {
///     assert_eq!(snapshot.statistics(key)[0].count, objects.len());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The line that allocated (Python's `"lineno"`).
    Line,
    /// The file of that line (Python's `"filename"`).
    File,
    /// The whole traceback (Python's `"traceback"`).
    Traceback,
    /// Each line of the traceback: a block counts for every frame that it was
    /// allocated under (Python's `"lineno"`, cumulative).
    CumulativeLine,
    /// Likewise, each frame's file (Python's `"filename"`, cumulative).
    CumulativeFile,
}

/// The blocks of one line, file or traceback.
///
/// ```
/// use wrasse::{Gc, tracemalloc::{self, Key}};
///
/// tracemalloc::start(1);
/// let object = Gc::new(7u64);
/// let statistic = tracemalloc::take_snapshot().unwrap().statistics(Key::Line).remove(0);
/// assert!(statistic.to_string().ends_with(": size=24 B, count=1, average=24 B"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Statistic {
    /// Where they were allocated; for [`Key::File`] the line is 0.
    pub traceback: Traceback,
    /// Their bytes.
    pub size: usize,
    /// Their number.
    pub count: usize,
}

/// How the blocks of one line, file or traceback changed between two snapshots.
///
/// ```
/// use wrasse::{Gc, tracemalloc::{self, Key}};
///
/// tracemalloc::start(1);
/// let before = tracemalloc::take_snapshot().unwrap();
/// let object = Gc::new(7u64);
/// let after = tracemalloc::take_snapshot().unwrap();
/// let difference = after.compare_to(&before, Key::Line).remove(0);
/// assert!(difference.to_string().ends_with(": size=24 B (+24 B), count=1 (+1), average=24 B"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StatisticDiff {
    /// Where they were allocated; for [`Key::File`] the line is 0.
    pub traceback: Traceback,
    /// Their bytes in the new snapshot.
    pub size: usize,
    /// Bytes more than in the old one.
    pub size_diff: isize,
    /// Their number in the new snapshot.
    pub count: usize,
    /// So many more than in the old one.
    pub count_diff: isize,
}

/// Bytes and blocks by place.
pub(super) type Totals = HashMap<Traceback, (usize, usize)>;

/// The largest first.
pub(super) fn sorted(totals: Totals) -> Vec<Statistic> {
    let mut statistics: Vec<_> = totals
        .into_iter()
        .map(|(traceback, (size, count))| Statistic {
            traceback,
            size,
            count,
        })
        .collect();
    statistics.sort_by(|a, b| {
        let key = |s: &Statistic| (s.size, s.count);
        (key(b), &b.traceback).cmp(&(key(a), &a.traceback))
    });
    statistics
}

/// The largest difference first.
pub(super) fn compared(new: Totals, mut old: Totals) -> Vec<StatisticDiff> {
    let mut differences = Vec::with_capacity(new.len());
    for (traceback, (size, count)) in new {
        let (old_size, old_count) = old.remove(&traceback).unwrap_or_default();
        differences.push(StatisticDiff {
            traceback,
            size,
            // Sizes are below half the address space.
            size_diff: size as isize - old_size as isize,
            count,
            count_diff: count as isize - old_count as isize,
        });
    }
    differences.extend(
        old.into_iter()
            .map(|(traceback, (size, count))| StatisticDiff {
                traceback,
                size: 0,
                size_diff: -(size as isize),
                count: 0,
                count_diff: -(count as isize),
            }),
    );
    differences.sort_by_cached_key(|d| {
        Reverse((
            d.size_diff.unsigned_abs(),
            d.size,
            d.count_diff.unsigned_abs(),
            d.count,
            d.traceback.clone(),
        ))
    });
    differences
}

/// Bytes as Python prints them, with a sign if asked for.
pub(super) struct Bytes {
    pub bytes: f64,
    pub sign: bool,
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut size = self.bytes;
        let units = ["B", "KiB", "MiB", "GiB", "TiB"];
        for unit in units {
            let digits = if size.abs() < 100.0 && unit != "B" {
                1
            } else if size.abs() < 10.0 * 1024.0 || unit == "TiB" {
                0
            } else {
                size /= 1024.0;
                continue;
            };
            return if self.sign {
                write!(formatter, "{size:+.digits$} {unit}")
            } else {
                write!(formatter, "{size:.digits$} {unit}")
            };
        }
        Ok(())
    }
}

pub(super) fn bytes(bytes: usize) -> Bytes {
    Bytes {
        bytes: bytes as f64,
        sign: false,
    }
}

fn average(formatter: &mut fmt::Formatter<'_>, size: usize, count: usize) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    let bytes = size as f64 / count as f64;
    let average = Bytes { bytes, sign: false };
    write!(formatter, ", average={average}")
}

impl fmt::Display for Statistic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            traceback,
            size,
            count,
        } = self;
        let shown = bytes(*size);
        write!(formatter, "{traceback}: size={shown}, count={count}")?;
        average(formatter, *size, *count)
    }
}

impl fmt::Display for StatisticDiff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (traceback, size, count) = (&self.traceback, bytes(self.size), self.count);
        let difference = Bytes {
            bytes: self.size_diff as f64,
            sign: true,
        };
        let more = self.count_diff;
        write!(
            formatter,
            "{traceback}: size={size} ({difference}), count={count} ({more:+})"
        )?;
        average(formatter, self.size, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_printed_as_by_python() {
        // What `tracemalloc._format_size` of CPython 3.12 gives.
        for (size, plain, signed) in [
            (0.0, "0 B", "+0 B"),
            (99.5, "100 B", "+100 B"),
            (10239.0, "10239 B", "+10239 B"),
            (10240.0, "10.0 KiB", "+10.0 KiB"),
            (102_400.0, "100 KiB", "+100 KiB"),
            (-10_485_760.0, "-10.0 MiB", "-10.0 MiB"),
            (1e18, "909495 TiB", "+909495 TiB"),
            (2.5, "2 B", "+2 B"),
        ] {
            let shown = |sign| Bytes { bytes: size, sign }.to_string();
            assert_eq!((&*shown(false), &*shown(true)), (plain, signed));
        }
    }
}
