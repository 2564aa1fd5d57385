//! Doubly linked lists through the two words in front of tracked objects.
//!
//! CPython's generations are such lists; the collector keeps what it takes out
//! of them on lists of its own, whose heads an interpreter lends (`Heads`), so
//! that no collection needs memory for them.

use std::cell::{Cell, UnsafeCell};
use std::ptr;

use pyo3_ffi::*;

use crate::layout::GcHead;

/// `prev` bit 0: the finalizer has run (stays for the object's life).
pub const FINALIZED: usize = 1;
/// `prev` bit 1: on trial, see `heap.rs`.
pub const CANDIDATE: usize = 2;
/// All flags.
pub const FLAGS: usize = FINALIZED | CANDIDATE;

/// Address of an object's link; the object begins right behind it.
pub type Link = *mut GcHead;

/// The link in front of `object`, which must be of a type with `Py_TPFLAGS_HAVE_GC`.
#[inline]
pub fn link_of(object: *mut PyObject) -> Link {
    object.cast::<GcHead>().wrapping_sub(1)
}

/// The object behind `link`.
#[inline]
pub fn object_of(link: Link) -> *mut PyObject {
    link.wrapping_add(1).cast()
}

/// Whether `object` has a link in front of it at all (`PyObject_IS_GC`).
///
/// # Safety
/// `object` is alive.
#[inline]
pub unsafe fn has_link(object: *mut PyObject) -> bool {
    // SAFETY: a live object has a live type.
    unsafe {
        let kind = Py_TYPE(object);
        (*kind).tp_flags & Py_TPFLAGS_HAVE_GC != 0
            && (*kind).tp_is_gc.is_none_or(|is_gc| is_gc(object) != 0)
    }
}

/// Takes `link` out of its list; its own words stay as they are.
///
/// # Safety
/// It is a member of a proper list.
#[inline]
pub unsafe fn unlink(link: Link) {
    // SAFETY: the caller passes a link on a proper list, whose neighbours are
    // live links or the head.
    unsafe {
        let prev = ((*link).prev & !FLAGS) as Link;
        let next = (*link).next as Link;
        (*prev).next = next as usize;
        (*next).prev = prev as usize | ((*next).prev & FLAGS);
    }
}

/// Puts `link`, which is on no list, at the end of the list of `head`.
///
/// # Safety
/// The list is a proper one.
#[inline]
pub unsafe fn append(link: Link, head: Link) {
    // SAFETY: the caller passes the head of a proper list; a head never
    // carries flags.
    unsafe {
        let last = (*head).prev as Link;
        (*last).next = link as usize;
        (*link).prev = last as usize | ((*link).prev & FLAGS);
        (*link).next = head as usize;
        (*head).prev = link as usize;
    }
}

/// More lists than any collection has at one time.
const HEADS: usize = 12;

/// The heads that an interpreter lends to the lists of its collections.
pub struct Heads {
    heads: Box<[UnsafeCell<GcHead>; HEADS]>,
    lent: Cell<u16>,
}

impl Heads {
    /// All there.
    pub fn new() -> Self {
        let head = || UnsafeCell::new(GcHead { next: 0, prev: 0 });
        Self {
            heads: Box::new(std::array::from_fn(|_| head())),
            lent: Cell::new(0),
        }
    }

    fn lend(&self) -> Option<usize> {
        let index = self.lent.get().trailing_ones() as usize;
        debug_assert!(index < HEADS, "more lists than there are heads");
        (index < HEADS).then(|| {
            self.lent.set(self.lent.get() | 1 << index);
            index
        })
    }
}

/// A circular list by its head: one of CPython's generations, or one of the
/// collector's own.
pub struct List {
    head: Link,
    lender: Lender,
}

#[derive(Clone, Copy)]
enum Lender {
    /// The head is CPython's.
    Other,
    /// The head is one of an interpreter's.
    Heads(*const Heads, usize),
    /// The head is in a box of the list's own. It is held by address only: a
    /// `Box` would claim to be the sole way to the head, which the members'
    /// links are not.
    Itself,
}

impl List {
    /// The list whose head is at `head`, which somebody else keeps.
    ///
    /// # Safety
    /// `head` is the head of a proper list for as long as the result lives.
    pub unsafe fn of(head: Link) -> Self {
        Self {
            head,
            lender: Lender::Other,
        }
    }

    /// An empty list with a head from `heads`.
    ///
    /// # Safety
    /// `heads` outlives the list.
    pub unsafe fn lent(heads: &Heads) -> Self {
        match heads.lend() {
            Some(index) => Self::empty(
                heads.heads[index].get(),
                Lender::Heads(ptr::from_ref(heads), index),
            ),
            None => Self::new(),
        }
    }

    /// An empty list with a head of its own.
    pub fn new() -> Self {
        let head = Box::into_raw(Box::new(GcHead { next: 0, prev: 0 }));
        Self::empty(head, Lender::Itself)
    }

    fn empty(head: Link, lender: Lender) -> Self {
        // SAFETY: nobody else uses the head.
        unsafe {
            (*head).next = head as usize;
            (*head).prev = head as usize;
        }
        Self { head, lender }
    }

    /// Address of the head.
    pub fn head(&self) -> Link {
        self.head
    }

    /// Whether nothing is on the list.
    pub fn is_empty(&self) -> bool {
        // SAFETY: the head is live by construction.
        unsafe { (*self.head).next == self.head as usize }
    }

    /// Empties `self` onto the end of `onto`.
    ///
    /// # Safety
    /// Both are proper lists, and not the same.
    pub unsafe fn move_to(&self, onto: &Self) {
        debug_assert!(self.head != onto.head);
        if self.is_empty() {
            return;
        }
        // SAFETY: the heads' links carry no flags; the first member's `prev` may.
        unsafe {
            let (first, last) = ((*self.head).next as Link, (*self.head).prev as Link);
            let tail = (*onto.head).prev as Link;
            (*tail).next = first as usize;
            (*first).prev = tail as usize | ((*first).prev & FLAGS);
            (*last).next = onto.head as usize;
            (*onto.head).prev = last as usize;
            (*self.head).next = self.head as usize;
            (*self.head).prev = self.head as usize;
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if matches!(self.lender, Lender::Other) {
            return;
        }
        let empty = self.is_empty();
        debug_assert!(empty, "objects would be left on a list that is gone");
        // Members point to the head: rather keep it than leave them dangling.
        if empty {
            // SAFETY: the head came from where `lender` says, and nothing
            // points to it any more; an interpreter outlives its lists.
            unsafe {
                match self.lender {
                    Lender::Other => {}
                    Lender::Heads(heads, index) => {
                        (*heads).lent.set((*heads).lent.get() & !(1 << index));
                    }
                    Lender::Itself => drop(Box::from_raw(self.head)),
                }
            }
        }
    }
}
