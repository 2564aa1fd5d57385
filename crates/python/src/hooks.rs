//! The allocator hooks: every block that Python gets or gives back passes here.
//!
//! One set of functions stands before each of CPython's three allocators (RAW,
//! MEM, OBJ) while a view records. They do what the wrapped allocator does and
//! tell the tracer. Rules that hold in them:
//!
//! * RAW is called by any thread, with or without the GIL; in own-GIL
//!   subinterpreters so are the other two. All state is behind one lock (`biased.rs`),
//!   and under it nothing is called that could allocate through Python.
//! * A block's trace goes before its memory does, since another thread may be
//!   given the same address the moment it is free.
//! * What an allocator allocates to do its work (a big OBJ block is a RAW one) is
//!   not recorded again: a flag of the thread says that it is inside.
//! * The hooks keep the context pointer of the allocator they wrap and do not
//!   use it. A thread that reads CPython's table of functions while it is being
//!   changed therefore sees a mixture that is still right.
//! * What a hook wraps never changes while it may be in somebody's chain: another
//!   tool that stands in front may call it for some blocks only, or for blocks
//!   of old. Wrapping that tool in turn takes a second set of functions, or the
//!   two would call each other without end.

mod biased;
pub mod lock;
mod served;
mod state;
mod words;

use std::cell::Cell;
use std::ffi::c_void;
use std::ops::Deref;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use pyo3_ffi::*;
use wrasse_tracer::{Exhausted, Released, View, ViewSet};

use crate::capture;
use crate::doctor::looks;
use crate::frame;
use crate::small_objects;
use crate::small_objects::heaps;
use biased::{Biased, Guard};
pub use state::State;

const RAW: usize = 0;
const MEM: usize = 1;
const OBJ: usize = 2;
const DOMAINS: [PyMemAllocatorDomain; 3] = [
    PyMemAllocatorDomain::PYMEM_DOMAIN_RAW,
    PyMemAllocatorDomain::PYMEM_DOMAIN_MEM,
    PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ,
];

static STATE: Biased<Option<Box<State>>> = Biased::new(None);
/// The views that record, readable without the lock.
static ACTIVE: AtomicU8 = AtomicU8::new(0);
/// Sets of our functions. One is all it takes, unless other tools' hooks come
/// and go in another order than ours.
const SETS: usize = 4;

/// Per domain and set: these functions may be in a chain of allocators.
static IN_PLACE: [[AtomicBool; SETS]; 3] = [const { [const { AtomicBool::new(false) }; SETS] }; 3];
/// Per domain: all sets are in chains that do not reach us any more.
static IS_SHUT_OUT: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];
/// Per domain: a call came through while nothing was recorded.
static REACHED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

struct Next(PyMemAllocatorEx);

/// The place of an allocator that is not known yet.
pub const NO_ALLOCATOR: PyMemAllocatorEx = PyMemAllocatorEx {
    ctx: ptr::null_mut(),
    malloc: None,
    calloc: None,
    realloc: None,
    free: None,
};

/// Per domain and set: the allocator behind the hook. Written before the hook is
/// put in place, and then only read.
static mut NEXT: [[Next; SETS]; 3] = [const { [const { Next(NO_ALLOCATOR) }; SETS] }; 3];

