//! Going through the objects, and which pages they are in.

use std::ptr;

use super::{Heap, Quiet};
use crate::chunks::CHUNK_PAGES;
use crate::header::{Header, Object};
use crate::large;
use crate::pool::{Page, TOUCHED};

impl Heap {
    /// The pages and large objects of `oldest` and everything younger are those
    /// to walk; young pages become pages of the next generation.
    pub fn choose(&self, oldest: usize) -> Walk {
        let _quiet = Quiet::begin();
        let mut walk = Walk::default();
        if oldest >= TOUCHED.len() {
            walk.pages.clone_from(&self.pages.borrow());
        }
        for (generation, &flag) in TOUCHED.iter().enumerate().take(oldest + 1) {
            for page in self.touched[generation].take() {
                // SAFETY: touched pages are this heap's.
                unsafe {
                    (*page).unset(flag);
                    // A page that was touched in both comes with the older list.
                    let later = oldest > 0 && generation == 0 && (*page).has(TOUCHED[1]);
                    if oldest < TOUCHED.len() && !later {
                        walk.pages.push(page);
                    }
                }
            }
        }
        // Pages that go on being allocated from.
        for page in &self.current {
            let page = page.get();
            if !page.is_null() {
                // SAFETY: see above.
                unsafe { self.touch(page, 0) }
            }
        }
        if oldest == 0 {
            for &page in &walk.pages {
                // SAFETY: see above.
                unsafe { self.touch(page, 1) }
            }
        }
        for registry in &self.large[..=oldest] {
            walk.large.extend(registry.borrow().iter());
        }
        walk
    }

    /// Every page and large object.
    pub fn everything(&self) -> Walk {
        let _quiet = Quiet::begin();
        let mut walk = Walk {
            pages: self.pages.borrow().clone(),
            large: Vec::new(),
        };
        for registry in &self.large {
            walk.large.extend(registry.borrow().iter());
        }
        walk
    }

    /// Puts large objects where their headers say they are.
    pub fn register_anew(&self, walk: &Walk) {
        let _quiet = Quiet::begin();
        for &object in &walk.large {
            // SAFETY: nothing was freed since the walk was made: callers run no
            // code of the program in between but `Trace`.
            unsafe {
                let list = object.as_ref().generation();
                if large::prefix_of(object).as_ref().list.get() as usize != list {
                    self.unregister(object);
                    self.register(object, list);
                }
            }
        }
    }

    /// [`trim`](Self::trim), if so many pages are empty that looking at all of
    /// them costs little for each.
    pub fn trim_if_worth_it(&self) {
        if self.empties.get() >= CHUNK_PAGES.max(self.pages.borrow().len() / 2) {
            self.trim();
        }
    }

    /// Gives empty pages back, for any size class or to the system. To be called
    /// while nobody walks.
    pub fn trim(&self) {
        let unused = |page: *const Page| {
            // SAFETY: asked of this heap's pages only.
            let empty = unsafe { (*page).used() == 0 };
            empty && self.current.iter().all(|current| current.get() != page)
        };
        for queue in &self.queues {
            let mut kept = ptr::null();
            let mut next = queue.get();
            while !next.is_null() {
                let page = next;
                // SAFETY: queues hold this heap's pages.
                unsafe {
                    next = (*page).next.replace(ptr::null());
                    if !unused(page) {
                        (*page).next.set(kept);
                        kept = page;
                    }
                }
            }
            queue.set(kept);
        }
        for touched in &self.touched {
            touched.borrow_mut().retain(|&page| !unused(page));
        }
        self.empties.set(0);
        let mut chunks = self.chunks.borrow_mut();
        self.pages.borrow_mut().retain(|&page| {
            let unused = unused(page);
            if unused {
                chunks.give(page);
            }
            !unused
        });
        chunks.settle(false);
    }

    /// Gives all memory back that the program may do without, unless a
    /// collection is running.
    pub fn give_back(&self) {
        if self.collector.is_collecting() {
            return;
        }
        if self.empties.get() > 0 {
            self.trim();
        }
        self.chunks.borrow_mut().settle(true);
    }
}

/// What a collection goes through.
#[derive(Default)]
pub struct Walk {
    pages: Vec<*const Page>,
    large: Vec<Object>,
}

impl Walk {
    /// Calls `visit` for each object, dead ones that are not freed yet included.
    #[inline]
    pub fn each(&self, mut visit: impl FnMut(Object)) {
        for &page in &self.pages {
            // SAFETY: pages are given back only between collections, and a walk
            // does not outlive one.
            unsafe { Page::each(page, &mut visit) }
        }
        for &object in &self.large {
            visit(object);
        }
    }

    /// Whether `wanted` holds for one of them.
    pub fn any(&self, wanted: impl Fn(&Header) -> bool) -> bool {
        let mut found = false;
        for &page in &self.pages {
            // SAFETY: as in `each`.
            unsafe { Page::each(page, |object| found |= wanted(object.as_ref())) }
            if found {
                return true;
            }
        }
        // SAFETY: registered objects have headers.
        self.large
            .iter()
            .any(|&object| wanted(unsafe { object.as_ref() }))
    }
}
