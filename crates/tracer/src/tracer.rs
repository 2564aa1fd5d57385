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

    /// A block of another domain came to life; domain 0 is [`Tracer::record`].
    pub fn track(
        &mut self,
        domain: u32,
        address: usize,
        size: usize,
        traceback: TracebackId,
    ) -> Result<(), Exhausted> {
        if domain == 0 {
            return self.record(address, size, traceback).map(drop);
        }
        let block = Block {
            size,
            traceback,
            flags: Flags::new(self.active),
        };
        if let Some(old) = self.domains.insert(domain, address, block)? {
            self.discount(old);
        }
        self.count(block);
        Ok(())
    }

    /// A block of another domain is gone; domain 0 is [`Tracer::release`].
    pub fn untrack(&mut self, domain: u32, address: usize) -> Option<Block> {
        if domain == 0 {
            return self.release(address);
        }
        let block = self.domains.remove(domain, address)?;
        self.discount(block);
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

    /// A snapshot of the one block at an address: empty if `view` sees none.
    pub fn snapshot_of(&self, view: View, address: usize) -> Result<Snapshot, Exhausted> {
        let known = self.block(address);
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
        let seen = [(0, Block { traceback, ..block })];
        Snapshot::take(
            seen.into_iter(),
            &tracebacks,
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
mod tests {
    use super::*;
    use crate::location::LocationId;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const PROGRAM: View = View::Program;
    const PROFILE: View = View::Profile;

    fn traceback(tracer: &mut Tracer, lines: &[u32]) -> TracebackId {
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
        let block = tracer.snapshot_of(PROGRAM, 0x20).unwrap();
        assert_eq!(
            block.tracebacks().frames(block.blocks()[0].traceback).len(),
            1
        );
        assert_eq!(block.tracebacks().total(block.blocks()[0].traceback), 4);
        assert!(
            tracer
                .snapshot_of(PROGRAM, 0x30)
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
        tracer.track(0, 0x10, 3, id).unwrap();
        tracer.track(7, 0x10, 4, id).unwrap();
        tracer.track(7, 0x10, 5, id).unwrap();
        assert_eq!(tracer.counters(PROGRAM).current(), 8);
        let snapshot = tracer.snapshot(PROGRAM).unwrap();
        let domains: Vec<u32> = snapshot.blocks().iter().map(|b| b.domain).collect();
        assert_eq!(domains, [0, 7]);
        assert_eq!(tracer.untrack(7, 0x10).unwrap().size, 5);
        assert_eq!(tracer.untrack(7, 0x10), None);
        assert_eq!(tracer.untrack(0, 0x10).unwrap().size, 3);
        assert!(tracer.memory() > 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Record(usize, usize, u32),
        Release(usize),
        Move(usize, usize, usize),
        Start(View, u16),
        Stop(View),
        Clear(View),
    }

    fn step() -> impl Strategy<Value = Step> {
        let address = (1usize..40).prop_map(|a| a * 16);
        let view = prop_oneof![Just(PROGRAM), Just(PROFILE)];
        prop_oneof![
            8 => (address.clone(), 0usize..1000, 0u32..5).prop_map(|(a, s, l)| Step::Record(a, s, l)),
            6 => address.clone().prop_map(Step::Release),
            3 => (address.clone(), address, 0usize..1000).prop_map(|(a, b, s)| Step::Move(a, b, s)),
            2 => (view.clone(), 1u16..4).prop_map(|(v, n)| Step::Start(v, n)),
            1 => view.clone().prop_map(Step::Stop),
            1 => view.prop_map(Step::Clear),
        ]
    }

    /// What a single tracer for one view would know, written without thought of speed.
    #[derive(Default)]
    struct Model {
        on: bool,
        limit: usize,
        live: HashMap<usize, (usize, Vec<u32>, usize)>,
        peak: usize,
    }

    impl Model {
        fn current(&self) -> usize {
            self.live.values().map(|(size, ..)| size).sum()
        }

        fn record(&mut self, address: usize, size: usize, stack: &[u32]) {
            if self.on {
                let kept = stack.iter().copied().take(self.limit).collect();
                self.live.insert(address, (size, kept, stack.len()));
                self.peak = self.peak.max(self.current());
            } else {
                self.live.remove(&address);
            }
        }
    }

    proptest! {
        #[test]
        fn two_views_are_two_tracers(steps in proptest::collection::vec(step(), 0..400)) {
            let mut tracer = Tracer::default();
            let mut models = [Model::default(), Model::default()];
            for step in steps {
                match step {
                    Step::Record(address, size, line) => {
                        if tracer.active().is_empty() { continue; }
                        let stack = [line, 100, 101, 102];
                        let id = traceback(&mut tracer, &stack);
                        tracer.record(address, size, id).unwrap();
                        models.iter_mut().for_each(|m| m.record(address, size, &stack));
                    }
                    Step::Release(address) => {
                        tracer.release(address);
                        models.iter_mut().for_each(|m| { m.live.remove(&address); });
                    }
                    Step::Move(from, to, size) => {
                        if tracer.active().is_empty() { continue; }
                        tracer.release(from);
                        models.iter_mut().for_each(|m| { m.live.remove(&from); });
                        let id = traceback(&mut tracer, &[77]);
                        tracer.record(to, size, id).unwrap();
                        models.iter_mut().for_each(|m| m.record(to, size, &[77]));
                    }
                    Step::Start(view, limit) => {
                        let model = &mut models[view.index()];
                        prop_assert_eq!(tracer.start(view, limit), !model.on);
                        if !model.on {
                            *model = Model { on: true, limit: limit.into(), ..Model::default() };
                        }
                    }
                    Step::Stop(view) => {
                        tracer.stop(view);
                        models[view.index()] = Model::default();
                    }
                    Step::Clear(view) => {
                        tracer.clear(view);
                        models[view.index()].live.clear();
                        models[view.index()].peak = 0;
                    }
                }
                for view in View::ALL {
                    let model = &models[view.index()];
                    let counters = tracer.counters(view);
                    prop_assert_eq!(counters.current(), model.current());
                    prop_assert_eq!(counters.peak(), model.peak);
                }
            }
            for view in View::ALL {
                let model = &models[view.index()];
                let snapshot = tracer.snapshot(view).unwrap();
                let mut seen: Vec<(usize, Vec<u32>, usize)> = snapshot.blocks().iter().map(|b| {
                    let frames = snapshot.tracebacks().frames(b.traceback).iter();
                    let lines = frames.map(|&l: &LocationId| snapshot.location(l).1).collect();
                    (b.size, lines, snapshot.tracebacks().total(b.traceback).into())
                }).collect();
                let mut expected: Vec<_> = model.live.values().cloned().collect();
                seen.sort();
                expected.sort();
                prop_assert_eq!(seen, expected);
            }
        }
    }
}
