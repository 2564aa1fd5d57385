//! What instructions mean below a given caller: one more line of its traceback, and so
//! the owner of what is allocated there. Remembered for those met recently.

use wrasse_tracer::{Exhausted, OwnerId, SideTable, Tracer};

use super::decode::Decoder;

const STEPS_BITS: u32 = 12;
const STEPS: usize = 1 << STEPS_BITS;
/// In `Step::owner`: the frame does not count.
pub const SKIP: u32 = u32::MAX;
/// In `Step::caller`, besides the caller: the owner is not at hand, because it is none
/// ([`SKIP`]), or a block's word has no room for it.
const NOT_AT_HAND: u32 = 1 << 30;

/// What an instruction means below a caller: one more line of its traceback.
#[derive(Clone, Copy)]
struct Step {
    instruction: usize,
    caller: u32,
    owner: u32,
}

const NOTHING: Step = Step {
    instruction: 0,
    caller: NOT_AT_HAND,
    owner: SKIP,
};

/// What is remembered of instructions.
#[derive(Default)]
pub struct Steps {
    /// What they mean wherever they are called from.
    pub decoder: Decoder,
    /// Direct mapped, by instruction and caller.
    recent: Option<Box<[Step; STEPS]>>,
}

#[inline(always)]
fn place(instruction: usize, caller: u32) -> usize {
    let key = instruction as u64 ^ u64::from(caller) << 32;
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - STEPS_BITS)) as usize & (STEPS - 1)
}

impl Steps {
    /// A step that has been taken recently.
    #[inline(always)]
    pub fn known(&self, instruction: usize, caller: u32) -> Option<u32> {
        let step = self.recent.as_ref()?[place(instruction, caller)];
        let is_it = step.instruction == instruction && step.caller & !NOT_AT_HAND == caller;
        is_it.then_some(step.owner)
    }

    /// The owner that a step taken recently leads to, if a block's word has room for it.
    ///
    /// # Safety
    /// [`Steps::is_there`].
    #[inline(always)]
    pub unsafe fn at_hand(&self, instruction: usize, caller: u32) -> Option<OwnerId> {
        debug_assert!(self.recent.is_some());
        // SAFETY: the caller's contract.
        let steps = unsafe { self.recent.as_ref().unwrap_unchecked() };
        let step = &steps[place(instruction, caller)];
        let is_it = step.instruction == instruction && step.caller == caller;
        is_it.then_some(OwnerId(step.owner))
    }

    /// The step from a caller to a frame: the owner or [`SKIP`], and whether it
    /// is the same whenever a frame is at this instruction.
    #[inline]
    pub unsafe fn step<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        frame: *const u8,
        instruction: usize,
        caller: u32,
    ) -> Result<(u32, bool), Exhausted> {
        match self.known(instruction, caller) {
            Some(owner) => Ok((owner, true)),
            // SAFETY: the caller's contract.
            None => unsafe { self.new_step(tracer, frame, instruction, caller) },
        }
    }

    #[inline(never)]
    unsafe fn new_step<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        frame: *const u8,
        instruction: usize,
        caller: u32,
    ) -> Result<(u32, bool), Exhausted> {
        // SAFETY: `frame` is a live frame.
        let meaning = unsafe { self.decoder.meaning(tracer, frame, instruction)? };
        let owner = match meaning.location {
            None => SKIP,
            Some(location) => tracer.called(OwnerId(caller), location)?.0,
        };
        if meaning.is_fixed
            && let Some(steps) = &mut self.recent
        {
            debug_assert!(caller & NOT_AT_HAND == 0);
            let is_at_hand = OwnerId(owner).fits_word();
            steps[place(instruction, caller)] = Step {
                instruction,
                caller: if is_at_hand {
                    caller
                } else {
                    caller | NOT_AT_HAND
                },
                owner,
            };
        }
        Ok((owner, meaning.is_fixed))
    }

    /// Get the memory that remembering needs.
    pub fn prepare(&mut self) -> Result<(), Exhausted> {
        self.decoder.prepare()?;
        if self.recent.is_none() {
            let mut steps = Vec::new();
            steps.try_reserve_exact(STEPS)?;
            steps.resize(STEPS, NOTHING);
            self.recent = steps.into_boxed_slice().try_into().ok();
        }
        Ok(())
    }

    /// Is there room to remember steps in?
    pub fn is_there(&self) -> bool {
        self.recent.is_some()
    }

    /// No step is known any more.
    pub fn forget(&mut self) {
        if let Some(steps) = &mut self.recent {
            steps.fill(NOTHING);
        }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.decoder.memory() + STEPS * size_of::<Step>()
    }
}
