//! A set of object addresses that numbers them in the order of the addresses.
//!
//! Objects lie densely, so a bit for every eight bytes of the memory they lie
//! in is far smaller than a table of addresses: one sixty-fourth of that
//! memory, and a number is found by counting bits. The memory is cut into
//! chunks of 32 KiB; a small open-addressed table leads from an address to its
//! chunk.

use crate::exhausted::{Exhausted, filled, push, room};
use crate::graph::{NONE, Node};

const GRANULE_SHIFT: u32 = 3;
const CHUNK_SHIFT: u32 = 15;
const WORDS: usize = 1 << (CHUNK_SHIFT - GRANULE_SHIFT - 6);
const EMPTY: u32 = u32::MAX;
/// Of one in so many numbers the chunk is known.
const KNOWN: usize = 256;

#[derive(Clone, Debug)]
struct Chunk {
    /// Its addresses without their low bits.
    number: usize,
    /// How many marks all chunks before it have, once sealed.
    base: Node,
    /// How many marks the words before each one have, once sealed.
    before: [u16; WORDS],
    words: [u64; WORDS],
}

/// Marks addresses, then numbers them.
///
/// Addresses are multiples of 8. The life of an index has two parts, before
/// and after [`seal`](Self::seal).
#[derive(Debug, Default)]
pub struct AddressIndex {
    chunks: Vec<Chunk>,
    /// Chunk numbers' places in `chunks`; the length is a power of two, and at
    /// least half of it is empty.
    table: Vec<u32>,
    len: usize,
    /// Chunks that were numbered as they are, and the marks in them.
    numbered: (usize, Node),
    /// The chunk of each [`KNOWN`]th number, once sealed.
    known: Vec<u32>,
}

impl Chunk {
    /// The first number behind its own, once sealed.
    fn end(&self) -> Node {
        let last = WORDS - 1;
        self.base + Node::from(self.before[last]) + self.words[last].count_ones()
    }
}

#[inline]
fn locate(address: usize) -> (usize, usize, u64) {
    let granule = address >> GRANULE_SHIFT;
    let word = granule >> 6 & (WORDS - 1);
    (address >> CHUNK_SHIFT, word, 1 << (granule & 63))
}

