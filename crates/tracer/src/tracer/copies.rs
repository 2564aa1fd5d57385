//! What a view sees, copied.

use super::Tracer;
use crate::exhausted::Exhausted;
use crate::owner::OwnerId;
use crate::side_table::{ELSEWHERE, SideTable, UNKNOWN};
use crate::snapshot::{Copy, Snapshot};
use crate::traceback::{TracebackBuilder, Tracebacks};
use crate::view::View;

impl<S: SideTable> Tracer<S> {
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
            copy.add_total(owner.traceback, owner.bytes(), owner.blocks() as usize)?;
        }
        Ok(copy.done())
    }

    fn copy(&self, view: View) -> Result<Copy<'_>, Exhausted> {
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
}
