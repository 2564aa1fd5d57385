//! The tracer: tables, views and the events that connect them.

use crate::counters::Counters;
use crate::domain::Domains;
use crate::exhausted::Exhausted;
use crate::location::Locations;
use crate::snapshot::Snapshot;
use crate::table::{Block, BlockTable, Flags};
use crate::traceback::{TracebackBuilder, TracebackId, Tracebacks};
use crate::view::{View, ViewSet};

#[derive(Clone, Copy, Debug)]
struct Observer {
    limit: u16,
    counters: Counters,
}

/// Everything known about live blocks, for both views.
#[derive(Debug)]
pub struct Tracer {
    blocks: BlockTable,
    domains: Domains,
    tracebacks: Tracebacks,
    locations: Locations,
    active: ViewSet,
    observers: [Observer; 2],
}

impl Default for Tracer {
    fn default() -> Self {
        let observer = Observer {
            limit: 1,
            counters: Counters::default(),
        };
        Tracer {
            blocks: BlockTable::default(),
            domains: Domains::default(),
            tracebacks: Tracebacks::default(),
            locations: Locations::default(),
            active: ViewSet::EMPTY,
            observers: [observer; 2],
        }
    }
}

impl Tracer {
    /// Begin to record for `view`, keeping up to `limit` frames of each
    /// traceback. If it records already, nothing changes and the answer is no.
    pub fn start(&mut self, view: View, limit: u16) -> bool {
        if self.active.contains(view) {
            return false;
        }
        self.active = self.active.with(view);
        self.observers[view.index()] = Observer {
            limit: limit.max(1),
            counters: Counters::default(),
        };
        true
    }

    /// Stop recording for `view` and forget what it saw. The limit stays.
    ///
    /// When the last view stops, everything is forgotten, watched blocks and
    /// locations included; the answer is yes when that has happened.
    pub fn stop(&mut self, view: View) -> bool {
        if !self.active.contains(view) {
            return false;
        }
        self.clear(view);
        self.active = self.active.without(view);
        if self.active.is_empty() {
            self.blocks.clear();
            self.domains.clear();
            self.tracebacks.clear();
            self.locations = Locations::default();
        }
        self.active.is_empty()
    }

    /// Forget what `view` has seen so far, but go on recording for it.
    pub fn clear(&mut self, view: View) {
        let forget = |block: Block| {
            let flags = block.flags.with_views(block.flags.views().without(view));
            (!flags.views().is_empty() || flags.is_watched()).then_some(flags)
        };
        self.blocks.retain(forget);
        for table in self.domains.iter_mut() {
            table.retain(forget);
        }
        self.observers[view.index()].counters.clear();
        if self.active.without(view).is_empty() {
            self.tracebacks.clear();
        }
    }

    /// Is anybody looking?
    #[inline]
    pub fn active(&self) -> ViewSet {
        self.active
    }

    /// The frame limit of a view: of its last start, or 1.
    pub fn limit(&self, view: View) -> u16 {
        self.observers[view.index()].limit
    }

    /// How many frames a new traceback must keep so that every active view
    /// gets what it asked for.
    #[inline]
    pub fn capture_limit(&self) -> u16 {
        let limit = |view: View| {
            if self.active.contains(view) {
                self.observers[view.index()].limit
            } else {
                1
            }
        };
        limit(View::Program).max(limit(View::Profile))
    }

    /// The running figures of a view.
    pub fn counters(&self, view: View) -> Counters {
        self.observers[view.index()].counters
    }

    /// Start the peak of a view anew.
    pub fn reset_peak(&mut self, view: View) {
        self.observers[view.index()].counters.reset_peak();
    }

    /// The source lines met so far.
    pub fn locations(&self) -> &Locations {
        &self.locations
    }

    /// The source lines, for a host that has met a new one.
    pub fn locations_mut(&mut self) -> &mut Locations {
        &mut self.locations
    }

