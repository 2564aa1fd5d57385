//! The tracer: tables, views and the events that connect them.

use crate::callers::Callers;
use crate::counters::Counters;
use crate::domain::Domains;
use crate::exhausted::Exhausted;
use crate::location::{LocationId, Locations};
use crate::owner::{OwnerId, Owners};
use crate::side_table::{self, ELSEWHERE, NoSideTable, SideTable, UNKNOWN};
use crate::snapshot::Snapshot;
use crate::table::{Block, BlockTable};
use crate::traceback::{TracebackBuilder, TracebackId, Tracebacks};
use crate::view::{View, ViewSet};

mod totals;

pub use totals::Totals;

#[derive(Clone, Copy, Debug)]
struct Observer {
    limit: u16,
    counters: Counters,
}

/// What was known about a block that has been released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// Its size in bytes.
    pub size: usize,
    /// Who allocated it. Meaningless where no view saw it.
    pub traceback: TracebackId,
    /// Who saw it.
    pub views: ViewSet,
    /// The host had asked to be told.
    pub is_watched: bool,
}

/// Everything known about live blocks, for both views.
///
/// Blocks that the host can number are in its side table `S`, the others in a
/// table by address.
#[derive(Debug)]
pub struct Tracer<S: SideTable = NoSideTable> {
    side: S,
    blocks: BlockTable,
    domains: Domains,
    owners: Owners,
    callers: Callers,
    tracebacks: Tracebacks,
    locations: Locations,
    active: ViewSet,
    observers: [Observer; 2],
    builder: TracebackBuilder,
}

impl Default for Tracer<NoSideTable> {
    fn default() -> Self {
        Tracer::new(NoSideTable)
    }
}

