//! Who owns live blocks: a traceback in a thread, together with the views that
//! see what it allocated, and what it has alive.
//!
//! A live block carries the number of its owner and nothing else, so a view is
//! cleared by going through the owners, of which there are few, and not through
//! the blocks. Owners are made for the views that record at the time; when
//! those change, a new *epoch* begins and the same tracebacks get new owners.
//! An owner from before goes with its last block.
//!
//! What was alive at the peak is known exactly, and costs a comparison an event:
//! each new peak has a number, its *stamp*. An owner that changes for the first
//! time since then puts down what it had, and the stamp with it; one that has not
//! changed still has what it had.

use std::collections::HashMap;

use crate::counters::Counters;
use crate::exhausted::Exhausted;
use crate::thread::ThreadId;
use crate::traceback::TracebackId;
use crate::view::{View, ViewSet};

mod figures;

pub use figures::{Amount, Figures, Kind, Past};

/// An owner, as a number. Bit 30 is set in none, nor in a thread's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId(pub u32);

impl OwnerId {
    /// The owner of blocks that no view sees; also the stack without any frame, in
    /// the first thread.
    pub const NOBODY: OwnerId = OwnerId(0);

    /// What calls the outermost frame of a thread.
    #[inline]
    pub const fn root(thread: ThreadId) -> Self {
        OwnerId(ROOTS | thread.0 as u32)
    }

    /// Is it what calls a thread's outermost frame?
    #[inline]
    pub const fn is_root(self) -> bool {
        self.0 >= ROOTS || self.0 == OwnerId::NOBODY.0
    }

    /// The thread of a root.
    fn thread_of_root(self) -> ThreadId {
        debug_assert!(self.is_root());
        ThreadId(self.0 as u8)
    }
}

/// Numbers from here on are no owners, but threads.
const ROOTS: u32 = 1 << 31;
/// There are fewer owners than this: they would take 64 GiB.
const MOST: u32 = 1 << 30;

/// What one traceback has alive.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Owner {
    /// The traceback. Meaningless for [`OwnerId::NOBODY`].
    pub traceback: TracebackId,
    /// Who sees its blocks.
    pub views: ViewSet,
    /// The thread that allocates them.
    pub thread: ThreadId,
    /// It is handed out for new blocks.
    is_current: bool,
    /// The peak that `peak_blocks` and `peak_bytes` are of.
    stamp: u32,
    peak_blocks: u32,
    /// The lower half; what does not fit is among the past.
    temporary_blocks: u32,
    /// Blocks released, modulo 2^32: an owner never has so many alive.
    released_blocks: u32,
    /// Bytes in blocks released, modulo 2^64.
    released_bytes: usize,
    peak_bytes: usize,
    /// Blocks ever allocated.
    pub allocated_blocks: u64,
    /// Bytes ever allocated.
    pub allocated_bytes: u64,
    temporary_bytes: u64,
}

// An event touches one line of the processor's cache.
const _: () = assert!(size_of::<Owner>() == 64);

impl Owner {
    /// Blocks alive: those allocated without those released, so that an event changes
    /// one of the two only.
    #[inline(always)]
    pub fn blocks(&self) -> u32 {
        (self.allocated_blocks as u32).wrapping_sub(self.released_blocks)
    }

    /// Bytes alive.
    #[inline(always)]
    pub fn bytes(&self) -> usize {
        (self.allocated_bytes as usize).wrapping_sub(self.released_bytes)
    }

    /// Put down what was alive at the peak, before the first change since.
    #[inline(always)]
    fn keep_peak(&mut self, stamp: u32) {
        if self.stamp != stamp {
            self.stamp = stamp;
            self.peak_blocks = self.blocks();
            self.peak_bytes = self.bytes();
        }
    }

    /// One more block.
    #[inline(always)]
    fn add(&mut self, size: usize, is_peak: bool, stamp: u32) {
        if !is_peak {
            self.keep_peak(stamp);
        }
        self.allocated_blocks = self.allocated_blocks.wrapping_add(1);
        self.allocated_bytes = self.allocated_bytes.wrapping_add(size as u64);
    }

