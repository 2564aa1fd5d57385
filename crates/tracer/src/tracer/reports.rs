//! Blocks that somebody else than the allocator reports.

use super::Tracer;
use crate::exhausted::Exhausted;
use crate::owner::OwnerId;
use crate::side_table::SideTable;
use crate::table::Block;
use crate::thread::ThreadId;
use crate::traceback::TracebackId;
use crate::tracer::Released;
use crate::view::{View, ViewSet};

impl<S: SideTable> Tracer<S> {
    /// The block at an address of a domain.
    pub(super) fn find_in(&self, domain: u32, address: usize) -> Option<Block> {
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

    /// As [`Tracer::track_for`], for a traceback of the first thread.
    pub fn track(
        &mut self,
        view: View,
        domain: u32,
        address: usize,
        size: usize,
        traceback: TracebackId,
    ) -> Result<bool, Exhausted> {
        self.track_by(view, domain, address, size, (traceback, ThreadId::FIRST))
    }

    /// Somebody else than the allocator reports a block, to `view` alone, for what
    /// `owner` stands for. The
    /// answer is no, and nothing is changed, while that view does not record.
    ///
    /// A block has one size and one traceback: should the other view see it
    /// already, they change there too.
    pub fn track_for(
        &mut self,
        view: View,
        domain: u32,
        address: usize,
        size: usize,
        owner: OwnerId,
    ) -> Result<bool, Exhausted> {
        let origin = self.origin_of(owner);
        self.track_by(view, domain, address, size, origin)
    }

    fn track_by(
        &mut self,
        view: View,
        domain: u32,
        address: usize,
        size: usize,
        (traceback, thread): (TracebackId, ThreadId),
    ) -> Result<bool, Exhausted> {
        if !self.active.contains(view) {
            return Ok(false);
        }
        let old = self.find_in(domain, address);
        let seen = old.map_or(ViewSet::EMPTY, |old| self.owners.get(old.owner).views);
        let owner = self.owner_seen_by(traceback, thread, seen.with(view))?;
        let block = Block {
            size,
            owner,
            is_watched: old.is_some_and(|old| old.is_watched),
        };
        if let Some(old) = old {
            self.take_in(domain, address);
            self.discount(old.owner, old.size, false);
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
            self.owner_seen_by(owner.traceback, owner.thread, left)
                .ok()?
        };
        let seen = self.released(block, owner.views);
        self.take_in(domain, address);
        self.discount(block.owner, block.size, false);
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
}
