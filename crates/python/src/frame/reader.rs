//! From a thread's frames to the owner of what it allocates.

use std::cell::Cell;

use pyo3_ffi::PyThreadState;
use wrasse_tracer::{
    Exhausted, LocationId, OwnerId, SideTable, ThreadId, TracebackBuilder, Tracer,
};

use super::stack::{Level, NEVER, Stack};
use super::steps::{SKIP, Steps};
use super::top_frame;
use crate::layout::{FRAME, load};

/// With more frames than this to keep, stacks are walked each time: each level
/// would have a traceback of its own, nearly as long as the next one's.
const LONG: u16 = 128;
/// More threads than this are not remembered at a time.
const MOST_STACKS: usize = 256;
/// No thread's state, nor null.
const NO_THREAD: usize = usize::MAX;
/// What threads without a state have in its place.
const NULL_THREAD: usize = 0;

/// What is remembered of frames and their instructions.
pub struct FrameReader {
    steps: Steps,
    stacks: Vec<Stack>,
    /// The state of the thread that allocated last; what follows is that thread's.
    thread: usize,
    /// The same, if tracebacks are of one line, which need not be counted beyond, and
    /// there is room to remember steps in.
    thread_of_single: usize,
    /// Its number.
    id: ThreadId,
    /// What calls its outermost frame.
    root: u32,
    /// The one of `stacks` that is its.
    recent: usize,
    /// Frames that are not among the levels, the innermost first.
    new: Vec<*const u8>,
    unknown: Option<LocationId>,
    epoch: u32,
    /// Frames that a traceback keeps, if they do not have to be counted beyond.
    limit: Option<u32>,
    /// Tracebacks are of one line, which need not be counted beyond.
    is_single: bool,
    /// Tracebacks are too long for levels.
    is_long: bool,
    builder: TracebackBuilder,
}

// SAFETY: addresses of frames are only used while their thread is reading them.
unsafe impl Send for FrameReader {}

impl Default for FrameReader {
    fn default() -> Self {
        FrameReader {
            steps: Steps::default(),
            stacks: Vec::new(),
            thread: NO_THREAD,
            thread_of_single: NO_THREAD,
            id: ThreadId::FIRST,
            root: OwnerId::NOBODY.0,
            recent: 0,
            new: Vec::new(),
            unknown: None,
            epoch: 0,
            limit: Some(1),
            is_single: true,
            is_long: false,
            builder: TracebackBuilder::default(),
        }
    }
}

impl FrameReader {
    /// Get the memory that reading needs.
    pub fn prepare(&mut self) -> Result<(), Exhausted> {
        self.steps.prepare()
    }

