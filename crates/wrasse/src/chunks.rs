//! Memory for pages: asked of the system many at a time, and given back.
//!
//! A *chunk* is the memory of [`CHUNK_PAGES`] pages. A chunk without a page in
//! use goes back to the system if there have not been as many in use at any time
//! of the last second or two: who fills and empties the same memory again and
//! again keeps it. That is looked at when something is freed, so a program that
//! frees everything and then rests keeps it too, unless it says
//! [`gc::collect`](crate::gc::collect): then all go at once but for a few. How
//! many follows what happens: each chunk that has to be asked for again shows
//! that one more should have been kept, and of what goes unneeded for some time
//! half is given back. (The allocator of the CPython host does the same with its
//! pools.)

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use crate::pool::{PAGE_SIZE, Page};

/// Pages of a chunk: a bit of a mask each.
pub const CHUNK_PAGES: usize = u32::BITS as usize;
/// Chunks without a page in use that are kept in any case.
const LEAST_KEPT: usize = 4;
/// How long a chunk may go unneeded.
const PATIENCE: Duration = Duration::from_secs(1);

/// A heap's chunks.
pub struct Chunks {
    /// In the order of their addresses.
    chunks: Vec<Chunk>,
    /// No chunk before this one has a free page.
    first_free: usize,
    /// Chunks without a page in use.
    unused: usize,
    /// How many of those to keep when all can go.
    keep: usize,
    /// The most chunks in use and the fewest not in use since `reviewed`.
    peak: usize,
    fewest_unused: usize,
    /// The most in use in the time before that.
    earlier_peak: usize,
    reviewed: Option<Instant>,
    /// Chunks that were given back and not asked for again.
    given: usize,
}

struct Chunk {
    memory: NonNull<u8>,
    /// A bit for each page: not in use.
    free: u32,
}

impl Default for Chunks {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            first_free: 0,
            unused: 0,
            keep: LEAST_KEPT,
            peak: 0,
            fewest_unused: 0,
            earlier_peak: 0,
            reviewed: None,
            given: 0,
        }
    }
}

impl Chunks {
    /// The memory of a page; takes the process down if there is none. Time is
    /// constant but for chunks that are full, each of which is passed over once.
    pub fn take(&mut self) -> *mut Page {
        while let Some(chunk) = self.chunks.get_mut(self.first_free) {
            if chunk.free != 0 {
                let page = chunk.take();
                if chunk.free.count_ones() == u32::BITS - 1 {
                    self.unused -= 1;
                    self.note();
                }
                return page;
            }
            self.first_free += 1;
        }
        if self.given > 0 {
            self.given -= 1;
            self.keep += 1;
        }
        let mut chunk = Chunk::allocate();
        let page = chunk.take();
        self.first_free = self.index_of(chunk.memory.as_ptr());
        self.chunks.insert(self.first_free, chunk);
        self.note();
        page
    }

    /// One more chunk is in use.
    fn note(&mut self) {
        self.peak = self.peak.max(self.in_use());
        self.fewest_unused = self.fewest_unused.min(self.unused);
    }

    /// Chunks with a page in use.
    fn in_use(&self) -> usize {
        self.chunks.len() - self.unused
    }

    /// Takes back the memory of a page that nobody uses. It stays until
    /// [`Chunks::settle`]. Time is logarithmic in the number of chunks.
    pub fn give(&mut self, page: *const Page) {
        // The chunk is the last that begins at or before the page.
        let index = self.index_of(page.cast::<u8>().wrapping_add(1)) - 1;
        let chunk = &mut self.chunks[index];
        let number = (page.addr() - chunk.memory.addr().get()) / PAGE_SIZE;
        debug_assert!(number < CHUNK_PAGES && chunk.free & (1 << number) == 0);
        chunk.free |= 1 << number;
        self.unused += usize::from(chunk.free == u32::MAX);
        self.first_free = self.first_free.min(index);
    }

    /// Gives chunks back to the system that are not worth keeping: not even for
    /// a while, if `at_once`.
    pub fn settle(&mut self, at_once: bool) {
        let now = Instant::now();
        let time = now - *self.reviewed.get_or_insert(now);
        if time > PATIENCE {
            self.earlier_peak = if time > 2 * PATIENCE { 0 } else { self.peak };
            self.peak = self.in_use();
            let unneeded = self.fewest_unused.min(self.keep - LEAST_KEPT);
            self.keep -= unneeded.div_ceil(2);
            self.fewest_unused = self.unused;
            self.reviewed = Some(now);
        }
        let mut wanted = self.in_use() + self.keep;
        if !at_once {
            wanted = wanted.max(self.peak).max(self.earlier_peak);
        }
        let mut surplus = self.chunks.len().saturating_sub(wanted);
        if surplus == 0 {
            return;
        }
        self.unused -= surplus;
        self.given += surplus;
        self.fewest_unused = self.fewest_unused.min(self.unused);
        self.chunks.retain(|chunk| {
            let stays = surplus == 0 || chunk.free != u32::MAX;
            surplus -= usize::from(!stays);
            stays
        });
        self.first_free = 0;
    }

