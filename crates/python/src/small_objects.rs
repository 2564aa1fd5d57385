//! CPython's small objects on wrasse's allocator: the domains OBJ and MEM.
//!
//! RAW stays the system's: it is called without the GIL, before the interpreter
//! and after it. Rules that hold here:
//!
//! * Put in place only instead of plain pymalloc, and never taken out: blocks live
//!   on until the process ends. From 3.12 on a program that embeds Python and
//!   initialises it anew finds CPython's own allocators; ours then come back as
//!   soon as wrasse is turned on again.
//! * Each interpreter has a heap. Allocating needs the GIL of the interpreter,
//!   so it has the heap for itself; a block that another interpreter frees goes
//!   on its heap's queue.
//! * Blocks that pymalloc gave out before are told by their address, and go back
//!   to the allocator that stood before ours in the same domain.
//! * On 3.11 extensions exist that allocate without the GIL and get away with it
//!   as long as the blocks are too large for pymalloc. Such sizes are served from
//!   a heap only to threads that have the GIL.
//! * The functions do not use their context pointer, which is the one of the
//!   allocator they replace: a thread of another interpreter that reads CPython's
//!   table while it is changed sees a mixture that is still right.

mod functions;
pub mod heaps;
mod report;

use std::ffi::{CStr, c_char, c_void};
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, OnceLock, PoisonError};

use pyo3_ffi::*;
use wrasse_allocator::{Heap, Options, Region};

use crate::hooks::NO_ALLOCATOR;
use crate::symbols;
pub use functions::{allocator_stats, set_limit, size_in_words};

const MEM: usize = 0;
const OBJ: usize = 1;
const DOMAINS: [PyMemAllocatorDomain; 2] = [
    PyMemAllocatorDomain::PYMEM_DOMAIN_MEM,
    PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ,
];

static REGION: OnceLock<Pin<Box<Region>>> = OnceLock::new();
/// Per domain: the allocator before ours. Written before ours is put in place.
static mut PREVIOUS: [PyMemAllocatorEx; 2] = [NO_ALLOCATOR; 2];

/// The region that small objects live in, if they do.
pub fn region() -> Option<&'static Region> {
    REGION.get().map(|region| region.as_ref().get_ref())
}

/// Whether this is the function that serves `malloc` in one of the two domains.
pub fn is_ours(function: Option<extern "C" fn(*mut c_void, usize) -> *mut c_void>) -> bool {
    let address = function.map(|f| f as usize);
    address == Some(malloc::<MEM> as *const () as usize)
        || address == Some(malloc::<OBJ> as *const () as usize)
}

static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

/// Whether wrasse serves small objects.
pub fn is_installed() -> bool {
    IS_INSTALLED.load(Ordering::Acquire)
}

/// The region, if wrasse serves small objects now.
pub fn installed() -> Option<&'static Region> {
    region().filter(|_| is_installed())
}

/// Turns the allocator on, and lets `sys` tell of it.
///
/// # Errors
/// One line that says why pymalloc stays.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn turn_on() -> Result<(), String> {
    // SAFETY: the caller's contract.
    unsafe { install().and_then(|()| report::patch_sys()) }
}

/// Puts wrasse's allocator in the place of pymalloc, once for the process.
unsafe fn install() -> Result<(), String> {
    // Interpreters with GILs of their own may come here side by side, and the
    // later one must not take ours for what was there before. Nothing of Python
    // is called under this lock that could let go of the GIL.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the GIL is held, so no other thread of this interpreter is in an
    // allocator; those of others are safe as the module's text says.
    unsafe {
        let standing = is_plain_pymalloc();
        if is_installed() {
            if standing.is_err() && stands_first() != Some(false) {
                return Ok(());
            }
            // The runtime has been initialised anew: as the first time.
            IS_INSTALLED.store(false, Ordering::Release);
        }
        standing?;
        let interpreters = heaps::find_interpreters()?;
        let region = match REGION.get() {
            Some(region) => region,
            None => {
                let made =
                    Region::reserve(Options::default()).map_err(|error| error.to_string())?;
                REGION.get_or_init(|| made)
            }
        };
        let heap = match heaps::main() {
            Some(heap) => heap,
            None => (region.as_ref().heap()).ok_or("there are too many heaps")?,
        };
        heaps::prepare(interpreters, heap);
        static FORK: Once = Once::new();
        FORK.call_once(|| {
            libc::pthread_atfork(
                Some(before_fork),
                Some(after_fork),
                Some(after_fork_in_child),
            );
        });
        for (number, domain) in DOMAINS.into_iter().enumerate() {
            let mut before = NO_ALLOCATOR;
            PyMem_GetAllocator(domain, &mut before);
            PREVIOUS[number] = before;
            let ours = match number {
                MEM => functions::<MEM>(before.ctx),
                _ => functions::<OBJ>(before.ctx),
            };
            put_in_place(domain, before, ours);
        }
    }
    IS_INSTALLED.store(true, Ordering::Release);
    Ok(())
}

