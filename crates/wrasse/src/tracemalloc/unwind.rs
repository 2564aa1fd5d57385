//! Walking the stack: the return addresses that lead to an allocation.
//!
//! Tracebacks are to begin with the program's own line, so as many frames are
//! taken as are needed for the program's functions to be enough of them; which
//! these are, [`symbols`](super::symbols) tells. Frames beyond what was asked for
//! are cut off when a snapshot is made.
//!
//! On x86-64 Linux a frame costs a few instructions, see [`rules`]. Anywhere
//! else, and where a stack has a frame of unusual form, the walk is `backtrace`'s.

use smallvec::SmallVec;

use super::record::MAX_FRAMES;
use super::symbols::{self, Origin};

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod rules;

/// Return addresses, the most recent first.
pub type Stack = SmallVec<[usize; 64]>;

/// So many more frames are taken where functions cannot be told apart: as many as
/// the standard library may put between an allocation and the program.
const SLACK: usize = 32;

/// What is to be done before the first walk, while allocations are allowed.
pub fn prepare() {
    symbols::prepare();
    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
    rules::prepare();
}

/// Bytes held by tables.
pub fn memory() -> usize {
    symbols::memory()
}

/// Puts the frames on `stack` that are needed for `limit` frames of the program.
#[inline(never)]
pub fn walk(limit: usize, stack: &mut Stack) {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
    {
        let mut enough = Enough::new(limit);
        if rules::walk(|ip, origin| enough.push(stack, ip, origin)).is_ok() {
            return;
        }
        stack.clear();
    }
    let mut enough = Enough::new(limit);
    // SAFETY: it is unsynchronized symbolising that would be a danger; unwinding
    // keeps no state between calls.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let ip = frame.ip().addr();
            ip != 0 && enough.push(stack, ip, symbols::origin(ip))
        });
    }
}

/// Counts frames until there are enough.
struct Enough {
    limit: usize,
    program: usize,
    unclear: usize,
}

impl Enough {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            program: 0,
            unclear: 0,
        }
    }

    /// Takes a frame; says whether more are needed.
    #[inline]
    fn push(&mut self, stack: &mut Stack, ip: usize, origin: Origin) -> bool {
        match origin {
            Origin::Tracer => return true,
            Origin::Library => {}
            Origin::Program => self.program += 1,
            Origin::Unclear => self.unclear += 1,
        }
        stack.push(ip);
        self.program < self.limit
            && self.program + self.unclear < self.limit + SLACK
            && stack.len() < MAX_FRAMES
    }
}
