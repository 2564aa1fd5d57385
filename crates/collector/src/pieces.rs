//! Candidates in pieces: which of them are held from outside, and which can be
//! tried without the others.
//!
//! Whether an object is garbage can only be decided together with everything
//! that refers to it. But two objects with no reference between them, directly
//! or through others, have no say in each other's fate: each such *piece* can be
//! tried by itself, at another time, and the answer is the same. A collection
//! that must not stop the program for long tries a few pieces at a time.
//!
//! Objects are numbers here, from 0. What is said about them may be out of date
//! when it is used: pieces that are wrong make trials find less, never more.
//! Pieces are found by disjoint sets with union by size and path halving
//! (Tarjan and van Leeuwen, 1984); each call is as good as constant.

const NONE: u32 = u32::MAX;

/// See the module.
#[derive(Debug)]
pub struct Pieces {
    /// References from candidates, by object.
    references: Vec<u32>,
    /// Another object of the same piece, or the object itself: its head.
    parents: Vec<u32>,
    /// Of heads: objects in the piece that were joined or put in a batch.
    sizes: Vec<u32>,
    /// Of heads: the batch that the piece is in.
    batches: Vec<u32>,
    /// The last batch, if there is one, and how many objects it has.
    last: Option<u32>,
    filled: usize,
    /// Objects that there is room for.
    room: usize,
}

impl Pieces {
    /// No objects, and room for `count` to be [`enter`](Self::enter)ed: memory that
    /// has not been touched yet, so that it takes no time. `None` if there is none,
    /// which is 16 bytes for each object, or if there are too many.
    pub fn with_room(count: usize) -> Option<Self> {
        fn room(count: usize) -> Option<Vec<u32>> {
            let mut all = Vec::new();
            all.try_reserve_exact(count).ok()?;
            Some(all)
        }
        // As many numbers as there are but for `NONE`.
        u32::try_from(count).ok()?;
        Some(Self {
            references: room(count)?,
            parents: room(count)?,
            sizes: room(count)?,
            batches: room(count)?,
            last: None,
            filled: 0,
            room: count,
        })
    }

    /// Adds up to `most` objects, each a piece of its own, with no references, as far as
    /// there is room; says whether there is none left. Linear in what is added.
    pub fn enter(&mut self, most: usize) -> bool {
        let first = self.parents.len();
        let count = self.room.min(first.saturating_add(most));
        self.references.resize(count, 0);
        // No more than 32 bits count: see `with_room`.
        self.parents
            .extend((first..count).map(|number| number as u32));
        self.sizes.resize(count, 1);
        self.batches.resize(count, NONE);
        count == self.room
    }

    /// A candidate refers to `object`.
    #[inline]
    pub fn refer(&mut self, object: u32) {
        let count = &mut self.references[object as usize];
        *count = count.saturating_add(1);
    }

    /// References that were found to `object`.
    #[inline]
    pub fn references(&self, object: u32) -> u32 {
        self.references[object as usize]
    }

    fn head(&mut self, mut object: u32) -> u32 {
        loop {
            let parent = self.parents[object as usize];
            if parent == object {
                return object;
            }
            let next = self.parents[parent as usize];
            self.parents[object as usize] = next;
            object = next;
        }
    }

    /// One of the two refers to the other.
    #[inline]
    pub fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.head(one), self.head(other));
        if one == other {
            return;
        }
        let sizes = &mut self.sizes;
        let (large, small) = if sizes[one as usize] < sizes[other as usize] {
            (other, one)
        } else {
            (one, other)
        };
        sizes[large as usize] += sizes[small as usize];
        self.parents[small as usize] = large;
    }

    /// The batch that `object` is to be tried in. Pieces get theirs in the order
    /// in which they are asked about; a batch has at most `most` objects, unless
    /// it is one piece that has more.
    pub fn batch(&mut self, object: u32, most: usize) -> u32 {
        let head = self.head(object) as usize;
        if self.batches[head] == NONE {
            let size = self.sizes[head] as usize;
            let last = match self.last {
                Some(last) if self.filled + size <= most => {
                    self.filled += size;
                    last
                }
                last => {
                    self.filled = size;
                    last.map_or(0, |last| last + 1)
                }
            };
            self.last = Some(last);
            self.batches[head] = last;
        }
        self.batches[head]
    }
}
