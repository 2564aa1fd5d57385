//! Which objects a walk over the heap has met, kept beside the heap.
//!
//! Two bits for each 16 bytes of addresses: *met*, and *follower*, which is set for
//! the object that stands behind a met one on its list. Nothing is written into
//! objects, so a walk brings one cache line of bits into the processor where it
//! would have dirtied dozens of objects, an object that was met before is not
//! touched again, and whoever wants the objects that were *not* met finds the first
//! of each stretch of them among the followers, without walking the lists.
//!
//! The bits for wrasse's own region of blocks are in one row. Others are in pieces for
//! 256 KiB of addresses each, which are made when they are needed and found through
//! two tables. Objects are at least 16 bytes long, so no
//! two of them share a bit, wherever they lie.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr;

use pyo3_ffi::PyObject;
use wrasse_allocator::{Region, reserve, unreserve};

/// log2 of the bytes of addresses that share a bit.
const GRAIN: u32 = 4;
/// log2 of the bytes of addresses that a piece is for.
const PIECE: u32 = 18;
/// log2 of the number of entries of a table, and of the table of tables: the former is
/// large, so that one is enough for most heaps, and mostly memory that nobody touches.
const TABLE: u32 = 15;
const TOP: u32 = 14;
const WORDS: usize = 1 << (PIECE - GRAIN - 6);

/// Addresses of user space have 47 bits.
const _: () = assert!(PIECE + TABLE + TOP >= 47);

struct Piece {
    met: [u64; WORDS],
    followers: [u64; WORDS],
    /// Met ones that are known to have no link.
    leaves: [u64; WORDS],
}

/// The bits of a region: `met` and `followers` one behind the other, and then a byte
/// for each page of the latter, which says whether there is one: a region of many
/// blocks and few links has bits in few pages, and the others need no memory.
struct Row {
    region: Option<&'static Region>,
    /// Address of the first pool, and bytes of pools that were taken.
    base: usize,
    length: usize,
    met: *mut u64,
    followers: *mut u64,
    pages: *mut u8,
}

/// log2 of the words of bits in a page.
const PAGE: u32 = 9;
/// log2 of the bytes of addresses that a word is for.
const WORD: u32 = GRAIN + 6;

impl Row {
    /// `None` if there is no memory.
    fn of(region: Option<&'static Region>) -> Option<Self> {
        let mut row = Self {
            region,
            base: region.map_or(0, |region| region.range().0),
            length: region.map_or(0, Region::taken),
            met: ptr::null_mut(),
            followers: ptr::null_mut(),
            pages: ptr::null_mut(),
        };
        if row.length > 0 {
            // SAFETY: the layout is not empty.
            row.met = unsafe { alloc_zeroed(row.layout()?).cast() };
            if row.met.is_null() {
                return None;
            }
            row.followers = row.met.wrapping_add(row.words());
            row.pages = row.followers.wrapping_add(row.words()).cast();
        }
        Some(row)
    }

    fn words(&self) -> usize {
        self.length >> WORD
    }

    fn layout(&self) -> Option<Layout> {
        let bits = Layout::array::<u64>(2 * self.words()).ok()?;
        let pages = Layout::array::<u8>(self.words().div_ceil(1 << PAGE)).ok()?;
        Some(bits.extend(pages).ok()?.0)
    }

    /// Calls `visit` for each word of followers that is not empty: the address that
    /// it begins with, and the word of `met` beside it.
    fn each(&self, mut visit: impl FnMut(usize, u64, u64)) {
        for page in 0..self.words().div_ceil(1 << PAGE) {
            // SAFETY: there are so many pages and words.
            unsafe {
                if *self.pages.add(page) == 0 {
                    continue;
                }
                for word in page << PAGE..((page + 1) << PAGE).min(self.words()) {
                    let followers = *self.followers.add(word);
                    if followers != 0 {
                        visit(self.base + (word << WORD), *self.met.add(word), followers);
                    }
                }
            }
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if let (false, Some(layout)) = (self.met.is_null(), self.layout()) {
            // SAFETY: made by `of` with the same layout.
            unsafe { dealloc(self.met.cast(), layout) };
        }
    }
}

type Table = [*mut Piece; 1 << TABLE];
type Top = [*mut Table; 1 << TOP];

/// What [`Seen::meet`] says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It has no link: it begins where a block begins, or somebody noted so.
    Leaf,
    /// Met before.
    Known,
    /// Met for the first time.
    New,
}

/// See the module.
pub struct Seen {
    /// What the heads of the lists would be heads of, were they links of objects.
    heads: [*mut PyObject; 2],
    row: Row,
    top: *mut Top,
    tables: Vec<*mut Table>,
    /// Each with the first address it is for.
    pieces: Vec<(usize, *mut Piece)>,
    failed: bool,
}