    /// Bytes of memory from the system.
    pub fn bytes(&self) -> usize {
        self.chunks.len() * Chunk::LAYOUT.size()
    }

    /// The number of chunks that begin before `address`.
    fn index_of(&self, address: *const u8) -> usize {
        self.chunks
            .partition_point(|chunk| chunk.memory.as_ptr().cast_const() < address)
    }
}

impl Chunk {
    const LAYOUT: Layout = match Layout::from_size_align(PAGE_SIZE * CHUNK_PAGES, PAGE_SIZE) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    };

    fn allocate() -> Self {
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc(Self::LAYOUT) };
        let Some(memory) = NonNull::new(memory) else {
            handle_alloc_error(Self::LAYOUT)
        };
        Self {
            memory,
            free: u32::MAX,
        }
    }

    /// The first page that is not in use, of which there is one.
    fn take(&mut self) -> *mut Page {
        let number = self.free.trailing_zeros();
        self.free &= self.free - 1;
        // SAFETY: within the chunk.
        unsafe { self.memory.as_ptr().add(number as usize * PAGE_SIZE).cast() }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: the memory of `allocate`. A chunk is dropped when none of its
        // pages is in use, or with its heap, when no object is left.
        unsafe { dealloc(self.memory.as_ptr(), Self::LAYOUT) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pages_are_distinct_and_come_back() {
        let mut chunks = Chunks::default();
        let pages: Vec<_> = (0..10 * CHUNK_PAGES).map(|_| chunks.take()).collect();
        let distinct: BTreeSet<_> = pages.iter().collect();
        assert_eq!(distinct.len(), pages.len());
        assert!(pages.iter().all(|page| page.addr() % PAGE_SIZE == 0));
        assert_eq!((chunks.chunks.len(), chunks.unused), (10, 0));
        for &page in pages.iter().step_by(2) {
            chunks.give(page);
        }
        let again: BTreeSet<_> = (0..5 * CHUNK_PAGES).map(|_| chunks.take()).collect();
        assert_eq!(again, pages.iter().step_by(2).copied().collect());
        assert_eq!(chunks.chunks.len(), 10);
    }

    #[test]
    fn what_is_needed_again_is_kept_next_time() {
        let mut chunks = Chunks::default();
        let mut peaks = Vec::new();
        for _ in 0..3 {
            let pages: Vec<_> = (0..20 * CHUNK_PAGES).map(|_| chunks.take()).collect();
            assert_eq!(chunks.chunks.len(), 20);
            pages.into_iter().for_each(|page| chunks.give(page));
            chunks.settle(true);
            peaks.push(chunks.chunks.len());
            assert_eq!(chunks.unused, chunks.chunks.len());
        }
        assert_eq!(peaks, [LEAST_KEPT, 20, 20]);
    }

    #[test]
    fn what_goes_unneeded_is_given_back() {
        let mut chunks = Chunks {
            keep: 20,
            ..Chunks::default()
        };
        let pages: Vec<_> = (0..16 * CHUNK_PAGES).map(|_| chunks.take()).collect();
        pages.into_iter().for_each(|page| chunks.give(page));
        let mut left = Vec::new();
        for _ in 0..10 {
            chunks.settle(true);
            left.push(chunks.chunks.len());
            chunks.reviewed = chunks.reviewed.map(|at| at - 2 * PATIENCE);
        }
        assert!(left.is_sorted_by(|a, b| a >= b), "{left:?}");
        assert_eq!((left[0], left[9]), (16, LEAST_KEPT));
    }

    #[test]
    fn what_was_needed_a_moment_ago_is_kept() {
        let mut chunks = Chunks::default();
        let pages: Vec<_> = (0..16 * CHUNK_PAGES).map(|_| chunks.take()).collect();
        chunks.settle(false);
        pages.into_iter().for_each(|page| chunks.give(page));
        let mut left = Vec::new();
        for _ in 0..4 {
            chunks.settle(false);
            left.push(chunks.chunks.len());
            // Between one and two times PATIENCE.
            chunks.reviewed = chunks.reviewed.map(|at| at - PATIENCE * 3 / 2);
        }
        assert_eq!(left, [16, 16, LEAST_KEPT, LEAST_KEPT]);
    }

    #[test]
    fn a_chunk_with_a_page_in_use_stays() {
        let mut chunks = Chunks::default();
        let pages: Vec<_> = (0..9 * CHUNK_PAGES).map(|_| chunks.take()).collect();
        let kept: Vec<_> = pages.iter().step_by(CHUNK_PAGES).copied().collect();
        for page in pages {
            if !kept.contains(&page) {
                chunks.give(page);
            }
        }
        chunks.settle(true);
        assert_eq!(chunks.chunks.len(), 9);
        kept.iter().for_each(|&page| chunks.give(page));
        chunks.settle(true);
        assert_eq!(chunks.bytes(), LEAST_KEPT * Chunk::LAYOUT.size());
    }
}
