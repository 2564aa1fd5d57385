//! Blocks too large for a pool: the system's, with their sizes in a table.
//!
//! The table is open addressing by address, in memory of its own, behind one
//! lock. Large blocks are rare and cost the system far more than that. Blocks that
//! are not ours at all are not rare: at the end of a program all are freed that were
//! there before. So a few marks say, without the lock, where no large block ever was.

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::limit::Limit;
use crate::lock::Lock;
use crate::reserve::{reserve, unreserve};

/// One page of entries: lookups of other addresses touch all of the table.
const FIRST_CAPACITY: usize = 256;

/// One bit for each MiB of addresses, the same one for those 4 GiB apart.
const MARKS: usize = 64;
const MARK_SHIFT: u32 = 20;

/// A block's address (0: no entry) and size.
#[derive(Clone, Copy)]
struct Entry {
    address: usize,
    size: usize,
}

struct Table {
    entries: *mut Entry,
    /// A power of two, or 0.
    capacity: usize,
    count: usize,
}

/// The large blocks of a region.
pub struct Large {
    lock: Lock,
    table: UnsafeCell<Table>,
    /// Where blocks have begun; set before a block is entered, and never cleared.
    marks: [AtomicU64; MARKS],
    blocks: AtomicUsize,
    bytes: AtomicUsize,
}

// SAFETY: the table is used under the lock.
unsafe impl Sync for Large {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Large {}

impl Default for Large {
    fn default() -> Self {
        Large {
            lock: Lock::default(),
            table: UnsafeCell::new(Table {
                entries: ptr::null_mut(),
                capacity: 0,
                count: 0,
            }),
            marks: [const { AtomicU64::new(0) }; MARKS],
            blocks: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }
}

impl Table {
    fn home(&self, address: usize) -> usize {
        // Fibonacci hashing; blocks are aligned to 16.
        ((address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) & (self.capacity - 1)
    }

    /// The entry at a position.
    fn at(&self, position: usize) -> *mut Entry {
        self.entries.wrapping_add(position & (self.capacity - 1))
    }

    fn find(&self, address: usize) -> Option<*mut Entry> {
        if self.capacity == 0 {
            return None;
        }
        let mut position = self.home(address);
        loop {
            let entry = self.at(position);
            // SAFETY: positions are taken modulo the capacity. An entry is
            // always free, so this ends.
            match unsafe { (*entry).address } {
                0 => return None,
                found if found == address => return Some(entry),
                _ => position += 1,
            }
        }
    }

    fn put(&mut self, new: Entry) {
        let mut position = self.home(new.address);
        // SAFETY: as in `find`; the caller has made room.
        unsafe {
            while (*self.at(position)).address != 0 {
                position += 1;
            }
            *self.at(position) = new;
        }
        self.count += 1;
    }

    fn insert(&mut self, new: Entry) -> bool {
        if (self.count + 1) * 4 > self.capacity * 3
            && !self.grow()
            && self.count + 1 >= self.capacity
        {
            return false;
        }
        self.put(new);
        true
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let capacity = (self.capacity * 2).max(FIRST_CAPACITY);
        let entries: *mut Entry = reserve(capacity * size_of::<Entry>()).cast();
        if entries.is_null() {
            return false;
        }
        let old = std::mem::replace(
            self,
            Table {
                entries,
                capacity,
                count: 0,
            },
        );
        for position in 0..old.capacity {
            // SAFETY: below the old capacity.
            let entry = unsafe { *old.entries.add(position) };
            if entry.address != 0 {
                self.put(entry);
            }
        }
        old.free();
        true
    }

    fn free(&self) {
        if !self.entries.is_null() {
            // SAFETY: `entries` came from `reserve` at this size.
            unsafe { unreserve(self.entries.cast(), self.capacity * size_of::<Entry>()) };
        }
    }

    fn remove(&mut self, address: usize) -> Option<usize> {
        let entry = self.find(address)?;
        // SAFETY: positions are taken modulo the capacity.
        unsafe {
            let size = (*entry).size;
            let mut hole = entry.offset_from(self.entries) as usize;
            let mut position = hole;
            // What follows moves up where it may, so that no search ends early.
            loop {
                position = (position + 1) & (self.capacity - 1);
                let next = *self.at(position);
                if next.address == 0 {
                    break;
                }
                let home = self.home(next.address);
                let distance = |from: usize, to: usize| to.wrapping_sub(from) & (self.capacity - 1);
                if distance(home, position) >= distance(hole, position) {
                    *self.at(hole) = next;
                    hole = position;
                }
            }
            (*self.at(hole)).address = 0;
            self.count -= 1;
            Some(size)
        }
    }
}

impl Large {
    fn with<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        let _held = self.lock.hold();
        // SAFETY: under the lock, and `act` cannot reach this again.
        act(unsafe { &mut *self.table.get() })
    }