    /// The tracebacks met so far.
    pub fn tracebacks(&self) -> &Tracebacks {
        &self.tracebacks
    }

    /// The number of a traceback.
    #[inline]
    pub fn intern(&mut self, built: &TracebackBuilder) -> Result<TracebackId, Exhausted> {
        self.tracebacks.intern(built)
    }

    #[inline]
    fn count(&mut self, block: Block) {
        for view in View::ALL {
            if block.flags.views().contains(view) {
                self.observers[view.index()].counters.add(block.size);
            }
        }
    }

    #[inline]
    fn discount(&mut self, block: Block) {
        for view in View::ALL {
            if block.flags.views().contains(view) {
                self.observers[view.index()].counters.subtract(block.size);
            }
        }
    }

    /// A block was allocated. What was known at its address, if its release
    /// went unseen, is returned.
    #[inline]
    pub fn record(
        &mut self,
        address: usize,
        size: usize,
        traceback: TracebackId,
    ) -> Result<Option<Block>, Exhausted> {
        let block = Block {
            size,
            traceback,
            flags: Flags::new(self.active),
        };
        let old = self.blocks.insert(address, block)?;
        if let Some(old) = old {
            self.discount(old);
        }
        self.count(block);
        Ok(old)
    }

    /// A block is about to be released.
    #[inline]
    pub fn release(&mut self, address: usize) -> Option<Block> {
        let block = self.blocks.remove(address)?;
        self.discount(block);
        Some(block)
    }

    /// A block that was reported released lives on after all.
    pub fn restore(&mut self, address: usize, block: Block) -> Result<(), Exhausted> {
        // A view may have stopped in between, or all tracebacks been forgotten.
        let mut views = ViewSet::EMPTY;
        if block.traceback.0 as usize >= self.tracebacks.len() {
            return Ok(());
        }
        for view in View::ALL {
            if block.flags.views().contains(view) && self.active.contains(view) {
                views = views.with(view);
            }
        }
        let flags = block.flags.with_views(views);
        if views.is_empty() && !flags.is_watched() {
            return Ok(());
        }
        let block = Block { flags, ..block };
        if let Some(old) = self.blocks.insert(address, block)? {
            self.discount(old);
        }
        self.count(block);
        Ok(())
    }

    /// The block at an address.
    pub fn block(&self, address: usize) -> Option<Block> {
        self.blocks.get(address)
    }

    /// Does `view` see a block at this address?
    #[inline]
    pub fn sees(&self, view: View, address: usize) -> bool {
        self.blocks
            .get(address)
            .is_some_and(|block| block.flags.views().contains(view))
    }

    /// A block has a new owner: its memory was handed on without a release.
    pub fn retag(&mut self, address: usize, traceback: TracebackId) -> bool {
        self.blocks.set_traceback(address, traceback)
    }

    /// Mark the block at an address so that its release says so.
    pub fn watch(&mut self, address: usize) -> Result<(), Exhausted> {
        self.blocks.watch(address)
    }

    /// Somebody else than the allocator reports a block, to `view` alone. The
    /// answer is no, and nothing is changed, while that view does not record.
    ///
    /// A block has one size and one owner: should the other view see it already,
    /// they change there too.
    pub fn track(
        &mut self,
        view: View,
        domain: u32,
        address: usize,
        size: usize,
        traceback: TracebackId,
    ) -> Result<bool, Exhausted> {
        if !self.active.contains(view) {
            return Ok(false);
        }
        let table = match domain {
            0 => &mut self.blocks,
            _ => self.domains.table_or_new(domain)?,
        };
        let flags = table.get(address).map_or(Flags::default(), |old| old.flags);
        let block = Block {
            size,
            traceback,
            flags: flags.with_views(flags.views().with(view)),
        };
        if let Some(old) = table.insert(address, block)? {
            self.discount(old);
        }
        self.count(block);
        Ok(true)
    }