    /// One block less.
    #[inline(always)]
    fn subtract(&mut self, size: usize, is_temporary: bool, stamp: u32) {
        self.keep_peak(stamp);
        self.released_blocks = self.released_blocks.wrapping_add(1);
        self.released_bytes = self.released_bytes.wrapping_add(size);
        if is_temporary {
            self.temporary_bytes = self.temporary_bytes.wrapping_add(size as u64);
            self.temporary_blocks = self.temporary_blocks.wrapping_add(1);
        }
    }
}

/// In `current`: there is none yet.
const NONE: u32 = 0;

const NOBODY: Owner = Owner {
    traceback: TracebackId(0),
    views: ViewSet::EMPTY,
    thread: ThreadId::FIRST,
    is_current: false,
    stamp: NO_STAMP,
    peak_blocks: 0,
    temporary_blocks: 0,
    released_blocks: 0,
    released_bytes: 0,
    peak_bytes: 0,
    allocated_blocks: 0,
    allocated_bytes: 0,
    temporary_bytes: 0,
};

/// The stamp of no peak.
const NO_STAMP: u32 = 0;

/// All owners.
#[derive(Debug)]
pub struct Owners {
    list: Vec<Owner>,
    /// Places in `list` that are free.
    free: Vec<u32>,
    /// The owner of each traceback in this epoch, for the first thread.
    current: Vec<u32>,
    /// The same for the other threads.
    current_elsewhere: HashMap<(u32, ThreadId), u32>,
    epoch: u32,
    /// The last peak's.
    stamp: u32,
    /// Without memory for it they are forgotten.
    past: HashMap<Kind, Past>,
}

impl Default for Owners {
    fn default() -> Self {
        Owners {
            list: Vec::new(),
            free: Vec::new(),
            current: Vec::new(),
            current_elsewhere: HashMap::new(),
            epoch: 1,
            stamp: NO_STAMP + 1,
            past: HashMap::new(),
        }
    }
}

impl Owners {
    /// Changes whenever numbers handed out before must not be used for new
    /// blocks any more.
    #[inline]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Begin a new epoch and give up the owners that have nothing alive.
    pub fn begin_epoch(&mut self) {
        self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        self.current = Vec::new();
        self.current_elsewhere = HashMap::new();
        let mut free = std::mem::take(&mut self.free);
        free.clear();
        for (number, owner) in self.list.iter_mut().enumerate().skip(1) {
            owner.is_current = false;
            if owner.blocks() == 0 && free.try_reserve(1).is_ok() {
                free.push(number as u32);
            }
        }
        self.free = free;
    }

    /// Forget all owners, whose blocks must be forgotten too.
    pub fn clear(&mut self) {
        self.list = Vec::new();
        self.free = Vec::new();
        self.begin_epoch();
        self.past = HashMap::new();
    }

    /// `view` no longer sees anybody's blocks.
    pub fn hide_from(&mut self, view: View) {
        for owner in &mut self.list {
            owner.views = owner.views.without(view);
        }
        let stamp = self.stamp;
        let mut left: HashMap<Kind, Past> = HashMap::new();
        for (mut kind, past) in std::mem::take(&mut self.past) {
            kind.views = kind.views.without(view);
            if !kind.views.is_empty() && left.try_reserve(1).is_ok() {
                left.entry(kind).or_default().add(past, stamp);
            }
        }
        self.past = left;
    }

    /// The owner for a traceback of a thread in this epoch, in which `views` record.
    pub fn of(
        &mut self,
        traceback: TracebackId,
        thread: ThreadId,
        views: ViewSet,
    ) -> Result<OwnerId, Exhausted> {
        if thread != ThreadId::FIRST {
            return self.of_other_thread(traceback, thread, views);
        }
        let place = traceback.0 as usize;
        if let Some(&owner) = self.current.get(place)
            && owner != NONE
        {
            return Ok(OwnerId(owner));
        }
        if place >= self.current.len() {
            self.current.try_reserve(place + 1 - self.current.len())?;
            self.current.resize(place + 1, NONE);
        }
        let owner = self.make(traceback, thread, views, true)?;
        self.current[place] = owner.0;
        Ok(owner)
    }