/// Zeroed memory for a `T`, for which zeros must be valid; null if there is none.
fn zeroed<T>() -> *mut T {
    // SAFETY: `T` is one of this file's, none of which is empty.
    unsafe { alloc_zeroed(Layout::new::<T>()).cast() }
}

/// As [`zeroed`], but always pages of its own, of which only those take memory that are
/// written to: of a table few are.
fn mapped<T>() -> *mut T {
    reserve(size_of::<T>()).cast()
}

/// Gives back what [`mapped`] made.
unsafe fn unmap<T>(memory: *mut T) {
    // SAFETY: the caller's contract.
    unsafe { unreserve(memory.cast(), size_of::<T>()) };
}

impl Seen {
    /// Nothing met yet but for what seems to stand behind the lists' heads, which so
    /// is no unmet follower; `None` if there is no memory. Blocks of `region` are
    /// told by their address.
    pub fn new(region: Option<&'static Region>, heads: [*mut PyObject; 2]) -> Option<Self> {
        let row = Row::of(region)?;
        let top: *mut Top = mapped();
        if top.is_null() {
            return None;
        }
        let mut seen = Self {
            heads,
            row,
            top,
            tables: Vec::new(),
            pieces: Vec::new(),
            failed: false,
        };
        for head in heads {
            seen.meet(head);
        }
        Some(seen)
    }

    /// Whether there was too little memory for a bit, or a link where no bit can
    /// name it: then it is not known who was not met.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Something that was met is lost: it is not known any more who was not met.
    #[cold]
    pub fn give_up(&mut self) {
        self.failed = true;
    }

    /// Notes that `object`, which was met, has no link, if its address does not tell.
    #[cold]
    #[inline(never)]
    pub fn note_leaf(&mut self, object: *mut PyObject) {
        let offset = (object as usize).wrapping_sub(self.row.base);
        let piece = self.find(object as usize);
        if offset >= self.row.length && !piece.is_null() {
            // SAFETY: a piece of ours.
            unsafe { (*piece).leaves[word_of(object)] |= bit_of(object) };
        }
    }

    /// Whether the address of `object` tells that there is no link in front of it:
    /// an object with a link does not begin where its block does.
    #[inline(always)]
    pub fn is_leaf(&self, object: *mut PyObject) -> bool {
        let offset = (object as usize).wrapping_sub(self.row.base);
        offset < self.row.length && self.begins_block(offset)
    }

    /// `offset` is one of the row.
    #[inline(always)]
    fn begins_block(&self, offset: usize) -> bool {
        debug_assert!(offset < self.row.length);
        // SAFETY: taken pools are some of the region's.
        self.row
            .region
            .is_some_and(|region| unsafe { region.begins_block(offset) })
    }

    /// Notes that `object` was met.
    #[inline(always)]
    pub fn meet(&mut self, object: *mut PyObject) -> Sight {
        let offset = (object as usize).wrapping_sub(self.row.base);
        // The region begins at a multiple of what a word is for.
        let bit = bit_of(object);
        if offset < self.row.length {
            if self.begins_block(offset) {
                return Sight::Leaf;
            }
            // SAFETY: a word of the row.
            unsafe {
                let word = self.row.met.add(offset >> WORD);
                if *word & bit != 0 {
                    return Sight::Known;
                }
                *word |= bit;
            }
            return Sight::New;
        }
        let piece = self.piece(object as usize);
        if piece.is_null() {
            return Sight::Known;
        }
        let word = word_of(object);
        // SAFETY: a piece of ours, and an index below its number of words.
        unsafe {
            let met = (&raw mut (*piece).met).cast::<u64>().add(word);
            if *met & bit == 0 {
                *met |= bit;
                return Sight::New;
            }
            let leaves = (&raw const (*piece).leaves).cast::<u64>().add(word);
            if *leaves & bit != 0 {
                return Sight::Leaf;
            }
        }
        Sight::Known
    }

    /// Whether `object` was met.
    #[inline(always)]
    pub fn has_met(&self, object: *mut PyObject) -> bool {
        let offset = (object as usize).wrapping_sub(self.row.base);
        // SAFETY: a word of the row, or of a piece of ours.
        unsafe {
            let word = if offset < self.row.length {
                *self.row.met.add(offset >> WORD)
            } else {
                let piece = self.find(object as usize);
                if piece.is_null() {
                    return false;
                }
                (*piece).met[word_of(object)]
            };
            word & bit_of(object) != 0
        }
    }

