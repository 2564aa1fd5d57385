//! The blocks at hand: how allocation is one load and one store.
//!
//! For each size class a thread has a list of free blocks *at hand*, [`AT_HAND`].
//! They are from its heap's current page of that class, which counts them as
//! used. An allocation takes the first; when there is none, the slow way moves
//! as many as the page has free. What is released goes back to its page.
//!
//! # When a collection is due
//! The fast way does not count. Blocks are *charged* all together when they are
//! moved here, and never more of them than may be allocated before a collection
//! is due; so the allocation that makes one due finds nothing at hand. Whoever
//! needs the exact number, or has to see every allocation from now on, calls
//! [`Heap::recall`] first.
//!
//! # Invariant
//! The lists hold blocks of the heap that [`HEAP`] points to; they are empty if
//! it points to none.

use std::alloc::Layout;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};

use super::traced::{Quiet, is_tracing};
use super::{HEAP, Heap, current};
use crate::header::{Header, Object, Place, Type};
use crate::pool::{CLASSES, EMPTY, Page};

thread_local! {
    static AT_HAND: [Cell<*mut Header>; CLASSES] =
        const { [const { Cell::new(ptr::null_mut()) }; CLASSES] };
    static PANIC: Cell<Option<Box<dyn Any + Send>>> = const { Cell::new(None) };
}

/// A block that is at hand.
#[inline]
pub fn allocate_fast(place: Place) -> Option<Object> {
    let Place::Page(class) = place else {
        return None;
    };
    AT_HAND.with(|lists| {
        let list = &lists[usize::from(class)];
        let block = NonNull::new(list.get())?;
        // SAFETY: free blocks are at hand, linked to each other.
        list.set(unsafe { block.as_ref().next_free() });
        Some(block)
    })
}

/// A block from this thread's heap, after whatever has to be done first. What
/// panics meanwhile is for [`resume_panic`]: this function does not unwind.
#[cold]
#[inline(never)]
pub extern "C" fn allocate_slowly(kind: &'static Type, size: usize, align: usize) -> Object {
    let heap = current();
    if heap.is_due()
        && let Err(panic) = catch_unwind(AssertUnwindSafe(|| heap.collect_if_due()))
    {
        // There are no collections any more when PANIC is gone.
        let _ = PANIC.try_with(|slot| slot.set(Some(panic)));
    }
    let layout = Layout::from_size_align(size, align).expect("the layout of a value");
    heap.supply(kind, layout, 0)
}

/// Goes on with a panic that [`allocate_slowly`] put off.
#[cold]
#[inline(never)]
pub fn resume_panic() {
    // When the thread's last destructors run there is no place to put one.
    if let Ok(Some(panic)) = PANIC.try_with(Cell::take) {
        resume_unwind(panic);
    }
}

impl Heap {
    /// A block for a value, uninitialized. May run a collection first.
    pub fn allocate(&self, kind: &'static Type, value: Layout, length: usize) -> Object {
        if let Some(block) = allocate_fast(kind.place) {
            return block;
        }
        if self.is_due() {
            self.collect_if_due();
        }
        self.supply(kind, value, length)
    }

    /// Whether one more object makes a collection due, or is to be looked at for
    /// another reason.
    fn is_due(&self) -> bool {
        if self.charged.get() < self.limit.get() {
            return false;
        }
        // Other classes may have at hand what this one lacks.
        self.recall();
        self.charged.get() >= self.limit.get()
    }

    /// A block, whether or not a collection is due.
    fn supply(&self, kind: &'static Type, value: Layout, length: usize) -> Object {
        let tracing = is_tracing();
        let object = {
            let _quiet = tracing.then(Quiet::begin);
            match kind.place {
                // A finalizer may have allocated: then something is at hand.
                Place::Page(class) => {
                    allocate_fast(kind.place).unwrap_or_else(|| self.refill(class))
                }
                Place::Large => {
                    self.charged.set(self.charged.get().saturating_add(1));
                    self.allocate_large(value, length)
                }
            }
        };
        if tracing {
            self.trace(object, value.size());
        }
        object
    }

    #[inline(never)]
    fn refill(&self, class: u8) -> Object {
        debug_assert_eq!(ptr::from_ref(self), HEAP.get());
        let index = usize::from(class);
        // SAFETY: pages in `current` and the queues are this heap's.
        unsafe {
            loop {
                let page = self.current[index].get();
                if !page.is_null() {
                    if (*page).idle() != 0 || Page::extend(page) {
                        return self.move_to_hand(page, index);
                    }
                    (*page).rest();
                }
                let mut next = self.queues[index].get();
                if next.is_null() {
                    next = self.fresh_page(class);
                } else {
                    self.queues[index].set((*next).next.replace(ptr::null()));
                    if (*next).has(EMPTY) {
                        (*next).unset(EMPTY);
                        self.empties.set(self.empties.get() - 1);
                    }
                }
                (*next).wake();
                self.touch(next, 0);
                self.current[index].set(next);
            }
        }
    }

    /// Moves blocks of the current page to hand, and takes the first.
    unsafe fn move_to_hand(&self, page: *const Page, index: usize) -> Object {
        // Near the limit only some, so that other classes get theirs without
        // recalling these at once.
        let left = self.limit.get().saturating_sub(self.charged.get());
        let most = if is_tracing() { 1 } else { (left / 4).max(1) };
        // SAFETY: the caller passes the current page of the class, which has
        // free blocks.
        unsafe {
            let (first, count) = Page::take(page, most);
            self.charged.set(self.charged.get().saturating_add(count));
            let block = NonNull::new_unchecked(first);
            AT_HAND.with(|lists| {
                debug_assert!(lists[index].get().is_null());
                lists[index].set(block.as_ref().next_free());
            });
            block
        }
    }

    /// Puts all blocks that are at hand back, so that the next allocation of
    /// each class goes the slow way, and pages and `charged` tell no more than
    /// there is.
    pub fn recall(&self) {
        if HEAP.get() != ptr::from_ref(self) {
            return;
        }
        AT_HAND.with(|lists| {
            for (list, page) in lists.iter().zip(&self.current) {
                if let Some(first) = NonNull::new(list.replace(ptr::null_mut())) {
                    // SAFETY: what is at hand is from the current page.
                    let count = unsafe { Page::put_back(page.get(), first) };
                    self.charged.set(self.charged.get().saturating_sub(count));
                }
            }
        });
    }

    /// Objects allocated less objects freed since the last collection.
    pub fn young(&self) -> u32 {
        self.recall();
        self.charged.get()
    }

    /// A collection begins, or young objects are not to be counted as such.
    pub fn forget_young(&self) {
        self.recall();
        self.charged.set(0);
    }

    /// Has a collection looked for when there are more young objects than `limit`.
    pub fn limit_young(&self, limit: u32) {
        self.recall();
        self.limit.set(limit);
    }
}
