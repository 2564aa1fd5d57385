//! A copy of what one view sees, and sums over it.

use crate::exhausted::Exhausted;
use crate::location::{FileId, LocationId, Locations};
use crate::traceback::{TracebackBuilder, TracebackId, Tracebacks};

/// A live block in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotBlock {
    /// Its domain.
    pub domain: u32,
    /// Who allocated it: a traceback of the snapshot.
    pub traceback: TracebackId,
    /// Its size in bytes.
    pub size: usize,
}

/// The live blocks that one source line allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTotal {
    /// The line: a location of the snapshot; none where no frame was running.
    pub location: Option<LocationId>,
    /// Their bytes.
    pub size: usize,
    /// Their number.
    pub count: usize,
}

/// The live blocks that one traceback allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TracebackTotal {
    /// The traceback, one of the snapshot's.
    pub traceback: TracebackId,
    /// Their bytes.
    pub size: usize,
    /// Their number.
    pub count: usize,
}

/// What one view saw at one moment. It refers to nothing else, so it can be
/// read at leisure while the program goes on.
#[derive(Debug, Default)]
pub struct Snapshot {
    blocks: Vec<SnapshotBlock>,
    /// Sums of blocks that are not in `blocks`.
    totals: Vec<TracebackTotal>,
    tracebacks: Tracebacks,
    names: Vec<Box<[u8]>>,
    lines: Vec<(FileId, u32)>,
}

const UNSEEN: u32 = u32::MAX;

/// A snapshot being taken.
pub(crate) struct Copy<'a> {
    snapshot: Snapshot,
    tracebacks: &'a Tracebacks,
    locations: &'a Locations,
    limit: u16,
    /// The tracer's numbers of tracebacks, files and lines in the snapshot's.
    known: Vec<u32>,
    files: Vec<u32>,
    lines: Vec<u32>,
    builder: TracebackBuilder,
}

impl Copy<'_> {
    /// One block.
    pub fn add_block(
        &mut self,
        domain: u32,
        traceback: TracebackId,
        size: usize,
    ) -> Result<(), Exhausted> {
        let traceback = self.adopt(traceback)?;
        self.snapshot.blocks.try_reserve(1)?;
        self.snapshot.blocks.push(SnapshotBlock {
            domain,
            traceback,
            size,
        });
        Ok(())
    }

    /// So many blocks at once.
    pub fn add_total(
        &mut self,
        traceback: TracebackId,
        size: usize,
        count: usize,
    ) -> Result<(), Exhausted> {
        let traceback = self.adopt(traceback)?;
        self.snapshot.totals.try_reserve(1)?;
        self.snapshot.totals.push(TracebackTotal {
            traceback,
            size,
            count,
        });
        Ok(())
    }

    /// It is whole.
    pub fn done(self) -> Snapshot {
        self.snapshot
    }

    fn adopt(&mut self, id: TracebackId) -> Result<TracebackId, Exhausted> {
        let place = id.0 as usize;
        if self.known[place] == UNSEEN {
            self.builder.reset(self.limit);
            for &location in self.tracebacks.frames(id) {
                if self.builder.is_full() {
                    break;
                }
                let location = self.adopt_location(location)?;
                self.builder.push(location)?;
            }
            // With the frames that the tracer has only counted, and those cut off here.
            self.builder.set_total(self.tracebacks.total(id).into());
            self.known[place] = self.snapshot.tracebacks.intern(&self.builder)?.0;
        }
        Ok(TracebackId(self.known[place]))
    }

    fn adopt_location(&mut self, location: LocationId) -> Result<LocationId, Exhausted> {
        let place = &mut self.lines[location.0 as usize];
        if *place == UNSEEN {
            let (file, line) = self.locations.resolve(location);
            let name = &mut self.files[file.0 as usize];
            if *name == UNSEEN {
                let bytes = self.locations.name(file);
                let mut copy = Vec::new();
                copy.try_reserve_exact(bytes.len())?;
                copy.extend_from_slice(bytes);
                self.snapshot.names.try_reserve(1)?;
                *name = self.snapshot.names.len() as u32;
                self.snapshot.names.push(copy.into_boxed_slice());
            }
            self.snapshot.lines.try_reserve(1)?;
            *place = self.snapshot.lines.len() as u32;
            self.snapshot.lines.push((FileId(*name), line));
        }
        Ok(LocationId(*place))
    }
}

