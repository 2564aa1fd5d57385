//! Blocks of equal size from pages, and how the page of a block is found.
//!
//! A page is [`PAGE_SIZE`] bytes at an address that is a multiple of that, with
//! a [`Page`] at its start and blocks of one size class behind it. So the page
//! of a block, and through it the heap, is found by masking the block's
//! address, and all objects are found by walking pages: objects need no links
//! and the collector no lists.
//!
//! Blocks leave a page many at a time, as a list that the heap has *at hand*
//! (see `heap/supply.rs`); they come back one by one. So an allocation does not
//! look at the page, and does not wait for what a release just wrote to it.
//!
//! A page that ran out of blocks rests until a quarter of it is free again;
//! then each visit of the allocator finds many blocks side by side, and the
//! young objects lie in few pages.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::{self, NonNull};

use crate::header::{HEADER_SIZE, Header, Object, Place};
use crate::heap::Heap;

/// Bytes of a page, and its alignment.
pub const PAGE_SIZE: usize = 32 * 1024;
/// Bytes of fresh blocks that are put on a page's free list at a time.
const EXTENSION: usize = 2 * 1024;
/// The largest block that comes from a page.
pub const LARGEST_BLOCK: usize = 2048;

/// Number of size classes.
pub const CLASSES: usize = 15 + 16;

/// The size class for a value, if it fits one.
///
/// Up to 128 bytes the classes are 8 bytes apart, above that a quarter of a
/// power of two. Values that need 16-byte alignment get a multiple of 16.
#[inline]
const fn class_for(value: Layout) -> Option<u8> {
    if value.align() > 16 || cfg!(feature = "system-blocks") {
        return None;
    }
    let step = if value.align() == 16 { 16 } else { 8 };
    let size = (HEADER_SIZE + value.size()).next_multiple_of(step);
    if size <= 128 {
        Some(((size - 16) / 8) as u8)
    } else if size <= LARGEST_BLOCK {
        // Between 2^k and 2^(k+1) there are four classes.
        let k = (size - 1).ilog2();
        let quarter = (size - 1 - (1 << k)) >> (k - 2);
        Some((15 + (k as usize - 7) * 4 + quarter) as u8)
    } else {
        None
    }
}

/// Where the object of a value goes.
#[inline]
pub const fn place_for(value: Layout) -> Place {
    match class_for(value) {
        Some(class) => Place::Page(class),
        None => Place::Large,
    }
}

/// Bytes of the blocks of a class.
pub const fn block_size(class: u8) -> usize {
    let class = class as usize;
    if class < 15 {
        16 + 8 * class
    } else {
        let k = 7 + (class - 15) / 4;
        (1 << k) + ((class - 15) % 4 + 1) * (1 << (k - 2))
    }
}

/// Where the first block of a page begins.
const FIRST: usize = size_of::<Page>().next_multiple_of(16);

/// In the current set of pages or in a queue, so that its blocks will be used.
pub const AVAILABLE: u8 = 1;
/// May hold objects younger than the last collection of generation 0 / 1.
pub const TOUCHED: [u8; 2] = [2, 4];
/// In a queue, and the heap counts it among those that have no block in use.
pub const EMPTY: u8 = 8;

/// More blocks than a page has.
const NEVER: u32 = u32::MAX;

/// What stands at the start of a page.
pub struct Page {
    /// The heap, for those who come from a block.
    pub heap: Cell<*const Heap>,
    free: Cell<*mut Header>,
    /// Blocks on the free list.
    idle: Cell<u32>,
    /// When `idle` comes up to this, the heap is told; [`NEVER`] if not.
    notify: Cell<u32>,
    capacity: Cell<u32>,
    block: Cell<u32>,
    /// Offset of the first block that was never used.
    fresh: Cell<u32>,
    class: Cell<u8>,
    flags: Cell<u8>,
    /// The next page of a queue.
    pub next: Cell<*const Page>,
}

impl Page {
    /// Prepares raw memory, or an empty page, for blocks of `class`.
    ///
    /// # Safety
    /// `page` is the start of a page's memory, with nothing in it.
    pub unsafe fn prepare(page: *mut Page, heap: *const Heap, class: u8) {
        let block = block_size(class);
        let fresh = Self {
            heap: Cell::new(heap),
            free: Cell::new(ptr::null_mut()),
            idle: Cell::new(0),
            notify: Cell::new(NEVER),
            capacity: Cell::new(((PAGE_SIZE - FIRST) / block) as u32),
            block: Cell::new(block as u32),
            fresh: Cell::new(FIRST as u32),
            class: Cell::new(class),
            flags: Cell::new(0),
            next: Cell::new(ptr::null()),
        };
        // SAFETY: the caller's contract.
        unsafe { page.write(fresh) }
    }

    /// The page of a block.
    ///
    /// # Safety
    /// `block` came from [`Page::take`].
    #[inline]
    pub unsafe fn of(block: Object) -> *const Page {
        block
            .as_ptr()
            .cast_const()
            .map_addr(|address| address & !(PAGE_SIZE - 1))
            .cast()
    }

    /// Takes up to `most` blocks off the free list, linked as they are there,
    /// and says how many. They count as used from now on.
    ///
    /// # Safety
    /// `page` points to a page. `most` is not 0.
    pub unsafe fn take(page: *const Page, most: u32) -> (*mut Header, u32) {
        // SAFETY: the free list holds as many free blocks of this page as `idle`
        // says.
        unsafe {
            let first = (*page).free.get();
            let idle = (*page).idle.get();
            if idle <= most {
                (*page).free.set(ptr::null_mut());
                (*page).idle.set(0);
                return (first, idle);
            }
            let mut last = first;
            for _ in 1..most {
                last = (*last).next_free();
            }
            (*page).free.set((*last).next_free());
            (*page).idle.set(idle - most);
            last.write(Header::free(ptr::null_mut()));
            (first, most)
        }
    }

