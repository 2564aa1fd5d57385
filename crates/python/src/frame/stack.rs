//! What is known of a thread's frames from the last time they were read.
//!
//! Between two allocations most of a stack stays as it was. For each frame its
//! address, its instruction and the owner that its traceback makes are kept, and
//! the next time only compared: from the top down, each real frame's link
//! against the address kept for its caller. So an address that was kept is never
//! looked at before a live frame has confirmed it, and nothing is ever written
//! into a frame. Generators, coroutines, other stack switchers, exceptions and
//! frames that came and went all show as a difference, from which on the levels
//! are made anew.
//!
//! With a limit of frames, only as many are compared as the top's traceback
//! keeps; levels further down may be out of date, but agree with one another.

use wrasse_tracer::ThreadId;

use crate::layout::{FRAME, load};

/// Not an instruction: has to be looked up each time.
pub const NEVER: usize = 1;

/// A frame as it was.
#[derive(Clone, Copy)]
pub struct Level {
    /// Its address.
    pub frame: *const u8,
    /// Its instruction, or [`NEVER`].
    pub instruction: usize,
    /// The owner of what is allocated here: that of the caller if the frame does
    /// not count.
    pub owner: u32,
    /// How many frames up to here, itself included, count.
    pub depth: u32,
    /// The lowest level that its traceback still depends on.
    pub floor: u32,
}

impl Level {
    /// Has a frame been called by this one, which stands where it stood?
    ///
    /// # Safety
    /// `above` is in the calling thread's chain of live frames. So is this level's, if
    /// the answer is yes.
    #[inline(always)]
    unsafe fn is_below(&self, above: *const u8) -> bool {
        // SAFETY: the caller's contract; the second frame is confirmed by the first.
        unsafe {
            load::<*const u8>(above, FRAME.previous) == self.frame
                && load::<usize>(self.frame, FRAME.instruction) == self.instruction
        }
    }

    /// Are all levels that matter below this one as they were?
    ///
    /// # Safety
    /// This level's frame is in the calling thread's chain of live frames, and `below` are
    /// all levels below it.
    #[inline(always)]
    unsafe fn has_callers(&self, below: &[Level]) -> bool {
        let floor = self.floor as usize;
        let Some(levels) = below.get(floor..) else {
            return false;
        };
        let mut frame = self.frame;
        // Four at a time, or going on would cost as much as comparing.
        let mut fours = levels.rchunks_exact(4);
        for four in &mut fours {
            for level in four.iter().rev() {
                // SAFETY: `frame` is this level's or was confirmed by the level above.
                if !unsafe { level.is_below(frame) } {
                    return false;
                }
                frame = level.frame;
            }
        }
        for level in fours.remainder().iter().rev() {
            // SAFETY: as above.
            if !unsafe { level.is_below(frame) } {
                return false;
            }
            frame = level.frame;
        }
        // Above the lowest level of all the traceback has room for more.
        // SAFETY: as above.
        floor > 0 || unsafe { load::<*const u8>(frame, FRAME.previous) }.is_null()
    }

    /// A frame that has not been read yet.
    pub fn of(frame: *const u8) -> Self {
        Level {
            frame,
            instruction: NEVER,
            owner: 0,
            depth: 0,
            floor: 0,
        }
    }
}

/// A thread's frames, the outermost first.
pub struct Stack {
    /// The thread's state; only compared.
    pub thread: usize,
    /// The thread itself: CPython gives a state's address to the next thread, and
    /// that one's frames are where the last one's were.
    pub id: ThreadId,
    pub levels: Vec<Level>,
}

// SAFETY: the addresses are only compared until a thread's own live frames have
// confirmed them.
unsafe impl Send for Stack {}

/// A frame at a higher address, but no further than this, lies above in the same
/// chunk of the thread's frames.
const NEAR: usize = 1 << 20;
/// How many of the topmost levels are looked at out of order.
const GLANCE: usize = 4;

impl Stack {
    /// The level of a frame among the first `known`. To miss one costs time only.
    #[inline]
    pub fn find(&self, frame: *const u8, known: usize) -> Option<usize> {
        let levels = &self.levels[..known];
        let left = levels.iter().rev().take_while(|level| {
            // Not below what is in the same chunk at a higher address.
            let distance = (level.frame as usize).wrapping_sub(frame as usize);
            distance < NEAR && distance != 0
        });
        let near = known - left.count();
        if let Some(at) = near.checked_sub(1)
            && levels[at].frame == frame
        {
            return Some(at);
        }
        let lowest = known.saturating_sub(GLANCE);
        (lowest..known).rev().find(|&at| levels[at].frame == frame)
    }

    /// The owner that the caller of the topmost level would have (`root` for the
    /// outermost), if that level is `top` and all levels that matter below it are as
    /// they were.
    ///
    /// # Safety
    /// `top` is the calling thread's innermost frame.
    #[inline(always)]
    pub unsafe fn caller(&self, top: *const u8, root: u32) -> Option<u32> {
        let (last, below) = self.levels.split_last()?;
        if last.frame != top {
            return None;
        }
        // SAFETY: the caller's contract.
        unsafe { last.has_callers(below) }.then(|| below.last().map_or(root, |level| level.owner))
    }

    /// Compare the levels below `known`, of which the last is known to be live,
    /// with the real frames, as far down as its traceback reaches. The lowest
    /// whose instruction is another now, or `known`; or else the lowest that still
    /// has its caller, where the chain has changed.
    ///
    /// # Safety
    /// The frame of level `known - 1` is in the calling thread's chain of frames.
    #[inline]
    pub unsafe fn verify(&self, known: usize) -> Result<usize, usize> {
        let levels = &self.levels[..known];
        let mut changed = known;
        let Some((last, below)) = levels.split_last() else {
            return Ok(known);
        };
        // SAFETY: the caller's contract.
        unsafe {
            if last.has_callers(below) {
                let instruction: usize = load(last.frame, FRAME.instruction);
                return Ok(known - usize::from(instruction != last.instruction));
            }
        }
        let floor = last.floor as usize;
        let mut frame = last.frame;
        let mut at = known;
        for level in levels[floor..].iter().rev() {
            at -= 1;
            if level.frame != frame {
                return Err(at + 1);
            }
            // SAFETY: the last level's frame, or confirmed to be the one that the
            // frame above leads to.
            let instruction: usize = unsafe { load(frame, FRAME.instruction) };
            if instruction != level.instruction {
                changed = at;
            }
            // SAFETY: as above.
            frame = unsafe { load(level.frame, FRAME.previous) };
        }
        // Above the lowest level of all the traceback has room for more.
        match floor == 0 && !frame.is_null() {
            true => Err(0),
            false => Ok(changed),
        }
    }
}