impl Snapshot {
    /// Begin to take one of blocks with these tracebacks, cut to `limit` frames.
    pub(crate) fn copy<'a>(
        tracebacks: &'a Tracebacks,
        locations: &'a Locations,
        limit: u16,
    ) -> Result<Copy<'a>, Exhausted> {
        Ok(Copy {
            snapshot: Snapshot::default(),
            tracebacks,
            locations,
            limit,
            known: filled(tracebacks.len())?,
            files: filled(locations.file_count())?,
            lines: filled(locations.len())?,
            builder: TracebackBuilder::default(),
        })
    }

    /// The sums of each traceback that the snapshot has, blocks and totals alike.
    fn sums(&self) -> impl Iterator<Item = TracebackTotal> {
        let blocks = self.blocks.iter().map(|block| TracebackTotal {
            traceback: block.traceback,
            size: block.size,
            count: 1,
        });
        blocks.chain(self.totals.iter().copied())
    }

    /// The live blocks; none in a [`crate::Tracer::summary`].
    pub fn blocks(&self) -> &[SnapshotBlock] {
        &self.blocks
    }

    /// Their tracebacks, each once, cut to the view's limit.
    pub fn tracebacks(&self) -> &Tracebacks {
        &self.tracebacks
    }

    /// The file names, by [`FileId`].
    pub fn names(&self) -> &[Box<[u8]>] {
        &self.names
    }

    /// The file and line of a location of this snapshot.
    pub fn location(&self, location: LocationId) -> (FileId, u32) {
        self.lines[location.0 as usize]
    }

    /// How many different source lines occur.
    pub fn location_count(&self) -> usize {
        self.lines.len()
    }

    /// The blocks grouped by traceback, most bytes first.
    pub fn by_traceback(&self) -> Result<Vec<TracebackTotal>, Exhausted> {
        let mut totals = Vec::new();
        totals.try_reserve_exact(self.tracebacks.len())?;
        totals.extend((0..self.tracebacks.len()).map(|id| TracebackTotal {
            traceback: TracebackId(id as u32),
            size: 0,
            count: 0,
        }));
        for sum in self.sums() {
            let total = &mut totals[sum.traceback.0 as usize];
            total.size += sum.size;
            total.count += sum.count;
        }
        totals.sort_unstable_by_key(|t| (std::cmp::Reverse((t.size, t.count)), t.traceback));
        Ok(totals)
    }

    /// The blocks grouped by the most recent frame's line, most bytes first.
    pub fn by_line(&self) -> Result<Vec<LineTotal>, Exhausted> {
        // One place a location, and one more for blocks without any frame.
        let mut totals = Vec::new();
        totals.try_reserve_exact(self.lines.len() + 1)?;
        let locations = (0..self.lines.len() as u32).map(|l| Some(LocationId(l)));
        totals.extend(locations.chain([None]).map(|location| LineTotal {
            location,
            size: 0,
            count: 0,
        }));
        for sum in self.sums() {
            let top = self.tracebacks.frames(sum.traceback).first();
            let place = top.map_or(self.lines.len(), |location| location.0 as usize);
            totals[place].size += sum.size;
            totals[place].count += sum.count;
        }
        totals.retain(|total| total.count != 0);
        totals.sort_unstable_by_key(|t| (std::cmp::Reverse((t.size, t.count)), t.location));
        Ok(totals)
    }
}

fn filled(length: usize) -> Result<Vec<u32>, Exhausted> {
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(length)?;
    numbers.resize(length, UNSEEN);
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracer::Tracer;
    use crate::view::View;

    #[test]
    fn sums_by_line_and_by_traceback() {
        let mut tracer = Tracer::default();
        tracer.start(View::Profile, 2);
        let mut address = 0;
        let mut allocate = |stack: &[(&str, u32)], size| {
            let mut builder = TracebackBuilder::default();
            builder.reset(2);
            for (name, line) in stack {
                let file = tracer.locations_mut().file(name.as_bytes()).unwrap();
                builder
                    .push(tracer.locations_mut().location(file, *line).unwrap())
                    .unwrap();
            }
            let id = tracer.intern(&builder).unwrap();
            address += 16;
            tracer.record(address, size, id).unwrap();
        };
        allocate(&[("a", 1), ("m", 9)], 10);
        allocate(&[("a", 1), ("m", 8)], 20);
        allocate(&[("b", 1), ("m", 8)], 25);
        allocate(&[], 1);
        let snapshot = tracer.snapshot(View::Profile).unwrap();
        let lines: Vec<_> = snapshot
            .by_line()
            .unwrap()
            .iter()
            .map(|total| {
                let name = total.location.map(|l| {
                    let (file, line) = snapshot.location(l);
                    let name = &snapshot.names()[file.0 as usize];
                    (String::from_utf8(name.to_vec()).unwrap(), line)
                });
                (name, total.size, total.count)
            })
            .collect();
        assert_eq!(
            lines,
            [
                (Some(("a".into(), 1)), 30, 2),
                (Some(("b".into(), 1)), 25, 1),
                (None, 1, 1),
            ]
        );
        assert_eq!(snapshot.location_count(), 4);
        let sizes: Vec<_> = snapshot
            .by_traceback()
            .unwrap()
            .iter()
            .map(|t| t.size)
            .collect();
        assert_eq!(sizes, [25, 20, 10, 1]);
    }
}