    fn of_other_thread(
        &mut self,
        traceback: TracebackId,
        thread: ThreadId,
        views: ViewSet,
    ) -> Result<OwnerId, Exhausted> {
        let key = (traceback.0, thread);
        if let Some(&owner) = self.current_elsewhere.get(&key) {
            return Ok(OwnerId(owner));
        }
        self.current_elsewhere.try_reserve(1)?;
        let owner = self.make(traceback, thread, views, true)?;
        self.current_elsewhere.insert(key, owner.0);
        Ok(owner)
    }

    /// An owner for one block that other views see than record now.
    pub fn apart(
        &mut self,
        traceback: TracebackId,
        thread: ThreadId,
        views: ViewSet,
    ) -> Result<OwnerId, Exhausted> {
        self.make(traceback, thread, views, false)
    }

    fn make(
        &mut self,
        traceback: TracebackId,
        thread: ThreadId,
        views: ViewSet,
        is_current: bool,
    ) -> Result<OwnerId, Exhausted> {
        let owner = Owner {
            traceback,
            views,
            thread,
            is_current,
            ..NOBODY
        };
        if let Some(number) = self.free.pop() {
            self.remember(number);
            self.list[number as usize] = owner;
            return Ok(OwnerId(number));
        }
        self.list.try_reserve(2)?;
        if self.list.is_empty() {
            self.list.push(NOBODY);
        }
        let number = u32::try_from(self.list.len()).map_err(|_| Exhausted)?;
        if number >= MOST {
            return Err(Exhausted);
        }
        self.list.push(owner);
        Ok(OwnerId(number))
    }

    /// One owner.
    #[inline]
    pub fn get(&self, id: OwnerId) -> Owner {
        self.list.get(id.0 as usize).copied().unwrap_or(NOBODY)
    }

    /// The thread of an owner, or of a root.
    pub fn thread(&self, id: OwnerId) -> ThreadId {
        match id.is_root() {
            true => id.thread_of_root(),
            false => self.get(id).thread,
        }
    }

    /// Who sees the blocks of an owner.
    #[inline(always)]
    pub fn views(&self, id: OwnerId) -> ViewSet {
        match self.list.get(id.0 as usize) {
            Some(owner) => owner.views,
            None => ViewSet::EMPTY,
        }
    }

    /// One more block, which makes a new peak or not.
    #[inline(always)]
    pub fn add(&mut self, id: OwnerId, size: usize, is_peak: bool) {
        if let Some(owner) = self.list.get_mut(id.0 as usize) {
            owner.add(size, is_peak, self.stamp);
            if is_peak {
                self.begin_peak();
            }
        }
    }

    /// As [`Owners::add`], and the same for the view whose peaks are put down. No, and
    /// nothing is done, where there is no such owner, or [`Owners::begin_peak`] would have to
    /// do more than to count.
    #[inline(always)]
    pub fn add_quickly(&mut self, id: OwnerId, size: usize, leader: &mut Counters) -> bool {
        let Some(owner) = self.list.get_mut(id.0 as usize) else {
            return false;
        };
        if leader.add_below_peak(size) {
            owner.add(size, false, self.stamp);
            return true;
        }
        let stamp = self.stamp.wrapping_add(1);
        if stamp == NO_STAMP {
            return false;
        }
        leader.add_to_peak(size);
        owner.add(size, true, self.stamp);
        self.stamp = stamp;
        true
    }

    /// As [`Owners::subtract`], but no, with nothing done, where more would have to
    /// be done than to count, or others see the block than see what is allocated now.
    /// The size is asked for if the answer is yes.
    #[inline(always)]
    pub fn subtract_quickly(
        &mut self,
        id: OwnerId,
        size: impl FnOnce() -> usize,
        is_temporary: bool,
    ) -> Option<usize> {
        let owner = self.list.get_mut(id.0 as usize)?;
        if !owner.is_current || (is_temporary && owner.temporary_blocks == u32::MAX) {
            return None;
        }
        let size = size();
        owner.subtract(size, is_temporary, self.stamp);
        Some(size)
    }

    /// Is it handed out for new blocks, which these views see?
    #[cfg(debug_assertions)]
    pub fn is_current(&self, id: OwnerId, views: ViewSet) -> bool {
        let owner = self.get(id);
        owner.is_current && owner.views == views
    }

