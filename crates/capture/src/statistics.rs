//! Sums by line, file or traceback, in `tracemalloc`'s order.

use std::cmp::Reverse;
use std::collections::HashMap;

use wrasse_tracer::Amount;

use crate::sums::{Group, Measure, Sums};

/// What to sum by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// All frames of the traceback.
    Traceback,
    /// A frame's file and line.
    Line,
    /// A frame's file.
    File,
}

/// A frame: file name and line.
pub type Frame<'a> = (&'a [u8], u32);

/// The blocks of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistic<'a> {
    /// The key's frames, the most recent first; a file has line 0.
    pub frames: Vec<Frame<'a>>,
    /// Their bytes.
    pub size: u64,
    /// Their number.
    pub count: u64,
}

/// A [`Statistic`] and how it differs from an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<'a> {
    /// The key's frames, the most recent first; a file has line 0.
    pub frames: Vec<Frame<'a>>,
    /// Bytes now.
    pub size: u64,
    /// Bytes more than before.
    pub size_difference: i64,
    /// Blocks now.
    pub count: u64,
    /// Blocks more than before.
    pub count_difference: i64,
}

/// Frames from the oldest on: the order in which `tracemalloc` compares them.
fn oldest_first<'a>(frames: &[Frame<'a>]) -> Vec<Frame<'a>> {
    frames.iter().rev().copied().collect()
}

impl Sums {
    /// The live blocks by `key`: [`Sums::statistics_of`] them.
    #[must_use]
    pub fn statistics(&self, key: Key, cumulative: bool) -> Option<Vec<Statistic<'_>>> {
        self.statistics_of(Measure::Live, key, cumulative)
    }

    /// The blocks of a measure by `key`, most bytes first, then most blocks. By the most
    /// recent frame; if `cumulative`, each frame of a traceback counts, as often as
    /// it occurs. Whole tracebacks cannot be cumulative: the answer is nothing.
    ///
    /// Time is linear in the frames of all groups, and that of sorting the result.
    #[must_use]
    pub fn statistics_of(
        &self,
        measure: Measure,
        key: Key,
        cumulative: bool,
    ) -> Option<Vec<Statistic<'_>>> {
        let mut all = match (key, cumulative) {
            (Key::Traceback, true) => return None,
            (Key::Traceback, false) => self.by_traceback(measure),
            (Key::Line | Key::File, _) => self.by_frame(measure, key, cumulative),
        };
        all.sort_by_cached_key(|s| Reverse((s.size, s.count, oldest_first(&s.frames))));
        Some(all)
    }

    fn frame(&self, location: u32, key: Key) -> Frame<'_> {
        let location = self.location(location);
        let line = if key == Key::File { 0 } else { location.line };
        (self.string(location.file), line)
    }

    /// The groups that have blocks of a measure, and how many.
    fn amounts(&self, measure: Measure) -> impl Iterator<Item = (&Group, Amount)> {
        let all = self.groups().iter();
        all.map(move |group| (group, group.amount(measure)))
            .filter(|(_, amount)| amount.blocks > 0)
    }

    fn by_traceback(&self, measure: Measure) -> Vec<Statistic<'_>> {
        let mut places: HashMap<&[u32], usize> = HashMap::new();
        let mut all: Vec<Statistic<'_>> = Vec::new();
        for (group, amount) in self.amounts(measure) {
            let frames = self.frames(group.traceback);
            let place = *places.entry(frames).or_insert(all.len());
            if place == all.len() {
                let frame = |&location: &u32| self.frame(location, Key::Traceback);
                all.push(Statistic {
                    frames: frames.iter().map(frame).collect(),
                    size: 0,
                    count: 0,
                });
            }
            let sum = &mut all[place];
            sum.size = sum.size.saturating_add(amount.bytes);
            sum.count = sum.count.saturating_add(amount.blocks);
        }
        all
    }

    fn by_frame(&self, measure: Measure, key: Key, cumulative: bool) -> Vec<Statistic<'_>> {
        let slots = match key {
            Key::File => self.string_count(),
            _ => self.location_count(),
        };
        // One more for blocks without any frame.
        let mut totals = vec![(0u64, 0u64, u32::MAX); slots + 1];
        for (group, amount) in self.amounts(measure) {
            let frames = self.frames(group.traceback);
            let counted = if cumulative { frames.len() } else { 1 };
            let mut add = |place: usize, location: u32| {
                let total = &mut totals[place];
                *total = (
                    total.0.saturating_add(amount.bytes),
                    total.1.saturating_add(amount.blocks),
                    location,
                );
            };
            for &location in frames.iter().take(counted) {
                match key {
                    Key::File => add(self.location(location).file as usize, location),
                    _ => add(location as usize, location),
                }
            }
            if frames.is_empty() && !cumulative {
                add(slots, u32::MAX);
            }
        }
        let used = totals.iter().enumerate().filter(|(_, total)| total.1 > 0);
        used.map(|(place, &(size, count, location))| Statistic {
            frames: match place == slots {
                true => Vec::new(),
                false => vec![self.frame(location, key)],
            },
            size,
            count,
        })
        .collect()
    }
}