thread_local! {
    /// The thread is inside a hook, or asked for silence.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Threads that asked for silence.
static SILENT: AtomicUsize = AtomicUsize::new(0);

/// While it lives, what this thread allocates is not recorded.
pub struct Silence {
    was_inside: bool,
}

impl Silence {
    /// From now on.
    pub fn begin() -> Self {
        SILENT.fetch_add(1, Ordering::Relaxed);
        Silence {
            was_inside: IS_INSIDE.replace(true),
        }
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        IS_INSIDE.set(self.was_inside);
        SILENT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The tracer and its lock; nothing while no view has ever recorded.
///
/// Nothing may be allocated or called through Python while the guard lives.
pub fn state() -> Guard<'static, Option<Box<State>>> {
    STATE.lock()
}

/// The tracer, for who only reads it; nothing while no view has ever recorded.
///
/// Where the calling thread has the main GIL, the lock stays biased towards it:
/// otherwise each look at the tracer would send many events after it the long way.
///
/// As for [`state`]: no other guard lives, and nothing may be allocated or called through
/// Python while this one does.
#[inline]
pub fn reading() -> Reading {
    Reading(at_event())
}

/// See [`reading`].
pub struct Reading(Guard<'static, Option<Box<State>>>);

impl Deref for Reading {
    type Target = Option<Box<State>>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The views that record now.
#[inline]
pub fn active() -> ViewSet {
    ViewSet::from_bits(ACTIVE.load(Ordering::Acquire))
}

#[inline]
fn is_off() -> bool {
    ACTIVE.load(Ordering::Relaxed) == 0
}

/// The allocator behind the hook of domain `D`, set `S`, as plain functions.
#[inline]
fn next<const D: usize, const S: usize>() -> &'static PyMemAllocatorEx {
    // SAFETY: written only before these hooks are put in place.
    unsafe { &NEXT[D][S].0 }
}

#[inline]
fn next_malloc<const D: usize, const S: usize>(size: usize) -> *mut c_void {
    match next::<D, S>().malloc {
        Some(malloc) => malloc(next::<D, S>().ctx, size),
        None => ptr::null_mut(),
    }
}

#[inline]
fn next_calloc<const D: usize, const S: usize>(count: usize, size: usize) -> *mut c_void {
    match next::<D, S>().calloc {
        Some(calloc) => calloc(next::<D, S>().ctx, count, size),
        None => ptr::null_mut(),
    }
}

#[inline]
fn next_realloc<const D: usize, const S: usize>(block: *mut c_void, size: usize) -> *mut c_void {
    match next::<D, S>().realloc {
        Some(realloc) => realloc(next::<D, S>().ctx, block, size),
        None => ptr::null_mut(),
    }
}

#[inline]
fn next_free<const D: usize, const S: usize>(block: *mut c_void) {
    if let Some(free) = next::<D, S>().free {
        free(next::<D, S>().ctx, block);
    }
}

/// The tracer, for an event. On 3.11 big blocks get through without the GIL.
#[inline]
fn at_event() -> Guard<'static, Option<Box<State>>> {
    // SAFETY: called from an allocator function or where one could be, without a guard: a
    // thread of which `has_main` says yes holds the main GIL, so no other of which it does
    // is here.
    unsafe {
        if heaps::has_main() {
            return STATE.enter();
        }
    }
    STATE.lock()
}

/// Record a new block. No if there was no memory to do so.
#[inline]
fn record<const D: usize>(block: *mut c_void, size: usize) -> bool {
    let mut guard = at_event();
    let Some(state) = guard.as_mut() else {
        return true;
    };
    if state.tracer.active().is_empty() {
        return true;
    }
    // Under the lock: whoever ends the interpreter must come through `free`, and
    // so wait for us, before a thread state that was alive here is gone.
    // SAFETY: MEM and OBJ are only called with a GIL; RAW by anybody.
    let thread = unsafe {
        if D == RAW {
            frame::this_thread()
        } else {
            frame::current_thread()
        }
    };
    // SAFETY: `thread` is this thread's own state.
    unsafe { state.record(block as usize, size, thread) }.is_ok()
}

#[inline]
fn release(block: *mut c_void, is_end: bool) -> Option<Released> {
    at_event().as_mut()?.release(block as usize, is_end)
}

/// A block that was reported released could not be moved and lives on.
#[cold]
fn restore(block: *mut c_void, known: Option<Released>) {
    if let (Some(known), Some(state)) = (known, at_event().as_mut()) {
        // Without memory its trace is lost; the block itself is untouched.
        let _ = state.tracer.restore(block as usize, known);
    }
}

#[cold]
fn reached<const D: usize>() {
    REACHED[D].store(true, Ordering::Relaxed);
}

#[inline]
fn allocate<const D: usize, const S: usize>(
    size: usize,
    get: impl Fn() -> *mut c_void,
) -> *mut c_void {
    if is_off() {
        reached::<D>();
        return get();
    }
    if IS_INSIDE.replace(true) {
        return get();
    }
    let mut block = get();
    if !block.is_null() && !record::<D>(block, size) {
        next_free::<D, S>(block);
        block = ptr::null_mut();
    }
    IS_INSIDE.set(false);
    if D != RAW && !block.is_null() {
        if size >= looks::LARGE {
            looks::note(block as usize);
        }
        capture::spent(size);
    }
    block
}

extern "C" fn malloc<const D: usize, const S: usize>(
    _context: *mut c_void,
    size: usize,
) -> *mut c_void {
    allocate::<D, S>(size, || next_malloc::<D, S>(size))
}

extern "C" fn calloc<const D: usize, const S: usize>(
    _context: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    // A product that overflows is refused by the allocator itself.
    allocate::<D, S>(count.wrapping_mul(size), || {
        next_calloc::<D, S>(count, size)
    })
}

extern "C" fn realloc<const D: usize, const S: usize>(
    _context: *mut c_void,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    if block.is_null() {
        return allocate::<D, S>(size, || next_realloc::<D, S>(ptr::null_mut(), size));
    }
    if is_off() {
        return next_realloc::<D, S>(block, size);
    }
    let was_inside = IS_INSIDE.replace(true);
    let known = release(block, false);
    let moved = next_realloc::<D, S>(block, size);
    if moved.is_null() {
        restore(block, known);
    } else if !was_inside {
        // The old block may be gone, so there is no way back: without
        // memory the new one goes untraced.
        record::<D>(moved, size);
    }
    IS_INSIDE.set(was_inside);
    if D != RAW && !was_inside && !moved.is_null() {
        if size >= looks::LARGE {
            looks::note(moved as usize);
        }
        capture::spent(size);
    }
    moved
}

extern "C" fn free<const D: usize, const S: usize>(_context: *mut c_void, block: *mut c_void) {
    if !block.is_null() && !is_off() {
        release(block, true);
    }
    next_free::<D, S>(block);
}

/// Which way a new block goes first; both serve for all.
#[derive(Clone, Copy)]
enum First {
    /// Tracebacks are of one line.
    Short,
    /// They are of more, or their frames have to be counted.
    Deep,
}

fn functions<const D: usize, const S: usize>(
    first: First,
    before: &PyMemAllocatorEx,
) -> PyMemAllocatorEx {
    let is_served = D != RAW && small_objects::is_ours(before.malloc);
    PyMemAllocatorEx {
        ctx: before.ctx,
        malloc: Some(match (is_served, first) {
            (true, First::Short) => served::malloc::<D, S>,
            (true, First::Deep) => served::malloc_deep::<D, S>,
            (false, _) => malloc::<D, S>,
        }),
        calloc: Some(match is_served {
            true => served::calloc::<D, S>,
            false => calloc::<D, S>,
        }),
        realloc: Some(match is_served {
            true => served::realloc::<D, S>,
            false => realloc::<D, S>,
        }),
        free: Some(match is_served {
            true => served::free::<D, S>,
            false => free::<D, S>,
        }),
    }
}

fn hook_of<const S: usize>(
    domain: usize,
    first: First,
    before: &PyMemAllocatorEx,
) -> PyMemAllocatorEx {
    match domain {
        RAW => functions::<RAW, S>(first, before),
        MEM => functions::<MEM, S>(first, before),
        _ => functions::<OBJ, S>(first, before),
    }
}

/// The functions of a set that stand before an allocator.
fn hook(domain: usize, set: usize, first: First, before: &PyMemAllocatorEx) -> PyMemAllocatorEx {
    match set {
        0 => hook_of::<0>(domain, first, before),
        1 => hook_of::<1>(domain, first, before),
        2 => hook_of::<2>(domain, first, before),
        _ => hook_of::<3>(domain, first, before),
    }
}

/// CPython's three allocators as they are now.
pub struct Allocators([PyMemAllocatorEx; 3]);

impl Allocators {
    /// Read them.
    ///
    /// # Safety
    /// Call with the GIL held.
    pub unsafe fn get() -> Self {
        let mut all = [NO_ALLOCATOR; 3];
        for (domain, allocator) in DOMAINS.into_iter().zip(&mut all) {
            // SAFETY: `allocator` is a place for one.
            unsafe { PyMem_GetAllocator(domain, allocator) };
        }
        Allocators(all)
    }

    /// Put them back.
    ///
    /// # Safety
    /// Call with the GIL held; they must still be able to serve.
    pub unsafe fn set(mut self) {
        for (domain, allocator) in DOMAINS.into_iter().zip(&mut self.0) {
            // SAFETY: as the caller vouches.
            unsafe { PyMem_SetAllocator(domain, allocator) };
        }
    }

    /// Which set of ours stands first.
    fn hook_set(&self, domain: usize) -> Option<usize> {
        let function = |allocator: &PyMemAllocatorEx| allocator.malloc.map(|f| f as usize);
        // What a set would be before whatever it was put before last.
        (0..SETS).find(|&set| {
            // SAFETY: the GIL is held by whoever has read the allocators.
            let before = unsafe { &NEXT[domain][set].0 };
            [First::Short, First::Deep].into_iter().any(|first| {
                function(&hook(domain, set, first, before)) == function(&self.0[domain])
            })
        })
    }
}

/// Do calls reach our functions although another tool's stand in front?
unsafe fn is_reached(domain: usize) -> bool {
    REACHED[domain].store(false, Ordering::Relaxed);
    // SAFETY: the GIL is held; each block goes back to where it came from.
    unsafe {
        match domain {
            RAW => PyMem_RawFree(PyMem_RawMalloc(1)),
            MEM => PyMem_Free(PyMem_Malloc(1)),
            _ => PyObject_Free(PyObject_Malloc(1)),
        }
    }
    REACHED[domain].load(Ordering::Relaxed)
}

/// Put the hooks in place; they pass everything through until a view records, `view` with
/// `limit` first if nothing else comes between.
///
/// # Safety
/// Call with the GIL held.
pub unsafe fn attach(view: View, limit: u16) {
    let first = match (view, limit) {
        (View::Profile, ..=1) => First::Short,
        _ => First::Deep,
    };
    static FORK: Once = Once::new();
    FORK.call_once(|| {
        extern "C" fn before() {
            STATE.acquire();
        }
        extern "C" fn after() {
            STATE.release();
        }
        // SAFETY: the handlers live as long as the process; the lock is never
        // held by a thread that calls fork.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    });
    if !is_off() {
        return;
    }
    // SAFETY: the GIL is held, so nobody else sets allocators; a `NEXT` is
    // written only while its hook is out of every chain.
    unsafe {
        let current = Allocators::get();
        for (number, domain) in DOMAINS.into_iter().enumerate() {
            IS_SHUT_OUT[number].store(false, Ordering::Relaxed);
            if current.hook_set(number).is_some() {
                continue;
            }
            let in_place = |set: &usize| IN_PLACE[number][*set].load(Ordering::Relaxed);
            if (0..SETS).any(|set| in_place(&set)) && is_reached(number) {
                continue;
            }
            let Some(set) = (0..SETS).find(|set| !in_place(set)) else {
                IS_SHUT_OUT[number].store(true, Ordering::Relaxed);
                continue;
            };
            NEXT[number][set] = Next(current.0[number]);
            let mut ours = hook(number, set, first, &current.0[number]);
            PyMem_SetAllocator(domain, &mut ours);
            IN_PLACE[number][set].store(true, Ordering::Relaxed);
        }
    }
}

/// Does anything allocate without coming through our hooks, because other
/// tools' were put in front of them too often?
pub fn is_shut_out() -> bool {
    IS_SHUT_OUT
        .iter()
        .any(|domain| domain.load(Ordering::Relaxed))
}

/// Take the hooks out where nobody has put theirs in front since.
unsafe fn detach() {
    // SAFETY: the GIL is held; what is restored is what was there before.
    unsafe {
        let current = Allocators::get();
        for (number, domain) in DOMAINS.into_iter().enumerate() {
            if let Some(set) = current.hook_set(number) {
                let mut before = NEXT[number][set].0;
                PyMem_SetAllocator(domain, &mut before);
                IN_PLACE[number][set].store(false, Ordering::Relaxed);
            }
        }
    }
}

/// A block counts as temporary if it is freed before so many more are allocated.
pub fn set_temporary(count: u16) -> Result<(), Exhausted> {
    let mut guard = STATE.lock();
    let state = guard.get_or_insert_default();
    state.tracer.set_temporary(count)
}

/// Says what others read without the lock. `state` is what is in [`STATE`].
fn publish(state: &State) {
    ACTIVE.store(state.tracer.active().bits(), Ordering::Release);
}

/// Let `view` record from now on. No change if it does already.
///
/// # Safety
/// Call with the GIL held.
pub unsafe fn start(view: View, limit: u16) -> Result<(), Exhausted> {
    // SAFETY: the GIL is held.
    unsafe { attach(view, limit) };
    let mut guard = STATE.lock();
    let state = guard.get_or_insert_default();
    state.prepare()?;
    state.tracer.start(view, limit);
    publish(state);
    drop(guard);
    STATE.prepare();
    Ok(())
}

/// End a view's recording and forget what it saw.
///
/// # Safety
/// Call with the GIL held.
pub unsafe fn stop(view: View) {
    let was_last = {
        let mut guard = STATE.lock();
        let Some(state) = guard.as_mut() else {
            return;
        };
        let was_last = state.tracer.stop(view);
        if was_last {
            state.clear_frames();
        }
        publish(state);
        was_last
    };
    if was_last {
        // SAFETY: the GIL is held.
        unsafe { detach() };
    }
}

/// Somebody else than the allocator reports a block of a domain to a view; no if
/// that does not record.
///
/// # Safety
/// Call from a thread known to the process only; any state is allowed.
pub unsafe fn track(
    view: View,
    domain: u32,
    address: usize,
    size: usize,
) -> Result<bool, Exhausted> {
    let mut guard = STATE.lock();
    let Some(state) = guard.as_mut() else {
        return Ok(false);
    };
    // SAFETY: the thread's own state, asked for under the lock as in `record`.
    unsafe { state.track(view, domain, address, size, frame::this_thread()) }
}

/// Somebody else than the allocator takes a block back from a view; no if the
/// view does not see it.
pub fn untrack(view: View, domain: u32, address: usize) -> bool {
    let mut guard = STATE.lock();
    let tracer = guard.as_mut().map(|state| &mut state.tracer);
    tracer.is_some_and(|tracer| tracer.untrack(view, domain, address).is_some())
}

/// A new object has been made at this block without the allocator being asked:
/// from now on it belongs to whoever is running.
///
/// # Safety
/// Call with the GIL held.
#[inline]
pub unsafe fn reuse(address: usize) {
    if !active().contains(View::Program) {
        return;
    }
    let mut guard = at_event();
    if let Some(state) = guard.as_mut() {
        // SAFETY: the GIL is held; this is the thread's own state.
        unsafe { state.reuse(address, frame::current_thread()) };
    }
}
