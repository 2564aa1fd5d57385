//! What the hooks share: the tracer, and what is remembered of frames.

use std::ptr;

use pyo3_ffi::PyThreadState;
use wrasse_allocator::heap::Spot;
use wrasse_tracer::{Exhausted, OwnerId, Released, SideTable, Tracer, View};

use super::biased::Shortcut;
use super::words::{Place, Words};
use crate::frame::FrameReader;

/// Behind the lock.
pub struct State {
    /// Who allocated what.
    pub tracer: Tracer<Words>,
    frames: FrameReader,
}

impl Default for State {
    fn default() -> Self {
        State {
            tracer: Tracer::new(Words::default()),
            frames: FrameReader::default(),
        }
    }
}

impl Shortcut for Option<Box<State>> {
    type To = State;

    /// There where [`State::can_be_quick`]. Views start and stop, and epochs begin, with
    /// the lock only.
    fn shortcut(&mut self) -> *mut State {
        match self {
            Some(state) if state.can_be_quick() => {
                state.frames.forget_old_epoch(&state.tracer);
                &raw mut **state
            }
            _ => ptr::null_mut(),
        }
    }
}

impl State {
    /// Get the memory that recording needs.
    pub fn prepare(&mut self) -> Result<(), Exhausted> {
        // Blocks that are known already are looked for where they were put.
        if self.tracer.active().is_empty() {
            self.tracer.side_table_mut().prepare();
        }
        self.frames.prepare()
    }

    /// Nothing is recorded any more.
    pub fn clear_frames(&mut self) {
        self.frames.clear();
    }

    /// Record a block for every active view, as allocated by `thread`.
    ///
    /// # Safety
    /// `thread` is the calling thread's own state, or null.
    #[inline(never)]
    pub unsafe fn record(
        &mut self,
        address: usize,
        size: usize,
        thread: *mut PyThreadState,
    ) -> Result<(), Exhausted> {
        // SAFETY: the caller's contract.
        let owner = unsafe { self.frames.owner(&mut self.tracer, thread)? };
        self.record_for(address, size, owner)
    }

    /// As [`State::record`], for a block from a pool of wrasse's allocator.
    ///
    /// # Safety
    /// As for [`State::record`]; and the block is one.
    #[inline(always)]
    pub unsafe fn record_served(
        &mut self,
        address: usize,
        size: usize,
        thread: *mut PyThreadState,
    ) -> Result<(), Exhausted> {
        // SAFETY: the caller's contract.
        let owner = unsafe { self.frames.owner(&mut self.tracer, thread)? };
        if let Some(place) = self.tracer.side_table_mut().place_for(address)
            && self.tracer.record_at(place, address, size, owner)
        {
            return Ok(());
        }
        self.record_for(address, size, owner)
    }

    #[inline(never)]
    fn record_for(&mut self, address: usize, size: usize, owner: OwnerId) -> Result<(), Exhausted> {
        let old = self.tracer.record_for(address, size, owner)?;
        if old.is_some_and(|old| old.is_watched) {
            self.frames.forget(address);
        }
        Ok(())
    }

    /// Where all is that is known about a block from a pool of wrasse's allocator,
    /// if it is in one place.
    #[inline(always)]
    pub fn place_served(&self, address: usize) -> Option<Place> {
        let place = self.tracer.side_table().place(address)?;
        self.tracer.is_at(place).then_some(place)
    }

    /// May blocks be recorded and released quickly?
    pub fn can_be_quick(&self) -> bool {
        !self.tracer.active().is_empty()
            && self.tracer.side_table().is_there()
            && self.tracer.can_be_quick()
    }

    /// As [`State::record_served`], where all is at hand: `spot` is the block that is
    /// about to be handed out, by `slack` larger than `size`. No, and nothing is done,
    /// where something is not, or, where `IS_SHORT`, tracebacks are of more than a line.
    ///
    /// # Safety
    /// As for [`State::record`]; and [`State::can_be_quick`], and the frames are of
    /// this epoch. The thread has a GIL.
    #[inline(always)]
    pub unsafe fn record_quickly<const IS_SHORT: bool>(
        &mut self,
        spot: Spot<'_>,
        size: usize,
        slack: usize,
        thread: *mut PyThreadState,
    ) -> bool {
        // SAFETY: the caller's contract.
        unsafe {
            let mut owner = self.frames.owner_at_hand(thread);
            if !IS_SHORT && owner.is_none() {
                owner = self.frames.deep_owner_at_hand(thread);
            }
            let Some(owner) = owner else {
                return false;
            };
            debug_assert!(self.frames.is_of_epoch(&self.tracer));
            let room = size.wrapping_add(slack);
            let place = self.tracer.side_table().place_at(spot, room);
            let address = spot.address() as usize;
            self.tracer
                .record_quickly(place, address, size, slack, owner)
        }
    }

    /// A block is about to be released for good. No, and nothing is done, where that is
    /// not quickly done.
    ///
    /// # Safety
    /// [`State::can_be_quick`], and the block is in use.
    #[inline(always)]
    pub unsafe fn release_quickly(&mut self, spot: Spot<'_>) -> bool {
        // SAFETY: the caller's contract.
        let place = unsafe { self.tracer.side_table().place_at(spot, spot.size()) };
        self.tracer.release_quickly(place, spot.address() as usize)
    }

    /// A block is about to be released: for good, or since it is being resized.
    #[inline(never)]
    pub fn release(&mut self, address: usize, is_end: bool) -> Option<Released> {
        let block = match is_end {
            true => self.tracer.release(address)?,
            false => self.tracer.moving(address)?,
        };
        if block.is_watched {
            self.frames.forget(address);
        }
        Some(block)
    }

    /// Somebody else than the allocator reports a block to a view.
    ///
    /// # Safety
    /// As for [`State::record`].
    pub unsafe fn track(
        &mut self,
        view: View,
        domain: u32,
        address: usize,
        size: usize,
        thread: *mut PyThreadState,
    ) -> Result<bool, Exhausted> {
        if !self.tracer.active().contains(view) {
            return Ok(false);
        }
        // SAFETY: the caller's contract.
        let owner = unsafe { self.frames.owner(&mut self.tracer, thread)? };
        self.tracer.track_for(view, domain, address, size, owner)
    }

    /// A new object has been made at this block. Unless the block is new too, it
    /// belongs to whoever is running from now on.
    ///
    /// # Safety
    /// As for [`State::record`].
    #[inline]
    pub unsafe fn reuse(&mut self, address: usize, thread: *mut PyThreadState) {
        if self.tracer.take_fresh(address) {
            // Only once: the next object at this address comes from a free list.
            return;
        }
        if self.tracer.sees(View::Program, address) {
            // SAFETY: the caller's contract.
            let owner = unsafe { self.frames.owner(&mut self.tracer, thread) };
            if let Ok(owner) = owner {
                // Without memory it stays with its first owner.
                let _ = self.tracer.retag(address, owner);
            }
        }
    }

    /// Bytes held by the tracer.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.tracer.memory() + self.frames.memory()
    }
}
