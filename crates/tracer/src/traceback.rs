//! Chains of locations, each stored once.

use crate::exhausted::Exhausted;
use crate::location::LocationId;

/// The most frames a traceback can keep, and the most it can count.
pub const MAX_FRAMES: u16 = u16::MAX;

/// A traceback, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TracebackId(pub u32);

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;

#[inline]
fn mix(hash: u64, value: u32) -> u64 {
    (hash ^ u64::from(value))
        .wrapping_mul(MULTIPLIER)
        .rotate_left(23)
}

/// A traceback under construction: the host pushes its frames, the most recent
/// first. Beyond the limit frames are counted but not kept.
#[derive(Debug)]
pub struct TracebackBuilder {
    frames: Vec<LocationId>,
    limit: usize,
    total: u32,
    hash: u64,
}

impl Default for TracebackBuilder {
    fn default() -> Self {
        TracebackBuilder {
            frames: Vec::new(),
            limit: 1,
            total: 0,
            hash: SEED,
        }
    }
}

impl TracebackBuilder {
    /// Begin a new traceback of at most `limit` kept frames.
    #[inline]
    pub fn reset(&mut self, limit: u16) {
        self.frames.clear();
        self.limit = usize::from(limit);
        self.total = 0;
        self.hash = SEED;
    }

    /// The next older frame.
    #[inline]
    pub fn push(&mut self, location: LocationId) -> Result<(), Exhausted> {
        if self.frames.len() < self.limit {
            if self.frames.len() == self.frames.capacity() {
                self.frames.try_reserve(1)?;
            }
            self.frames.push(location);
            self.hash = mix(self.hash, location.0);
        }
        self.count();
        Ok(())
    }

    /// Is the limit reached, so that further frames need only be counted?
    #[inline]
    pub fn is_full(&self) -> bool {
        self.frames.len() >= self.limit
    }

    /// One more frame beyond the limit.
    #[inline]
    pub fn count(&mut self) {
        self.total = self.total.saturating_add(1);
    }

    /// Say how many frames there are, kept or not; no fewer than are kept.
    #[inline]
    pub fn set_total(&mut self, total: u32) {
        debug_assert!(total as usize >= self.frames.len());
        self.total = total;
    }

    /// The kept frames, most recent first.
    pub fn frames(&self) -> &[LocationId] {
        &self.frames
    }

    /// All frames, kept or not, up to [`MAX_FRAMES`].
    #[inline]
    pub fn total(&self) -> u16 {
        u16::try_from(self.total).unwrap_or(MAX_FRAMES)
    }

    #[inline]
    fn hash(&self) -> u64 {
        let hash = mix(self.hash, u32::from(self.total()));
        hash ^ (hash >> 32)
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    start: u32,
    hash: u32,
    length: u16,
    total: u16,
}

/// Every traceback met so far. Two are equal when their kept frames and their
/// total number of frames are.
#[derive(Debug, Default)]
pub struct Tracebacks {
    frames: Vec<LocationId>,
    records: Vec<Record>,
    /// Open addressing over `records`; 0 is empty, else the id plus one.
    index: Vec<u32>,
}

impl Tracebacks {
    /// The number of this traceback, new or known.
    #[inline]
    pub fn intern(&mut self, built: &TracebackBuilder) -> Result<TracebackId, Exhausted> {
        let hash = built.hash();
        let mask = self.index.len().wrapping_sub(1);
        if !self.index.is_empty() {
            let mut position = hash as usize & mask;
            while let Some(id) = self.index[position].checked_sub(1) {
                let record = &self.records[id as usize];
                if record.hash == hash as u32
                    && record.total == built.total()
                    && self.slice(record) == built.frames()
                {
                    return Ok(TracebackId(id));
                }
                position = (position + 1) & mask;
            }
        }
        self.add(built, hash)
    }