    /// Give back what reading needs.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        let levels: usize = self
            .stacks
            .iter()
            .map(|stack| stack.levels.capacity())
            .sum();
        self.steps.memory()
            + levels * size_of::<Level>()
            + self.stacks.capacity() * size_of::<Stack>()
    }

    fn forget_steps(&mut self) {
        self.steps.forget();
        for stack in &mut self.stacks {
            stack.levels.clear();
        }
    }

    /// A watched block at this address is gone.
    #[cold]
    pub fn forget(&mut self, address: usize) {
        if self.steps.decoder.forget(address) {
            self.forget_steps();
        }
    }

    fn turn_away(&mut self) {
        self.thread = NO_THREAD;
        self.thread_of_single = NO_THREAD;
    }

    /// Is what is remembered of the tracer's epoch?
    pub fn is_of_epoch<S: SideTable>(&self, tracer: &Tracer<S>) -> bool {
        self.epoch == tracer.epoch()
    }

    /// No owner is at hand any more that is not of the tracer's epoch.
    pub fn forget_old_epoch<S: SideTable>(&mut self, tracer: &Tracer<S>) {
        if !self.is_of_epoch(tracer) {
            self.turn_away();
        }
    }

    #[cold]
    fn begin_epoch<S: SideTable>(&mut self, tracer: &Tracer<S>) {
        self.steps.decoder.clear();
        self.forget_steps();
        self.unknown = None;
        // Threads may have been forgotten with everything else.
        self.turn_away();
        self.epoch = tracer.epoch();
        let counts_all = tracer.counts_all_frames();
        self.limit = (!counts_all).then(|| tracer.capture_limit().into());
        self.is_single = self.limit == Some(1);
        self.is_long = tracer.capture_limit() > LONG;
    }

    /// The owner of what `thread` allocates now; null is no thread.
    ///
    /// # Safety
    /// `thread` is null, or the calling thread's own live state.
    #[inline(always)]
    pub unsafe fn owner<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        thread: *mut PyThreadState,
    ) -> Result<OwnerId, Exhausted> {
        if self.epoch != tracer.epoch() {
            self.begin_epoch(tracer);
        }
        // Threads without a state look all the same.
        if self.thread != thread as usize || thread.is_null() {
            self.turn_to(tracer, thread as usize)?;
        }
        if thread.is_null() {
            return self.of_nobody(tracer);
        }
        // SAFETY: the thread state is live and the caller's own.
        unsafe {
            let frame = top_frame(thread);
            if frame.is_null() {
                return self.of_nobody(tracer);
            }
            let instruction = load(frame, FRAME.instruction);
            if self.is_single {
                return match self.steps.known(instruction, self.root) {
                    Some(owner) if owner != SKIP => Ok(OwnerId(owner)),
                    _ => self.of_top(tracer, frame),
                };
            }
            if let Some(stack) = self.stacks.get(self.recent)
                && let Some(caller) = stack.caller(frame, self.root)
                && let Some(owner) = self.steps.known(instruction, caller)
                && owner != SKIP
            {
                return Ok(OwnerId(owner));
            }
            self.of_stack(tracer, frame)
        }
    }

    /// The owner of what `thread` allocates now, where tracebacks are of one line and
    /// nothing has to be read anew for it. [`OwnerId::fits_word`].
    ///
    /// # Safety
    /// What is remembered is of the tracer's epoch. `thread` is the calling thread's own
    /// live state, or no thread's that was ever remembered.
    #[inline(always)]
    pub unsafe fn owner_at_hand(&self, thread: *mut PyThreadState) -> Option<OwnerId> {
        if self.thread_of_single != thread as usize {
            return None;
        }
        // SAFETY: a thread that was remembered, so by the caller's contract this one's. It is
        // remembered here only when there is room for steps, which is given back with it.
        unsafe {
            let frame = top_frame(thread);
            if frame.is_null() {
                return None;
            }
            self.steps
                .at_hand(load(frame, FRAME.instruction), self.root)
        }
    }

    /// As [`FrameReader::owner_at_hand`], where tracebacks are of more lines.
    ///
    /// # Safety
    /// As for [`FrameReader::owner_at_hand`].
    #[inline(always)]
    pub unsafe fn deep_owner_at_hand(&self, thread: *mut PyThreadState) -> Option<OwnerId> {
        if self.thread != thread as usize || thread.is_null() || self.is_single {
            return None;
        }
        if !self.steps.is_there() {
            return None;
        }
        // SAFETY: as above, but for the room, which was looked for.
        unsafe {
            let frame = top_frame(thread);
            if frame.is_null() {
                return None;
            }
            let caller = self.stacks.get(self.recent)?.caller(frame, self.root)?;
            self.steps.at_hand(load(frame, FRAME.instruction), caller)
        }
    }

    /// Another thread allocates than the last time, or the first at all.
    #[cold]
    #[inline(never)]
    fn turn_to<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        thread: usize,
    ) -> Result<(), Exhausted> {
        self.turn_away();
        self.id = this_thread_id(tracer)?;
        self.recent = self.stack_of(thread, self.id)?;
        self.root = OwnerId::root(self.id).0;
        self.thread = thread;
        if self.is_single && thread != NULL_THREAD && self.steps.is_there() {
            self.thread_of_single = thread;
        }
        Ok(())
    }

    /// Who allocates where no Python code runs.
    #[cold]
    fn of_nobody<S: SideTable>(&mut self, tracer: &mut Tracer<S>) -> Result<OwnerId, Exhausted> {
        let unknown = match self.unknown {
            Some(unknown) => unknown,
            None => {
                let file = tracer.locations_mut().file(b"<unknown>")?;
                tracer.locations_mut().location(file, 0)?
            }
        };
        self.unknown = Some(unknown);
        tracer.called(OwnerId(self.root), unknown)
    }

    /// The owner where only the innermost frame that counts matters.
    #[inline(never)]
    unsafe fn of_top<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        mut frame: *const u8,
    ) -> Result<OwnerId, Exhausted> {
        while !frame.is_null() {
            // SAFETY: `frame` is in the calling thread's chain of live frames.
            unsafe {
                let instruction = load(frame, FRAME.instruction);
                let (owner, _) = self.steps.step(tracer, frame, instruction, self.root)?;
                if owner != SKIP {
                    return Ok(OwnerId(owner));
                }
                frame = load(frame, FRAME.previous);
            }
        }
        self.of_nobody(tracer)
    }

    /// The owner of a whole traceback.
    #[inline(never)]
    unsafe fn of_stack<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        top: *const u8,
    ) -> Result<OwnerId, Exhausted> {
        if self.is_long {
            // SAFETY: the caller's contract.
            return unsafe { self.of_walk(tracer, top) };
        }
        let stack = &mut self.stacks[self.recent];
        let mut renewal = Renewal {
            root: self.root,
            steps: &mut self.steps,
            new: &mut self.new,
            limit: self.limit,
        };
        // SAFETY: `top` is the calling thread's innermost frame.
        let result = unsafe { renewal.renew(tracer, stack, top) };
        if result.is_err() {
            stack.levels.clear();
        }
        match OwnerId(result?) {
            root if root.is_root() => self.of_nobody(tracer),
            owner => Ok(owner),
        }
    }

    /// The owner of a long traceback.
    unsafe fn of_walk<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        mut frame: *const u8,
    ) -> Result<OwnerId, Exhausted> {
        self.builder.reset(tracer.capture_limit());
        let counts_all = self.limit.is_none();
        while !frame.is_null() && (counts_all || !self.builder.is_full()) {
            // SAFETY: `frame` is in the calling thread's chain of live frames.
            unsafe {
                let instruction = load(frame, FRAME.instruction);
                let meaning = self.steps.decoder.meaning(tracer, frame, instruction)?;
                if let Some(location) = meaning.location {
                    self.builder.push(location)?;
                }
                frame = load(frame, FRAME.previous);
            }
        }
        if self.builder.frames().is_empty() {
            return self.of_nobody(tracer);
        }
        let traceback = tracer.intern(&self.builder)?;
        tracer.owner(traceback, self.id)
    }

    fn stack_of(&mut self, thread: usize, id: ThreadId) -> Result<usize, Exhausted> {
        let known = self.stacks.iter().position(|stack| stack.thread == thread);
        match known {
            Some(number) => {
                let stack = &mut self.stacks[number];
                if stack.id != id {
                    stack.levels.clear();
                    stack.id = id;
                }
                Ok(number)
            }
            None => {
                if self.stacks.len() >= MOST_STACKS {
                    // Most are of threads that are gone.
                    self.stacks.clear();
                }
                self.stacks.try_reserve(1)?;
                self.stacks.push(Stack {
                    thread,
                    id,
                    levels: Vec::new(),
                });
                Ok(self.stacks.len() - 1)
            }
        }
    }
}