    #[inline(always)]
    fn mark_of(&self, block: *const u8) -> (&AtomicU64, u64) {
        let number = (block as usize) >> MARK_SHIFT;
        (&self.marks[(number >> 6) % MARKS], 1 << (number & 63))
    }

    /// Whether a block might be one of these: surely not if none ever began near it.
    /// Any thread, without the lock. Who has got a block has got it from who allocated
    /// it, so the mark that was set before is seen.
    #[inline(always)]
    pub fn may_hold(&self, block: *const u8) -> bool {
        let (word, bit) = self.mark_of(block);
        word.load(Ordering::Relaxed) & bit != 0
    }

    fn enter(&self, block: *mut u8, size: usize) -> bool {
        let address = block as usize;
        if !self.may_hold(block) {
            let (word, bit) = self.mark_of(block);
            word.fetch_or(bit, Ordering::Relaxed);
        }
        let entered = self.with(|table| table.insert(Entry { address, size }));
        if entered {
            self.blocks.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(size, Ordering::Relaxed);
        }
        entered
    }

    fn leave(&self, block: *mut u8) -> Option<usize> {
        if !self.may_hold(block) {
            return None;
        }
        let size = self.with(|table| table.remove(block as usize))?;
        self.blocks.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        Some(size)
    }

    /// A block of `size` bytes (at least one), zeroed if asked; null if there is
    /// no memory or the limit forbids it.
    pub fn allocate(&self, limit: &Limit, size: usize, zeroed: bool) -> *mut u8 {
        let size = size.max(1);
        if !limit.take(size) {
            return ptr::null_mut();
        }
        self.obtain(limit, size, zeroed)
    }

    /// As [`Large::allocate`], for who was just refused and needs a little.
    pub(crate) fn allocate_in_need(&self, limit: &Limit, size: usize, zeroed: bool) -> *mut u8 {
        let size = size.max(1);
        if !limit.take_in_need(size) {
            return ptr::null_mut();
        }
        self.obtain(limit, size, zeroed)
    }

    /// A block whose bytes are counted as taken.
    fn obtain(&self, limit: &Limit, size: usize, zeroed: bool) -> *mut u8 {
        // SAFETY: plain calls of the system's allocator.
        let block: *mut u8 = unsafe {
            if zeroed {
                libc::calloc(1, size)
            } else {
                libc::malloc(size)
            }
        }
        .cast();
        if !block.is_null() && self.enter(block, size) {
            limit.confirm();
            return block;
        }
        // SAFETY: just allocated, or null.
        unsafe { libc::free(block.cast()) };
        limit.give(size);
        ptr::null_mut()
    }

    /// Gives a block back; no if it is not one of these.
    ///
    /// # Safety
    /// Nobody uses the block if it is one.
    pub unsafe fn release(&self, limit: &Limit, block: *mut u8) -> bool {
        // The entry goes first: once the block is free, another thread may get
        // and enter the same address.
        let Some(size) = self.leave(block) else {
            return false;
        };
        limit.give(size);
        // SAFETY: it was in the table, so the system gave it to us.
        unsafe { libc::free(block.cast()) };
        true
    }

    /// Makes a block larger or smaller, perhaps elsewhere. `None` if it is not
    /// one of these; null, with the block as it was, if there is no memory.
    ///
    /// # Safety
    /// As for [`Large::release`], but for what is returned.
    pub unsafe fn resize(&self, limit: &Limit, block: *mut u8, size: usize) -> Option<*mut u8> {
        // To the system, a block of no bytes is one to be freed.
        let size = size.max(1);
        let old = self.leave(block)?;
        if size > old && !limit.take(size - old) {
            self.enter(block, old);
            return Some(ptr::null_mut());
        }
        // SAFETY: it was in the table, so the system gave it to us.
        let moved: *mut u8 = unsafe { libc::realloc(block.cast(), size) }.cast();
        if moved.is_null() {
            if size > old {
                limit.give(size - old);
            }
            self.enter(block, old);
            return Some(moved);
        }
        if size < old {
            limit.give(old - size);
        }
        limit.confirm();
        // There is room, because an entry has just left; should others have
        // taken it all and the table cannot grow, the block can no longer be
        // told from a foreign one.
        if !self.enter(moved, size) {
            limit.give(size);
        }
        Some(moved)
    }

