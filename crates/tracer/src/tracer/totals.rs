//! What a view sees, summed by traceback.

use super::Tracer;
use crate::exhausted::Exhausted;
use crate::side_table::SideTable;
use crate::traceback::TracebackId;
use crate::view::View;

/// What one traceback has allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    /// Bytes alive now.
    pub live_bytes: u64,
    /// Blocks alive now.
    pub live_blocks: u64,
    /// Bytes ever allocated; 0 where [`Tracer::COUNTS_ALLOCATIONS`] says no.
    pub allocated_bytes: u64,
    /// Blocks ever allocated; 0 where [`Tracer::COUNTS_ALLOCATIONS`] says no.
    pub allocated_blocks: u64,
}

impl<S: SideTable> Tracer<S> {
    /// Are allocations counted that are not alive any more?
    pub const COUNTS_ALLOCATIONS: bool = true;

    /// What `view` sees of the allocators' own domain, 0, by traceback: the
    /// place in `into` is the [`TracebackId`]. It takes no longer the more
    /// blocks there are, but for those of other domains; nothing is allocated
    /// but the room in `into`.
    pub fn totals(&self, view: View, into: &mut Vec<Totals>) -> Result<(), Exhausted> {
        into.clear();
        into.try_reserve(self.tracebacks.len())?;
        into.resize(self.tracebacks.len(), Totals::default());
        for owner in self.owners.all().filter(|o| o.views.contains(view)) {
            let totals = &mut into[owner.traceback.0 as usize];
            totals.allocated_bytes += owner.allocated_bytes;
            totals.allocated_blocks += owner.allocated_blocks;
            totals.live_bytes += owner.bytes as u64;
            totals.live_blocks += u64::from(owner.blocks);
        }
        if view == View::Profile {
            for (traceback, past) in self.owners.past() {
                let totals = &mut into[traceback.0 as usize];
                totals.allocated_bytes += past.bytes;
                totals.allocated_blocks += past.blocks;
            }
        }
        // Owners count the blocks of all domains.
        for (_, traceback, size) in self.reported(view) {
            let totals = &mut into[traceback.0 as usize];
            totals.live_bytes -= size as u64;
            totals.live_blocks -= 1;
        }
        Ok(())
    }

    /// The blocks of the other domains that `view` sees: domain, traceback, size.
    pub fn reported(&self, view: View) -> impl Iterator<Item = (u32, TracebackId, usize)> {
        self.domains
            .iter()
            .flat_map(|(domain, table)| table.iter().map(move |(_, block)| (domain, block)))
            .map(|(domain, block)| (domain, self.owners.get(block.owner), block.size))
            .filter(move |(_, owner, _)| owner.views.contains(view))
            .map(|(domain, owner, size)| (domain, owner.traceback, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracer::tests::traceback;

    #[test]
    fn a_view_has_its_own_totals() {
        let mut tracer = Tracer::default();
        tracer.start(View::Profile, 1);
        let a = traceback(&mut tracer, &[1]);
        let b = traceback(&mut tracer, &[2]);
        tracer.record(0x10, 5, a).unwrap();
        tracer.record(0x20, 6, a).unwrap();
        tracer.start(View::Program, 1);
        tracer.record(0x30, 7, b).unwrap();
        tracer.track(View::Program, 9, 0x40, 8, b).unwrap();
        let live = |tracer: &Tracer, view| {
            let mut totals = Vec::new();
            tracer.totals(view, &mut totals).unwrap();
            totals
                .iter()
                .map(|t| (t.live_bytes, t.live_blocks))
                .collect::<Vec<_>>()
        };
        assert_eq!(live(&tracer, View::Profile), [(11, 2), (7, 1)]);
        assert_eq!(live(&tracer, View::Program), [(0, 0), (7, 1)]);
        tracer.release(0x20);
        assert_eq!(live(&tracer, View::Profile), [(5, 1), (7, 1)]);
        let allocated = |tracer: &Tracer| {
            let mut totals = Vec::new();
            tracer.totals(View::Profile, &mut totals).unwrap();
            let each = |t: &Totals| (t.allocated_bytes, t.allocated_blocks);
            totals.iter().map(each).collect::<Vec<_>>()
        };
        assert_eq!(allocated(&tracer), [(11, 2), (7, 1)]);
        // Owners give way to others when the views change; their past does not.
        tracer.release(0x10);
        tracer.stop(View::Program);
        for line in 3..9 {
            let id = traceback(&mut tracer, &[line]);
            tracer.record(0x100 * line as usize, 1, id).unwrap();
        }
        tracer.record(0x20, 100, a).unwrap();
        assert_eq!(allocated(&tracer)[..2], [(111, 3), (7, 1)]);
        tracer.start(View::Program, 1);
        tracer.track(View::Program, 9, 0x40, 8, b).unwrap();
        assert_eq!(tracer.reported(View::Profile).count(), 0);
        let reported: Vec<_> = tracer.reported(View::Program).collect();
        assert_eq!(reported, [(9, b, 8)]);
    }
}