    #[cold]
    fn add(&mut self, built: &TracebackBuilder, hash: u64) -> Result<TracebackId, Exhausted> {
        if (self.records.len() + 1) * 2 > self.index.len() {
            self.grow()?;
        }
        let id = u32::try_from(self.records.len()).map_err(|_| Exhausted)?;
        let start = u32::try_from(self.frames.len()).map_err(|_| Exhausted)?;
        let length = u16::try_from(built.frames.len()).map_err(|_| Exhausted)?;
        self.records.try_reserve(1)?;
        self.frames.try_reserve(built.frames.len())?;
        self.frames.extend_from_slice(&built.frames);
        self.records.push(Record {
            start,
            hash: hash as u32,
            length,
            total: built.total(),
        });
        Self::place(&mut self.index, hash as u32, id);
        Ok(TracebackId(id))
    }

    fn place(index: &mut [u32], hash: u32, id: u32) {
        let mask = index.len() - 1;
        let mut position = hash as usize & mask;
        while index[position] != 0 {
            position = (position + 1) & mask;
        }
        index[position] = id + 1;
    }

    fn grow(&mut self) -> Result<(), Exhausted> {
        // The stored half of the hash addresses at most this many positions.
        let size = (self.index.len() * 2).max(256);
        if size > 1 << 31 {
            return Err(Exhausted);
        }
        let mut index = Vec::new();
        index.try_reserve_exact(size)?;
        index.resize(size, 0);
        for (id, record) in self.records.iter().enumerate() {
            Self::place(&mut index, record.hash, id as u32);
        }
        self.index = index;
        Ok(())
    }

    #[inline]
    fn slice(&self, record: &Record) -> &[LocationId] {
        let start = record.start as usize;
        &self.frames[start..start + usize::from(record.length)]
    }

    /// The kept frames of a traceback of this table, most recent first.
    #[inline]
    pub fn frames(&self, id: TracebackId) -> &[LocationId] {
        self.slice(&self.records[id.0 as usize])
    }

    /// How many frames the traceback had, kept or not.
    #[inline]
    pub fn total(&self, id: TracebackId) -> u16 {
        self.records[id.0 as usize].total
    }

    /// How many tracebacks there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Is the table empty?
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forget all tracebacks and give their memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.frames.capacity() * size_of::<LocationId>()
            + self.records.capacity() * size_of::<Record>()
            + self.index.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn build(frames: &[u32], limit: u16) -> TracebackBuilder {
        let mut builder = TracebackBuilder::default();
        builder.reset(limit);
        for &frame in frames {
            builder.push(LocationId(frame)).unwrap();
        }
        builder
    }

    #[test]
    fn the_total_saturates_and_is_part_of_the_identity() {
        let mut tracebacks = Tracebacks::default();
        let short = tracebacks.intern(&build(&[7], 1)).unwrap();
        let long = tracebacks.intern(&build(&vec![7; 70_000], 1)).unwrap();
        let longer = tracebacks.intern(&build(&vec![7; 80_000], 1)).unwrap();
        assert_ne!(short, long);
        assert_eq!(long, longer);
        assert_eq!(tracebacks.total(short), 1);
        assert_eq!(tracebacks.total(long), MAX_FRAMES);
        assert_eq!(tracebacks.frames(long), &[LocationId(7)]);
        let all = tracebacks
            .intern(&build(&vec![7; 70_000], MAX_FRAMES))
            .unwrap();
        assert_eq!(tracebacks.frames(all).len(), 65_535);
        tracebacks.clear();
        assert!(tracebacks.is_empty());
    }

    proptest! {
        #[test]
        fn interning_agrees_with_a_map(
            stacks in proptest::collection::vec(
                proptest::collection::vec(0u32..4, 0..6), 0..300),
            limit in 1u16..5,
        ) {
            let mut tracebacks = Tracebacks::default();
            let mut model: HashMap<(Vec<u32>, usize), TracebackId> = HashMap::new();
            for stack in &stacks {
                let id = tracebacks.intern(&build(stack, limit)).unwrap();
                let kept: Vec<u32> = stack.iter().copied().take(limit.into()).collect();
                prop_assert_eq!(*model.entry((kept.clone(), stack.len())).or_insert(id), id);
                let frames: Vec<u32> = tracebacks.frames(id).iter().map(|l| l.0).collect();
                prop_assert_eq!(frames, kept);
                prop_assert_eq!(usize::from(tracebacks.total(id)), stack.len());
            }
            prop_assert_eq!(tracebacks.len(), model.len());
        }
    }
}
