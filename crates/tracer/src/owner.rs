//! Who owns live blocks: a traceback together with the views that see what it
//! allocated, and what it has alive.
//!
//! A live block carries the number of its owner and nothing else, so a view is
//! cleared by going through the owners, of which there are few, and not through
//! the blocks. Owners are made for the views that record at the time; when
//! those change, a new *epoch* begins and the same tracebacks get new owners.
//! An owner from before goes with its last block.

use std::collections::HashMap;

use crate::exhausted::Exhausted;
use crate::traceback::TracebackId;
use crate::view::{View, ViewSet};

/// An owner, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId(pub u32);

impl OwnerId {
    /// The owner of blocks that no view sees; also the stack without any frame.
    pub const NOBODY: OwnerId = OwnerId(0);
}

/// What one traceback has alive.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The traceback. Meaningless for [`OwnerId::NOBODY`].
    pub traceback: TracebackId,
    /// Who sees its blocks.
    pub views: ViewSet,
    epoch: u32,
    /// Blocks alive.
    pub blocks: u32,
    /// Bytes in them.
    pub bytes: usize,
    /// Blocks ever allocated.
    pub allocated_blocks: u64,
    /// Bytes ever allocated.
    pub allocated_bytes: u64,
}

/// What owners that are gone had allocated, for wrasse's own profile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// Blocks.
    pub blocks: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The epoch of owners that are never handed out again.
const NEVER: u32 = 0;
/// In `current`: there is none yet.
const NONE: u32 = 0;

const NOBODY: Owner = Owner {
    traceback: TracebackId(0),
    views: ViewSet::EMPTY,
    epoch: NEVER,
    blocks: 0,
    bytes: 0,
    allocated_blocks: 0,
    allocated_bytes: 0,
};

/// All owners.
#[derive(Debug)]
pub struct Owners {
    list: Vec<Owner>,
    /// Places in `list` that are free.
    free: Vec<u32>,
    /// The owner of each traceback in this epoch.
    current: Vec<u32>,
    epoch: u32,
    /// By traceback. Without memory for it they are forgotten.
    past: HashMap<u32, Past>,
}

