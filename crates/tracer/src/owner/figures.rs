//! What owners have and had, in figures.

use crate::thread::ThreadId;
use crate::traceback::TracebackId;
use crate::view::ViewSet;

/// What one owner, or all that are gone of a kind, had besides what is alive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// Ever allocated.
    pub allocated: Amount,
    /// Freed before the next was allocated.
    pub temporary: Amount,
    /// Alive at the peak with this stamp.
    pub(super) peak: Amount,
    pub(super) stamp: u32,
}

/// Bytes and the number of blocks in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    /// Bytes.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, more: Amount) {
        self.bytes = self.bytes.wrapping_add(more.bytes);
        self.blocks = self.blocks.wrapping_add(more.blocks);
    }
}

/// Of whom what is gone is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The traceback.
    pub traceback: TracebackId,
    /// The thread.
    pub thread: ThreadId,
    /// Who saw it.
    pub views: ViewSet,
}

/// What one owner has, or all that are gone of its kind had.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Who.
    pub kind: Kind,
    /// Alive.
    pub live: Amount,
    /// Alive at the peak.
    pub peak: Amount,
    /// Ever allocated.
    pub allocated: Amount,
    /// Freed before the next was allocated.
    pub temporary: Amount,
}

impl Past {
    /// `stamp` is the last peak's.
    pub(super) fn add(&mut self, more: Past, stamp: u32) {
        self.allocated += more.allocated;
        self.temporary += more.temporary;
        if self.stamp != stamp {
            self.peak = Amount::default();
            self.stamp = stamp;
        }
        if more.stamp == stamp {
            self.peak += more.peak;
        }
    }
}
