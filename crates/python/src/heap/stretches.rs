//! Stretches of a list that are taken out of it without walking the rest.

use crate::list::{FLAGS, Link, List};

/// Stretches of a list that are remembered before any is taken out: of more, the
/// program sees what comes of them in the order of addresses.
pub const MOST_STRETCHES: usize = 64 * 1024;

/// Opened links on a list between others.
pub struct Stretch {
    /// The one before the first.
    pub before: Link,
    /// The last one.
    pub last: Link,
    /// The one behind it.
    pub end: Link,
}

impl Stretch {
    /// Takes it out of its list and adds it to `chain`.
    ///
    /// # Safety
    /// The three are links of a list that is proper but for opened links.
    pub unsafe fn move_to(self, chain: &mut Chain) {
        // SAFETY: both neighbours are on the list, which is proper but for opened links.
        unsafe {
            let first = (*self.before).next as Link;
            (*self.before).next = self.end as usize;
            (*self.end).prev = self.before as usize | ((*self.end).prev & FLAGS);
            chain.add(first, self.last);
        }
    }
}

/// An opened list that is being made, of which only `next` can be followed.
pub struct Chain {
    head: Link,
    last: Link,
}

impl Chain {
    /// On the empty list `list`.
    pub fn new(list: &List) -> Self {
        debug_assert!(list.is_empty());
        let head = list.head();
        Self { head, last: head }
    }

    /// Adds the links from `first` to `last`, which lead from one to the next.
    ///
    /// # Safety
    /// They are links of live objects, as are those that were added before.
    pub unsafe fn add(&mut self, first: Link, last: Link) {
        // SAFETY: the last one added, or the head, is live.
        unsafe { (*self.last).next = first as usize };
        self.last = last;
    }

    /// Makes the list whole.
    pub fn close(self) {
        // SAFETY: as in `add`.
        unsafe {
            (*self.last).next = self.head as usize;
            (*self.head).prev = self.last as usize;
        }
    }
}