impl Default for Owners {
    fn default() -> Self {
        Owners {
            list: Vec::new(),
            free: Vec::new(),
            current: Vec::new(),
            epoch: NEVER + 1,
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
        self.epoch = self.epoch.checked_add(1).unwrap_or(NEVER + 1);
        self.current = Vec::new();
        let mut free = std::mem::take(&mut self.free);
        free.clear();
        for (number, owner) in self.list.iter_mut().enumerate().skip(1) {
            // The number of epochs may come round: what is older is just old.
            owner.epoch = NEVER;
            if owner.blocks == 0 && free.try_reserve(1).is_ok() {
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
        if view == View::Profile {
            self.past = HashMap::new();
        }
    }

    /// The owner for a traceback in this epoch, in which `views` record.
    pub fn of(&mut self, traceback: TracebackId, views: ViewSet) -> Result<OwnerId, Exhausted> {
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
        let owner = self.make(traceback, views, self.epoch)?;
        self.current[place] = owner.0;
        Ok(owner)
    }

    /// An owner for one block that other views see than record now.
    pub fn apart(&mut self, traceback: TracebackId, views: ViewSet) -> Result<OwnerId, Exhausted> {
        self.make(traceback, views, NEVER)
    }

    fn make(
        &mut self,
        traceback: TracebackId,
        views: ViewSet,
        epoch: u32,
    ) -> Result<OwnerId, Exhausted> {
        let owner = Owner {
            traceback,
            views,
            epoch,
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
        self.list.push(owner);
        Ok(OwnerId(number))
    }

    /// One owner.
    #[inline]
    pub fn get(&self, id: OwnerId) -> Owner {
        self.list.get(id.0 as usize).copied().unwrap_or(NOBODY)
    }

    /// One more block; who sees it is returned.
    #[inline(always)]
    pub fn add(&mut self, id: OwnerId, size: usize) -> ViewSet {
        let Some(owner) = self.list.get_mut(id.0 as usize) else {
            return ViewSet::EMPTY;
        };
        owner.blocks = owner.blocks.wrapping_add(1);
        owner.bytes = owner.bytes.wrapping_add(size);
        owner.allocated_blocks += 1;
        owner.allocated_bytes = owner.allocated_bytes.wrapping_add(size as u64);
        owner.views
    }

    /// One block less; who saw it is returned.
    #[inline(always)]
    pub fn subtract(&mut self, id: OwnerId, size: usize) -> ViewSet {
        let epoch = self.epoch;
        let Some(owner) = self.list.get_mut(id.0 as usize) else {
            return ViewSet::EMPTY;
        };
        owner.blocks = owner.blocks.wrapping_sub(1);
        owner.bytes = owner.bytes.wrapping_sub(size);
        let views = owner.views;
        if owner.blocks == 0 && owner.epoch != epoch {
            self.give_up(id);
        }
        views
    }

    /// An owner from before has lost its last block.
    #[cold]
    fn give_up(&mut self, id: OwnerId) {
        // Without memory for it the place stays unused.
        if id != OwnerId::NOBODY && self.free.try_reserve(1).is_ok() {
            self.free.push(id.0);
        }
    }

    /// The number is about to be another owner's.
    fn remember(&mut self, number: u32) {
        let owner = self.list[number as usize];
        let is_seen = owner.views.contains(View::Profile) && owner.allocated_blocks > 0;
        if is_seen && self.past.try_reserve(1).is_ok() {
            let past = self.past.entry(owner.traceback.0).or_default();
            past.blocks += owner.allocated_blocks;
            past.bytes = past.bytes.wrapping_add(owner.allocated_bytes);
        }
    }

    /// Every owner, also those that have nothing alive.
    pub fn all(&self) -> impl Iterator<Item = &Owner> {
        self.list.iter().skip(1)
    }

    /// What owners that are gone had allocated, by traceback.
    pub fn past(&self) -> impl Iterator<Item = (TracebackId, Past)> {
        let each = |(&traceback, &past): (&u32, &Past)| (TracebackId(traceback), past);
        self.past.iter().map(each)
    }

    /// Every owner that has blocks alive.
    pub fn iter(&self) -> impl Iterator<Item = &Owner> {
        self.list.iter().skip(1).filter(|owner| owner.blocks != 0)
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.list.capacity() * size_of::<Owner>()
            + (self.free.capacity() + self.current.capacity()) * size_of::<u32>()
            + self.past.capacity() * size_of::<(u32, Past)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: ViewSet = ViewSet::only(View::Profile);

    #[test]
    fn an_owner_of_this_epoch_stays_and_one_from_before_goes_with_its_last_block() {
        let mut owners = Owners::default();
        let first = owners.of(TracebackId(3), SEEN).unwrap();
        assert_eq!(owners.of(TracebackId(3), SEEN).unwrap(), first);
        assert_eq!(owners.add(first, 10), SEEN);
        assert_eq!(owners.subtract(first, 10), SEEN);
        assert_eq!(owners.of(TracebackId(3), SEEN).unwrap(), first);
        owners.add(first, 10);
        owners.begin_epoch();
        let second = owners.of(TracebackId(3), SEEN).unwrap();
        assert_ne!(first, second);
        assert_eq!(owners.get(first).bytes, 10);
        owners.subtract(first, 10);
        assert_eq!(
            owners.of(TracebackId(4), SEEN).unwrap(),
            first,
            "used again"
        );
        assert_eq!(owners.get(first).allocated_blocks, 0);
    }

    #[test]
    fn hidden_owners_answer_nobody() {
        let mut owners = Owners::default();
        let both = SEEN.with(View::Program);
        let id = owners.apart(TracebackId(0), both).unwrap();
        assert_eq!(owners.add(id, 1), both);
        owners.hide_from(View::Program);
        assert_eq!(owners.subtract(id, 1), SEEN);
        assert_eq!(owners.add(OwnerId::NOBODY, 1), ViewSet::EMPTY);
    }
}
