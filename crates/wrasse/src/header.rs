//! The two words in front of every object: its counts and flags, and its type.
//!
//! ```text
//!   value - 16  | clean: 1 | stuck: 1 | count: 27 | scratch: 27 | flags: 8 |
//!   value -  8  | *const Type, or *const weak::WeakCell if WEAK is set |
//!   value       | T ...
//! ```
//!
//! A [`Gc<T>`](crate::Gc) points to the value, so dereferencing it is free and
//! unsizing it is unsizing a pointer; the collector knows objects by their
//! header.
//!
//! A *free block* has a first word of zero, which no object has while its value
//! lives; its second word is the next free block of its page.
//!
//! What is rare about an object whose reference is dropped shows in the word
//! being outside of one interval: see [`Header::drop_one_of_many`].

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use crate::trace::{Trace, Tracer};
use crate::weak::WeakCell;

/// Bytes between an object's header and its value, whatever the alignment.
pub const HEADER_SIZE: usize = size_of::<Header>();

/// On trial, and a member of one of the collector's sets until it is over.
pub const CANDIDATE: u64 = 1;
/// No finalizer is left to run: there was none, or it ran.
pub const FINALIZED: u64 = 2;
/// The second word leads to a weak cell.
pub const WEAK: u64 = 4;
/// The value is gone, going, or not there yet.
pub const DEAD: u64 = 16;
/// The collector does not look at it: it cannot hold a `Gc`, or it is
/// exclusively borrowed right now.
pub const UNTRACKED: u64 = 32;
/// The generation, two bits; one above the oldest is *frozen*.
pub const GENERATION_SHIFT: u32 = 6;
pub const GENERATION: u64 = 3 << GENERATION_SHIFT;

const SCRATCH_SHIFT: u32 = 8;
const SCRATCH_ONE: u64 = 1 << SCRATCH_SHIFT;
const SCRATCH: u64 = ((1 << 27) - 1) << SCRATCH_SHIFT;
const COUNT_SHIFT: u32 = 35;
/// One reference.
pub const COUNT_ONE: u64 = 1 << COUNT_SHIFT;
/// The count overflowed into this bit and is no longer kept: the object is
/// never freed.
pub const STUCK: u64 = 1 << 62;
/// No reference was dropped since a full collection found the object alive.
///
/// To drop a reference while others are left is the only way in which an object
/// can become unreachable without being freed.
pub const CLEAN: u64 = 1 << 63;

/// The two words in front of a value.
#[repr(C)]
pub struct Header {
    word: Cell<u64>,
    kind: Cell<*const ()>,
}

/// An object, by its header.
pub type Object = NonNull<Header>;

/// Takes the name and the value of a field.
pub type VisitField<'a> = dyn FnMut(&'static str, &dyn Trace) + 'a;

/// What is known of a type, made at compile time, one for each `T` of a `Gc<T>`.
pub struct Type {
    /// Reports the value's references.
    pub trace: unsafe fn(Object, &mut Tracer<'_>),
    /// Passes on the value's fields.
    pub fields: unsafe fn(Object, &mut VisitField<'_>),
    /// Drops the value.
    pub drop: unsafe fn(Object),
    /// Runs the finalizer.
    pub finalize: unsafe fn(Object),
    /// Where its blocks come from.
    pub place: Place,
    /// The value's size and alignment.
    pub layout: unsafe fn(Object) -> Layout,
    /// `std::any::type_name`.
    pub name: fn() -> &'static str,
    /// `std::any::TypeId::of`.
    pub id: fn() -> std::any::TypeId,
}

/// Where an object's block comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A pool's page, of this size class.
    Page(u8),
    /// A block of its own with a [`Prefix`](crate::large::Prefix).
    Large,
}

impl Header {
    /// A header with one reference.
    pub fn new(flags: u64, kind: &'static Type) -> Self {
        Self {
            word: Cell::new(COUNT_ONE | flags),
            kind: Cell::new(std::ptr::from_ref(kind).cast()),
        }
    }

    /// What a free block looks like.
    pub fn free(next: *mut Header) -> Self {
        Self {
            word: Cell::new(0),
            kind: Cell::new(next.cast_const().cast()),
        }
    }

    /// Whether this is the header of a free block.
    #[inline]
    pub fn is_free(&self) -> bool {
        self.word.get() == 0
    }

    /// The free block after this free block.
    #[inline]
    pub fn next_free(&self) -> *mut Header {
        debug_assert!(self.is_free());
        self.kind.get().cast_mut().cast()
    }

    /// Whether any of `flags` is set.
    #[inline]
    pub fn has(&self, flags: u64) -> bool {
        self.word.get() & flags != 0
    }

    /// Sets `flags`.
    #[inline]
    pub fn set(&self, flags: u64) {
        self.word.set(self.word.get() | flags);
    }