    /// The size of a block, if it is one of these.
    pub fn size_of(&self, block: *const u8) -> Option<usize> {
        if !self.may_hold(block) {
            return None;
        }
        self.with(|table| {
            let entry = table.find(block as usize)?;
            // SAFETY: just found, under the lock.
            Some(unsafe { (*entry).size })
        })
    }

    /// Number of blocks and sum of their sizes.
    pub fn totals(&self) -> (usize, usize) {
        (
            self.blocks.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    pub(crate) fn before_fork(&self) {
        self.lock.acquire();
    }

    pub(crate) fn after_fork(&self) {
        self.lock.release();
    }

    /// Forgets all blocks; they stay the system's.
    pub(crate) fn clear(&mut self) {
        let table = self.table.get_mut();
        table.free();
        (table.entries, table.capacity, table.count) = (ptr::null_mut(), 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_grows_and_shrinks_loses_nothing() {
        let (large, limit) = (Large::default(), Limit::default());
        let mut kept = Vec::new();
        for round in 0..20_000usize {
            let block = large.allocate(&limit, 9000 + round % 100, round % 2 == 0);
            assert!(!block.is_null());
            kept.push((block, 9000 + round % 100));
            if round % 3 == 0 {
                let (block, size) = kept.swap_remove(round * 7919 % kept.len());
                assert_eq!(large.size_of(block), Some(size));
                // SAFETY: allocated above and not used any more.
                unsafe { assert!(large.release(&limit, block)) };
                assert_eq!(large.size_of(block), None);
            }
        }
        let total: usize = kept.iter().map(|(_, size)| size).sum();
        assert_eq!(large.totals(), (kept.len(), total));
        assert_eq!(limit.taken(), total);
        for (block, size) in kept {
            assert_eq!(large.size_of(block), Some(size));
            // SAFETY: as above.
            unsafe { assert!(large.release(&limit, block)) };
        }
        assert_eq!((large.totals(), limit.taken()), ((0, 0), 0));
    }

    #[test]
    fn marks_tell_where_no_block_ever_was() {
        let (large, limit) = (Large::default(), Limit::default());
        let far = |block: *mut u8| block.wrapping_add(3 << MARK_SHIFT);
        let block = large.allocate(&limit, 9000, false);
        assert!(large.may_hold(block) && !large.may_hold(far(block)));
        assert!(!large.may_hold(ptr::null()));
        // SAFETY: the block is ours; the other address is nobody's, and only compared.
        unsafe {
            assert!(!large.release(&limit, far(block)));
            assert_eq!(large.resize(&limit, far(block), 1), None);
            assert_eq!(large.size_of(far(block)), None);
            assert!(large.release(&limit, block));
        }
        // Somebody else's now, which only the table knows.
        assert!(large.may_hold(block) && large.size_of(block).is_none());
    }

    #[test]
    fn a_block_of_no_bytes_is_still_a_block() {
        let (large, limit) = (Large::default(), Limit::default());
        let block = large.allocate(&limit, 10_000, false);
        // SAFETY: the block is ours throughout.
        unsafe {
            let block = large.resize(&limit, block, 0).unwrap();
            assert!(!block.is_null());
            assert_eq!(large.totals(), (1, 1));
            block.write(1);
            assert!(large.release(&limit, block));
        }
        let block = large.allocate(&limit, 0, true);
        // SAFETY: as above.
        assert!(unsafe { large.release(&limit, block) });
        assert_eq!((large.totals(), limit.taken()), ((0, 0), 0));
    }

    #[test]
    fn what_the_system_refuses_is_no_peak() {
        let (large, limit) = (Large::default(), Limit::default());
        assert!(large.allocate(&limit, isize::MAX as usize, false).is_null());
        assert_eq!((limit.taken(), limit.peak()), (0, 0));
    }

    #[test]
    fn resizing_under_a_limit_leaves_the_block_as_it_was() {
        let (large, limit) = (Large::default(), Limit::default());
        limit.set(Some(30_000));
        let block = large.allocate(&limit, 10_000, true);
        // SAFETY: the block is ours throughout.
        unsafe {
            block.write_bytes(7, 10_000);
            assert_eq!(large.resize(&limit, block, 30_001), Some(ptr::null_mut()));
            assert_eq!(large.size_of(block), Some(10_000));
            let block = large.resize(&limit, block, 30_000).unwrap();
            assert!((0..10_000).all(|i| *block.add(i) == 7));
            assert_eq!(limit.taken(), 30_000);
            assert!(large.release(&limit, block));
            assert!(!large.release(&limit, block));
        }
        assert_eq!(limit.taken(), 0);
    }
}