/// Replaces the functions one after the other, those that give blocks back before
/// those that make them: another interpreter's thread that is allocating meanwhile
/// must at no moment get a block of ours and find the old `free` in the table.
unsafe fn put_in_place(
    domain: PyMemAllocatorDomain,
    before: PyMemAllocatorEx,
    ours: PyMemAllocatorEx,
) {
    let free_first = PyMemAllocatorEx {
        free: ours.free,
        ..before
    };
    let then_realloc = PyMemAllocatorEx {
        realloc: ours.realloc,
        ..free_first
    };
    for mut step in [free_first, then_realloc, ours] {
        // SAFETY: each mixture serves the blocks of both. x86-64 shows other
        // threads the steps in this order, and a call that copies a whole table
        // is not moved before another.
        unsafe { PyMem_SetAllocator(domain, &mut step) };
    }
}

/// Whether ours is what CPython calls; `None` if that is somebody else's function
/// who may call ours in turn.
unsafe fn stands_first() -> Option<bool> {
    let mut now = NO_ALLOCATOR;
    // SAFETY: the GIL is held; `now` is a place for the answer.
    unsafe { PyMem_GetAllocator(PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ, &mut now) };
    let address = |allocator: &PyMemAllocatorEx| allocator.malloc.map(|f| f as usize);
    if address(&now) == address(&functions::<OBJ>(ptr::null_mut())) {
        return Some(true);
    }
    // SAFETY: asks for CPython's own name of what stands in its table.
    unsafe { current_name().is_some().then_some(false) }
}

/// Whether both domains are pymalloc's and nobody's hooks are in front: who puts
/// back later what was there before would take ours out with its blocks in use.
///
/// # Safety
/// The GIL is held.
pub unsafe fn is_plain_pymalloc() -> Result<(), String> {
    // SAFETY: the caller holds the GIL.
    match unsafe { current_name() } {
        None if symbols::lookup(CURRENT_NAME).is_null() => {
            Err("this build does not say which allocator it uses".into())
        }
        None => Err("allocator hooks are in place, tracemalloc's or another tool's".into()),
        Some(name) if name == c"pymalloc" => Ok(()),
        Some(other) => Err(format!(
            "Python was started with the allocator '{}'",
            other.to_string_lossy()
        )),
    }
}

const CURRENT_NAME: &CStr = c"_PyMem_GetCurrentAllocatorName";

/// What CPython calls its present allocators; `None` if it does not know them.
unsafe fn current_name() -> Option<&'static CStr> {
    type CurrentName = unsafe extern "C" fn() -> *const c_char;
    let function = symbols::lookup(CURRENT_NAME);
    if function.is_null() {
        return None;
    }
    // SAFETY: the symbol is a function of this type in every version; it returns
    // a static string or null.
    unsafe {
        let name = std::mem::transmute::<*mut c_void, CurrentName>(function)();
        (!name.is_null()).then(|| CStr::from_ptr(name))
    }
}

extern "C" fn before_fork() {
    if let Some(region) = region() {
        region.before_fork();
    }
}

extern "C" fn after_fork() {
    if let Some(region) = region() {
        region.after_fork();
    }
}

extern "C" fn after_fork_in_child() {
    after_fork();
    // SAFETY: the only thread of the child, which was not in an allocator.
    unsafe { heaps::forget_others() };
}

/// The running interpreter is about to end: what it leaves empty goes back to the
/// system, and what is emptied from now on at once.
///
/// # Safety
/// The GIL is held.
pub unsafe fn interpreter_ends() {
    if !is_installed() {
        return;
    }
    // SAFETY: the GIL is held, so the heap is this thread's.
    unsafe {
        if let Some(heap) = heaps::current()
            && !heaps::main().is_some_and(|main| ptr::eq(main, heap))
        {
            heap.retire_all();
        }
    }
}

fn functions<const D: usize>(context: *mut c_void) -> PyMemAllocatorEx {
    PyMemAllocatorEx {
        ctx: context,
        malloc: Some(malloc::<D>),
        calloc: Some(calloc::<D>),
        realloc: Some(realloc::<D>),
        free: Some(free::<D>),
    }
}

#[inline]
fn previous<const D: usize>() -> &'static PyMemAllocatorEx {
    // SAFETY: written only before the functions of this domain are put in place.
    unsafe { &PREVIOUS[D] }
}

