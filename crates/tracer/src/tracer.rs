//! The tracer: tables, views and the events that connect them.

use crate::callers::Callers;
use crate::counters::Counters;
use crate::domain::Domains;
use crate::exhausted::Exhausted;
use crate::location::{LocationId, Locations};
use crate::owner::{OwnerId, Owners};
use crate::recent::Recent;
use crate::side_table::{self, ELSEWHERE, NoSideTable, SideTable, UNKNOWN};
use crate::table::{Block, BlockTable};
use crate::thread::{Thread, ThreadId, Threads};
use crate::traceback::{TracebackBuilder, TracebackId, Tracebacks};
use crate::view::{View, ViewSet};

mod copies;
mod reports;
mod shortest;
mod totals;

pub use totals::{ThreadTotals, Totals};

/// Whose of the [`Tracer::counters`] are the leader's.
const LEADER: usize = 0;

/// What was known about a block that has been released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// Its size in bytes.
    pub size: usize,
    /// Who allocated it. Meaningless where no view saw it.
    pub traceback: TracebackId,
    /// In which thread; meaningless as well.
    pub thread: ThreadId,
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
    threads: Threads,
    recent: Recent,
    active: ViewSet,
    /// How many frames each view keeps.
    limits: [u16; 2],
    /// The figures of the leader, and those of the other view.
    counters: [Counters; 2],
    /// The view whose peaks owners put down.
    leader: View,
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
        Tracer {
            side,
            blocks: BlockTable::default(),
            domains: Domains::default(),
            owners: Owners::default(),
            callers: Callers::default(),
            tracebacks: Tracebacks::default(),
            locations: Locations::default(),
            threads: Threads::default(),
            recent: Recent::default(),
            active: ViewSet::EMPTY,
            limits: [1; 2],
            counters: [Counters::default(); 2],
            leader: View::Profile,
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
        self.limits[view.index()] = limit.max(1);
        self.counters_of(view).clear();
        self.choose_leader();
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
        self.choose_leader();
        self.begin_epoch();
        if self.active.is_empty() {
            self.locations = Locations::default();
            self.threads.clear();
        }
        self.active.is_empty()
    }

    /// Forget what `view` has seen so far, but go on recording for it. Watched
    /// blocks are forgotten too where no other view records.
    pub fn clear(&mut self, view: View) {
        self.counters_of(view).clear();
        if view == self.leader {
            self.owners.begin_peak();
        }
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
                    owners.subtract(block.owner, block.size, false);
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

    /// What was live at the peak is known for one view at a time: for the profile,
    /// as long as it records.
    fn choose_leader(&mut self) {
        let leader = match self.active.contains(View::Profile) {
            true => View::Profile,
            false => View::Program,
        };
        if leader != self.leader {
            // What the new one had at its peak is not known: the next one counts.
            self.leader = leader;
            self.counters.swap(0, 1);
            self.owners.begin_peak();
        }
    }

    #[inline(always)]
    fn counters_of(&mut self, view: View) -> &mut Counters {
        &mut self.counters[usize::from(view != self.leader)]
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
        self.limits[view.index()]
    }

    /// How many frames a new traceback must keep so that every active view
    /// gets what it asked for.
    #[inline]
    pub fn capture_limit(&self) -> u16 {
        let limit = |view: View| {
            if self.active.contains(view) {
                self.limits[view.index()]
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
        self.counters[usize::from(view != self.leader)]
    }

    /// Start the peak of a view anew.
    pub fn reset_peak(&mut self, view: View) {
        self.counters_of(view).reset_peak();
        if view == self.leader {
            self.owners.begin_peak();
        }
    }

    /// A block counts as temporary if it is released before so many more are
    /// recorded: 1 if nothing is said.
    pub fn set_temporary(&mut self, count: u16) -> Result<(), Exhausted> {
        self.recent.keep(count)
    }

    /// Is this the block recorded last? The answer is yes once for each block, whose
    /// address must be even.
    #[inline]
    pub fn take_fresh(&mut self, address: usize) -> bool {
        self.recent.take_fresh(address)
    }

    /// A thread that was not met before in this [`Tracer::thread_epoch`]. Beyond the
    /// first 255 all are one.
    pub fn thread(&mut self, number: u64) -> Result<ThreadId, Exhausted> {
        self.threads.add(number)
    }

    /// Changes whenever the numbers of threads handed out before are not valid any more.
    #[inline]
    pub fn thread_epoch(&self) -> u32 {
        self.threads.epoch()
    }

    /// What is known of a thread; nothing for [`ThreadId::OTHERS`].
    pub fn thread_named(&self, thread: ThreadId) -> Option<&Thread> {
        self.threads.get(thread)
    }

    /// The thread with a number of the system's, of several the last.
    pub fn find_thread(&self, number: u64) -> Option<ThreadId> {
        self.threads.find(number)
    }

    /// Call a thread by this name from now on.
    pub fn set_thread_name(&mut self, thread: ThreadId, name: &[u8]) -> Result<(), Exhausted> {
        self.threads.set_name(thread, name)
    }

    /// The peak of a view was at least this, before it was reset.
    pub fn raise_peak(&mut self, view: View, peak: usize) {
        self.counters_of(view).raise_peak(peak);
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

    /// The traceback of an owner, and its thread.
    fn origin_of(&self, owner: OwnerId) -> (TracebackId, ThreadId) {
        let owner = self.owners.get(owner);
        (owner.traceback, owner.thread)
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

    /// The owner for what a thread allocates now by a traceback.
    pub fn owner(
        &mut self,
        traceback: TracebackId,
        thread: ThreadId,
    ) -> Result<OwnerId, Exhausted> {
        self.owners.of(traceback, thread, self.active)
    }

    /// The owner for what is allocated now at `location`, called by what `caller`
    /// would own; a thread's [`OwnerId::root`] calls the outermost frame. Both are of
    /// this epoch.
    pub fn called(&mut self, caller: OwnerId, location: LocationId) -> Result<OwnerId, Exhausted> {
        if let Some(owner) = self.callers.get(caller, location) {
            return Ok(owner);
        }
        let counts_all = self.counts_all_frames();
        self.builder.reset(self.capture_limit());
        self.builder.push(location)?;
        if !caller.is_root() {
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
        let thread = self.owners.thread(caller);
        let owner = self.owners.of(traceback, thread, self.active)?;
        self.callers.insert(caller, location, owner)?;
        Ok(owner)
    }

    #[inline(always)]
    fn count(&mut self, owner: OwnerId, size: usize) {
        let is_peak = self.raise(self.owners.views(owner), size);
        self.owners.add(owner, size, is_peak);
    }

    /// More is alive for these views. Is that a peak that owners put down?
    #[inline(always)]
    fn raise(&mut self, views: ViewSet, size: usize) -> bool {
        let mut is_peak = false;
        for view in View::ALL {
            if views.contains(view) && self.counters_of(view).add(size) {
                is_peak |= view == self.leader;
            }
        }
        is_peak
    }

    #[inline(always)]
    fn discount(&mut self, owner: OwnerId, size: usize, is_temporary: bool) -> ViewSet {
        let views = self.owners.subtract(owner, size, is_temporary);
        self.lower(views, size);
        views
    }

    /// Less is alive for these views.
    #[inline(always)]
    fn lower(&mut self, views: ViewSet, size: usize) {
        for view in View::ALL {
            if views.contains(view) {
                self.counters_of(view).subtract(size);
            }
        }
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
            if word != ELSEWHERE {
                let block = self.read(place, word);
                self.erase(place, UNKNOWN);
                return Some(block);
            }
            self.side.set_word(place, UNKNOWN);
        }
        self.blocks.remove(address)
    }

    /// A place says no more than `word` from now on. The second word goes too: when
    /// the host puts smaller blocks there, it is the first word of one of them.
    #[inline(always)]
    fn erase(&mut self, place: S::Place, word: u32) {
        self.side.set_word(place, word);
        if self.side.room(place) > side_table::FINE {
            self.side.set_second(place, 0);
        }
    }

    /// Put a block in where none is, without a change to any sum.
    #[inline]
    fn put(&mut self, address: usize, block: Block) -> Result<(), Exhausted> {
        if let Some(place) = self.side.place_for(address) {
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
        let owner = self.owners.get(block.owner);
        Released {
            size: block.size,
            traceback: owner.traceback,
            thread: owner.thread,
            views,
            is_watched: block.is_watched,
        }
    }

    /// As [`Tracer::record_for`], for a traceback that has just been interned, in the
    /// first thread.
    pub fn record(
        &mut self,
        address: usize,
        size: usize,
        traceback: TracebackId,
    ) -> Result<Option<Released>, Exhausted> {
        let owner = self.owner(traceback, ThreadId::FIRST)?;
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
        let old = self.moving(address);
        let block = Block {
            size,
            owner,
            is_watched: false,
        };
        self.put(address, block)?;
        self.count(owner, size);
        self.recent.push(address);
        Ok(old)
    }

    /// A block is about to be released, for good.
    #[inline]
    pub fn release(&mut self, address: usize) -> Option<Released> {
        let is_temporary = self.recent.contains(address);
        self.end(address, is_temporary)
    }

    /// A block is about to be released because it is another from now on: it was
    /// resized.
    #[inline]
    pub fn moving(&mut self, address: usize) -> Option<Released> {
        self.end(address, false)
    }

    #[inline]
    fn end(&mut self, address: usize, is_temporary: bool) -> Option<Released> {
        let block = self.take(address)?;
        let released = self.released(block, ViewSet::EMPTY);
        let views = self.discount(block.owner, block.size, is_temporary);
        Some(Released { views, ..released })
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
            self.owner_seen_by(block.traceback, block.thread, views)?
        };
        let lives = Block {
            size: block.size,
            owner,
            is_watched: block.is_watched,
        };
        self.moving(address);
        self.put(address, lives)?;
        self.count(owner, block.size);
        Ok(())
    }

    /// The owner for blocks of a traceback that just these views see.
    fn owner_seen_by(
        &mut self,
        traceback: TracebackId,
        thread: ThreadId,
        views: ViewSet,
    ) -> Result<OwnerId, Exhausted> {
        if views == self.active {
            self.owners.of(traceback, thread, views)
        } else {
            self.owners.apart(traceback, thread, views)
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
        let (traceback, thread) = self.origin_of(owner);
        let owner = self.owner_seen_by(traceback, thread, views)?;
        self.take(address);
        self.put(address, Block { owner, ..block })?;
        self.owners.add(owner, block.size, false);
        self.owners.subtract(block.owner, block.size, false);
        Ok(true)
    }

    /// Mark the block at an address so that its release says so.
    pub fn watch(&mut self, address: usize) -> Result<(), Exhausted> {
        if let Some(place) = self.side.place_for(address) {
            match self.side.word(place) {
                ELSEWHERE => {}
                UNKNOWN => self.side.set_word(place, ELSEWHERE),
                word => {
                    let block = self.read(place, word);
                    self.blocks.insert(address, block)?;
                    self.erase(place, ELSEWHERE);
                }
            }
        }
        self.blocks.watch(address)
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
            + self.threads.memory()
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests;
