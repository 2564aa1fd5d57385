//! The hooks before wrasse's own allocator, which needs no call to be reached.
//!
//! Where the calling thread has the main heap for itself, it has the tracer for
//! itself too, and nothing that is done for a block that is at hand can come
//! back here: allocating and recording are one function without a lock or a
//! variable of the thread. Everything else goes the way of all hooks.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::Ordering;

use wrasse_tracer::FINE;

use super::{SILENT, STATE};
use crate::capture;
use crate::frame;
use crate::small_objects::heaps;

/// By how much the sizes of small blocks differ.
const STEP: usize = wrasse_allocator::size_class::ALIGNMENT;

/// How much larger than asked for a block is that has no second word; else 0.
#[inline(always)]
fn slack(size: usize) -> usize {
    match size <= FINE {
        true => size.wrapping_neg() % STEP,
        false => 0,
    }
}

/// A new block, recorded; or what is done `otherwise`, with nothing done before, if that
/// is not quickly done.
///
/// What is called is called last: so there is nothing to be kept meanwhile, and no
/// register has to be saved for it.
///
/// # Safety
/// Called from an allocator function, with the GIL of the interpreter whose heap it is.
#[inline(always)]
unsafe fn malloc_quickly<const IS_SHORT: bool>(
    size: usize,
    otherwise: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    // SAFETY: as in `malloc_with_care`. The shortcut leads to the state as long as `busy`
    // lives, and is there only where blocks can be recorded quickly and the frames that
    // are remembered are of this epoch (`state.rs`).
    unsafe {
        if (!IS_SHORT || size.wrapping_sub(1) < FINE)
            && let Some(heap) = heaps::at_hand()
            && heaps::needs_no_check(|| size)
            && SILENT.load(Ordering::Relaxed) == 0
            && let Some((busy, state)) = STATE.try_shortcut()
            && let Some(spot) = heap.spot_at_hand(size)
            && let thread = frame::thread_at_hand()
            && (*state).record_quickly::<IS_SHORT>(spot, size, slack(size), thread)
        {
            drop(busy);
            let block = heap.hand_out_spot(spot).cast();
            return match capture::spend(size) {
                true => looked(block),
                false => block,
            };
        }
    }
    otherwise()
}

#[cold]
#[inline(never)]
fn looked(block: *mut c_void) -> *mut c_void {
    capture::look();
    block
}

pub extern "C" fn malloc<const D: usize, const S: usize>(
    context: *mut c_void,
    size: usize,
) -> *mut c_void {
    // SAFETY: as in `malloc_with_care`.
    unsafe { malloc_quickly::<true>(size, || malloc_deep::<D, S>(context, size)) }
}

/// As [`malloc`], for tracebacks of several lines and blocks of any size: apart, because
/// those take more registers than there are without saving some.
#[inline(never)]
pub extern "C" fn malloc_deep<const D: usize, const S: usize>(
    context: *mut c_void,
    size: usize,
) -> *mut c_void {
    // SAFETY: as in `malloc_with_care`.
    unsafe { malloc_quickly::<false>(size, || malloc_with_care::<D, S>(context, size)) }
}

#[inline(never)]
extern "C" fn malloc_with_care<const D: usize, const S: usize>(
    context: *mut c_void,
    size: usize,
) -> *mut c_void {
    // SAFETY: called with the GIL of the interpreter whose heap it is, so that
    // the heap and the tracer are this thread's; `thread` is its own state.
    unsafe {
        if let Some(heap) = heaps::at_hand()
            && heaps::needs_no_check(|| size)
            && SILENT.load(Ordering::Relaxed) == 0
            && let Some(mut busy) = STATE.try_enter()
            && let Some(state) = busy.value()
            && !state.tracer.active().is_empty()
        {
            let block = heap.allocate_at_hand(size);
            if !block.is_null() {
                let thread = frame::thread_with_gil();
                if state.record_served(block as usize, size, thread).is_ok() {
                    drop(busy);
                    capture::spent(size);
                    return block.cast();
                }
                heap.release_owned(block);
            }
        }
    }
    super::malloc::<D, S>(context, size)
}

pub extern "C" fn calloc<const D: usize, const S: usize>(
    context: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    if let Some(bytes) = count.checked_mul(size) {
        // SAFETY: as in `malloc_with_care`; a block that is there has so many bytes.
        unsafe {
            let block = malloc_quickly::<false>(bytes, ptr::null_mut);
            if !block.is_null() {
                block.write_bytes(0, bytes);
                return block;
            }
        }
    }
    super::calloc::<D, S>(context, count, size)
}

pub extern "C" fn realloc<const D: usize, const S: usize>(
    context: *mut c_void,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    // SAFETY: as in `malloc_with_care`; the block is the caller's. Nobody else can be given
    // the old block before its trace is gone, since nobody else has this heap.
    unsafe {
        if let Some(heap) = heaps::at_hand()
            && heap.owns(block.cast())
            && heaps::needs_no_check(|| size)
            && heaps::needs_no_check(|| heap.size_of_owned(block.cast()))
            && SILENT.load(Ordering::Relaxed) == 0
            && let Some(mut busy) = STATE.try_enter()
            && let Some(state) = busy.value()
            && !state.tracer.active().is_empty()
            && let Some(place) = state.place_served(block as usize)
            && let Some(moved) = heap.resize(block.cast(), size)
            && !moved.is_null()
        {
            state.tracer.moving_at(place);
            // The old block may be gone, so there is no way back: without memory
            // the new one goes untraced.
            let _ = state.record(moved as usize, size, frame::thread_with_gil());
            drop(busy);
            capture::spent(size);
            return moved.cast();
        }
    }
    super::realloc::<D, S>(context, block, size)
}

pub extern "C" fn free<const D: usize, const S: usize>(_context: *mut c_void, block: *mut c_void) {
    // SAFETY: as in `malloc_quickly`. The heap owns the block, and the caller has done
    // with it.
    unsafe {
        if let Some(heap) = heaps::at_hand()
            && heap.owns(block.cast())
            && let spot = heap.spot_of_owned(block.cast())
            && heaps::needs_no_check(|| spot.size())
            && let Some((busy, state)) = STATE.try_shortcut()
            && (*state).release_quickly(spot)
        {
            drop(busy);
            return heap.release_spot(spot);
        }
    }
    free_with_care::<D, S>(block);
}

#[inline(never)]
extern "C" fn free_with_care<const D: usize, const S: usize>(block: *mut c_void) {
    // SAFETY: as in `malloc_with_care`; the caller has done with the block.
    unsafe {
        if let Some(heap) = heaps::at_hand()
            && heap.owns(block.cast())
            && heaps::needs_no_check(|| heap.size_of_owned(block.cast()))
            && let Some(mut busy) = STATE.try_enter()
            && let Some(state) = busy.value()
            && let Some(place) = state.place_served(block as usize)
        {
            state.tracer.release_at(place, block as usize);
            return heap.release_owned(block.cast());
        }
    }
    super::free::<D, S>(ptr::null_mut(), block);
}