    /// One block less, freed before another was allocated or not; who saw it is
    /// returned.
    #[inline(always)]
    pub fn subtract(&mut self, id: OwnerId, size: usize, is_temporary: bool) -> ViewSet {
        let Some(owner) = self.list.get_mut(id.0 as usize) else {
            return ViewSet::EMPTY;
        };
        owner.subtract(size, is_temporary, self.stamp);
        let views = owner.views;
        let overflows = is_temporary && owner.temporary_blocks == 0;
        if owner.blocks() == 0 && !owner.is_current {
            self.give_up(id);
        }
        if overflows {
            self.carry(id);
        }
        views
    }

    /// What is alive is the peak from now on.
    #[inline(always)]
    pub fn begin_peak(&mut self) {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == NO_STAMP {
            self.restart_stamps();
        }
    }

    /// Stamps have come round, and an old one must not be taken for a new one.
    #[cold]
    #[inline(never)]
    fn restart_stamps(&mut self) {
        for owner in &mut self.list {
            owner.stamp = NO_STAMP;
        }
        for past in self.past.values_mut() {
            past.stamp = NO_STAMP;
        }
        self.stamp = NO_STAMP + 1;
    }

    /// An owner from before has lost its last block.
    #[cold]
    fn give_up(&mut self, id: OwnerId) {
        // Without memory for it the place stays unused.
        if id != OwnerId::NOBODY && self.free.try_reserve(1).is_ok() {
            self.free.push(id.0);
        }
    }

    /// The count of temporary blocks has begun anew from 0.
    #[cold]
    #[inline(never)]
    fn carry(&mut self, id: OwnerId) {
        let temporary = Amount {
            blocks: 1 << u32::BITS,
            bytes: 0,
        };
        let more = Past {
            temporary,
            ..Past::default()
        };
        self.put_by(self.get(id).kind(), more);
    }

    /// The number is about to be another owner's.
    fn remember(&mut self, number: u32) {
        let owner = self.list[number as usize];
        let figures = self.figures(&owner);
        if !owner.views.is_empty() && owner.allocated_blocks > 0 {
            let past = Past {
                allocated: figures.allocated,
                temporary: figures.temporary,
                peak: figures.peak,
                stamp: self.stamp,
            };
            self.put_by(owner.kind(), past);
        }
    }

    fn put_by(&mut self, kind: Kind, more: Past) {
        if self.past.try_reserve(1).is_ok() {
            let stamp = self.stamp;
            self.past.entry(kind).or_default().add(more, stamp);
        }
    }

    fn figures(&self, owner: &Owner) -> Figures {
        let amount = |bytes, blocks| Amount { bytes, blocks };
        let live = amount(owner.bytes() as u64, owner.blocks().into());
        Figures {
            kind: owner.kind(),
            live,
            peak: match owner.stamp == self.stamp {
                true => amount(owner.peak_bytes as u64, owner.peak_blocks.into()),
                false => live,
            },
            allocated: amount(owner.allocated_bytes, owner.allocated_blocks),
            temporary: amount(owner.temporary_bytes, owner.temporary_blocks.into()),
        }
    }

    /// What every owner has, and every kind that is gone had, as far as `view`
    /// sees it. A kind may occur more than once.
    pub fn all(&self, view: View) -> impl Iterator<Item = Figures> {
        let owners = self.list.iter().skip(1).map(|owner| self.figures(owner));
        let past = self.past.iter().map(|(&kind, past)| Figures {
            kind,
            live: Amount::default(),
            peak: match past.stamp == self.stamp {
                true => past.peak,
                false => Amount::default(),
            },
            allocated: past.allocated,
            temporary: past.temporary,
        });
        owners
            .chain(past)
            .filter(move |figures| figures.kind.views.contains(view))
    }

    /// Every owner that has blocks alive.
    pub fn iter(&self) -> impl Iterator<Item = &Owner> {
        self.list.iter().skip(1).filter(|owner| owner.blocks() != 0)
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.list.capacity() * size_of::<Owner>()
            + (self.free.capacity() + self.current.capacity()) * size_of::<u32>()
            + self.current_elsewhere.capacity() * size_of::<((u32, ThreadId), u32)>()
            + self.past.capacity() * size_of::<(Kind, Past)>()
    }
}

impl Owner {
    fn kind(&self) -> Kind {
        Kind {
            traceback: self.traceback,
            thread: self.thread,
            views: self.views,
        }
    }
}

#[cfg(test)]
mod tests;
