//! Which blocks of a pool are in use: all that were ever opened, but the free ones.

use crate::pool::{MOST_BLOCKS, Pool, SIZE};

/// Calls `visit` with each block in use, and its size.
///
/// # Safety
/// The caller has the pool's heap for itself; `memory` is the pool's.
pub unsafe fn blocks(record: &Pool, memory: *mut u8, visit: &mut impl FnMut(*mut u8, usize)) {
    let size = record.size();
    let mut is_free = [0u64; MOST_BLOCKS / 64];
    let mut free = record.free.get();
    while !free.is_null() {
        let slot = record.slot(free as usize & (SIZE - 1)) as usize;
        is_free[slot / 64 % is_free.len()] |= 1 << (slot % 64);
        // SAFETY: free blocks lead from one to the next.
        free = unsafe { (*free).next };
    }
    for slot in 0..record.opened.get() as usize {
        if is_free[slot / 64 % is_free.len()] & 1 << (slot % 64) == 0 {
            // SAFETY: below the pool's number of blocks.
            visit(unsafe { memory.add(slot * size) }, size);
        }
    }
}
