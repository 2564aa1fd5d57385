//! Addresses from the system, without memory behind them until they are used.

use std::ptr;

/// Reserves `bytes` of zeroed memory that costs nothing until touched; null if
/// there are no such addresses.
pub fn reserve(bytes: usize) -> *mut u8 {
    map(bytes, libc::PROT_READ | libc::PROT_WRITE)
}

/// Reserves `bytes` of addresses that cannot be used before [`open`]. Until then
/// they count as memory nowhere: not for a system that promises no more than it
/// has, not for `RLIMIT_DATA`, and not for `mlockall`, which would fill them.
pub fn reserve_closed(bytes: usize) -> *mut u8 {
    map(bytes, libc::PROT_NONE)
}

/// Lets some addresses of [`reserve_closed`] be used; no if the system refuses.
///
/// # Safety
/// They are part of what it returned, and whole pages.
pub unsafe fn open(address: *mut u8, bytes: usize) -> bool {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the caller's contract.
    keeping_errno(|| unsafe { libc::mprotect(address.cast(), bytes, protection) == 0 })
}

/// Lets some addresses of [`reserve_closed`] be read, as zeros; no if the system
/// refuses. They still count as memory nowhere.
///
/// # Safety
/// They are part of what it returned, and whole pages.
pub unsafe fn show(address: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller's contract.
    keeping_errno(|| unsafe { libc::mprotect(address.cast(), bytes, libc::PROT_READ) == 0 })
}

/// Memory is taken and given back in functions whose callers may still have to
/// look at `errno`.
pub fn keeping_errno<T>(act: impl FnOnce() -> T) -> T {
    // SAFETY: each thread has an errno.
    let errno = unsafe { &mut *libc::__errno_location() };
    let before = *errno;
    let result = act();
    *errno = before;
    result
}

fn map(bytes: usize, protection: libc::c_int) -> *mut u8 {
    // SAFETY: a new private mapping anywhere touches nothing that exists.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            protection,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        ptr::null_mut()
    } else {
        address.cast()
    }
}

/// Gives back what [`reserve`] or `reserve_closed` returned.
///
/// # Safety
/// It is all of that, and nothing in it is used any more.
pub unsafe fn unreserve(address: *mut u8, bytes: usize) {
    // SAFETY: the caller's contract.
    unsafe { libc::munmap(address.cast(), bytes) };
}

/// Gives the memory behind some addresses back and keeps the addresses.
///
/// # Safety
/// They are whole pages of what [`reserve`] or [`reserve_closed`] returned; the
/// contents are not needed.
pub unsafe fn decommit(address: *mut u8, bytes: usize) {
    // SAFETY: the caller's contract. Should the system refuse, as it does for
    // locked memory, the memory stays.
    keeping_errno(|| unsafe { libc::madvise(address.cast(), bytes, libc::MADV_DONTNEED) });
}

/// Makes some memory zero, and gives it back where the system takes it.
///
/// # Safety
/// They are whole pages of what [`reserve`] returned; the contents are not needed.
pub unsafe fn clear(address: *mut u8, bytes: usize) {
    // SAFETY: the caller's contract. Locked memory is not taken back.
    keeping_errno(|| unsafe {
        if libc::madvise(address.cast(), bytes, libc::MADV_DONTNEED) != 0 {
            address.write_bytes(0, bytes);
        }
    });
}

/// Puts memory behind addresses that are about to be used, in one step instead
/// of one page fault at a time. An older system refuses, which harms nothing.
///
/// # Safety
/// They are whole pages of what [`reserve`] returned, or what [`open`] has opened.
pub unsafe fn populate(address: *mut u8, bytes: usize) {
    const MADV_POPULATE_WRITE: libc::c_int = 23;
    // SAFETY: the caller's contract.
    keeping_errno(|| unsafe { libc::madvise(address.cast(), bytes, MADV_POPULATE_WRITE) });
}

/// A quarter of the addresses that the process may still have, if that is limited.
pub fn fair_share() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a place for the answer.
    let found = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0;
    if !found || limit.rlim_cur == libc::RLIM_INFINITY {
        return usize::MAX;
    }
    (limit.rlim_cur as usize).saturating_sub(addresses_in_use()) / 4
}

fn addresses_in_use() -> usize {
    let statistics = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statistics
        .split(' ')
        .next()
        .and_then(|pages| pages.parse::<usize>().ok());
    // SAFETY: asks for a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(0) * usize::try_from(page).unwrap_or(4096)
}

/// Writes one line to standard error and ends the process: memory that is
/// known to be corrupted must not be used any longer.
#[cfg(feature = "sanity")]
#[cold]
pub fn corrupted(what: &str, address: usize) -> ! {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "wrasse: {what} at {address:#x}");
    std::process::abort();
}