    /// Clears `flags`.
    #[inline]
    pub fn unset(&self, flags: u64) {
        self.word.set(self.word.get() & !flags);
    }

    /// References to the object.
    #[inline]
    pub fn count(&self) -> usize {
        ((self.word.get() & !CLEAN) >> COUNT_SHIFT) as usize
    }

    /// One more reference.
    #[inline]
    pub fn increment(&self) {
        let word = self.word.get() + COUNT_ONE;
        if word & STUCK == 0 {
            self.word.set(word);
        } else {
            self.stick();
        }
    }

    /// So many references exist that counting them is given up.
    #[cold]
    fn stick(&self) {
        let rest = self.word.get() & ((COUNT_ONE - 1) | CLEAN);
        self.word.set(rest | STUCK);
    }

    /// One reference less, unless that takes more than a subtraction: the last
    /// reference, the first one since the object was found clean, or a count
    /// that is not kept. Then nothing is changed, and the word is returned.
    #[inline]
    pub fn drop_one_of_many(&self) -> Result<(), u64> {
        let word = self.word.get();
        debug_assert!(
            word & !CLEAN >= COUNT_ONE,
            "a reference that was not counted"
        );
        if word.wrapping_sub(2 * COUNT_ONE) < STUCK - 2 * COUNT_ONE {
            self.word.set(word - COUNT_ONE);
            return Ok(());
        }
        Err(word)
    }

    /// Whether an object with this word has one reference left and nothing more
    /// is to be seen to at its end than that its value is dropped.
    #[inline]
    pub fn ends_simply(word: u64) -> bool {
        const TELLING: u64 = !(CLEAN | (COUNT_ONE - 1)) | CANDIDATE | FINALIZED | WEAK | DEAD;
        word & TELLING == COUNT_ONE | FINALIZED
    }

    /// Takes the last reference away and marks the object dead, all at once.
    #[inline]
    pub fn end(&self, word: u64) {
        debug_assert!(word == self.word.get() && Self::ends_simply(word));
        self.word.set((word - COUNT_ONE) | DEAD);
    }

    /// One reference less; says whether that was the last.
    #[inline]
    pub fn decrement(&self) -> bool {
        let word = self.word.get() & !CLEAN;
        debug_assert!(word >= COUNT_ONE, "a reference that was not counted");
        if word & STUCK != 0 {
            return false;
        }
        let word = word - COUNT_ONE;
        self.word.set(word);
        word < COUNT_ONE
    }

    /// Makes the object a candidate, with its count as its scratch count, and
    /// sets `flags` ([`CLEAN`] or nothing).
    #[inline]
    pub fn open(&self, flags: u64) {
        let word = self.word.get();
        let scratch = (word >> (COUNT_SHIFT - SCRATCH_SHIFT)) & SCRATCH;
        self.word.set(word & !SCRATCH | scratch | CANDIDATE | flags);
    }

    /// Takes one from the scratch count.
    #[inline]
    pub fn subtract(&self) {
        debug_assert!(self.scratch() != 0, "Trace reported a reference twice");
        // A wrong `Trace` must not make the scratch count reach into the count.
        if self.word.get() & SCRATCH != 0 {
            self.word.set(self.word.get() - SCRATCH_ONE);
        }
    }

    /// References from outside the candidates, as far as subtracted.
    #[inline]
    pub fn scratch(&self) -> u64 {
        (self.word.get() & SCRATCH) >> SCRATCH_SHIFT
    }

    /// Ends the candidacy and moves the object to `generation`.
    #[inline]
    pub fn revive(&self, generation: usize) {
        let word = self.word.get() & !(CANDIDATE | GENERATION);
        self.word
            .set(word | (generation as u64) << GENERATION_SHIFT);
    }

    /// The generation the object is in.
    #[inline]
    pub fn generation(&self) -> usize {
        ((self.word.get() & GENERATION) >> GENERATION_SHIFT) as usize
    }

    /// Whether the collector may look at it: a live value, counted references.
    #[inline]
    pub fn is_collectable(&self) -> bool {
        let word = self.word.get();
        let count = word & !CLEAN;
        word & (DEAD | UNTRACKED) == 0 && count.wrapping_sub(COUNT_ONE) < STUCK - COUNT_ONE
    }

    /// Whether the value is there and someone refers to it.
    #[inline]
    pub fn is_alive(&self) -> bool {
        let word = self.word.get();
        word & DEAD == 0 && word & !CLEAN >= COUNT_ONE
    }

    /// The object's type.
    #[inline]
    pub fn kind(&self) -> &'static Type {
        let kind = self.kind.get();
        if self.has(WEAK) {
            // SAFETY: with WEAK set, the word is the object's weak cell, which
            // is freed only after `set_weak_cell` put something else here.
            return unsafe { (*kind.cast::<WeakCell>()).kind() };
        }
        // SAFETY: without WEAK, the word is the `&'static Type` of `new`.
        unsafe { &*kind.cast::<Type>() }
    }

