//! What a view sees, summed by traceback or by thread.

use super::Tracer;
use crate::exhausted::Exhausted;
use crate::owner::Amount;
use crate::side_table::SideTable;
use crate::thread::ThreadId;
use crate::traceback::TracebackId;
use crate::view::View;

/// What one traceback has allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    /// Bytes alive now, in the host's own domain.
    pub live_bytes: u64,
    /// Blocks alive now.
    pub live_blocks: u64,
    /// Bytes ever allocated, in all domains.
    pub allocated_bytes: u64,
    /// Blocks ever allocated.
    pub allocated_blocks: u64,
    /// Bytes released before the next block was recorded, or as many as
    /// [`Tracer::set_temporary`] says.
    pub temporary_bytes: u64,
    /// Blocks released so soon.
    pub temporary_blocks: u64,
}

/// What one thread has allocated, in all domains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadTotals {
    /// The system's number of it; 0 for all that were not told apart.
    pub number: u64,
    /// Its name; empty if not known.
    pub name: Box<[u8]>,
    /// Alive now, whoever releases it.
    pub live: Amount,
    /// Alive when the most was, of all threads together.
    pub peak: Amount,
    /// Ever allocated.
    pub allocated: Amount,
    /// Released before the next block was recorded.
    pub temporary: Amount,
}

impl<S: SideTable> Tracer<S> {
    /// What `view` sees of the allocators' own domain, 0, by traceback: the
    /// place in `into` is the [`TracebackId`]. It takes no longer the more
    /// blocks there are, but for those of other domains; nothing is allocated
    /// but the room in `into`.
    pub fn totals(&self, view: View, into: &mut Vec<Totals>) -> Result<(), Exhausted> {
        into.clear();
        into.try_reserve(self.tracebacks.len())?;
        into.resize(self.tracebacks.len(), Totals::default());
        for figures in self.owners.all(view) {
            let totals = &mut into[figures.kind.traceback.0 as usize];
            totals.live_bytes += figures.live.bytes;
            totals.live_blocks += figures.live.blocks;
            totals.allocated_bytes += figures.allocated.bytes;
            totals.allocated_blocks += figures.allocated.blocks;
            totals.temporary_bytes += figures.temporary.bytes;
            totals.temporary_blocks += figures.temporary.blocks;
        }
        // Owners count the blocks of all domains.
        for (_, traceback, size) in self.reported(view) {
            let totals = &mut into[traceback.0 as usize];
            totals.live_bytes -= size as u64;
            totals.live_blocks -= 1;
        }
        Ok(())
    }

    /// The live part of [`Tracer::totals`], in less time: in proportion to the tracebacks
    /// and owners there are, not to those that ever were.
    pub fn live(&self, view: View, into: &mut Vec<Amount>) -> Result<(), Exhausted> {
        into.clear();
        into.try_reserve(self.tracebacks.len())?;
        into.resize(self.tracebacks.len(), Amount::default());
        for owner in self.owners.iter() {
            if owner.views.contains(view) {
                let live = &mut into[owner.traceback.0 as usize];
                live.bytes += owner.bytes() as u64;
                live.blocks += u64::from(owner.blocks());
            }
        }
        for (_, traceback, size) in self.reported(view) {
            let live = &mut into[traceback.0 as usize];
            live.bytes -= size as u64;
            live.blocks -= 1;
        }
        Ok(())
    }

    /// What was alive, in all domains, when most was since `view` began or its peak
    /// was reset, in the order of [`Tracer::totals`]. It is exact, but where two views
    /// have recorded: the profile's then is, and the program's is the peak since the
    /// profile ended. Costs and errors are those of [`Tracer::totals`].
    pub fn peak(&self, view: View, into: &mut Vec<Amount>) -> Result<(), Exhausted> {
        into.clear();
        into.try_reserve(self.tracebacks.len())?;
        into.resize(self.tracebacks.len(), Amount::default());
        if view == self.leader {
            for figures in self.owners.all(view) {
                into[figures.kind.traceback.0 as usize] += figures.peak;
            }
        }
        Ok(())
    }