    /// Puts blocks back that [`Page::take`] handed out and nobody used, `first`
    /// and those linked to it; says how many.
    ///
    /// # Safety
    /// `page` points to the page that they are from.
    pub unsafe fn put_back(page: *const Page, first: NonNull<Header>) -> u32 {
        // SAFETY: the caller's contract.
        unsafe {
            let mut count = 1;
            let mut last = first.as_ptr();
            while !(*last).next_free().is_null() {
                last = (*last).next_free();
                count += 1;
            }
            last.write(Header::free((*page).free.get()));
            (*page).free.set(first.as_ptr());
            (*page).idle.set((*page).idle.get() + count);
            count
        }
    }

    /// Gives a block back; says whether the heap wants to know.
    ///
    /// # Safety
    /// `block` came from [`Page::take`] of this page, and nobody uses it.
    #[inline]
    pub unsafe fn give(page: *const Page, block: Object) -> bool {
        // SAFETY: the caller's contract.
        unsafe {
            block.write(Header::free((*page).free.get()));
            (*page).free.set(block.as_ptr());
            let idle = (*page).idle.get() + 1;
            (*page).idle.set(idle);
            idle == (*page).notify.get()
        }
    }

    /// Puts some never used blocks on the free list; false if there are none.
    ///
    /// # Safety
    /// `page` points to a page, through a pointer for the whole page.
    pub unsafe fn extend(page: *const Page) -> bool {
        // SAFETY: blocks from `fresh` to the end of the page belong to nobody,
        // and the pointer is good for the whole page.
        unsafe {
            let block = (*page).block.get() as usize;
            let fresh = (*page).fresh.get() as usize;
            let fit = (PAGE_SIZE - fresh) / block;
            let count = fit.min((EXTENSION / block).max(1));
            if count == 0 {
                return false;
            }
            let mut next = (*page).free.get();
            for index in (0..count).rev() {
                let address = page.cast_mut().byte_add(fresh + index * block);
                let header = address.cast::<Header>();
                header.write(Header::free(next));
                next = header;
            }
            (*page).free.set(next);
            (*page).idle.set((*page).idle.get() + count as u32);
            (*page).fresh.set((fresh + count * block) as u32);
            true
        }
    }

    /// Calls `visit` for each block that is in use.
    ///
    /// # Safety
    /// `page` points to a page, through a pointer for the whole page. `visit`
    /// gives no page back.
    #[inline]
    pub unsafe fn each(page: *const Page, mut visit: impl FnMut(Object)) {
        // SAFETY: up to `fresh` there is a header at each block's start.
        unsafe {
            let block = (*page).block.get() as usize;
            let end = (*page).fresh.get() as usize;
            let mut offset = FIRST;
            while offset < end {
                let header = page.cast_mut().byte_add(offset).cast::<Header>();
                if !(*header).is_free() {
                    visit(NonNull::new_unchecked(header));
                }
                offset += block;
            }
        }
    }

    /// Blocks on the free list.
    pub fn idle(&self) -> u32 {
        self.idle.get()
    }

    /// Blocks in use or at hand.
    pub fn used(&self) -> usize {
        (self.opened() - self.idle.get()) as usize
    }

    /// Blocks that have been on the free list at all.
    fn opened(&self) -> u32 {
        (self.fresh.get() - FIRST as u32) / self.block.get()
    }

    /// The size class of its blocks.
    pub fn class(&self) -> usize {
        self.class.get().into()
    }

    /// Whether any of `flags` is set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags.get() & flags != 0
    }

    /// Sets `flags`.
    pub fn set(&self, flags: u8) {
        self.flags.set(self.flags.get() | flags);
    }

    /// Clears `flags`.
    pub fn unset(&self, flags: u8) {
        self.flags.set(self.flags.get() & !flags);
    }

    /// The page waits in a queue: has the heap told when no block is in use.
    pub fn wait(&self) {
        self.set(AVAILABLE);
        self.notify.set(self.opened());
    }

    /// The page is the one that blocks are taken from.
    pub fn wake(&self) {
        self.set(AVAILABLE);
        self.notify.set(NEVER);
    }

    /// The page is full: has the heap told when a quarter of it is free.
    pub fn rest(&self) {
        debug_assert_eq!(self.used(), self.capacity.get() as usize);
        self.unset(AVAILABLE);
        self.notify.set(self.capacity.get().div_ceil(4));
    }
}

#[cfg(all(test, not(feature = "system-blocks")))]
mod tests {
    use super::*;

    #[test]
    fn every_size_fits_its_class_and_not_the_one_below() {
        for size in 0..=LARGEST_BLOCK - HEADER_SIZE {
            for align in [1, 2, 4, 8, 16] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let class = class_for(layout).unwrap();
                assert!((class as usize) < CLASSES);
                let block = block_size(class);
                assert!(block >= size + HEADER_SIZE, "{size} in {block}");
                assert!(block.is_multiple_of(align.max(8)), "{align} in {block}");
                if align <= 8 && class > 0 {
                    assert!(block_size(class - 1) < size + HEADER_SIZE);
                }
            }
        }
        let too_large = Layout::from_size_align(LARGEST_BLOCK - HEADER_SIZE + 1, 1).unwrap();
        assert_eq!(class_for(too_large), None);
        assert_eq!(class_for(Layout::from_size_align(8, 32).unwrap()), None);
        assert_eq!(block_size(CLASSES as u8 - 1), LARGEST_BLOCK);
    }
}