/// A block from elsewhere, because the thread has no heap, or because its heap
/// has refused. Under a limit that was the last word, and a thread without a
/// heap gets a large block of the region, which counts; otherwise the region is
/// full, and the block comes from the allocator before ours.
#[cold]
fn from_elsewhere<const D: usize>(heap: Option<&Heap>, size: usize, zeroed: bool) -> *mut c_void {
    if let Some(region) = region()
        && region.limit().get().is_some()
    {
        if heap.is_some() {
            return ptr::null_mut();
        }
        let block = region.large().allocate(region.limit(), size, zeroed);
        if block.is_null() {
            region.limit().refuse();
        }
        return block.cast();
    }
    let before = previous::<D>();
    match (before.malloc, before.calloc) {
        (Some(malloc), _) if !zeroed => malloc(before.ctx, size),
        (_, Some(calloc)) => calloc(before.ctx, 1, size),
        _ => ptr::null_mut(),
    }
}

extern "C" fn malloc<const D: usize>(_context: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: called with the GIL of the interpreter whose heap it is.
    unsafe {
        if let Some(heap) = heaps::at_hand()
            && heaps::needs_no_check(|| size)
        {
            let block = heap.allocate_at_hand(size);
            if !block.is_null() {
                return block.cast();
            }
        }
    }
    malloc_slow::<D>(size)
}

#[cold]
#[inline(never)]
fn malloc_slow<const D: usize>(size: usize) -> *mut c_void {
    // SAFETY: as in `malloc`.
    unsafe {
        let heap = heaps::current();
        if let Some(heap) = heap {
            let block = heap.allocate(size);
            if !block.is_null() {
                return block.cast();
            }
        }
        from_elsewhere::<D>(heap, size, false)
    }
}

extern "C" fn calloc<const D: usize>(
    _context: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    let Some(size) = count.checked_mul(size) else {
        return ptr::null_mut();
    };
    // SAFETY: as in `malloc`.
    unsafe {
        let heap = heaps::current();
        if let Some(heap) = heap {
            let block = heap.allocate_zeroed(size);
            if !block.is_null() {
                return block.cast();
            }
        }
        from_elsewhere::<D>(heap, size, true)
    }
}

extern "C" fn realloc<const D: usize>(
    context: *mut c_void,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    if block.is_null() {
        return malloc::<D>(context, size);
    }
    // SAFETY: as in `malloc`; the block is the caller's.
    unsafe {
        let Some(heap) = heaps::current() else {
            return move_out::<D>(None, block, size);
        };
        match heap.resize(block.cast(), size) {
            Some(moved) if moved.is_null() => move_out::<D>(Some(heap), block, size),
            Some(moved) => moved.cast(),
            None => previous_realloc::<D>(block, size),
        }
    }
}

#[cold]
fn previous_realloc<const D: usize>(block: *mut c_void, size: usize) -> *mut c_void {
    match previous::<D>().realloc {
        Some(realloc) => realloc(previous::<D>().ctx, block, size),
        None => ptr::null_mut(),
    }
}

/// Reallocates where there is no room for it, or no heap.
#[cold]
unsafe fn move_out<const D: usize>(
    heap: Option<&Heap>,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    let old = region().map_or(0, |region| region.size_of(block.cast()));
    if old == 0 {
        return previous_realloc::<D>(block, size);
    }
    let moved = from_elsewhere::<D>(heap, size, false);
    if !moved.is_null() {
        // SAFETY: both blocks have so many bytes; the old one is not used again.
        unsafe { ptr::copy_nonoverlapping(block.cast::<u8>(), moved.cast(), old.min(size)) };
        free::<D>(ptr::null_mut(), block);
    }
    moved
}

extern "C" fn free<const D: usize>(_context: *mut c_void, block: *mut c_void) {
    // SAFETY: the caller has done with the block; the heap is used with its
    // interpreter's GIL.
    unsafe {
        if let Some(heap) = heaps::at_hand() {
            if heap.owns(block.cast()) {
                if heaps::needs_no_check(|| heap.size_of_owned(block.cast())) {
                    return heap.release_owned(block.cast());
                }
            } else if heap.is_foreign(block.cast()) {
                // A block from before, of which there are many while a short program
                // ends, or null.
                return previous_free::<D>(block);
            }
        }
    }
    free_slow::<D>(block);
}

fn previous_free<const D: usize>(block: *mut c_void) {
    if let Some(free) = previous::<D>().free {
        free(previous::<D>().ctx, block);
    }
}

/// Frees a large block, one from before, null, or any where the heap is not at hand.
#[cold]
#[inline(never)]
fn free_slow<const D: usize>(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: as in `free`.
    let is_ours = unsafe {
        match (heaps::current(), region()) {
            (Some(heap), _) => heap.release(block.cast()),
            (None, Some(region)) => Heap::release_from_outside(region, block.cast()),
            (None, None) => false,
        }
    };
    if !is_ours {
        previous_free::<D>(block);
    }
}