impl<S: SideTable> Tracer<S> {
    /// A tracer without any block, whose side table is empty too.
    pub fn new(side: S) -> Self {
        let observer = Observer {
            limit: 1,
            counters: Counters::default(),
        };
        Tracer {
            side,
            blocks: BlockTable::default(),
            domains: Domains::default(),
            owners: Owners::default(),
            callers: Callers::default(),
            tracebacks: Tracebacks::default(),
            locations: Locations::default(),
            active: ViewSet::EMPTY,
            observers: [observer; 2],
            builder: TracebackBuilder::default(),
        }
    }

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
        self.begin_epoch();
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
        self.begin_epoch();
        if self.active.is_empty() {
            self.locations = Locations::default();
        }
        self.active.is_empty()
    }

    /// Forget what `view` has seen so far, but go on recording for it. Watched
    /// blocks are forgotten too where no other view records.
    pub fn clear(&mut self, view: View) {
        self.observers[view.index()].counters.clear();
        if self.active.without(view).is_empty() {
            self.side.wipe();
            self.blocks.clear();
            self.domains.clear();
            self.owners.clear();
            self.tracebacks.clear();
        } else {
            self.owners.hide_from(view);
            let owners = &mut self.owners;
            // In the side table blocks that nobody sees take no more room than
            // others, and go when they are released.
            let mut keep = |block: Block| {
                let is_seen = !owners.get(block.owner).views.is_empty();
                if !is_seen && !block.is_watched {
                    owners.subtract(block.owner, block.size);
                }
                is_seen || block.is_watched
            };
            self.blocks.retain(&mut keep);
            for table in self.domains.iter_mut() {
                table.retain(&mut keep);
            }
        }
        self.begin_epoch();
    }

    fn begin_epoch(&mut self) {
        self.owners.begin_epoch();
        self.callers.clear();
    }

    /// Changes whenever an owner that was handed out must not be used for new
    /// blocks any more, and watched blocks may have been forgotten.
    #[inline]
    pub fn epoch(&self) -> u32 {
        self.owners.epoch()
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

    /// Must frames beyond the limit be counted? Only programs can ask for their
    /// number; to the profile it is as many as were kept.
    #[inline]
    pub fn counts_all_frames(&self) -> bool {
        self.active.contains(View::Program)
    }

    /// The running figures of a view.
    pub fn counters(&self, view: View) -> Counters {
        self.observers[view.index()].counters
    }

    /// Start the peak of a view anew.
    pub fn reset_peak(&mut self, view: View) {
        self.observers[view.index()].counters.reset_peak();
    }

    /// The host's side table.
    #[inline(always)]
    pub fn side_table(&self) -> &S {
        &self.side
    }

    /// The host's side table, to be changed.
    pub fn side_table_mut(&mut self) -> &mut S {
        &mut self.side
    }

    /// The traceback of an owner.
    pub fn traceback_of(&self, owner: OwnerId) -> TracebackId {
        self.owners.get(owner).traceback
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

    /// The owner for what is allocated now by a traceback.
    pub fn owner(&mut self, traceback: TracebackId) -> Result<OwnerId, Exhausted> {
        self.owners.of(traceback, self.active)
    }

    /// The owner for what is allocated now at `location`, called by what `caller`
    /// would own; [`OwnerId::NOBODY`] calls the outermost frame. Both are of this
    /// epoch.
    pub fn called(&mut self, caller: OwnerId, location: LocationId) -> Result<OwnerId, Exhausted> {
        if let Some(owner) = self.callers.get(caller, location) {
            return Ok(owner);
        }
        let counts_all = self.counts_all_frames();
        self.builder.reset(self.capture_limit());
        self.builder.push(location)?;
        if caller != OwnerId::NOBODY {
            let above = self.owners.get(caller).traceback;
            for &frame in self.tracebacks.frames(above) {
                if self.builder.is_full() {
                    break;
                }
                self.builder.push(frame)?;
            }
            if counts_all {
                self.builder
                    .set_total(u32::from(self.tracebacks.total(above)) + 1);
            }
        }
        let traceback = self.tracebacks.intern(&self.builder)?;
        let owner = self.owners.of(traceback, self.active)?;
        self.callers.insert(caller, location, owner)?;
        Ok(owner)
    }

    #[inline(always)]
    fn count(&mut self, owner: OwnerId, size: usize) {
        let views = self.owners.add(owner, size);
        for view in View::ALL {
            if views.contains(view) {
                self.observers[view.index()].counters.add(size);
            }
        }
    }

    #[inline(always)]
    fn discount(&mut self, owner: OwnerId, size: usize) -> ViewSet {
        let views = self.owners.subtract(owner, size);
        for view in View::ALL {
            if views.contains(view) {
                self.observers[view.index()].counters.subtract(size);
            }
        }
        views
    }

    /// The block in the side table at a place whose word is its own.
    #[inline(always)]
    fn read(&self, place: S::Place, word: u32) -> Block {
        let room = self.side.room(place);
        let (owner, mut size) = side_table::unpack(word, room);
        if room > side_table::FINE {
            size = self.side.second(place) as usize;
        }
        Block {
            size,
            owner,
            is_watched: false,
        }
    }

    /// The block of the host's own domain at an address.
    fn find(&self, address: usize) -> Option<Block> {
        if let Some(place) = self.side.place(address) {
            match self.side.word(place) {
                UNKNOWN => return None,
                ELSEWHERE => {}
                word => return Some(self.read(place, word)),
            }
        }
        self.blocks.get(address)
    }

    /// Take the block at an address out, without a change to any sum.
    #[inline]
    fn take(&mut self, address: usize) -> Option<Block> {
        if let Some(place) = self.side.place(address) {
            let word = self.side.word(place);
            if word == UNKNOWN {
                return None;
            }
            self.side.set_word(place, UNKNOWN);
            if word != ELSEWHERE {
                return Some(self.read(place, word));
            }
        }
        self.blocks.remove(address)
    }

    /// Put a block in where none is, without a change to any sum.
    #[inline]
    fn put(&mut self, address: usize, block: Block) -> Result<(), Exhausted> {
        if let Some(place) = self.side.place(address) {
            let room = self.side.room(place);
            match side_table::pack(block.owner, block.size, room) {
                Some(word) if !block.is_watched && block.owner != OwnerId::NOBODY => {
                    self.side.set_word(place, word);
                    if room > side_table::FINE {
                        // No more than the room, which is far below 4 GiB.
                        self.side.set_second(place, block.size as u32);
                    }
                    return Ok(());
                }
                _ => self.side.set_word(place, ELSEWHERE),
            }
        }
        self.put_elsewhere(address, block)
    }

    #[inline(never)]
    fn put_elsewhere(&mut self, address: usize, block: Block) -> Result<(), Exhausted> {
        let result = self.blocks.insert(address, block);
        if result.is_err()
            && let Some(place) = self.side.place(address)
        {
            self.side.set_word(place, UNKNOWN);
        }
        result.map(|_| ())
    }

    fn released(&self, block: Block, views: ViewSet) -> Released {
        Released {
            size: block.size,
            traceback: self.owners.get(block.owner).traceback,
            views,
            is_watched: block.is_watched,
        }
    }

    /// As [`Tracer::record_for`], for a traceback that has just been interned.
    pub fn record(
        &mut self,
        address: usize,
        size: usize,
        traceback: TracebackId,
    ) -> Result<Option<Released>, Exhausted> {
        let owner = self.owner(traceback)?;
        self.record_for(address, size, owner)
    }

    /// A block was allocated. What was known at its address, if its release
    /// went unseen, is returned. If there is no memory, nothing is known there.
    #[inline]
    pub fn record_for(
        &mut self,
        address: usize,
        size: usize,
        owner: OwnerId,
    ) -> Result<Option<Released>, Exhausted> {
        let old = self.release(address);
        let block = Block {
            size,
            owner,
            is_watched: false,
        };
        self.put(address, block)?;
        self.count(owner, size);
        Ok(old)
    }

    /// As [`Tracer::record_for`], for the common case that takes the fewest steps:
    /// nothing is known at the block's place, and all fits in its word. No, and
    /// nothing is done, otherwise.
    #[inline(always)]
    pub fn record_at(&mut self, place: S::Place, size: usize, owner: OwnerId) -> bool {
        let room = self.side.room(place);
        let Some(word) = side_table::pack(owner, size, room) else {
            return false;
        };
        if self.side.word(place) != UNKNOWN || owner == OwnerId::NOBODY {
            return false;
        }
        self.side.set_word(place, word);
        if room > side_table::FINE {
            self.side.set_second(place, size as u32);
        }
        self.count(owner, size);
        true
    }

    /// Can [`Tracer::release_at`] release this block?
    #[inline(always)]
    pub fn is_at(&self, place: S::Place) -> bool {
        self.side.word(place) != ELSEWHERE
    }

    /// As [`Tracer::release`], for the common case: all that is known of the block
    /// is in its word. No, and nothing is done, otherwise.
    #[inline(always)]
    pub fn release_at(&mut self, place: S::Place) -> bool {
        let word = self.side.word(place);
        if word == UNKNOWN {
            return true;
        }
        if word == ELSEWHERE {
            return false;
        }
        self.side.set_word(place, UNKNOWN);
        let block = self.read(place, word);
        self.discount(block.owner, block.size);
        true
    }

    /// A block is about to be released.
    #[inline]
    pub fn release(&mut self, address: usize) -> Option<Released> {
        let block = self.take(address)?;
        let traceback = self.owners.get(block.owner).traceback;
        let views = self.discount(block.owner, block.size);
        Some(Released {
            size: block.size,
            traceback,
            views,
            is_watched: block.is_watched,
        })
    }

    /// A block that was reported released lives on after all.
    pub fn restore(&mut self, address: usize, block: Released) -> Result<(), Exhausted> {
        // A view may have stopped in between, or all tracebacks been forgotten.
        let mut views = ViewSet::EMPTY;
        for view in View::ALL {
            if block.views.contains(view) && self.active.contains(view) {
                views = views.with(view);
            }
        }
        let is_known = (block.traceback.0 as usize) < self.tracebacks.len();
        let owner = if views.is_empty() || !is_known {
            if !block.is_watched {
                return Ok(());
            }
            OwnerId::NOBODY
        } else {
            self.owner_seen_by(block.traceback, views)?
        };
        let lives = Block {
            size: block.size,
            owner,
            is_watched: block.is_watched,
        };
        self.release(address);
        self.put(address, lives)?;
        self.count(owner, block.size);
        Ok(())
    }

    /// The owner for blocks of a traceback that just these views see.
    fn owner_seen_by(
        &mut self,
        traceback: TracebackId,
        views: ViewSet,
    ) -> Result<OwnerId, Exhausted> {
        if views == self.active {
            self.owners.of(traceback, views)
        } else {
            self.owners.apart(traceback, views)
        }
    }

    /// The block at an address.
    pub fn block(&self, address: usize) -> Option<Released> {
        let block = self.find(address)?;
        Some(self.released(block, self.owners.get(block.owner).views))
    }

    /// Does `view` see a block at this address?
    #[inline]
    pub fn sees(&self, view: View, address: usize) -> bool {
        let block = self.find(address);
        block.is_some_and(|block| self.owners.get(block.owner).views.contains(view))
    }

    /// A block has a new owner: its memory was handed on without a release. Who
    /// saw the old one sees the new one.
    pub fn retag(&mut self, address: usize, owner: OwnerId) -> Result<bool, Exhausted> {
        let Some(block) = self.find(address) else {
            return Ok(false);
        };
        if block.owner == owner || block.owner == OwnerId::NOBODY {
            return Ok(block.owner == owner);
        }
        let views = self.owners.get(block.owner).views;
        let traceback = self.owners.get(owner).traceback;
        let owner = self.owner_seen_by(traceback, views)?;
        self.take(address);
        self.put(address, Block { owner, ..block })?;
        self.owners.add(owner, block.size);
        self.owners.subtract(block.owner, block.size);
        Ok(true)
    }

    /// Mark the block at an address so that its release says so.
    pub fn watch(&mut self, address: usize) -> Result<(), Exhausted> {
        if let Some(place) = self.side.place(address) {
            match self.side.word(place) {
                ELSEWHERE => {}
                UNKNOWN => self.side.set_word(place, ELSEWHERE),
                word => {
                    let block = self.read(place, word);
                    self.blocks.insert(address, block)?;
                    self.side.set_word(place, ELSEWHERE);
                }
            }
        }
        self.blocks.watch(address)
    }

    /// The block at an address of a domain.
    fn find_in(&self, domain: u32, address: usize) -> Option<Block> {
        match domain {
            0 => self.find(address),
            _ => self.domains.table(domain).and_then(|t| t.get(address)),
        }
    }

    fn take_in(&mut self, domain: u32, address: usize) {
        match domain {
            0 => self.take(address),
            _ => self
                .domains
                .table_mut(domain)
                .and_then(|table| table.remove(address)),
        };
    }

    fn put_in(&mut self, domain: u32, address: usize, block: Block) -> Result<(), Exhausted> {
        match domain {
            0 => self.put(address, block),
            _ => {
                let table = self.domains.table_or_new(domain)?;
                table.insert(address, block).map(|_| ())
            }
        }
    }

    /// Somebody else than the allocator reports a block, to `view` alone. The
    /// answer is no, and nothing is changed, while that view does not record.
    ///
    /// A block has one size and one traceback: should the other view see it
    /// already, they change there too.
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
        let old = self.find_in(domain, address);
        let seen = old.map_or(ViewSet::EMPTY, |old| self.owners.get(old.owner).views);
        let owner = self.owner_seen_by(traceback, seen.with(view))?;
        let block = Block {
            size,
            owner,
            is_watched: old.is_some_and(|old| old.is_watched),
        };
        if let Some(old) = old {
            self.take_in(domain, address);
            self.discount(old.owner, old.size);
        }
        self.put_in(domain, address, block)?;
        self.count(owner, size);
        Ok(true)
    }

    /// Somebody else than the allocator takes a block back from `view`; the
    /// other view sees what it saw. What `view` saw is returned; nothing, and
    /// nothing is changed, if there is no memory to divide them.
    pub fn untrack(&mut self, view: View, domain: u32, address: usize) -> Option<Released> {
        let block = self.find_in(domain, address)?;
        let owner = self.owners.get(block.owner);
        if !owner.views.contains(view) {
            return None;
        }
        let left = owner.views.without(view);
        let new_owner = if left.is_empty() {
            OwnerId::NOBODY
        } else {
            self.owner_seen_by(owner.traceback, left).ok()?
        };
        let seen = self.released(block, owner.views);
        self.take_in(domain, address);
        self.discount(block.owner, block.size);
        if !left.is_empty() || block.is_watched {
            let owner = new_owner;
            if self
                .put_in(domain, address, Block { owner, ..block })
                .is_ok()
            {
                self.count(owner, block.size);
            }
        }
        Some(seen)
    }

    /// Call `visit` with the domain, owner and size of every block.
    fn for_each(&self, visit: &mut dyn FnMut(u32, OwnerId, usize)) {
        self.side.for_each(&mut |place| {
            let word = self.side.word(place);
            if word != UNKNOWN && word != ELSEWHERE {
                let block = self.read(place, word);
                visit(0, block.owner, block.size);
            }
        });
        for (_, block) in self.blocks.iter() {
            visit(0, block.owner, block.size);
        }
        for (domain, table) in self.domains.iter() {
            for (_, block) in table.iter() {
                visit(domain, block.owner, block.size);
            }
        }
    }

    /// A copy of what `view` sees, with tracebacks cut to its own limit.
    pub fn snapshot(&self, view: View) -> Result<Snapshot, Exhausted> {
        let mut copy = self.copy(view)?;
        let mut result = Ok(());
        self.for_each(&mut |domain, owner, size| {
            let owner = self.owners.get(owner);
            if result.is_ok() && owner.views.contains(view) {
                result = copy.add_block(domain, owner.traceback, size);
            }
        });
        result.map(|()| copy.done())
    }

    /// As [`Tracer::snapshot`], without the single blocks: their sums for each
    /// traceback. It takes no longer the more blocks there are.
    pub fn summary(&self, view: View) -> Result<Snapshot, Exhausted> {
        let mut copy = self.copy(view)?;
        for owner in self.owners.iter().filter(|o| o.views.contains(view)) {
            copy.add_total(owner.traceback, owner.bytes, owner.blocks as usize)?;
        }
        Ok(copy.done())
    }

    fn copy(&self, view: View) -> Result<crate::snapshot::Copy<'_>, Exhausted> {
        Snapshot::copy(&self.tracebacks, &self.locations, self.limit(view))
    }

    /// A snapshot of the one block at an address of a domain: empty if `view`
    /// sees none.
    pub fn snapshot_of(
        &self,
        view: View,
        domain: u32,
        address: usize,
    ) -> Result<Snapshot, Exhausted> {
        let Some(block) = self.find_in(domain, address) else {
            return Ok(Snapshot::default());
        };
        let owner = self.owners.get(block.owner);
        if !owner.views.contains(view) {
            return Ok(Snapshot::default());
        }
        // A table of its own for the one traceback, so that the cost does not
        // depend on how many others there are.
        let mut builder = TracebackBuilder::default();
        builder.reset(self.limit(view));
        let frames = self.tracebacks.frames(owner.traceback);
        for &location in frames.iter().take(self.limit(view).into()) {
            builder.push(location)?;
        }
        builder.set_total(self.tracebacks.total(owner.traceback).into());
        let mut tracebacks = Tracebacks::default();
        let traceback = tracebacks.intern(&builder)?;
        let mut copy = Snapshot::copy(&tracebacks, &self.locations, self.limit(view))?;
        copy.add_block(domain, traceback, block.size)?;
        Ok(copy.done())
    }

    /// A snapshot of several blocks of a domain, in the order of `addresses`, from
    /// which those are taken out where `view` sees no block.
    pub fn snapshot_among(
        &self,
        view: View,
        domain: u32,
        addresses: &mut Vec<usize>,
    ) -> Result<Snapshot, Exhausted> {
        let mut copy = self.copy(view)?;
        let mut result = Ok(());
        addresses.retain(|&address| {
            let Some(block) = self.find_in(domain, address) else {
                return false;
            };
            let owner = self.owners.get(block.owner);
            let is_seen = owner.views.contains(view);
            if is_seen && result.is_ok() {
                result = copy.add_block(domain, owner.traceback, block.size);
            }
            is_seen
        });
        result.map(|()| copy.done())
    }

    /// Bytes held by the tracer's own tables.
    pub fn memory(&self) -> usize {
        self.side.memory()
            + self.blocks.memory()
            + self.domains.memory()
            + self.owners.memory()
            + self.callers.memory()
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

    pub(crate) fn traceback<S: SideTable>(tracer: &mut Tracer<S>, lines: &[u32]) -> TracebackId {
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
    fn watched_blocks_report_their_release_until_nobody_records() {
        let mut tracer = Tracer::default();
        tracer.start(PROGRAM, 1);
        tracer.start(PROFILE, 1);
        tracer.watch(0x40).unwrap();
        tracer.clear(PROGRAM);
        assert_eq!(tracer.snapshot(PROGRAM).unwrap().blocks().len(), 0);
        assert!(tracer.release(0x40).unwrap().is_watched);
        assert_eq!(tracer.counters(PROGRAM).current(), 0);
        tracer.watch(0x40).unwrap();
        tracer.stop(PROFILE);
        assert!(tracer.block(0x40).unwrap().is_watched);
        let epoch = tracer.epoch();
        tracer.clear(PROGRAM);
        assert_ne!(tracer.epoch(), epoch);
        assert!(tracer.block(0x40).is_none());
    }

    #[test]
    fn a_stack_is_built_from_its_callers() {
        for (counts_all, total) in [(false, 2), (true, 4)] {
            let mut tracer = Tracer::default();
            tracer.start(PROFILE, 2);
            if counts_all {
                tracer.start(PROGRAM, 1);
            }
            let file = tracer.locations_mut().file(b"f.py").unwrap();
            let mut owner = OwnerId::NOBODY;
            for line in [4, 3, 2, 1] {
                let location = tracer.locations_mut().location(file, line).unwrap();
                let called = tracer.called(owner, location).unwrap();
                assert_eq!(tracer.called(owner, location).unwrap(), called);
                owner = called;
            }
            tracer.record_for(0x10, 9, owner).unwrap();
            for snapshot in [tracer.snapshot(PROFILE), tracer.summary(PROFILE)] {
                let snapshot = snapshot.unwrap();
                let totals = snapshot.by_traceback().unwrap();
                assert_eq!((totals[0].size, totals[0].count), (9, 1));
                let frames = snapshot.tracebacks().frames(totals[0].traceback);
                let lines: Vec<u32> = frames.iter().map(|&l| snapshot.location(l).1).collect();
                assert_eq!(lines, [1, 2]);
                assert_eq!(snapshot.tracebacks().total(totals[0].traceback), total);
            }
        }
    }

    #[test]
    fn a_block_that_is_handed_on_keeps_its_views() {
        let mut tracer = Tracer::default();
        tracer.start(PROFILE, 1);
        let id = traceback(&mut tracer, &[1]);
        tracer.record(0x10, 7, id).unwrap();
        tracer.start(PROGRAM, 1);
        let id = traceback(&mut tracer, &[2]);
        let owner = tracer.owner(id).unwrap();
        assert_eq!(tracer.retag(0x20, owner), Ok(false));
        assert_eq!(tracer.retag(0x10, owner), Ok(true));
        assert!(tracer.sees(PROFILE, 0x10) && !tracer.sees(PROGRAM, 0x10));
        assert_eq!(tracer.block(0x10).unwrap().traceback, id);
        assert_eq!(tracer.counters(PROFILE).current(), 7);
        tracer.release(0x10).unwrap();
        assert_eq!(tracer.counters(PROFILE).current(), 0);
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
        assert!(tracer.release(0x10).unwrap().is_watched);
        assert_eq!(tracer.track(PROGRAM, 0, 0x20, 6, id), Ok(true));
        assert!(!tracer.sees(PROFILE, 0x20));
    }
}