thread_local! {
    /// The calling thread's number in the tracer, above it the tracer's epoch of
    /// threads plus one; 0 for none.
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

/// The calling thread's number, which it gets when it allocates for the first time.
fn this_thread_id<S: SideTable>(tracer: &mut Tracer<S>) -> Result<ThreadId, Exhausted> {
    let epoch = u64::from(tracer.thread_epoch()) + 1;
    let known = THREAD.get();
    if known >> u8::BITS == epoch {
        return Ok(ThreadId(known as u8));
    }
    // SAFETY: asks the system for a number.
    let number = unsafe { libc::gettid() };
    let id = tracer.thread(u64::try_from(number).unwrap_or(0))?;
    THREAD.set(epoch << u8::BITS | u64::from(id.0));
    Ok(id)
}

/// A stack being brought up to date.
struct Renewal<'a> {
    /// What calls the outermost frame.
    root: u32,
    steps: &'a mut Steps,
    new: &'a mut Vec<*const u8>,
    limit: Option<u32>,
}

impl Renewal<'_> {
    /// Bring the levels up to date; the topmost one's owner.
    #[inline]
    unsafe fn renew<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        stack: &mut Stack,
        top: *const u8,
    ) -> Result<u32, Exhausted> {
        let most_new = match self.limit {
            None => usize::MAX,
            // No more than every other frame does not count.
            Some(limit) => 4 * limit as usize + 16,
        };
        let mut known = stack.levels.len();
        let mut frame = top;
        self.new.clear();
        if let Some(last) = stack.levels.last()
            && !top.is_null()
            && last.frame != top
        {
            // SAFETY: `top` is the calling thread's innermost frame, and a level is used only
            // where it is found to be that one's caller.
            unsafe {
                // Most often the topmost level has called one more.
                let caller: *const u8 = load(top, FRAME.previous);
                if caller == last.frame
                    && let Ok(changed) = stack.verify(known)
                {
                    for at in changed..known {
                        self.set_level(tracer, stack, at)?;
                    }
                    return self.push_level(tracer, stack, top);
                }
            }
        }
        // SAFETY: `frame` goes down the calling thread's chain of live frames, and
        // levels are used only where they are found to be one of those.
        let changed = unsafe {
            loop {
                if frame.is_null() || self.new.len() >= most_new {
                    known = 0;
                    break 0;
                }
                let Some(at) = stack.find(frame, known) else {
                    self.new.try_reserve(1)?;
                    self.new.push(frame);
                    frame = load(frame, FRAME.previous);
                    continue;
                };
                known = at + 1;
                match stack.verify(known) {
                    Ok(changed) => break changed,
                    Err(lowest) => {
                        // Below that level is another frame than there was, or,
                        // where the levels end, one that was not read: what is
                        // above goes on top of what is found further down.
                        let above = stack.levels[lowest..known].iter().rev();
                        self.new.try_reserve(known - lowest)?;
                        self.new.extend(above.map(|level| level.frame));
                        frame = load(stack.levels[lowest].frame, FRAME.previous);
                        known = lowest;
                    }
                }
            }
        };
        stack.levels.truncate(known);
        for at in changed..known {
            // SAFETY: verified or found just now; what changed is above.
            unsafe { self.set_level(tracer, stack, at)? };
        }
        while let Some(frame) = self.new.pop() {
            // SAFETY: in the calling thread's chain of live frames.
            unsafe { self.push_level(tracer, stack, frame)? };
        }
        Ok(stack.levels.last().map_or(self.root, |level| level.owner))
    }

    /// One more level, whose callers are up to date; its owner.
    #[inline]
    unsafe fn push_level<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        stack: &mut Stack,
        frame: *const u8,
    ) -> Result<u32, Exhausted> {
        let at = stack.levels.len();
        // To ask for room is a call, which is seldom needed.
        if at == stack.levels.capacity() {
            stack.levels.try_reserve(1)?;
        }
        stack.levels.push(Level::of(frame));
        // SAFETY: the caller's contract: a live frame.
        unsafe { self.set_level(tracer, stack, at)? };
        Ok(stack.levels[at].owner)
    }

    /// Read the frame of a level anew, whose callers are up to date.
    #[inline]
    unsafe fn set_level<S: SideTable>(
        &mut self,
        tracer: &mut Tracer<S>,
        stack: &mut Stack,
        at: usize,
    ) -> Result<(), Exhausted> {
        let frame = stack.levels[at].frame;
        let (caller, depth, mut floor) = match at.checked_sub(1).map(|at| stack.levels[at]) {
            Some(below) => (below.owner, below.depth, below.floor),
            None => (self.root, 0, 0),
        };
        // SAFETY: the caller's contract: a live frame.
        let instruction = unsafe { load(frame, FRAME.instruction) };
        // SAFETY: as above.
        let (owner, is_fixed) = unsafe { self.steps.step(tracer, frame, instruction, caller)? };
        let counts = owner != SKIP;
        let depth = depth + u32::from(counts);
        if let Some(limit) = self.limit {
            // The levels that the traceback above this frame leaves room for: one
            // more than those of which it keeps a line, should this one not count.
            while stack.levels[floor as usize].depth + limit < depth {
                floor += 1;
            }
        }
        stack.levels[at] = Level {
            frame,
            instruction: if is_fixed { instruction } else { NEVER },
            owner: if counts { owner } else { caller },
            depth,
            floor,
        };
        Ok(())
    }
}