    /// Somebody else than the allocator takes a block back from `view`; the
    /// other view sees what it saw. What `view` saw is returned.
    pub fn untrack(&mut self, view: View, domain: u32, address: usize) -> Option<Block> {
        let table = match domain {
            0 => &mut self.blocks,
            _ => self.domains.table_mut(domain)?,
        };
        let known = table.get(address);
        let block = known.filter(|block| block.flags.views().contains(view))?;
        let flags = block.flags.with_views(block.flags.views().without(view));
        if flags == Flags::default() {
            table.remove(address);
        } else {
            table.set_flags(address, flags);
        }
        self.observers[view.index()].counters.subtract(block.size);
        Some(block)
    }

    /// A copy of what `view` sees, with tracebacks cut to its own limit.
    pub fn snapshot(&self, view: View) -> Result<Snapshot, Exhausted> {
        let main = self.blocks.iter().map(|(_, block)| (0, block));
        let others = self
            .domains
            .iter()
            .flat_map(|(domain, table)| table.iter().map(move |(_, block)| (domain, block)));
        let seen = main
            .chain(others)
            .filter(|(_, block)| block.flags.views().contains(view));
        Snapshot::take(seen, &self.tracebacks, &self.locations, self.limit(view))
    }

    /// A snapshot of the one block at an address of a domain: empty if `view`
    /// sees none.
    pub fn snapshot_of(
        &self,
        view: View,
        domain: u32,
        address: usize,
    ) -> Result<Snapshot, Exhausted> {
        let known = match domain {
            0 => self.block(address),
            _ => self.domains.table(domain).and_then(|t| t.get(address)),
        };
        let Some(block) = known.filter(|block| block.flags.views().contains(view)) else {
            return Ok(Snapshot::default());
        };
        // A table of its own for the one traceback, so that the cost does not
        // depend on how many others there are.
        let mut builder = TracebackBuilder::default();
        builder.reset(self.limit(view));
        let frames = self.tracebacks.frames(block.traceback);
        for &location in frames.iter().take(self.limit(view).into()) {
            builder.push(location)?;
        }
        for _ in builder.frames().len()..self.tracebacks.total(block.traceback).into() {
            builder.count();
        }
        let mut tracebacks = Tracebacks::default();
        let traceback = tracebacks.intern(&builder)?;
        let seen = [(domain, Block { traceback, ..block })];
        Snapshot::take(
            seen.into_iter(),
            &tracebacks,
            &self.locations,
            self.limit(view),
        )
    }

    /// A snapshot of several blocks of a domain, in the order of `addresses`, from
    /// which those are taken out where `view` sees no block.
    pub fn snapshot_among(
        &self,
        view: View,
        domain: u32,
        addresses: &mut Vec<usize>,
    ) -> Result<Snapshot, Exhausted> {
        let table = match domain {
            0 => Some(&self.blocks),
            _ => self.domains.table(domain),
        };
        let mut seen = Vec::new();
        seen.try_reserve_exact(addresses.len())?;
        addresses.retain(|address| {
            let known = table.and_then(|table| table.get(*address));
            let known = known.filter(|block| block.flags.views().contains(view));
            seen.extend(known.map(|block| (domain, block)));
            known.is_some()
        });
        Snapshot::take(
            seen.into_iter(),
            &self.tracebacks,
            &self.locations,
            self.limit(view),
        )
    }