    /// Notes that `object` stands behind a met one on its list.
    #[inline(always)]
    pub fn follow(&mut self, object: *mut PyObject) {
        let offset = (object as usize).wrapping_sub(self.row.base);
        let is_aligned = object as usize & ((1 << GRAIN) - 1) == 0;
        // SAFETY: a word of the row, or of a piece of ours.
        unsafe {
            if is_aligned && offset < self.row.length {
                *self.row.followers.add(offset >> WORD) |= bit_of(object);
                *self.row.pages.add(offset >> (WORD + PAGE)) = 1;
                return;
            }
            let piece = self.find(object as usize);
            if is_aligned && !piece.is_null() {
                let followers = (&raw mut (*piece).followers).cast::<u64>();
                *followers.add(word_of(object)) |= bit_of(object);
                return;
            }
            self.follow_elsewhere(object);
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn follow_elsewhere(&mut self, object: *mut PyObject) {
        let piece = self.piece(object as usize);
        if piece.is_null() || object as usize & ((1 << GRAIN) - 1) != 0 {
            // Heads may be anywhere; of an object the address could not be told.
            self.failed |= piece.is_null() || !self.heads.contains(&object);
            return;
        }
        // SAFETY: a piece of ours.
        unsafe { (*piece).followers[word_of(object)] |= bit_of(object) };
    }

    /// Calls `visit` for each follower that was not met, in the order of addresses.
    pub fn each_unmet_follower(&mut self, mut visit: impl FnMut(&Self, *mut PyObject)) {
        self.pieces.sort_unstable_by_key(|&(start, _)| start);
        let mut each = |start: usize, met: u64, followers: u64| {
            let mut left = followers & !met;
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                visit(self, (start + (bit << GRAIN)) as *mut PyObject);
            }
        };
        self.row.each(&mut each);
        for &(start, piece) in &self.pieces {
            for word in 0..WORDS {
                // SAFETY: a piece of ours.
                let (met, followers) = unsafe { ((*piece).met[word], (*piece).followers[word]) };
                each(start + (word << WORD), met, followers);
            }
        }
    }

    /// The piece with the bits of `address`, made if it is not there yet; null if there
    /// is no memory for it.
    #[inline(always)]
    fn piece(&mut self, address: usize) -> *mut Piece {
        let piece = self.find(address);
        if piece.is_null() {
            return self.make(address);
        }
        piece
    }

    #[inline(always)]
    fn find(&self, address: usize) -> *mut Piece {
        // SAFETY: indices are below the number of entries; tables are ours or null.
        unsafe {
            let table = *(*self.top).get_unchecked(top_entry(address));
            if table.is_null() {
                return ptr::null_mut();
            }
            *(*table).get_unchecked(entry(address))
        }
    }

    #[cold]
    #[inline(never)]
    fn make(&mut self, address: usize) -> *mut Piece {
        let piece = self.try_to_make(address);
        self.failed |= piece.is_none();
        piece.unwrap_or(ptr::null_mut())
    }

    fn try_to_make(&mut self, address: usize) -> Option<*mut Piece> {
        if address >> (PIECE + TABLE + TOP) != 0 {
            return None;
        }
        // SAFETY: indices are below the number of entries; tables are ours.
        unsafe {
            let table = &mut (*self.top)[top_entry(address)];
            if table.is_null() {
                self.tables.try_reserve(1).ok()?;
                *table = mapped();
                if table.is_null() {
                    return None;
                }
                self.tables.push(*table);
            }
            let piece = &mut (**table)[entry(address)];
            debug_assert!(piece.is_null());
            self.pieces.try_reserve(1).ok()?;
            *piece = zeroed();
            if piece.is_null() {
                return None;
            }
            self.pieces.push((address >> PIECE << PIECE, *piece));
            Some(*piece)
        }
    }
}

/// The entry for `address` in its table.
#[inline(always)]
fn entry(address: usize) -> usize {
    address >> PIECE & ((1 << TABLE) - 1)
}

/// The entry for the table of `address`.
#[inline(always)]
fn top_entry(address: usize) -> usize {
    address >> (PIECE + TABLE) & ((1 << TOP) - 1)
}

/// The word of a piece that has the bits of `object`.
#[inline(always)]
fn word_of(object: *mut PyObject) -> usize {
    object as usize >> WORD & (WORDS - 1)
}

/// The bit of `object` in its word.
#[inline(always)]
fn bit_of(object: *mut PyObject) -> u64 {
    1 << (object as usize >> GRAIN & 63)
}

impl Drop for Seen {
    fn drop(&mut self) {
        // SAFETY: made by `zeroed` and `mapped` with the same types; nobody else has them.
        unsafe {
            for &(_, piece) in &self.pieces {
                dealloc(piece.cast(), Layout::new::<Piece>());
            }
            for &table in &self.tables {
                unmap(table);
            }
            unmap(self.top);
        }
    }
}