/// What has changed from `old` to `new`, the largest change first. Nothing where
/// [`Sums::statistics_of`] answers nothing.
#[must_use]
pub fn compare<'a>(
    old: &'a Sums,
    new: &'a Sums,
    measure: Measure,
    key: Key,
    cumulative: bool,
) -> Option<Vec<Difference<'a>>> {
    let before = old.statistics_of(measure, key, cumulative)?;
    let mut before: HashMap<Vec<Frame<'a>>, (u64, u64)> = before
        .into_iter()
        .map(|s| (s.frames, (s.size, s.count)))
        .collect();
    let mut all = Vec::new();
    for now in new.statistics_of(measure, key, cumulative)? {
        let (size, count) = before.remove(&now.frames).unwrap_or_default();
        all.push(Difference {
            size: now.size,
            size_difference: now.size.wrapping_sub(size) as i64,
            count: now.count,
            count_difference: now.count.wrapping_sub(count) as i64,
            frames: now.frames,
        });
    }
    all.extend(
        before
            .into_iter()
            .map(|(frames, (size, count))| Difference {
                frames,
                size: 0,
                size_difference: size.wrapping_neg() as i64,
                count: 0,
                count_difference: count.wrapping_neg() as i64,
            }),
    );
    all.sort_by_cached_key(|d| {
        Reverse((
            d.size_difference.unsigned_abs(),
            d.size,
            d.count_difference.unsigned_abs(),
            d.count,
            oldest_first(&d.frames),
        ))
    });
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sums::SumsBuilder;

    type Sample<'a> = (&'a [(&'a str, u32)], u64, u64);

    fn sums(groups: &[Sample<'_>]) -> Sums {
        let mut builder = SumsBuilder::new(10);
        for (frames, size, count) in groups {
            let locations: Vec<u32> = frames
                .iter()
                .map(|(file, line)| builder.location(file.as_bytes(), None, *line).unwrap())
                .collect();
            let traceback = builder
                .traceback(&locations, locations.len() as u16)
                .unwrap();
            builder.add(0, traceback, *size, *count).unwrap();
        }
        builder.finish()
    }

    fn seen(all: &[Statistic<'_>]) -> Vec<(String, u64, u64)> {
        let name = |frames: &[Frame<'_>]| {
            let each =
                |(file, line): &Frame<'_>| format!("{}:{line}", String::from_utf8_lossy(file));
            frames.iter().map(each).collect::<Vec<_>>().join(";")
        };
        all.iter()
            .map(|s| (name(&s.frames), s.size, s.count))
            .collect()
    }

    #[test]
    fn every_key_groups_and_sorts() {
        let sums = sums(&[
            (&[("a", 1), ("m", 9)], 10, 1),
            (&[("a", 1), ("m", 8)], 20, 2),
            (&[("a", 2), ("a", 2), ("m", 8)], 20, 2),
            (&[], 20, 1),
        ]);
        let of = |key, cumulative| seen(&sums.statistics(key, cumulative).unwrap());
        let own = |all: &[(&str, u64, u64)]| -> Vec<(String, u64, u64)> {
            all.iter()
                .map(|(n, s, c)| (n.to_string(), *s, *c))
                .collect()
        };
        assert_eq!(
            of(Key::Line, false),
            own(&[("a:1", 30, 3), ("a:2", 20, 2), ("", 20, 1)])
        );
        assert_eq!(of(Key::File, false), own(&[("a:0", 50, 5), ("", 20, 1)]));
        // A frame that occurs twice counts twice, as in tracemalloc.
        assert_eq!(
            of(Key::Line, true),
            own(&[
                ("m:8", 40, 4),
                ("a:2", 40, 4),
                ("a:1", 30, 3),
                ("m:9", 10, 1)
            ])
        );
        assert_eq!(
            of(Key::Traceback, false),
            own(&[
                ("a:2;a:2;m:8", 20, 2),
                ("a:1;m:8", 20, 2),
                ("", 20, 1),
                ("a:1;m:9", 10, 1)
            ])
        );
        assert_eq!(sums.statistics(Key::Traceback, true), None);
    }

    #[test]
    fn differences_cover_what_came_and_went() {
        let old = sums(&[
            (&[("gone", 1)], 5, 1),
            (&[("same", 1)], 7, 2),
            (&[("more", 3)], 1, 1),
        ]);
        let new = sums(&[
            (&[("more", 3)], 4, 3),
            (&[("same", 1)], 7, 2),
            (&[("new", 1)], 9, 1),
        ]);
        let all = compare(&old, &new, Measure::Live, Key::Line, false).unwrap();
        let seen: Vec<_> = all
            .iter()
            .map(|d| {
                let name = std::str::from_utf8(d.frames[0].0).unwrap();
                (name, d.size, d.size_difference, d.count, d.count_difference)
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("new", 9, 9, 1, 1),
                ("gone", 0, -5, 0, -1),
                ("more", 4, 3, 3, 2),
                ("same", 7, 0, 2, 0),
            ]
        );
    }
}