    /// What each thread has allocated, in the order in which they came.
    pub fn threads(&self, view: View) -> Result<Vec<ThreadTotals>, Exhausted> {
        const ALL: usize = ThreadId::OTHERS.0 as usize + 1;
        let mut all = Vec::new();
        all.try_reserve_exact(ALL)?;
        all.resize(ALL, ThreadTotals::default());
        for figures in self.owners.all(view) {
            let totals = &mut all[usize::from(figures.kind.thread.0)];
            totals.live += figures.live;
            totals.allocated += figures.allocated;
            totals.temporary += figures.temporary;
            if view == self.leader {
                totals.peak += figures.peak;
            }
        }
        for (id, totals) in (0..=ThreadId::OTHERS.0).map(ThreadId).zip(&mut all) {
            if let Some(thread) = self.threads.get(id) {
                totals.number = thread.number;
                let mut name = Vec::new();
                name.try_reserve_exact(thread.name.len())?;
                name.extend_from_slice(&thread.name);
                totals.name = name.into_boxed_slice();
            }
        }
        all.retain(|totals| totals.allocated.blocks > 0);
        Ok(all)
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
            let all = totals.iter().map(|t| (t.live_bytes, t.live_blocks));
            let mut live = Vec::new();
            tracer.live(view, &mut live).unwrap();
            let alone = live.iter().map(|live| (live.bytes, live.blocks));
            assert!(alone.eq(all.clone()));
            all.collect::<Vec<_>>()
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
    #[test]
    fn what_was_live_at_the_peak_is_known_by_traceback_and_thread() {
        let mut tracer = Tracer::default();
        tracer.start(View::Profile, 1);
        let a = traceback(&mut tracer, &[1]);
        let b = traceback(&mut tracer, &[2]);
        let first = tracer.thread(70).unwrap();
        let second = tracer.thread(71).unwrap();
        tracer.set_thread_name(second, b"second").unwrap();
        let in_first = tracer.owner(a, first).unwrap();
        let in_second = tracer.owner(a, second).unwrap();
        assert_ne!(in_first, in_second);
        tracer.record_for(0x10, 10, in_first).unwrap();
        tracer.record_for(0x20, 20, in_second).unwrap();
        tracer.release(0x10);
        tracer.record(0x30, 5, b).unwrap();
        tracer.release(0x20);
        let amount = |bytes, blocks| Amount { bytes, blocks };
        let peak = |tracer: &Tracer| {
            let mut peak = Vec::new();
            tracer.peak(View::Profile, &mut peak).unwrap();
            peak
        };
        assert_eq!(peak(&tracer), [amount(30, 2), amount(0, 0)]);
        let threads = tracer.threads(View::Profile).unwrap();
        assert_eq!((threads[0].number, threads[1].number), (70, 71));
        assert_eq!(&*threads[1].name, b"second");
        assert_eq!(threads[0].live, amount(5, 1));
        assert_eq!(threads[0].peak, amount(10, 1));
        assert_eq!(threads[0].allocated, amount(15, 2));
        assert_eq!(threads[1].peak, amount(20, 1));
        assert_eq!(threads[1].live, amount(0, 0));
        tracer.reset_peak(View::Profile);
        assert_eq!(peak(&tracer), [amount(0, 0), amount(5, 1)]);
    }

    #[test]
    fn what_goes_before_the_next_comes_is_temporary() {
        let mut tracer = Tracer::default();
        tracer.start(View::Profile, 1);
        let a = traceback(&mut tracer, &[1]);
        let temporary = |tracer: &Tracer| {
            let mut totals = Vec::new();
            tracer.totals(View::Profile, &mut totals).unwrap();
            (totals[0].temporary_bytes, totals[0].temporary_blocks)
        };
        tracer.record(0x10, 10, a).unwrap();
        tracer.record(0x20, 20, a).unwrap();
        tracer.release(0x20);
        tracer.release(0x10);
        assert_eq!(temporary(&tracer), (20, 1));
        tracer.record(0x10, 40, a).unwrap();
        tracer.moving(0x10);
        tracer.record(0x30, 80, a).unwrap();
        tracer.record(0x40, 1, a).unwrap();
        tracer.release(0x30);
        assert_eq!(temporary(&tracer), (20, 1));
        tracer.set_temporary(2).unwrap();
        tracer.record(0x50, 100, a).unwrap();
        tracer.record(0x60, 1, a).unwrap();
        tracer.release(0x50);
        tracer.release(0x40);
        assert_eq!(temporary(&tracer), (120, 2));
    }
}
