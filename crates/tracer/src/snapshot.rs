//! A copy of what one view sees, and sums over it.

use crate::exhausted::Exhausted;
use crate::location::{FileId, LocationId, Locations};
use crate::table::Block;
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
    tracebacks: Tracebacks,
    names: Vec<Box<[u8]>>,
    lines: Vec<(FileId, u32)>,
}

const UNSEEN: u32 = u32::MAX;

impl Snapshot {
    pub(crate) fn take(
        seen: impl Iterator<Item = (u32, Block)>,
        tracebacks: &Tracebacks,
        locations: &Locations,
        limit: u16,
    ) -> Result<Self, Exhausted> {
        let mut snapshot = Snapshot::default();
        // Ids of the tracer, and of its locations, in the snapshot's own numbers.
        let mut known = filled(tracebacks.len())?;
        let mut places = Places {
            files: filled(locations.file_count())?,
            lines: filled(locations.len())?,
        };
        let mut builder = TracebackBuilder::default();
        for (domain, block) in seen {
            let id = block.traceback;
            if known[id.0 as usize] == UNSEEN {
                builder.reset(limit);
                for &location in tracebacks.frames(id) {
                    if builder.is_full() {
                        break;
                    }
                    builder.push(snapshot.adopt(location, locations, &mut places)?)?;
                }
                // The frames the tracer itself has only counted, and those cut off here.
                for _ in builder.frames().len()..usize::from(tracebacks.total(id)) {
                    builder.count();
                }
                known[id.0 as usize] = snapshot.tracebacks.intern(&builder)?.0;
            }
            snapshot.blocks.try_reserve(1)?;
            snapshot.blocks.push(SnapshotBlock {
                domain,
                traceback: TracebackId(known[id.0 as usize]),
                size: block.size,
            });
        }
        Ok(snapshot)
    }

    fn adopt(
        &mut self,
        location: LocationId,
        locations: &Locations,
        places: &mut Places,
    ) -> Result<LocationId, Exhausted> {
        let place = &mut places.lines[location.0 as usize];
        if *place == UNSEEN {
            let (file, line) = locations.resolve(location);
            let name = &mut places.files[file.0 as usize];
            if *name == UNSEEN {
                let bytes = locations.name(file);
                let mut copy = Vec::new();
                copy.try_reserve_exact(bytes.len())?;
                copy.extend_from_slice(bytes);
                self.names.try_reserve(1)?;
                *name = self.names.len() as u32;
                self.names.push(copy.into_boxed_slice());
            }
            self.lines.try_reserve(1)?;
            *place = self.lines.len() as u32;
            self.lines.push((FileId(*name), line));
        }
        Ok(LocationId(*place))
    }

    /// The live blocks.
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
        for block in &self.blocks {
            let total = &mut totals[block.traceback.0 as usize];
            total.size += block.size;
            total.count += 1;
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
        for block in &self.blocks {
            let top = self.tracebacks.frames(block.traceback).first();
            let place = top.map_or(self.lines.len(), |location| location.0 as usize);
            totals[place].size += block.size;
            totals[place].count += 1;
        }
        totals.retain(|total| total.count != 0);
        totals.sort_unstable_by_key(|t| (std::cmp::Reverse((t.size, t.count)), t.location));
        Ok(totals)
    }
}

struct Places {
    files: Vec<u32>,
    lines: Vec<u32>,
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
