//! What a region holds, counted when asked.

use crate::pool;
use crate::region::Region;
use crate::size_class::{self, CLASSES};

/// The pools of one size class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Size of a block.
    pub size: usize,
    /// Pools of this class.
    pub pools: usize,
    /// Blocks in use.
    pub used: usize,
    /// Blocks there is room for.
    pub capacity: usize,
}

/// A region's contents. Heaps that are being used by other threads are counted
/// as they happen to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// By size class.
    pub classes: [ClassStats; CLASSES],
    /// Blocks from pools in use.
    pub blocks: usize,
    /// Their sizes' sum.
    pub bytes: usize,
    /// Pools with memory behind them.
    pub pools: usize,
    /// Their bytes.
    pub committed: usize,
    /// Those of them that are empty and kept for reuse.
    pub kept: usize,
    /// Bytes of pools that were given back to the system, in all.
    pub given_back: usize,
    /// Large blocks in use.
    pub large_blocks: usize,
    /// Their sizes' sum.
    pub large_bytes: usize,
    /// Bytes of pools and large blocks together.
    pub taken: usize,
    /// The most that `taken` ever was.
    pub peak: usize,
    /// How many requests were refused while there was a limit.
    pub refused: usize,
}

impl Stats {
    /// Bytes of the pools that are empty and kept for reuse.
    pub fn kept_bytes(&self) -> usize {
        self.kept * pool::SIZE
    }
}

impl Region {
    /// Counts what there is.
    pub fn stats(&self) -> Stats {
        let mut classes = [ClassStats::default(); CLASSES];
        for (class, counts) in classes.iter_mut().enumerate() {
            counts.size = size_class::block_size(class);
        }
        for record in self.records() {
            // SAFETY: records stay readable; what is read is atomic.
            let (size, used) = unsafe { ((*record).size(), (*record).used()) };
            let class = size_class::of_size(size);
            if let (true, Some(counts)) = (size > 0, class.and_then(|class| classes.get_mut(class)))
            {
                counts.pools += 1;
                counts.used += used as usize;
                counts.capacity += pool::SIZE / size;
            }
        }
        let (large_blocks, large_bytes) = self.large().totals();
        Stats {
            blocks: classes.iter().map(|class| class.used).sum(),
            bytes: classes.iter().map(|class| class.used * class.size).sum(),
            classes,
            pools: self.committed() / pool::SIZE,
            committed: self.committed(),
            given_back: self.given_back(),
            kept: self.heaps().map(|heap| heap.kept()).sum(),
            large_blocks,
            large_bytes,
            taken: self.limit().taken(),
            peak: self.limit().peak(),
            refused: self.limit().refused(),
        }
    }

    /// Blocks from pools in use, without the rest of [`Region::stats`].
    pub fn blocks(&self) -> usize {
        // SAFETY: records stay readable; what is read is atomic.
        self.records()
            .map(|record| unsafe { (*record).used() } as usize)
            .sum()
    }

    /// Bytes of blocks in use, large ones included, without the rest of
    /// [`Region::stats`]. Time is linear in the pools that were ever taken.
    pub fn live_bytes(&self) -> usize {
        // SAFETY: records stay readable; what is read is atomic.
        let small: usize = self
            .records()
            .map(|record| unsafe { (*record).used() as usize * (*record).size() })
            .sum();
        small + self.large().totals().1
    }
}