impl AddressIndex {
    /// How many addresses are marked.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no address is marked.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>()
            + (self.table.capacity() + self.known.capacity()) * size_of::<u32>()
    }

    #[inline]
    fn find(&self, number: usize) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let mask = self.table.len() - 1;
        let mut place = hash(number) & mask;
        loop {
            match self.table[place] {
                EMPTY => return None,
                found if self.chunks[found as usize].number == number => {
                    return Some(found as usize);
                }
                _ => place = (place + 1) & mask,
            }
        }
    }

    /// Marks `address`; says whether it was not marked before.
    ///
    /// # Errors
    /// No memory, or more marks than 32 bits count.
    ///
    /// # Panics
    /// In debug builds, if `address` is no multiple of 8.
    #[inline]
    pub fn mark(&mut self, address: usize) -> Result<bool, Exhausted> {
        debug_assert!(address.is_multiple_of(1 << GRANULE_SHIFT));
        let (number, word, bit) = locate(address);
        let chunk = match self.find(number) {
            Some(chunk) => chunk,
            None => self.add(number)?,
        };
        let word = &mut self.chunks[chunk].words[word];
        if *word & bit != 0 {
            return Ok(false);
        }
        if self.len + 1 >= NONE as usize {
            return Err(Exhausted);
        }
        *word |= bit;
        self.len += 1;
        Ok(true)
    }

    /// Whether `address` is marked; one that is no multiple of 8 never is.
    #[inline]
    pub fn contains(&self, address: usize) -> bool {
        let (number, word, bit) = locate(address);
        address.is_multiple_of(1 << GRANULE_SHIFT)
            && self
                .find(number)
                .is_some_and(|chunk| self.chunks[chunk].words[word] & bit != 0)
    }

    #[cold]
    fn add(&mut self, number: usize) -> Result<usize, Exhausted> {
        let place = self.chunks.len();
        push(
            &mut self.chunks,
            Chunk {
                number,
                base: 0,
                before: [0; WORDS],
                words: [0; WORDS],
            },
        )?;
        if self.chunks.len() * 2 > self.table.len() {
            if let Err(error) = self.rebuild_table() {
                self.chunks.pop();
                return Err(error);
            }
        } else {
            self.enter(place);
        }
        Ok(place)
    }

    fn rebuild_table(&mut self) -> Result<(), Exhausted> {
        let length = (self.chunks.len() * 4).next_power_of_two().max(64);
        self.table = filled(length, EMPTY)?;
        for place in 0..self.chunks.len() {
            self.enter(place);
        }
        Ok(())
    }

    fn enter(&mut self, chunk: usize) {
        let mask = self.table.len() - 1;
        let mut place = hash(self.chunks[chunk].number) & mask;
        while self.table[place] != EMPTY {
            place = (place + 1) & mask;
        }
        self.table[place] = chunk as u32;
    }

    /// Numbers the marked addresses. From now on nothing may be marked.
    ///
    /// # Errors
    /// No memory.
    pub fn seal(&mut self) -> Result<(), Exhausted> {
        self.chunks.sort_unstable_by_key(|chunk| chunk.number);
        self.rebuild_table()?;
        self.numbered = (0, 0);
        self.number_more(usize::MAX);
        self.known = room(self.len.div_ceil(KNOWN))?;
        for (place, chunk) in self.chunks.iter().enumerate() {
            // Each chunk has a mark: it was made for one.
            while self.known.len() * KNOWN < chunk.end() as usize {
                self.known.push(place as u32);
            }
        }
        Ok(())
    }

    /// Numbers the marked addresses of up to `most` more chunks, in the order in which
    /// their chunks were first marked; says whether all are numbered. An index is either
    /// [sealed](Self::seal) or numbered in this way, a piece at a time: then only
    /// [`number`](Self::number) may be asked. A chunk is 32 KiB of addresses.
    pub fn number_more(&mut self, most: usize) -> bool {
        let (first, mut base) = self.numbered;
        let end = self.chunks.len().min(first.saturating_add(most));
        for chunk in &mut self.chunks[first..end] {
            chunk.base = base;
            let mut count = 0;
            for (word, before) in chunk.words.iter().zip(&mut chunk.before) {
                *before = count;
                count += word.count_ones() as u16;
            }
            base += Node::from(count);
        }
        self.numbered = (end, base);
        end == self.chunks.len()
    }

    /// The number of a marked address. After [`seal`](Self::seal) only, or when all are
    /// [numbered](Self::number_more).
    #[inline]
    pub fn number(&self, address: usize) -> Option<Node> {
        let (number, place, bit) = locate(address);
        if !address.is_multiple_of(1 << GRANULE_SHIFT) {
            return None;
        }
        let chunk = &self.chunks[self.find(number)?];
        let word = chunk.words[place];
        if word & bit == 0 {
            return None;
        }
        let below = (word & (bit - 1)).count_ones();
        Some(chunk.base + Node::from(chunk.before[place]) + below)
    }

    /// The address with a number. After [`seal`](Self::seal) only. Takes longer
    /// where chunks have few marks.
    pub fn address(&self, node: Node) -> Option<usize> {
        if node as usize >= self.len {
            return None;
        }
        let from = self.known[node as usize / KNOWN] as usize;
        let chunk = self.chunks[from..]
            .iter()
            .find(|chunk| node < chunk.end())?;
        let rest = (node - chunk.base) as u16;
        let place = chunk.before.partition_point(|before| *before <= rest) - 1;
        let mut word = chunk.words[place];
        for _ in 0..rest - chunk.before[place] {
            word &= word - 1;
        }
        let granule = place << 6 | word.trailing_zeros() as usize;
        Some(chunk.number << CHUNK_SHIFT | granule << GRANULE_SHIFT)
    }

    /// All marked addresses; after [`seal`](Self::seal) in the order of their numbers.
    pub fn addresses(&self) -> impl Iterator<Item = usize> + '_ {
        self.chunks.iter().flat_map(|chunk| {
            chunk
                .words
                .iter()
                .enumerate()
                .flat_map(move |(place, &word)| {
                    let base = chunk.number << CHUNK_SHIFT | place << (6 + GRANULE_SHIFT);
                    std::iter::successors((word != 0).then_some(word), |word| {
                        let rest = word & (word - 1);
                        (rest != 0).then_some(rest)
                    })
                    .map(move |word| base | (word.trailing_zeros() as usize) << GRANULE_SHIFT)
                })
        })
    }
}

#[inline]
fn hash(number: usize) -> usize {
    (number as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(32) as usize
}