    /// Bytes held by the tracer's own tables.
    pub fn memory(&self) -> usize {
        self.blocks.memory()
            + self.domains.memory()
            + self.tracebacks.memory()
            + self.locations.memory()
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: View = View::Program;
    const PROFILE: View = View::Profile;

    pub fn traceback(tracer: &mut Tracer, lines: &[u32]) -> TracebackId {
        let file = tracer.locations_mut().file(b"f.py").unwrap();
        let mut builder = TracebackBuilder::default();
        builder.reset(tracer.capture_limit());
        for &line in lines {
            let location = tracer.locations_mut().location(file, line).unwrap();
            builder.push(location).unwrap();
        }
        tracer.intern(&builder).unwrap()
    }

    #[test]
    fn a_view_sees_only_what_came_after_its_start() {
        let mut tracer = Tracer::default();
        assert!(tracer.start(PROFILE, 10));
        let id = traceback(&mut tracer, &[1, 2, 3]);
        tracer.record(0x10, 100, id).unwrap();
        assert!(tracer.start(PROGRAM, 2));
        assert!(!tracer.start(PROGRAM, 9));
        assert_eq!(tracer.limit(PROGRAM), 2);
        tracer.record(0x20, 7, id).unwrap();
        assert_eq!(tracer.counters(PROGRAM).current(), 7);
        assert_eq!(tracer.counters(PROFILE).current(), 107);
        assert!(!tracer.sees(PROGRAM, 0x10));

        tracer.clear(PROGRAM);
        assert_eq!(tracer.counters(PROGRAM).peak(), 0);
        assert_eq!(tracer.counters(PROFILE).current(), 107);
        assert!(!tracer.stop(PROGRAM));
        assert_eq!(tracer.snapshot(PROFILE).unwrap().blocks().len(), 2);
        assert!(tracer.stop(PROFILE));
        assert_eq!(tracer.limit(PROFILE), 10);
        assert!(tracer.block(0x10).is_none());
        assert!(!tracer.stop(PROFILE));
    }

    #[test]
    fn each_view_gets_its_own_number_of_frames() {
        let mut tracer = Tracer::default();
        tracer.start(PROGRAM, 1);
        tracer.start(PROFILE, 3);
        assert_eq!(tracer.capture_limit(), 3);
        let one = traceback(&mut tracer, &[1, 2, 3, 4]);
        let other = traceback(&mut tracer, &[1, 9, 9, 9]);
        tracer.record(0x10, 1, one).unwrap();
        tracer.record(0x20, 2, other).unwrap();
        let short = tracer.snapshot(PROGRAM).unwrap();
        assert_eq!(short.tracebacks().len(), 1, "alike after the cut");
        assert_eq!(short.tracebacks().total(TracebackId(0)), 4);
        let long = tracer.snapshot(PROFILE).unwrap();
        assert_eq!(long.tracebacks().len(), 2);
        assert_eq!(long.tracebacks().frames(TracebackId(0)).len(), 3);
        let block = tracer.snapshot_of(PROGRAM, 0, 0x20).unwrap();
        assert_eq!(
            block.tracebacks().frames(block.blocks()[0].traceback).len(),
            1
        );
        assert_eq!(block.tracebacks().total(block.blocks()[0].traceback), 4);
        assert!(
            tracer
                .snapshot_of(PROGRAM, 0, 0x30)
                .unwrap()
                .blocks()
                .is_empty()
        );
        tracer.stop(PROFILE);
        assert_eq!(tracer.capture_limit(), 1);
    }

    #[test]
    fn a_failed_move_puts_the_block_back() {
        let mut tracer = Tracer::default();
        tracer.start(PROGRAM, 1);
        let id = traceback(&mut tracer, &[1]);
        tracer.record(0x10, 50, id).unwrap();
        let block = tracer.release(0x10).unwrap();
        tracer.restore(0x10, block).unwrap();
        assert_eq!(tracer.counters(PROGRAM).current(), 50);
        assert_eq!(tracer.counters(PROGRAM).peak(), 50);
        let block = tracer.release(0x10).unwrap();
        tracer.stop(PROGRAM);
        tracer.restore(0x10, block).unwrap();
        assert!(tracer.block(0x10).is_none());
    }

    #[test]
    fn watched_blocks_survive_a_clear_and_report_their_release() {
        let mut tracer = Tracer::default();
        tracer.start(PROGRAM, 1);
        tracer.watch(0x40).unwrap();
        tracer.clear(PROGRAM);
        assert_eq!(tracer.snapshot(PROGRAM).unwrap().blocks().len(), 0);
        assert!(tracer.release(0x40).unwrap().flags.is_watched());
        assert_eq!(tracer.counters(PROGRAM).current(), 0);
    }

    #[test]
    fn other_domains_count_and_show() {
        let mut tracer = Tracer::default();
        tracer.start(PROGRAM, 1);
        let id = traceback(&mut tracer, &[1]);
        assert_eq!(tracer.track(PROFILE, 7, 0x10, 4, id), Ok(false));
        tracer.track(PROGRAM, 0, 0x10, 3, id).unwrap();
        tracer.track(PROGRAM, 7, 0x10, 4, id).unwrap();
        assert_eq!(tracer.track(PROGRAM, 7, 0x10, 5, id), Ok(true));
        assert_eq!(tracer.counters(PROGRAM).current(), 8);
        let snapshot = tracer.snapshot(PROGRAM).unwrap();
        let domains: Vec<u32> = snapshot.blocks().iter().map(|b| b.domain).collect();
        assert_eq!(domains, [0, 7]);
        let one = tracer.snapshot_of(PROGRAM, 7, 0x10).unwrap();
        assert_eq!((one.blocks()[0].domain, one.blocks()[0].size), (7, 5));
        assert!(
            tracer
                .snapshot_of(PROGRAM, 8, 0x10)
                .unwrap()
                .blocks()
                .is_empty()
        );
        let mut addresses = vec![0x20, 0x10, 0x30];
        let among = tracer.snapshot_among(PROGRAM, 7, &mut addresses).unwrap();
        assert_eq!(
            (addresses.as_slice(), among.blocks().len()),
            (&[0x10][..], 1)
        );
        assert_eq!(among.blocks()[0].size, 5);
        assert_eq!(tracer.untrack(PROGRAM, 7, 0x10).unwrap().size, 5);
        assert_eq!(tracer.untrack(PROGRAM, 7, 0x10), None);
        assert_eq!(tracer.untrack(PROGRAM, 8, 0x10), None);
        assert_eq!(tracer.untrack(PROGRAM, 0, 0x10).unwrap().size, 3);
        assert_eq!(tracer.counters(PROGRAM).current(), 0);
        assert!(tracer.memory() > 0);
    }

    #[test]
    fn a_block_can_be_taken_from_one_view() {
        let mut tracer = Tracer::default();
        tracer.start(PROGRAM, 1);
        tracer.start(PROFILE, 1);
        let id = traceback(&mut tracer, &[1]);
        tracer.record(0x10, 50, id).unwrap();
        tracer.watch(0x10).unwrap();
        assert_eq!(tracer.untrack(PROGRAM, 0, 0x10).unwrap().size, 50);
        assert_eq!(tracer.untrack(PROGRAM, 0, 0x10), None);
        assert!(!tracer.sees(PROGRAM, 0x10) && tracer.sees(PROFILE, 0x10));
        assert_eq!(tracer.counters(PROGRAM).current(), 0);
        assert_eq!(tracer.counters(PROFILE).current(), 50);
        // Reported anew: seen by both, with the size that it has now.
        tracer.track(PROGRAM, 0, 0x10, 60, id).unwrap();
        assert_eq!(tracer.counters(PROGRAM).current(), 60);
        assert_eq!(tracer.counters(PROFILE).current(), 60);
        tracer.untrack(PROFILE, 0, 0x10).unwrap();
        tracer.untrack(PROGRAM, 0, 0x10).unwrap();
        assert!(tracer.release(0x10).unwrap().flags.is_watched());
        assert_eq!(tracer.track(PROGRAM, 0, 0x20, 6, id), Ok(true));
        assert!(!tracer.sees(PROFILE, 0x20));
    }
}