    /// The object's weak cell, if it has one.
    #[inline]
    pub fn weak_cell(&self) -> Option<NonNull<WeakCell>> {
        if self.has(WEAK) {
            NonNull::new(self.kind.get().cast_mut().cast())
        } else {
            None
        }
    }

    /// Gives the object a weak cell, or takes it away.
    pub fn set_weak_cell(&self, cell: Option<NonNull<WeakCell>>) {
        match cell {
            Some(cell) => {
                debug_assert!(!self.has(WEAK));
                self.kind.set(cell.as_ptr().cast_const().cast());
                self.set(WEAK);
            }
            None => {
                let kind = std::ptr::from_ref(self.kind());
                self.kind.set(kind.cast());
                self.unset(WEAK);
            }
        }
    }
}

/// Reports everything that an object refers to.
///
/// # Safety
/// `object` is alive, and nobody has exclusive access to its value.
#[inline]
pub unsafe fn trace(object: Object, tracer: &mut Tracer<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        let header = object.as_ref();
        if let Some(cell) = header.weak_cell() {
            cell.as_ref().trace(tracer);
        }
        (header.kind().trace)(object, tracer);
    }
}

/// The value behind `object`.
#[inline]
pub fn value_of(object: Object) -> NonNull<u8> {
    // SAFETY: every header is followed by its value within the same block.
    unsafe { object.cast::<u8>().add(HEADER_SIZE) }
}

/// The header in front of a value.
///
/// # Safety
/// `value` is the address of the value of an object, with the provenance of
/// its block.
#[inline]
pub unsafe fn header_of<T: ?Sized>(value: NonNull<T>) -> Object {
    // SAFETY: the caller's contract.
    unsafe { value.cast::<u8>().sub(HEADER_SIZE).cast() }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NOTHING: Type = Type {
        trace: |_, _| {},
        fields: |_, _| {},
        drop: |_| {},
        finalize: |_| {},
        place: Place::Large,
        layout: |_| Layout::new::<()>(),
        name: || "nothing",
        id: || std::any::TypeId::of::<()>(),
    };

    #[test]
    fn counts_stick_instead_of_overflowing() {
        let header = Header::new(0, &NOTHING);
        header.word.set(STUCK - COUNT_ONE);
        assert!(!header.decrement());
        header.increment();
        assert!(!header.has(STUCK));
        header.increment();
        assert!(header.has(STUCK) && !header.is_collectable());
        for _ in 0..3 {
            assert!(header.drop_one_of_many().is_err());
            assert!(!header.decrement());
            header.increment();
        }
        assert!(header.has(STUCK));
    }

    #[test]
    fn the_last_reference_is_noticed() {
        let header = Header::new(FINALIZED, &NOTHING);
        header.increment();
        assert!(!header.decrement());
        assert!(!header.has(CLEAN) && header.is_collectable());
        assert!(header.decrement());
        assert!(!header.is_alive() && !header.is_collectable() && !header.is_free());
    }

    #[test]
    fn scratch_counts_stay_in_their_bits() {
        let header = Header::new(FINALIZED, &NOTHING);
        header.increment();
        header.open(CLEAN);
        assert_eq!((header.scratch(), header.count()), (2, 2));
        header.subtract();
        header.subtract();
        assert_eq!((header.scratch(), header.count()), (0, 2));
        assert!(header.has(CANDIDATE) && header.has(FINALIZED));
        header.revive(2);
        assert_eq!((header.generation(), header.has(CANDIDATE)), (2, false));
    }

    #[test]
    fn what_is_rare_is_noticed_before_anything_changes() {
        let header = Header::new(FINALIZED, &NOTHING);
        let one = header.word.get();
        assert_eq!(header.drop_one_of_many(), Err(one));
        assert!(Header::ends_simply(one));
        header.increment();
        assert!(header.drop_one_of_many().is_ok() && header.word.get() == one);

        header.increment();
        header.set(CLEAN);
        assert_eq!(header.drop_one_of_many(), Err(header.word.get()));
        assert!(!header.decrement() && header.word.get() == one);

        header.set(CLEAN);
        assert!(Header::ends_simply(header.word.get()), "clean or not");
        for flag in [CANDIDATE, WEAK, DEAD] {
            assert!(!Header::ends_simply(one | flag));
        }
        assert!(!Header::ends_simply(one & !FINALIZED));
        assert!(!Header::ends_simply(one | STUCK) && !Header::ends_simply(one + COUNT_ONE));
        header.end(header.word.get());
        assert!(header.count() == 0 && header.has(DEAD) && !header.is_free());
    }
}
